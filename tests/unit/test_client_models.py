"""From the registry to an InferenceService: which files, which words when something is amiss, what is never
changed.
"""

import io
import json
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any
from unittest.mock import MagicMock

import pytest

from client import ClientError, models, outputs, registry, scaling
from client.objects import Kind
from client.registry import ModelVersion
from infra.components.serving import runtimes
from tests.unit.test_component_serving import complaints
from workloads.serve_model.model import digest_of

FILES = {"MLmodel": b"flavors: {}\n", "code/a.py": b"x = 1\n", "code/empty.py": b"", "weights": b"\x00\x01"}
FOUND = ModelVersion("delay-classifier", "3", "s3://mlflow/artifacts/1/m/artifacts", "r1", "sha256:aa")
IMAGE = "seatrial/model-server:1"
SCALED = models.Size(replicas=2, scaling=scaling.Scaling(most=5, requests_per_second=20))


def platform(source: str = "mlflow-artifacts:/1/m/artifacts", files: dict[str, bytes] = FILES) -> Any:
    """One with a registered model of two versions, and their files in the object store."""
    made = MagicMock()
    made.name = "local"
    server = made.mlflow.return_value
    server.search_model_versions.return_value = [
        Some(version=number, run_id=f"r{number}", tags={"snapshot_id": number}) for number in ("9", "10")
    ]
    server.get_model_version_download_uri.return_value = source
    store, prefix = made.s3.return_value, "artifacts/1/m/artifacts/"

    def pages(Bucket: str, Prefix: str) -> list[Any]:
        assert (Bucket, Prefix) == (outputs.BUCKET_MLFLOW, prefix)
        return [{"Contents": [{"Key": prefix + name}]} for name in files] or [{}]

    store.get_paginator.return_value.paginate.side_effect = pages
    store.get_object.side_effect = lambda Bucket, Key: {"Body": io.BytesIO(files[Key.removeprefix(prefix)])}
    return made


def test_the_newest_version_is_the_one_with_the_highest_number() -> None:
    found = registry.resolve(platform(), "delay-classifier")
    assert (found.version, found.run_id, found.tags) == ("10", "r10", {"snapshot_id": "10"})
    assert found.uri == "s3://mlflow/artifacts/1/m/artifacts"
    assert registry.resolve(platform(), "delay-classifier", 9).run_id == "r9"


def test_the_digest_is_what_the_model_server_computes_of_what_it_was_given(tmp_path: Path) -> None:
    for name, content in FILES.items():
        if content:  # KServe's storage initializer leaves the others out.
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
    assert registry.resolve(platform(), "delay-classifier").digest == digest_of(tmp_path)
    changed = {**FILES, "weights": b"\x00\x02"}
    assert registry.resolve(platform(files=changed), "delay-classifier").digest != digest_of(tmp_path)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (
            lambda: registry.resolve(platform(), "delay-classifier", "4"),
            "no version 4\n.*versions are: 9, 10",
        ),
        (
            lambda: registry.resolve(platform(files={}), "delay-classifier"),
            "there are no files at s3://mlflow",
        ),
        (lambda: registry.resolve(platform(source="file:/tmp/m"), "delay"), "which no pod can download"),
    ],
)
def test_what_cannot_be_served_is_named(ask: Any, words: str) -> None:
    with pytest.raises(ClientError, match=f"(?s){words}"):
        ask()


def test_a_model_that_nobody_registered_is_named() -> None:
    empty = platform()
    empty.mlflow.return_value.search_model_versions.return_value = []
    with pytest.raises(ClientError, match="MLflow has no model 'delya'"):
        registry.resolve(empty, "delya")


# --- the manifest -----------------------------------------------------------------------------------------


