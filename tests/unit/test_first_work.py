"""What `up` puts on a fresh platform, in which order, and what it leaves alone."""

from typing import Any

import pytest

from seatrial import first_work

IMAGE = "registry.example/seatrial/workloads:0123"


@pytest.mark.parametrize(("done", "ran"), [(False, ["ingest_flights", "train_delay"]), (True, [])])
def test_what_runs_on_comes_first_and_always_and_is_no_work_that_was_done(
    monkeypatch: pytest.MonkeyPatch, done: bool, ran: list[str]
) -> None:
    taken: dict[str, list[dict[str, Any]]] = {}

    def deploy(_: Any, workload: str, objects: list[dict[str, Any]], **__: Any) -> None:
        assert workload not in taken
        taken[workload] = objects

    monkeypatch.setattr(first_work, "workloads_run_in", lambda *_: IMAGE)
    monkeypatch.setattr(first_work, "offers", lambda _: {"served": {"Job"}})
    monkeypatch.setattr(first_work, "completed", lambda *_: done)
    monkeypatch.setattr(first_work, "deploy", deploy)
    assert first_work.do(object(), "local", object()) == ran  # type: ignore[arg-type]
    assert list(taken) == [*(["fetch-workloads"] if ran else []), "receive_alerts", "watch_objects", *ran]
    assert done or images_of(taken["fetch-workloads"]) == images_of(taken["train_delay"]) == {IMAGE}
    for service in ("receive_alerts", "watch_objects"):
        assert images_of(taken[service]) == {"registry.example/seatrial/booking-api:0123"}


def images_of(objects: list[dict[str, Any]]) -> set[str]:
    running = [each for each in objects if each["kind"] in ("Job", "Deployment")]
    return {box["image"] for each in running for box in each["spec"]["template"]["spec"]["containers"]}


def test_what_fetches_an_image_does_so_on_two_nodes_and_goes_by_itself() -> None:
    spec = first_work.fetch(IMAGE)["spec"]
    assert (spec["completions"], spec["parallelism"], spec["ttlSecondsAfterFinished"]) == (2, 2, 0)
    (rule,) = spec["template"]["spec"]["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert rule["labelSelector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
