"""The run of a training is opened while it goes on, and told how it ended."""

import threading
from typing import Any

import pytest

from workloads.common import WorkloadError
from workloads.opening import Opening


class Noted:
    """Stands where a run is, and keeps what it is told."""

    def __init__(self) -> None:
        self.failed: list[BaseException] = []

    def fail(self, cause: BaseException) -> None:
        self.failed.append(cause)


def opening(open_run: Any) -> Opening[Any]:
    return Opening(open_run)


def test_nobody_waits_for_it_before_it_is_written_to() -> None:
    served = threading.Event()
    run = Noted()
    with opening(lambda: served.wait(20) and run) as later:
        later.begin()
        assert later.ready() == []
        served.set()
        assert later.run() is run
        assert later.ready() == [run]


def test_it_is_opened_once_however_often_it_is_asked_for() -> None:
    with opening(Noted) as later:
        assert later.run() is later.run()
        later.begin()
        assert later.wait() is None  # type: ignore[func-returns-value]
        assert later.ready() == [later.run()]


def test_a_failure_is_told_to_it_though_it_was_still_being_opened() -> None:
    served, run, lost = threading.Event(), Noted(), WorkloadError("a peer was lost")
    later = opening(lambda: served.wait(20) and run)
    later.begin()
    served.set()
    with pytest.raises(WorkloadError), later:
        raise lost
    assert run.failed == [lost]


def test_a_failure_before_it_was_asked_for_is_told_to_it() -> None:
    run = Noted()
    with pytest.raises(WorkloadError), opening(lambda: run):
        raise WorkloadError("the snapshot has no rows")
    assert len(run.failed) == 1


def test_one_that_cannot_be_opened_says_so_where_it_is_needed() -> None:
    def refuse() -> Noted:
        raise WorkloadError("MLflow does not answer")

    later = opening(refuse)
    with pytest.raises(WorkloadError, match="MLflow does not answer"), later:
        later.run()
    assert later.ready() == []


def test_other_ranks_have_none() -> None:
    later = opening(None)
    later.begin()
    with pytest.raises(WorkloadError, match="lost"), later:
        raise WorkloadError("lost")
    assert later.ready() == []
