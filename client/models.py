"""Versions of models that InferenceServices serve.

One registered version is one InferenceService, which is never changed: other files are another version. Who
sends it requests is no business of this module.
"""

import json
import time
from dataclasses import dataclass
from typing import Any

from kubernetes import client as k8s

from client import jobs, pods, scaling
from client.errors import ClientError
from client.objects import Kind, kinds, request
from client.platform import Platform
from client.progress import Progress, Silent
from client.registry import EXAMPLE, ModelVersion, example_of, files
from client.scaling import Scaling
from infra import outputs

API = "serving.kserve.io/v1beta1"
_PATH = f"/apis/{API}/namespaces/{outputs.NAMESPACE_WORKLOADS}/inferenceservices"
_REGISTERED, _RUN, _DIGEST = "seatrial.dev/registered-model", "seatrial.dev/run-id", "seatrial.dev/digest"
"""Annotations of an InferenceService: where it comes from."""
COLOCATE_LABEL = "seatrial.dev/colocate"
"""Label of pods that are to be on one node with what uses them."""
_FORGIVEN = 2
"""Restarts of a pod after which it counts as one that will not start."""


@dataclass(frozen=True)
class Served:
    """A version that an InferenceService serves, or is about to."""

    name: str
    """What routes and protocols call the model, for example `delay`."""
    version: str
    service: str
    """Name of the InferenceService."""
    ready: bool
    replicas: int
    """The least, where an autoscaler makes them more."""
    most: int
    model: str
    uri: str
    run_id: str
    digest: str
    image: str


@dataclass(frozen=True)
class Size:
    """How many pods a version has, and what each gets."""

    replicas: int = 1
    """With `scaling` the least."""
    cpu: str = "100m"
    memory: str = "800Mi"
    scaling: Scaling | None = None

    @property
    def most(self) -> int:
        """How many there may be."""
        return self.scaling.most if self.scaling else self.replicas


def service_name(name: str, version: str) -> str:
    """The InferenceService of a version."""
    return f"{name}-v{version}"


def predictor(name: str, version: str) -> str:
    """The Deployment of a version, and its Service: REST on port 80, gRPC on 8081."""
    return f"{service_name(name, version)}-predictor"


def inference_service(
    found: ModelVersion, *, name: str, image: str, size: Size | None = None
) -> dict[str, Any]:
    """The manifest; `image` is that of the model server, which stays the version's own."""
    size = size or Size()
    labels = {outputs.MODEL_LABEL: name, outputs.VERSION_LABEL: found.version, COLOCATE_LABEL: name}
    annotations = {
        "serving.kserve.io/deploymentMode": "Standard",
        # How many there are is said here, or by an autoscaler of ours, and by nobody else.
        "serving.kserve.io/autoscalerClass": "external" if size.scaling else "none",
        _REGISTERED: found.model,
        _RUN: found.run_id,
        _DIGEST: found.digest,
    }
    model = {
        "modelFormat": {"name": "mlflow"},
        "runtime": outputs.RUNTIME_MLFLOW,
        "protocolVersion": "v2",
        "storageUri": found.uri,
        "image": image,
        "args": [f"--name={name}", f"--version={found.version}", f"--digest={found.digest}"],
        "resources": {
            "requests": {"cpu": size.cpu, "memory": size.memory},
            "limits": {"cpu": "2", "memory": size.memory},
        },
    }
    return {
        "apiVersion": API,
        "kind": "InferenceService",
        "metadata": {
            "name": service_name(name, found.version),
            "namespace": outputs.NAMESPACE_WORKLOADS,
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {
            "predictor": {
                "minReplicas": size.replicas,
                "maxReplicas": size.most,
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                # Longer than the server answers after it was told to end, and finishes what is under way.
                "terminationGracePeriodSeconds": 45,
                "affinity": _beside(name),
                "model": model,
            }
        },
    }


def _beside(name: str) -> dict[str, Any]:
    """On the node of the other versions. A wish: if they insisted, none could leave a drained node."""
    others = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {COLOCATE_LABEL: name}},
    }
    wish = {"weight": 100, "podAffinityTerm": others}
    return {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}}


