"""The proofs of the booking service, against the service itself: what they say when it holds and when not.

The platform's parts that are not here stand in: the model, and who takes it away.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import SimpleNamespace as Some
from typing import Any
from unittest.mock import MagicMock

import pandas as pd
import psycopg
import pytest
from kubernetes import client as k8s

from infra import outputs
from proofs import booking, damage_booking, faults
from proofs.booking import Booked
from proofs.run import REGISTRY, Result, run_one
from proofs.subjects import serving_booking
from tests.unit import postgres
from tests.unit.booking_service import Under
from tests.unit.conftest import Start
from tests.unit.model_server import ModelServer

COLUMNS = ["year", "month", "day", "hour", "minute", "carrier", "origin", "dest", "dep_delay"]
FLIGHTS = pd.DataFrame(
    [[2013, 7, 3, hour, 15, "UA", "EWR", "IAH", -2.0] for hour in range(6, 11)], columns=COLUMNS
).assign(**dict.fromkeys(serving_booking.WEATHER, 1.0))


@pytest.fixture
def under(start: Start) -> Under:
    return start()


@pytest.fixture
def platform(under: Under, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A platform with the service, whose model answers as its training logged."""
    here = Booked(under.http, Some(found=Some(version="3")))  # type: ignore[arg-type]
    booked = MagicMock(return_value=here)
    monkeypatch.setattr(serving_booking, "booked", booked)
    monkeypatch.setattr(serving_booking, "trained", MagicMock())
    monkeypatch.setattr(serving_booking.models, "flights", lambda *_: FLIGHTS)
    monkeypatch.setattr(serving_booking.models, "logged", lambda asked, _: [0.25] * len(asked))
    # The proofs' model is called `probe`; this service asks for `delay`.
    monkeypatch.setattr(serving_booking.models, "NAME", "delay")
    access = dict.fromkeys(outputs.SECRET_ACCESS_OF["serving"], "x")
    return Some(access=access, name="dev", bookings=lambda: psycopg.connect(under.url))


def proven(platform: Any, name: str) -> Result:
    serving_booking_proofs = {key: entry for key, entry in REGISTRY.items() if key == f"serving.{name}"}
    return run_one(serving_booking_proofs[f"serving.{name}"], platform, None)


QUOTED = "a_quote_is_that_of_the_model_and_is_logged_once"
SENSELESS = "a_question_that_makes_no_sense_gets_no_quote"
MODELLESS = "without_the_model_there_is_no_quote"


def test_they_pass_where_it_holds(platform: Any) -> None:
    for name in (QUOTED, SENSELESS):
        result = proven(platform, name)
        assert (result.result, result.cause) == ("passed", "")
        assert result.assertions > 8


@pytest.mark.parametrize(
    ("fault", "name"),
    [(damage_booking.falsified_log, QUOTED), (damage_booking.invented_airline, SENSELESS)],
)
def test_a_fault_of_the_database_reddens_its_proof_and_is_mended(
    platform: Any, fault: Callable[[Any], AbstractContextManager[None]], name: str
) -> None:
    (described,) = [each for each in faults.FAULTS.values() if each.breaks is fault]
    with fault(platform):
        broken = proven(platform, name)
    assert described.reddens == (f"serving.{name}",)
    assert broken.result == "failed"
    assert any(word in broken.cause for word in described.words), broken.cause
    assert proven(platform, name).result == "passed"


def test_a_model_that_scores_otherwise_is_seen(platform: Any, under: Under) -> None:
    under.model.score = 0.2501
    assert "its score is what the training logged" in proven(platform, QUOTED).cause


