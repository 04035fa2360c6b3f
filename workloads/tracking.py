"""The MLflow run of a training on a platform: what it was made of, how it went, what came out.

Rank 0 alone has one; without a platform there is none.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from workloads import common
from workloads.common import WorkloadError, log

MEASURED = ("quality", "speed", "rates")
"""The parts of a report whose numbers become metrics."""


class Run:
    """One run; its numbers are written behind the training's back, many in a request."""

    def __init__(self, experiment: str, tags: dict[str, str], parameters: dict[str, Any]) -> None:
        self.mlflow = common.mlflow()
        from workloads.recorder import Recorder

        with self.calls():
            self.mlflow.set_experiment(experiment)
            self.id: str = self.mlflow.start_run(tags=tags).info.run_id
            self.mlflow.log_params(parameters)
            self.recorder = Recorder(self.mlflow.tracking.MlflowClient(), self.id)

    @contextmanager
    def calls(self) -> Iterator[None]:
        """Failures of the server are reported as that."""
        try:
            yield
        except Exception as error:
            raise WorkloadError(
                f"MLflow at {common.env('MLFLOW_TRACKING_URI')} failed: {type(error).__name__}: {error}"
            ) from error

    def series(self, name: str, values: Sequence[float]) -> None:
        """The values of a series so far, a step each; nobody waits for the server."""
        self.recorder.series(name, values)

    def finish(self, report: dict[str, Any]) -> None:
        """Write what was measured as metrics, and all of the report as `report.json`."""
        for name, value in numbers({part: report[part] for part in MEASURED}).items():
            self.recorder.series(name, [value])
        with self.calls():
            self.recorder.flush()
            self.mlflow.log_dict(report, "report.json")
            self.mlflow.end_run()

    def fail(self) -> None:
        """Mark the run as failed, if the server still listens."""
        try:
            self.recorder.flush()
            self.mlflow.end_run("FAILED")
        except Exception as error:
            log("could not mark the run as failed", error=error)


def numbers(report: dict[str, Any], under: str = "") -> dict[str, float]:
    """The numbers of a nested report by names such as `speed.step_ms.median`, without lists and words."""
    found: dict[str, float] = {}
    for key, value in report.items():
        name = f"{under}.{key}" if under else key
        if isinstance(value, dict):
            found |= numbers(value, name)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = value
    return found