def serve(
    platform: Platform,
    found: ModelVersion,
    *,
    name: str,
    image: str,
    size: Size | None = None,
    wait: bool = True,
    deadline: float = 300,
    progress: Progress | None = None,
) -> Served:
    """Serve the version and wait until all of its pods are ready; of what is served so already nothing is
    changed but how many there are.

    Raises:
        ClientError: the version is served by another image or from other files, its pods do not start, or
            KServe refuses it.
    """
    item = inference_service(found, name=name, image=image, size=size)
    there = [each for each in served(platform, name) if each.version == found.version]
    if there and (there[0].image, there[0].digest) != (image, found.digest):
        raise ClientError(
            f"{there[0].service} is served from {there[0].digest} by {there[0].image}, and a version never "
            f"changes; asked for are {found.digest} and {image}",
            f"take it away first: seatrial model withdraw {name} {found.version}; or register a new version",
        )
    kinds_here = kinds(platform.api)
    jobs.apply(platform, kinds_here, service_name(name, found.version), item)
    _scale(platform, kinds_here, item, size or Size())
    if wait:
        _follow(platform, item, deadline, progress or Silent())
    return next(each for each in served(platform, name) if each.version == found.version)


def _scale(platform: Platform, kinds_here: list[Kind], item: dict[str, Any], size: Size) -> None:
    """The autoscaler of a version, which goes with it, or none."""
    name = item["metadata"]["name"]
    if size.scaling is None:
        scaling.forget(platform, name)
        return
    owner = json.loads(request(platform.api, "GET", f"{_PATH}/{name}"))
    made = scaling.autoscaler(
        name, f"{name}-predictor", size.replicas, size.scaling, outputs.METRIC_MODEL, owner
    )
    jobs.apply(platform, kinds_here, name, made)


def served(platform: Platform, name: str) -> list[Served]:
    """The versions of a model that are served, the oldest first.

    Raises:
        ClientError: the platform serves no models.
    """
    found = _inference_services(platform, f"{outputs.MODEL_LABEL}={name}")
    return sorted((_served(each) for each in found), key=lambda each: int(each.version))


def names(platform: Platform) -> list[str]:
    """What the models are called that are served."""
    found = _inference_services(platform, outputs.MODEL_LABEL)
    return sorted({each["metadata"]["labels"][outputs.MODEL_LABEL] for each in found})


def _inference_services(platform: Platform, selector: str) -> list[dict[str, Any]]:
    try:
        items: list[dict[str, Any]] = json.loads(request(platform.api, "GET", _PATH, labelSelector=selector))[
            "items"
        ]
    except k8s.ApiException as error:
        if error.status != 404:
            raise
        raise ClientError(
            f"platform '{platform.name}' serves no models: it has no KServe",
            "provision it: seatrial up --with serving",
        ) from error
    return items


def _served(item: dict[str, Any]) -> Served:
    metadata, predictor = item["metadata"], item["spec"]["predictor"]
    told = metadata.get("annotations", {})
    return Served(
        name=metadata["labels"][outputs.MODEL_LABEL],
        version=metadata["labels"][outputs.VERSION_LABEL],
        service=metadata["name"],
        ready=_ready(item),
        replicas=predictor.get("minReplicas", 1),
        most=max(predictor.get("minReplicas", 1), predictor.get("maxReplicas", 1)),
        model=told.get(_REGISTERED, ""),
        uri=predictor["model"]["storageUri"],
        run_id=told.get(_RUN, ""),
        digest=told.get(_DIGEST, ""),
        image=predictor["model"].get("image", ""),
    )


def _ready(item: dict[str, Any]) -> bool:
    """Whether KServe has seen this form of the object, and its pods answer."""
    status, deleted = item.get("status", {}), item["metadata"].get("deletionTimestamp")
    if deleted or status.get("observedGeneration", 0) < item["metadata"]["generation"]:
        return False
    held = {each["type"] for each in status.get("conditions", ()) if each["status"] == "True"}
    return {"Ready", "PredictorReady"} <= held


