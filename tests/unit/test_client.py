"""How the client reads a platform, and follows and judges a job."""

import json
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import pytest
from kubernetes import client as k8s

import workloads
from client import jobs, objects, pods, queues, rules
from client.errors import ClientError
from client.objects import Kind, find_kind
from client.platform import Platform, host_of, service_of


def pod(
    name: str, *, waiting: Any = None, terminated: Any = None, index: str | None = None, attempt: str = ""
) -> Any:
    labels = {"batch.kubernetes.io/job-completion-index": index} if index else {}
    labels |= {"jobset.sigs.k8s.io/restart-attempt": attempt} if attempt else {}
    state = Some(waiting=waiting, terminated=terminated)
    return Some(
        metadata=Some(name=name, uid=name, labels=labels),
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
    entry = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}
    job = {"status": {"conditions": [entry, {"type": "Suspended", "status": "False"}]}}
    found = jobs.conditions_of(job)
    assert found == {"Failed": "BackoffLimitExceeded: too often"}
    assert jobs.failure_of(found, []) == "BackoffLimitExceeded: too often"
    assert jobs.failure_of({}, [pod("a")]) == ""
    assert jobs.conditions_of({"spec": {}}) == {}


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
    assert pods.messages(ended) == {"0": {"loss": 1}, "1": {"text": "Killed"}, "y": {"text": "[1]"}}
    assert pods.describe(ended[1]) == "OOMKilled (137)"


def ended(name: str, message: str | None, **more: Any) -> Any:
    return pod(name, terminated=Some(message=message, reason="Error", exit_code=1), **more)


TRAIN_JOB = Kind("trainer.kubeflow.org/v1alpha1", "TrainJob", "trainjobs", True, frozenset())


class Attempts:
    """Stands for a platform with a TrainJob: each look sees the next of these lists of pods, the last one for
    good; `watched` are pods that only the watch sees.
    """

    def __init__(self, *lists: list[Any], watched: list[Any] | None = None) -> None:
        self.lists = list(lists)
        self.watched = watched or []
        self.core = Some(list_namespaced_pod=self.look)
        self.api = None

    def look(self, namespace: str, label_selector: str) -> Any:
        assert (namespace, label_selector) == ("workloads", "jobset.sigs.k8s.io/jobset-name=t")
        return Some(items=self.lists.pop(0) if len(self.lists) > 1 else self.lists[0])


@pytest.fixture
def following(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Follow a TrainJob `t` through attempts to a condition: gives the result, and what progress was told."""

    def run(platform: Attempts, condition: str) -> tuple[jobs.JobResult, str]:
        said: list[str] = []
        progress = Some(begin=lambda _: None, end=lambda _: None, say=said.append)

        def read(_: Any) -> dict[str, Any]:
            over = len(platform.lists) == 1
            entry = {"type": condition, "status": "True", "reason": "AllJobsCompleted", "message": "m"}
            return {"metadata": {}, "status": {"conditions": [entry] if over else []}}

        def watch(watched: Any) -> Any:
            watched.seen.update({each.metadata.uid: each for each in platform.watched})
            return watched

        monkeypatch.setattr(jobs.Handle, "read", read)
        monkeypatch.setattr(jobs.Watched, "__enter__", watch)
        monkeypatch.setattr(jobs.time, "sleep", lambda _: None)
        monkeypatch.setattr(pods, "events", lambda *_: [])
        monkeypatch.setattr(pods, "last_lines", lambda *_: ["epoch 3"])
        job = jobs.Handle(platform, TRAIN_JOB, "workloads", "t")  # type: ignore[arg-type]
        return jobs.follow(job, 60, progress), "\n".join(said)  # type: ignore[arg-type]

    return run


def test_a_restart_is_told_with_the_causes_also_of_pods_that_were_gone_at_once(following: Any) -> None:
    first = [pod("t-0-a", index="0"), pod("t-1-a", index="1")]
    lost = ended("t-0-a", '{"error": "rank 0 lost another rank"}', index="0")
    second = [
        pod("t-0-b", index="0", attempt="1", terminated=Some(message='{"loss": 1}', reason="", exit_code=0)),
        pod("t-1-b", index="1", attempt="1"),
    ]
    result, said = following(Attempts(first, second, second, watched=[lost]), "Complete")
    assert "restart 1, after\n      t-0-a: rank 0 lost another rank\n      t-1-a: Running on work" in said
    assert said.count("restart") == 1
    assert (result.restarts, result.messages) == (1, {"0": {"loss": 1}})
    assert result.nodes == {"0": "work", "1": "work"}


def test_a_pod_of_the_attempt_before_that_is_still_going_is_not_heard(following: Any) -> None:
    going = ended("t-1-a", '{"error": "lost"}', index="1")
    new = [ended("t-0-b", '{"loss": 1}', index="0", attempt="1"), pod("t-1-b", index="1", attempt="1")]
    result, _ = following(Attempts([going], [going, *new]), "Complete")
    assert result.messages == {"0": {"loss": 1}}


def test_what_a_job_of_no_restarts_leaves_is_that_of_all_its_pods(following: Any) -> None:
    done = [ended("t-0", '{"a": 1}', index="0"), ended("t-1", '{"a": 2}', index="1")]
    result, said = following(Attempts([pod("t-0", index="0")], done), "Complete")
    assert result.messages == {"0": {"a": 1}, "1": {"a": 2}}
    assert (result.restarts, "restart" in said) == (0, False)


def test_a_failure_tells_each_pods_own_account_also_of_those_that_are_gone(following: Any) -> None:
    before = ended("t-0-a", '{"error": "an earlier cause"}', index="0")
    there = [
        ended("t-0-b", '{"error": "MLflow is away"}', index="0", attempt="1"),
        ended("t-1-b", None, index="1", attempt="1"),
    ]
    gone = ended("t-2-b", '{"error": "no disk"}', index="2", attempt="1")
    with pytest.raises(ClientError) as failed:
        following(Attempts([before], there, watched=[before, gone]), "Failed")
    text = str(failed.value)
    for part in (
        "workload t failed after 1 restarts: AllJobsCompleted: m",
        "pod t-2-b on work is gone\n    cause: no disk",
        "pod t-0-b (Error (1) on work)\n    cause: MLflow is away",
        "pod t-1-b (Error (1) on work)\n    log: epoch 3",
        "kubectl -n workloads describe trainjob t",
    ):
        assert part in text
    assert text.count("log:") == 1
    assert "an earlier cause" not in text


def kueue(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> list[str]:
    """An API server that has these objects of Kueue's, by the end of their path; gives what was asked for."""
    asked: list[str] = []

    def request(_: Any, method: str, path: str, **query: str) -> str:
        asked.append(f"{method} {path} {query.get('labelSelector', '')}".strip())
        for end, answer in answers.items():
            if path.endswith(end):
                return json.dumps(answer)
        raise k8s.ApiException(status=404)

    monkeypatch.setattr(queues, "request", request)
    return asked


QUEUED_JOB = {
    "metadata": {"namespace": "workloads", "uid": "u1", "labels": {"kueue.x-k8s.io/queue-name": "line"}}
}


def test_a_platform_offers_its_queue_and_the_core_alone_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "served_kinds", lambda _: {"Job"})
    platform: Any = Some(api=None)
    kueue(monkeypatch, {})
    assert queues.offers(platform) == {"served": {"Job"}, "queue": None}
    kueue(monkeypatch, {"/workloads/localqueues/workloads": {"kind": "LocalQueue"}})
    assert queues.offers(platform) == {"served": {"Job"}, "queue": "workloads"}


