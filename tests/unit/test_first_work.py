"""What `up` puts on a fresh platform, in which order, and what it leaves alone."""

from typing import Any

import pytest

from seatrial import first_work

IMAGE = "registry.example/seatrial/workloads:0123"


@pytest.mark.parametrize(("done", "ran"), [(False, ["ingest_flights", "train_delay"]), (True, [])])
def test_what_runs_on_comes_first_and_always_and_is_no_work_that_was_done(
    monkeypatch: pytest.MonkeyPatch, done: bool, ran: list[str]
) -> None:
    put: list[str] = []
    images: set[str] = set()

    def deploy(_: Any, workload: str, objects: list[dict[str, Any]], **__: Any) -> None:
        put.append(workload)
        for each in objects:
            if each["kind"] == "Deployment":
                images.update(box["image"] for box in each["spec"]["template"]["spec"]["containers"])

    monkeypatch.setattr(first_work, "workloads_run_in", lambda *_: IMAGE)
    monkeypatch.setattr(first_work, "offers", lambda _: {"served": {"Job"}})
    monkeypatch.setattr(first_work, "completed", lambda *_: done)
    monkeypatch.setattr(first_work, "deploy", deploy)
    assert first_work.do(object(), "local", object()) == ran  # type: ignore[arg-type]
    assert put == ["receive_alerts", "watch_objects", *ran]
    assert images == {"registry.example/seatrial/booking-api:0123"}