def _follow(platform: Platform, item: dict[str, Any], deadline: float, progress: Progress) -> None:
    name, began, told = item["metadata"]["name"], time.monotonic(), ""
    progress.begin(f"model {name}")
    while True:
        now = json.loads(request(platform.api, "GET", f"{_PATH}/{name}"))
        there = platform.core.list_namespaced_pod(
            outputs.NAMESPACE_WORKLOADS, label_selector=f"serving.kserve.io/inferenceservice={name}"
        ).items
        if _ready(now) and _all_ready(platform, name, item["spec"]["predictor"]["minReplicas"]):
            progress.end(f"model {name}")
            return
        state = pods.states(there)
        if state and state != told:
            progress.say(f"    {state}")
            told = state
        late = time.monotonic() - began > deadline
        if cause := _failure(there) or (f"it was not ready after {deadline:.0f} s" if late else ""):
            raise _failed(platform, now, there, cause)
        time.sleep(0.5)


def _all_ready(platform: Platform, name: str, replicas: int) -> bool:
    deployment = k8s.AppsV1Api(platform.api).read_namespaced_deployment(
        f"{name}-predictor", outputs.NAMESPACE_WORKLOADS
    )
    status = deployment.status
    return bool((status.updated_replicas or 0) >= replicas and (status.ready_replicas or 0) >= replicas)


def _failure(there: list[Any]) -> str:
    """Why a pod will not start; empty while all may."""
    for pod in there:
        for status in [*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())]:
            ended = status.last_state.terminated or status.state.terminated
            if status.restart_count >= _FORGIVEN and not status.ready and ended and ended.exit_code:
                said = (ended.message or f"exit code {ended.exit_code}").strip()
                return f"container {status.name} of pod {pod.metadata.name} does not start: {said[-1500:]}"
    return pods.hopeless(there)


def _failed(platform: Platform, now: dict[str, Any], there: list[Any], cause: str) -> ClientError:
    name = now["metadata"]["name"]
    lines = [
        f"  {each['type']}: {each.get('reason', '')}: {each['message']}"
        for each in now.get("status", {}).get("conditions", ())
        if each["status"] != "True" and each.get("message")
    ]
    lines += pods.accounts(platform, outputs.NAMESPACE_WORKLOADS, there, [])
    return ClientError(
        "\n".join([f"model {name} is not served: {cause}", *lines]),
        f"see docs/runbooks/ModelServerDown.md; kubectl -n {outputs.NAMESPACE_WORKLOADS} describe "
        f"isvc {name}",
    )


def withdraw(platform: Platform, name: str, version: str, patience: float = 90) -> None:
    """Take a version away, and wait until its pods have ended; no route may send it requests any more.

    Raises:
        ClientError: it does not go away.
    """
    service = service_name(name, version)
    deadline = time.monotonic() + patience
    selector = f"serving.kserve.io/inferenceservice={service}"
    while True:
        try:
            request(platform.api, "DELETE", f"{_PATH}/{service}", propagationPolicy="Foreground")
        except k8s.ApiException as error:
            if error.status != 404:
                raise
            if not platform.core.list_namespaced_pod(
                outputs.NAMESPACE_WORKLOADS, label_selector=selector
            ).items:
                return
        if time.monotonic() > deadline:
            raise ClientError(
                f"{service} does not go away",
                f"see what holds it: kubectl -n {outputs.NAMESPACE_WORKLOADS} describe isvc {service}",
            )
        time.sleep(0.3)


def example(platform: Platform, name: str, version: str) -> dict[str, Any]:
    """The body of a V2 request that fits: the first row of the example that the version was registered with.

    Raises:
        ClientError: the version is not served, or was registered without an example of columns.
    """
    found = next((each for each in served(platform, name) if each.version == version), None)
    if found is None:
        raise ClientError(
            f"{service_name(name, version)} is not served", f"serve it: seatrial model serve {name} {version}"
        )
    return example_of(dict(files(platform, found.uri, EXAMPLE)), found.service)