RULE = {
    "apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "r"},
    "spec": {"groups": [{"rules": [{"for": "1h30m"}, {"for": "2s"}, {"expr": "up"}]}]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({"seatrial.dev/longest-for": "5s"}, ["5s", "2s", None]),
        ({"seatrial.dev/longest-for": "2d"}, ["1h30m", "2s", None]),
        ({}, ["1h30m", "2s", None]),
        (403, ["1h30m", "2s", None]),
    ],
)
def test_rules_are_hastened_as_the_stack_hastens_its_own(
    monkeypatch: pytest.MonkeyPatch, annotations: Any, expected: list[str | None]
) -> None:
    applied: list[Any] = []

    def request(_: Any, method: str, path: str, **given: Any) -> str:
        if method == "PATCH":
            applied.append(given["body"])
        elif isinstance(annotations, int):
            raise k8s.ApiException(status=annotations)
        assert method == "PATCH" or path.endswith("platform-monitoring/prometheuses/platform")
        return json.dumps({"metadata": {"annotations": annotations}})

    monkeypatch.setattr(jobs, "request", request)
    monkeypatch.setattr(rules, "request", request)
    served = [Kind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules", True, frozenset())]
    jobs.apply(Some(api=None), served, "w", RULE)  # type: ignore[arg-type]
    ((group,),) = (each["spec"]["groups"] for each in applied)
    assert [rule.get("for") for rule in group["rules"]] == expected


def test_what_a_job_waits_for_is_told_in_kueues_words(monkeypatch: pytest.MonkeyPatch) -> None:
    platform: Any = Some(api=None)
    short = {"type": "QuotaReserved", "status": "False", "message": "insufficient unused quota for cpu"}
    answer = {"items": [{"status": {"conditions": [short]}}]}
    asked = kueue(monkeypatch, {"/workloads": answer})
    assert queues.waits(platform, QUEUED_JOB) == "waits in queue line: insufficient unused quota for cpu"
    assert asked == [
        "GET /apis/kueue.x-k8s.io/v1beta1/namespaces/workloads/workloads kueue.x-k8s.io/job-uid=u1"
    ]
    short["status"] = "True"
    assert queues.waits(platform, QUEUED_JOB) == ""
    assert queues.waits(platform, {"metadata": {"namespace": "workloads", "uid": "u1"}}) == ""
    assert len(asked) == 2, "who is in no queue is not looked for"


def test_a_kueue_that_does_not_answer_is_not_taken_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> str:
        raise k8s.ApiException(status=503)

    monkeypatch.setattr(queues, "request", away)
    with pytest.raises(k8s.ApiException):
        queues.queue_of(Some(api=None))  # type: ignore[arg-type]


def test_who_waits_for_quota_for_too_long_is_told_what_is_short(
    following: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "waits", lambda *_: "waits in queue line: insufficient quota")
    monkeypatch.setattr(jobs.time, "monotonic", iter(range(0, 10**6, 40)).__next__)
    with pytest.raises(
        ClientError, match=r"workload t failed: it was not done after .* s: it waits in queue line"
    ):
        following(Attempts([]), "Suspended")


def test_a_kind_that_is_not_served_is_told_with_the_part_that_brings_it() -> None:
    item = {"apiVersion": TRAIN_JOB.api_version, "kind": "TrainJob", "metadata": {"name": "t"}}
    assert jobs.require_kind([TRAIN_JOB], item).plural == "trainjobs"
    with pytest.raises(
        ClientError, match=r"does not serve trainer\.kubeflow\.org/v1alpha1 TrainJob"
    ) as refused:
        jobs.require_kind([], item)
    assert "seatrial up --with training" in str(refused.value)


@pytest.mark.parametrize("form", ["TrainJob", "Job"])
def test_a_job_is_done_when_it_is_complete_in_the_image_that_it_would_have_now(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Kind("batch/v1", "Job", "jobs", True, frozenset())
    monkeypatch.setattr(jobs, "kinds", lambda _: [TRAIN_JOB, batch])
    wanted = workloads.manifest("train_delay", "image:2", served={form})
    there: dict[str, Any] = {**wanted[-1], "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    monkeypatch.setattr(jobs.Handle, "read", lambda _: there)
    platform: Any = Some(api=None)
    assert jobs.completed(platform, wanted)
    assert not jobs.completed(platform, workloads.manifest("train_delay", "image:3", served={form}))
    there["status"] = {}
    assert not jobs.completed(platform, wanted)

    def away(_: Any) -> Any:
        raise k8s.ApiException(status=404)

    monkeypatch.setattr(jobs.Handle, "read", away)
    assert not jobs.completed(platform, wanted)


def unadmitted(monkeypatch: pytest.MonkeyPatch, times: int, message: str) -> list[str]:
    """The API server answers so many requests so; returns where they went."""
    asked: list[str] = []

    def request(_: Any, method: str, path: str, **__: Any) -> str:
        asked.append(f"{method} {path}")
        if len(asked) > times:
            return "{}"
        failure = k8s.ApiException(status=500)
        failure.body = json.dumps({"message": message})
        raise failure

    monkeypatch.setattr(jobs, "request", request)
    monkeypatch.setattr(jobs.time, "sleep", lambda _: None)
    return asked


AWAY = 'failed calling webhook "validator.example.org": no endpoints available for service "validator"'


def test_who_admits_a_job_may_be_starting_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    item = {"apiVersion": TRAIN_JOB.api_version, "kind": "TrainJob", "metadata": {"name": "t"}}
    asked = unadmitted(monkeypatch, 2, AWAY)
    jobs.apply(Some(api=None), [TRAIN_JOB], "t", item)  # type: ignore[arg-type]
    assert len(asked) == 3


@pytest.mark.parametrize(("message", "asks"), [(AWAY, 3), ("etcdserver: request timed out", 1)])
def test_who_never_admits_it_is_told_of_and_another_error_at_once(
    message: str, asks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = {"apiVersion": TRAIN_JOB.api_version, "kind": "TrainJob", "metadata": {"name": "t"}}
    asked = unadmitted(monkeypatch, 100, message)
    monkeypatch.setattr(jobs.time, "monotonic", iter(range(0, 1000, 25)).__next__)
    with pytest.raises(ClientError, match=f"TrainJob t was refused: {message}"):
        jobs.apply(Some(api=None), [TRAIN_JOB], "t", item)  # type: ignore[arg-type]
    assert len(asked) == asks


def test_the_api_servers_refusal_is_given_without_headers() -> None:
    error = Some(body='{"message": "spec.x: Invalid value"}')
    assert jobs.refusal(error) == "spec.x: Invalid value"  # type: ignore[arg-type]
    assert jobs.refusal(ValueError("plain")) == "plain"


def test_a_kind_is_found_in_whatever_version_its_group_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def resource(kind: str, plural: str) -> dict[str, Any]:
        return {"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced", "verbs": ["list"]}

    both = resource("PrometheusRule", "prometheusrules")
    alone = resource("AlertmanagerConfig", "alertmanagerconfigs")
    group = {
        "metadata": {"name": "monitoring.coreos.com"},
        "versions": [
            {"version": "v1", "resources": [both]},
            {"version": "v1alpha1", "resources": [both, alone]},
        ],
    }
    items = {"/api": [], "/apis": [group]}
    monkeypatch.setattr(objects, "request", lambda _, __, root, **___: json.dumps({"items": items[root]}))
    assert [(kind.api_version, kind.kind) for kind in objects.kinds(None)] == [
        ("monitoring.coreos.com/v1", "PrometheusRule"),
        ("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig"),
    ]


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