@pytest.fixture
def withdrawn(platform: Any, under: Under, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """Who takes the model away stops it from answering; who serves it lets it."""

    def status(code: int) -> Callable[..., None]:
        return lambda *_, **__: setattr(under.model, "status", code)

    monkeypatch.setattr(serving_booking.served, "withdraw", status(503))
    monkeypatch.setattr(serving_booking.served, "serve", status(200))
    monkeypatch.setattr(serving_booking.models, "image", lambda _: "x")
    monkeypatch.setattr(serving_booking.booking, "deployment", lambda _: None)
    monkeypatch.setattr(serving_booking.deployments, "done", lambda _: True)
    return under.model


def test_without_the_model_it_is_seen_that_there_is_no_quote(platform: Any, withdrawn: ModelServer) -> None:
    result = proven(platform, MODELLESS)
    assert (result.result, result.cause) == ("passed", "")


def test_who_answers_all_the_same_is_found_out(
    platform: Any, withdrawn: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_booking.served, "withdraw", lambda *_: None)
    result = proven(platform, MODELLESS)
    assert result.cause.startswith("not so: without the model a quote is refused with 503 (found=200")


# --- the node -----------------------------------------------------------------------------------------------


def pod(name: str, node: str, ending: bool = False) -> Any:
    return Some(
        metadata=Some(name=name, deletion_timestamp="now" if ending else None), spec=Some(node_name=node)
    )


def cluster(model: list[Any], service: list[Any]) -> Any:
    found = MagicMock()
    by_selector = {serving_booking.MODEL_SELECTOR: model, booking.SELECTOR: service}
    found.core.list_namespaced_pod.side_effect = lambda _, label_selector: Some(
        items=by_selector[label_selector]
    )
    return found


@pytest.mark.parametrize(
    ("service", "cause"),
    [
        ([pod("b-1", "work"), pod("b-2", "work")], None),
        ([pod("b-1", "work"), pod("b-2", "system", ending=True)], None),
        ([pod("b-1", "work"), pod("b-2", "system")], "each pod of the service is on a node of its model"),
        ([], "the service has pods"),
    ],
)
def test_a_pod_apart_from_the_model_is_seen(service: list[Any], cause: str | None) -> None:
    from proofs.run import Broken, Check

    here = cluster([pod("m-1", "work"), pod("m-0", "system", ending=True)], service)
    if cause is None:
        assert serving_booking.together(here, Check()) == {"work"}
    else:
        with pytest.raises(Broken, match=cause):
            serving_booking.together(here, Check())


def test_a_budget_that_refuses_an_eviction_is_asked_again() -> None:
    here = cluster([pod("m-1", "gpu")], [pod("b-1", "work"), pod("b-2", "system")])
    here.core.create_namespaced_pod_eviction.side_effect = k8s.ApiException(status=429)
    assert not serving_booking.left(here, {"work"})
    asked = [each.args[0] for each in here.core.create_namespaced_pod_eviction.call_args_list]
    assert asked == ["b-1"]
    assert serving_booking.left(here, {"elsewhere"})
    here.core.create_namespaced_pod_eviction.side_effect = k8s.ApiException(status=403)
    with pytest.raises(k8s.ApiException):
        serving_booking.left(here, {"work"})


def test_a_node_takes_pods_again_also_when_the_drain_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def gives_up(*_: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr(serving_booking, "until", gives_up)
    here = MagicMock()
    with pytest.raises(TimeoutError), serving_booking.drained(here, {"work"}):
        pass
    asked = [each.args for each in here.core.patch_node.call_args_list]
    assert asked == [
        ("work", {"spec": {"unschedulable": True}}), ("work", {"spec": {"unschedulable": None}}),
    ]  # fmt: skip


def test_what_a_user_was_told_is_forgotten(platform: Any, under: Under) -> None:
    asked = {"user": "u-1", "carrier": "UA", "origin": "EWR", "dest": "IAH", "departure": "2013-07-03T06:15"}
    for user in ("u-1", "u-2"):
        assert under.http.post("/v1/quotes", json=asked | {"user": user}).status_code == 200
    booking.forget(platform, "u-1")
    with platform.bookings() as database:
        assert database.execute("SELECT user_key FROM predictions").fetchall() == [("u-2",)]


def test_before_the_first_service_there_is_nothing_to_forget(postgresql: postgres.Server) -> None:
    url = postgresql.create("nobody-booked")
    booking.forget(Some(bookings=lambda: psycopg.connect(url)), "u-1")  # type: ignore[arg-type]
