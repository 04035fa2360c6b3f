"""What a version of a model reached on its test set, asked of MLflow's registry."""

from typing import Any

from workloads import common

METRIC = "test_accuracy"
PATIENCE = 10
"""Seconds for an answer."""


class Registry:
    """The registered accuracy of versions; one that was found is not asked for again."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], float] = {}

    def accuracy(self, model: str, version: str) -> float | None:
        """None where the registry has no such version, or its run no such metric.

        Raises:
            requests.RequestException: MLflow does not answer.
        """
        known = self._found.get((model, version))
        if known is None and (known := _asked(model, version)) is not None:
            self._found[model, version] = known
        return known


def _asked(model: str, version: str) -> float | None:
    found = _get("model-versions/get", name=model, version=version)
    run_id = found.get("model_version", {}).get("run_id")
    if not run_id:
        return None
    metrics = _get("runs/get", run_id=run_id).get("run", {}).get("data", {}).get("metrics", [])
    return next((float(each["value"]) for each in metrics if each["key"] == METRIC), None)


def _get(what: str, **parameters: str) -> dict[str, Any]:
    """The answer; nothing where there is no such thing."""
    import requests

    answer = requests.get(
        f"{common.env('MLFLOW_TRACKING_URI').rstrip('/')}/api/2.0/mlflow/{what}",
        params=parameters,
        auth=(common.env("MLFLOW_TRACKING_USERNAME"), common.env("MLFLOW_TRACKING_PASSWORD")),
        timeout=PATIENCE,
    )
    if answer.status_code in (400, 404):
        return {}  # A version that is no number, as a server may call itself, is 400.
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found
