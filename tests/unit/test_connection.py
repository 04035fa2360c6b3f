"""In which image workloads run."""

import pytest
import typer

from local.errors import LocalError
from local.images import workload_image
from seatrial import connection
from seatrial.context import CHECKOUT


def test_the_local_stack_runs_what_was_built_of_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "plan", lambda images: [])
    assert connection.workloads_run_in("local", None) == workload_image(CHECKOUT).name


def test_an_image_that_was_not_built_is_refused_before_pods_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "plan", lambda images: images)
    with pytest.raises(LocalError, match=r"have changed since they were built.*\n.*seatrial up"):
        connection.workloads_run_in("local", None)
    assert connection.workloads_run_in("local", "mine:1") == "mine:1"


def test_another_stack_names_its_image() -> None:
    with pytest.raises(typer.BadParameter, match="stack dev takes images from your registry"):
        connection.workloads_run_in("dev", None)
