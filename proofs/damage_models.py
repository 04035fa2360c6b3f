"""What faults do to served models and to KServe: each breaks on entering, mends on leaving."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import httpx
import pandas as pd
from kubernetes import client as k8s

from client import Platform, models, outputs, registry
from client.waiting import until
from proofs import models as served
from proofs.damage import meanwhile, without_pods
from proofs.subjects import training
from workloads.train_delay.metrics import PREDICTIONS

SERVICES = ("serving.kserve.io", "v1beta1", outputs.NAMESPACE_WORKLOADS, "inferenceservices")
MONITORS = ("monitoring.coreos.com", "v1", outputs.NAMESPACE_WORKLOADS, "podmonitors")
_HOLD = "seatrial.dev/held-by-a-fault"


@contextmanager
def changed_object(platform: Platform, uri: str, change: Callable[[bytes], bytes]) -> Iterator[None]:
    """An object of the store has other content."""
    store, at = platform.s3(), place_of(uri)
    before = store.get_object(**at)["Body"].read()
    try:
        store.put_object(**at, Body=change(before))
        yield
    finally:
        store.put_object(**at, Body=before)


def place_of(uri: str) -> dict[str, str]:
    """Bucket and key of an object, as S3's client takes them."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


def wrong_model_file(platform: Platform) -> AbstractContextManager[None]:
    """The registered version has another preprocessing than the one that is served."""
    found = registry.resolve(platform, training.SETTINGS.model)
    served.asked(platform)

    def shifted(content: bytes) -> bytes:
        learned = json.loads(content)
        return json.dumps({**learned, "means": [value + 1 for value in learned["means"]]}).encode()

    return changed_object(platform, f"{found.uri}/artifacts/preprocessing", shifted)


def other_predictions(platform: Platform) -> AbstractContextManager[None]:
    """What the training logged as its predictions is not what it predicted."""
    return changed_object(platform, predictions_of(training.Trained(platform).run, PREDICTIONS), opposite)


def opposite(content: bytes) -> bytes:
    """A file of predictions, each of which says the opposite."""
    rows, changed = pd.read_parquet(io.BytesIO(content)), io.BytesIO()
    rows.assign(late_probability=1 - rows["late_probability"]).to_parquet(changed, index=False)
    return changed.getvalue()


def predictions_of(run: Any, file: str) -> str:
    """Where a run keeps a file of what was predicted of its test."""
    place = run.info.artifact_uri.removeprefix("mlflow-artifacts:/").lstrip("/")
    return f"s3://{outputs.BUCKET_MLFLOW}/{outputs.FOLDER_ARTIFACTS}/{place}/{file}"


@contextmanager
def busy_model(platform: Platform) -> Iterator[None]:
    """Somebody else asks the served version all the time."""
    asked = served.asked(platform)
    (row,) = served.instances(served.flights(platform, asked.found).head(1))
    answered: list[bool] = []

    with served.client_of(platform, asked.service) as http:

        def ask() -> None:
            with suppress(httpx.TransportError):
                http.post(f"/v1/models/{served.NAME}:predict", json={"instances": [row]})
                answered.append(True)

        with meanwhile(ask, 0.02):
            until(lambda: bool(answered), "the first of its answers")
            yield


@contextmanager
def unwatched_models(platform: Platform) -> Iterator[None]:
    """Prometheus looks for served models where there are none."""
    served.asked(platform)
    custom = k8s.CustomObjectsApi(platform.api)
    before = custom.get_namespaced_custom_object(*MONITORS, "models")["spec"]["selector"]

    def select(selector: dict[str, Any], watched: bool) -> None:
        body = {"spec": {"selector": selector}}
        custom.patch_namespaced_custom_object(*MONITORS, "models", body)
        until(lambda: _watched(platform) is watched, "Prometheus to take the change up", 240)

    try:
        nothing = [{"key": "serving.kserve.io/inferenceservice", "operator": "DoesNotExist"}]
        select({"matchExpressions": [*before["matchExpressions"], *nothing]}, False)
        yield
    finally:
        select(before, True)


def _watched(platform: Platform) -> bool:
    targets = platform.prometheus("targets", state="active")["activeTargets"]
    return any(each["scrapePool"].startswith("podMonitor/workloads/models/") for each in targets)


@contextmanager
def hurried_end(platform: Platform) -> Iterator[None]:
    """A server of the model that is told to end is killed a second later."""
    asked = served.asked(platform)
    name = models.service_name(served.NAME, asked.found.version)
    custom = k8s.CustomObjectsApi(platform.api)
    before = custom.get_namespaced_custom_object(*SERVICES, name)["spec"]["predictor"]

    def leave(seconds: int) -> None:
        body = {"spec": {"predictor": {"terminationGracePeriodSeconds": seconds}}}
        custom.patch_namespaced_custom_object(*SERVICES, name, body)
        until(lambda: _given(platform, name) == {seconds}, f"pods that are given {seconds} s")

    try:
        leave(1)
        yield
    finally:
        leave(before["terminationGracePeriodSeconds"])


def _given(platform: Platform, name: str) -> set[int]:
    """The time that each pod of a version is given to end; one that is not ready gives none yet."""
    pods = platform.core.list_namespaced_pod(
        outputs.NAMESPACE_WORKLOADS, label_selector=f"serving.kserve.io/inferenceservice={name}"
    ).items
    ready = all(each.ready for pod in pods for each in pod.status.container_statuses or [])
    return {pod.spec.termination_grace_period_seconds for pod in pods} if pods and ready else set()


def kserve_down(platform: Platform) -> AbstractContextManager[None]:
    """KServe, and with it its webhooks, is away."""
    served.asked(platform)
    return without_pods(platform, "kserve-controller-manager", outputs.NAMESPACE_SERVING)


@contextmanager
def held_version(platform: Platform) -> Iterator[None]:
    """Something keeps the InferenceService from going away."""
    asked = served.asked(platform)
    name = models.service_name(served.NAME, asked.found.version)
    custom = k8s.CustomObjectsApi(platform.api)

    def hold(finalizers: Callable[[list[str]], list[str]]) -> None:
        now = custom.get_namespaced_custom_object(*SERVICES, name)["metadata"].get("finalizers", [])
        body = {"metadata": {"finalizers": finalizers(now)}}
        custom.patch_namespaced_custom_object(*SERVICES, name, body)

    try:
        hold(lambda now: [*now, _HOLD])
        yield
    finally:
        with suppress(k8s.ApiException):  # It may have gone, had it not been held.
            hold(lambda now: [each for each in now if each != _HOLD])