def test_an_inference_service_fits_kserves_schema() -> None:
    item = models.inference_service(FOUND, name="delay", image=IMAGE, size=models.Size(replicas=2))
    assert complaints(item, "inferenceservices") == []
    assert item["metadata"]["name"] == "delay-v3"
    predictor = item["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 2)
    assert predictor["model"]["image"] == IMAGE
    assert item["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "none"


def test_where_an_autoscaler_says_how_many_kserve_does_not() -> None:
    item = models.inference_service(FOUND, name="delay", image=IMAGE, size=SCALED)
    assert complaints(item, "inferenceservices") == []
    predictor = item["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 5)
    assert item["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "external"


def test_what_it_says_is_what_the_runtime_runs() -> None:
    runtime = runtimes.mlflow(outputs.RUNTIME_MLFLOW)["spec"]
    model = models.inference_service(FOUND, name="delay", image=IMAGE)["spec"]["predictor"]["model"]
    assert model["modelFormat"]["name"] in {each["name"] for each in runtime["supportedModelFormats"]}
    assert model["protocolVersion"] in runtime["protocolVersions"]
    taken = (Path(__file__).parents[2] / "workloads/serve_model/main.py").read_text()
    for argument in model["args"]:
        assert f'"{argument.partition("=")[0]}"' in taken, argument
    assert f"--digest={FOUND.digest}" in model["args"]


# --- what is served ---------------------------------------------------------------------------------------


class Cluster:
    """Stands for one with InferenceServices; what is applied is there, and becomes ready."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ready: bool = True) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.autoscalers: dict[str, dict[str, Any]] = {}
        self.ready, self.pods = ready, list[Any]()
        kind = Kind(models.API, "InferenceService", "inferenceservices", True, frozenset())
        monkeypatch.setattr(models, "kinds", lambda _: [kind])
        for module in (models, scaling):
            monkeypatch.setattr(module, "request", self.request)
        monkeypatch.setattr(models.jobs, "apply", self.apply)
        status = Some(updated_replicas=1, ready_replicas=1)
        apps = Some(read_namespaced_deployment=lambda *_: Some(status=status))
        monkeypatch.setattr(models.k8s, "AppsV1Api", lambda _: apps)
        self.platform = MagicMock()
        self.platform.core.list_namespaced_pod.side_effect = lambda *_, **__: Some(items=self.pods)
        self.platform.core.list_namespaced_event.return_value = Some(items=[])

    def apply(self, platform: Any, served: Any, workload: str, item: dict[str, Any]) -> None:
        held = [{"type": each, "status": str(self.ready)} for each in ("Ready", "PredictorReady")]
        if item["kind"] == "HorizontalPodAutoscaler":
            self.autoscalers[item["metadata"]["name"]] = item
            return
        item["metadata"] |= {"generation": 1, "uid": "u1"}
        self.items[item["metadata"]["name"]] = {
            **item,
            "status": {"observedGeneration": 1, "conditions": held},
        }

    def request(self, api: Any, method: str, path: str, **query: str) -> str:
        name = path.rpartition("/")[2]
        if method == "DELETE":
            there = self.autoscalers if "horizontalpodautoscalers" in path else self.items
            if name not in there:
                raise models.k8s.ApiException(status=404)
            there.pop(name)
            return "{}"
        if "labelSelector" not in query:
            return json.dumps(self.items[name])
        _, _, wanted = query["labelSelector"].partition("=")
        found = [
            each
            for each in self.items.values()
            if not wanted or each["metadata"]["labels"][outputs.MODEL_LABEL] == wanted
        ]
        return json.dumps({"items": found})


def version(number: str, digest: str = "sha256:aa") -> ModelVersion:
    return ModelVersion("delay-classifier", number, f"s3://mlflow/{number}", f"r{number}", digest)


def test_versions_that_are_served_are_told_from_the_oldest_to_the_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(monkeypatch)
    for number in ("10", "9"):
        models.serve(cluster.platform, version(number), name="delay", image=IMAGE)
    models.serve(cluster.platform, version("1"), name="other", image=IMAGE)
    nine, ten = models.served(cluster.platform, "delay")
    assert (nine.version, ten.version, ten.ready, ten.run_id) == ("9", "10", True, "r10")
    assert (ten.service, ten.model, ten.digest) == ("delay-v10", "delay-classifier", "sha256:aa")
    assert models.names(cluster.platform) == ["delay", "other"]
    models.withdraw(cluster.platform, "delay", "9")
    assert [each.version for each in models.served(cluster.platform, "delay")] == ["10"]


def test_a_version_is_never_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch)
    models.serve(cluster.platform, version("9"), name="delay", image=IMAGE)
    models.serve(cluster.platform, version("9"), name="delay", image=IMAGE, size=models.Size(replicas=1))
    for other in ({"image": "seatrial/model-server:2"}, {"found": version("9", "sha256:bb")}):
        asked = {"found": version("9"), "image": IMAGE, **other}
        with pytest.raises(
            ClientError, match=r"delay-v9 is served from sha256:aa by .*a version never changes"
        ):
            models.serve(cluster.platform, name="delay", **asked)


def test_a_version_is_scaled_by_what_goes_with_it_until_its_number_is_said_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(monkeypatch)
    served = models.serve(cluster.platform, version("9"), name="delay", image=IMAGE, size=SCALED, wait=False)
    assert (served.replicas, served.most) == (2, 5)
    made = cluster.autoscalers["delay-v9"]
    [owner] = made["metadata"]["ownerReferences"]
    assert owner == {"apiVersion": models.API, "kind": "InferenceService", "name": "delay-v9", "uid": "u1"}
    spec = made["spec"]
    assert spec["scaleTargetRef"]["name"] == models.predictor("delay", "9")
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    [metric] = spec["metrics"]
    assert metric["pods"]["metric"]["name"] == outputs.METRIC_MODEL
    assert metric["pods"]["target"] == {"type": "AverageValue", "averageValue": "20000m"}
    # KServe deletes one of its predictor's name where it is told that others scale.
    assert "delay-v9-predictor" not in cluster.autoscalers
    served = models.serve(cluster.platform, version("9"), name="delay", image=IMAGE)
    assert (served.replicas, served.most, cluster.autoscalers) == (1, 1, {})


def container(name: str, restarts: int, message: str | None) -> Any:
    ended = Some(exit_code=1, message=message, reason="Error")
    state = Some(waiting=Some(reason="CrashLoopBackOff", message=None), terminated=None)
    return Some(
        name=name, restart_count=restarts, ready=False, state=state, last_state=Some(terminated=ended)
    )


@pytest.mark.parametrize("initial", [True, False])
def test_a_pod_that_does_not_start_is_told_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, initial: bool
) -> None:
    cluster = Cluster(monkeypatch, ready=False)
    broken = [container("it", 2, "the files have the digest sha256:bb")]
    status = Some(
        phase="Running",
        init_container_statuses=broken if initial else None,
        container_statuses=None if initial else broken,
    )
    cluster.pods = [Some(metadata=Some(name="p", labels={}), spec=Some(node_name="work"), status=status)]
    with pytest.raises(ClientError, match="container it of pod p does not start: the files have the digest"):
        models.serve(cluster.platform, version("9"), name="delay", image=IMAGE)
    broken[0].restart_count = 1
    with pytest.raises(ClientError, match="it was not ready after 0 s"):
        models.serve(cluster.platform, version("9"), name="delay", image=IMAGE, deadline=0)


def test_what_kserve_has_not_looked_at_yet_is_not_ready() -> None:
    held = [{"type": each, "status": "True"} for each in ("Ready", "PredictorReady")]
    item = {"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "conditions": held}}
    assert models._ready(item)
    assert not models._ready({**item, "metadata": {"generation": 3}})
    assert not models._ready({**item, "metadata": {"generation": 2, "deletionTimestamp": "now"}})
    assert not models._ready({"metadata": {"generation": 1}})


def test_a_platform_without_the_part_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any, **__: Any) -> str:
        raise models.k8s.ApiException(status=404)

    monkeypatch.setattr(models, "request", gone)
    with pytest.raises(ClientError, match="serves no models: it has no KServe"):
        models.served(platform(), "delay")


# --- an example -------------------------------------------------------------------------------------------

COLUMNS = [
    {"type": "double", "name": "x", "required": True},
    {"type": "string", "name": "s", "required": False},
]
LOGGED = {
    "MLmodel": json.dumps({"signature": {"inputs": json.dumps(COLUMNS)}}).encode(),
    "serving_input_example.json": json.dumps(
        {"dataframe_split": {"columns": ["s", "x"], "data": [["a", 1.5], ["b", 2]]}}
    ).encode(),
}


def test_an_example_is_a_request_that_fits() -> None:
    assert registry.example_of(LOGGED, "it") == {
        "inputs": [
            {"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]},
            {"name": "s", "datatype": "BYTES", "shape": [1], "data": ["a"]},
        ]
    }


def test_for_an_example_only_the_files_that_tell_it_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights may be larger than the memory."""
    here = platform(files={**LOGGED, "weights": b"w", "old/MLmodel": b"not this one"})
    monkeypatch.setattr(models, "served", lambda *_: [Some(version="3", uri=FOUND.uri, service="delay-v3")])
    assert models.example(here, "delay", "3") == registry.example_of(LOGGED, "it")
    read = {call.kwargs["Key"].rpartition("/")[2] for call in here.s3().get_object.call_args_list}
    assert read == set(LOGGED)
    assert here.s3().get_object.call_count == len(LOGGED)


def test_a_digest_is_made_of_parts_that_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = registry.digest(platform(), FOUND.uri)

    class Body(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size == 2, "as much as is to be in memory at once"
            return super().read(size)

    here = platform()
    get = here.s3().get_object.side_effect
    here.s3().get_object.side_effect = lambda **which: {"Body": Body(get(**which)["Body"].getvalue())}
    monkeypatch.setattr(registry, "_PART", 2)
    assert registry.digest(here, FOUND.uri) == whole


def test_a_model_without_an_example_is_named() -> None:
    with pytest.raises(ClientError, match="delay-v3 was registered without an example"):
        registry.example_of({"MLmodel": LOGGED["MLmodel"]}, "delay-v3")
