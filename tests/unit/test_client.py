"""How the client reads a platform and judges a Job."""

from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import pytest

from client import jobs
from client.errors import ClientError
from client.objects import Kind, find_kind
from client.platform import Platform, host_of, service_of


def pod(name: str, *, waiting: Any = None, terminated: Any = None, index: str | None = None) -> Any:
    labels = {"batch.kubernetes.io/job-completion-index": index} if index else {}
    state = Some(waiting=waiting, terminated=terminated)
    return Some(
        metadata=Some(name=name, labels=labels),
        spec=Some(node_name="work"),
        status=Some(phase="Running", container_statuses=[Some(state=state)]),
    )


def test_a_service_is_found_by_its_name_in_the_cluster() -> None:
    assert service_of("trino.platform-data.svc.cluster.local") == ("trino", "platform-data")
    assert host_of("https://trino.platform-data.svc:8443/x") == "trino.platform-data.svc"
    assert host_of("postgresql.platform-data.svc") == "postgresql.platform-data.svc"


def test_a_name_that_is_no_service_is_refused() -> None:
    with pytest.raises(ClientError, match=r"'db.example.com' is not the name of a Service"):
        service_of("db.example.com")


def test_the_file_with_the_authority_goes_with_the_access_data_and_with_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Platform(None, "test") as platform:
        for leave in (platform.forget, platform.close):
            platform._access = {"TRINO_CA": "an authority"}
            assert Path(platform.authorities() or "").read_text() == "an authority"
            assert platform.authorities() == platform.authorities()
            leave()
            assert list(tmp_path.iterdir()) == []


def test_a_failed_job_is_known_by_its_condition() -> None:
    condition = Some(reason="BackoffLimitExceeded", message="too often")
    assert jobs.failure_of({"Failed": condition}, []) == "BackoffLimitExceeded: too often"
    assert jobs.failure_of({}, [pod("a")]) == ""


def test_an_image_that_is_not_there_ends_the_wait() -> None:
    waiting = Some(reason="ImagePullBackOff", message="not found")
    assert "pod a cannot start: ImagePullBackOff" in jobs.failure_of({}, [pod("a", waiting=waiting)])
    creating = Some(reason="ContainerCreating", message=None)
    assert jobs.failure_of({}, [pod("a", waiting=creating)]) == ""


def test_messages_are_told_by_rank_and_need_not_be_json() -> None:
    ended = [
        pod("x-0", index="0", terminated=Some(message='{"loss": 1}', reason="Completed", exit_code=0)),
        pod("x-1", index="1", terminated=Some(message="Killed", reason="OOMKilled", exit_code=137)),
        pod("y", terminated=Some(message="[1]", reason="Completed", exit_code=0)),
    ]
    assert jobs.messages(ended) == {"0": {"loss": 1}, "1": {"text": "Killed"}, "y": {"text": "[1]"}}
    assert jobs.describe(ended[1]) == "OOMKilled (137)"


def test_a_failure_tells_each_pods_own_account(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [
        pod(
            "t-0",
            index="0",
            terminated=Some(message='{"error": "MLflow is away"}', reason="Error", exit_code=1),
        ),
        pod("t-1", index="1", terminated=Some(message=None, reason="Error", exit_code=137)),
    ]
    monkeypatch.setattr(jobs, "pods_of", lambda *_: told)
    monkeypatch.setattr(jobs, "warnings", lambda *_: ["Evicted: no room"])
    monkeypatch.setattr(jobs, "last_lines", lambda *_: ["epoch 3"])
    text = str(jobs.failed(Some(), "t", "workloads", "BackoffLimitExceeded: x"))
    for part in ("MLflow is away", "t-1 (Error (137) on work)", "event: Evicted: no room", "log: epoch 3"):
        assert part in text
    assert text.count("log:") == 1


def test_a_pod_that_is_gone_is_told_with_its_node_and_last_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "pods_of", lambda *_: [])
    told = {"t-1": ["Started: x", "NodeNotReady: away", "Killing: Stopping container main"]}
    monkeypatch.setattr(jobs, "events", lambda _, __, name, *___: told.get(name, []))
    text = str(jobs.failed(Some(), "t", "workloads", "BackoffLimitExceeded: x", {"t-1": "work"}))
    assert "pod t-1 on work is gone\n    event: NodeNotReady: away\n    event: Killing: Stopping" in text
    assert "Started" not in text


def test_the_api_servers_refusal_is_given_without_headers() -> None:
    error = Some(body='{"message": "spec.x: Invalid value"}')
    assert jobs.refusal(error) == "spec.x: Invalid value"  # type: ignore[arg-type]
    assert jobs.refusal(ValueError("plain")) == "plain"


def test_kinds_have_the_paths_of_the_api() -> None:
    job = Kind("batch/v1", "Job", "jobs", True, frozenset())
    node = Kind("v1", "Node", "nodes", False, frozenset())
    assert job.path("ns", "a") == "/apis/batch/v1/namespaces/ns/jobs/a"
    assert job.path() == "/apis/batch/v1/jobs"
    assert node.path("ns", "a") == "/api/v1/nodes/a"


def test_a_manifests_own_version_is_kept() -> None:
    served = [
        Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", True, frozenset())
    ]
    found = find_kind(served, {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler"})
    assert found is not None
    assert found.api_version == "autoscaling/v1"
    assert find_kind(served, {"apiVersion": "v1", "kind": "HorizontalPodAutoscaler"}) is None
