"""Corrections of outcomes, against a real database."""

import threading
from typing import Any

import httpx
import psycopg
import pytest

from tests.unit.booking_service import PATIENCE, Under
from tests.unit.conftest import Start
from workloads.booking_api import corrections
from workloads.booking_api.config import BookingApi
from workloads.common import HopelessError

SHOP, OTHER, DESK = {"x-tenant": "shop"}, {"x-tenant": "other"}, {"x-tenant": "desk"}
RIGHT = {"outcome": 0, "source": "airline", "reason": "the gate was misread"}
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def booking(start: Start) -> Under:
    return start()


def tell(booking: Under, *ids: str) -> None:
    """Quotes of the shop, all of them late."""
    for each in ids:
        booking.quote(each, "shop")
        given = {"request_id": each, "outcome": 1, "source": "arrivals"}
        assert booking.http.post("/v1/outcomes", json=given, headers=SHOP).status_code == 200


def correct(
    booking: Under, of: str = "r-1", headers: dict[str, str] = SHOP, **changes: Any
) -> httpx.Response:
    return booking.http.put(f"/v1/outcomes/{of}", json=RIGHT | changes, headers=headers)


def changes(booking: Under) -> list[dict[str, Any]]:
    return booking.rows("SELECT * FROM outcome_changes ORDER BY request_id, number")


def test_scored_has_the_present_value_in_one_row_and_in_its_place(booking: Under) -> None:
    tell(booking, "r-1")
    (before,) = booking.rows("SELECT * FROM scored")
    assert correct(booking).json() == {"corrected": 1, "unchanged": 0}
    (after,) = booking.rows("SELECT * FROM scored")
    assert (after["outcome"], after["source"], after["hit"]) == (0, "airline", not before["hit"])
    assert after["known_at"] == before["known_at"]


def test_what_was_there_before_is_told_with_who_corrected_it_and_why(booking: Under) -> None:
    tell(booking, "r-1")
    assert booking.http.get("/v1/outcomes/r-1", headers=SHOP).json()["history"] == []
    correct(booking)
    correct(booking, outcome=0.5, source="court")
    found = booking.http.get("/v1/outcomes/r-1", headers=SHOP).json()
    assert (found["request_id"], found["outcome"], found["source"]) == ("r-1", 0.5, "court")
    for change in found["history"]:
        assert found["known_at"] < change.pop("at")
    assert found["history"] == [
        {"number": 1, "old_outcome": 1, "old_source": "arrivals", **RIGHT, "corrected_by": "shop"},
        {"number": 2, "old_outcome": 0, "old_source": "airline", **RIGHT, "outcome": 0.5, "source": "court",
         "corrected_by": "shop"},
    ]  # fmt: skip


def test_the_schema_names_what_is_asked_and_told(booking: Under) -> None:
    found = booking.http.get("/openapi.json").json()["paths"]["/v1/outcomes/{request_id}"]["get"]
    assert [each["name"] for each in found["parameters"]] == ["request_id"]
    told = found["responses"]["200"]["content"]["application/json"]["schema"]
    assert told == {"$ref": "#/components/schemas/Known"}


def test_the_same_correction_again_changes_nothing(booking: Under) -> None:
    tell(booking, "r-1")
    correct(booking)
    before = changes(booking)
    assert correct(booking).json() == {"corrected": 0, "unchanged": 1}
    assert correct(booking, reason="in other words").json() == {"corrected": 0, "unchanged": 1}
    assert changes(booking) == before
    assert len(before) == 1


def test_the_outcome_that_was_corrected_is_not_taken_as_new(booking: Under) -> None:
    tell(booking, "r-1")
    correct(booking)
    old = {"request_id": "r-1", "outcome": 1, "source": "arrivals"}
    assert booking.http.post("/v1/outcomes", json=old, headers=SHOP).status_code == 409


def test_corrections_in_a_list_are_all_or_none(booking: Under) -> None:
    tell(booking, "r-1", "r-2")
    many = [RIGHT | {"request_id": each} for each in ("r-1", "r-2")]
    bad = booking.http.put("/v1/outcomes", json=[*many, RIGHT | {"request_id": "r-9"}], headers=SHOP)
    assert (bad.status_code, bad.json()) == (404, {"detail": "no outcome is recorded for the request id r-9"})
    assert changes(booking) == []
    assert [row["outcome"] for row in booking.rows("SELECT * FROM outcomes")] == [1, 1]
    assert booking.http.put("/v1/outcomes", json=many, headers=SHOP).json() == {
        "corrected": 2,
        "unchanged": 0,
    }
    assert [(row["request_id"], row["number"]) for row in changes(booking)] == [("r-1", 1), ("r-2", 1)]


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ([RIGHT | {"request_id": "r-1"}] * 2, "more than one outcome is given for r-1"),
        ([], "at least 1 item"),
        ([RIGHT | {"request_id": f"r-{n}"} for n in range(1001)], "at most 1000 items"),
        ([RIGHT | {"request_id": "r-1", "outcome": 2}], "less than or equal to 1"),
        ([RIGHT | {"request_id": "r-1", "reason": ""}], "reason"),
        ([RIGHT | {"request_id": "r-1", "reason": "a\0b"}], "reason"),
        ([RIGHT | {"request_id": "r-1", "source": "x" * 65}], "at most 64"),
        ([RIGHT | {"request_id": "r 1"}], "request_id"),
        ([{"request_id": "r-1", "outcome": 0, "source": "airline"}], "Field required"),
    ],
)
def test_a_correction_that_makes_no_sense_is_refused_with_the_cause(
    booking: Under, given: list[Any], cause: str
) -> None:
    answer = booking.http.put("/v1/outcomes", json=given, headers=SHOP)
    assert (answer.status_code, cause in answer.text) == (422, True), answer.text


def test_an_id_that_no_quote_can_have_is_refused(booking: Under) -> None:
    for answer in (correct(booking, "r%001"), booking.http.get("/v1/outcomes/r%001", headers=SHOP)):
        assert (answer.status_code, "request_id" in answer.text) == (422, True), answer.text


@pytest.mark.parametrize("headers", [OTHER, {}])
def test_another_tenant_neither_corrects_nor_reads(booking: Under, headers: dict[str, str]) -> None:
    """To it, it looks as if there were none."""
    tell(booking, "r-1")
    none = (404, {"detail": "no outcome is recorded for the request id r-1"})
    for answer in (correct(booking, headers=headers), booking.http.get("/v1/outcomes/r-1", headers=headers)):
        assert (answer.status_code, answer.json()) == none
    assert changes(booking) == []


@pytest.fixture
def desk(start: Start) -> Under:
    """The service with two operators."""
    return start(operators="claims,desk")


def test_an_operator_tells_corrects_and_reads_those_of_everybody_and_it_is_kept_who_did(desk: Under) -> None:
    desk.quote("r-1", "shop")
    desk.quote("r-2", "other")
    given = [{"request_id": each, "outcome": 1, "source": "arrivals"} for each in ("r-1", "r-2")]
    told = desk.http.post("/v1/outcomes", json=given, headers=DESK)
    assert told.json() == {"recorded": 2, "unchanged": 0}
    for headers in (SHOP, DESK):
        assert correct(desk, headers=headers, source=headers["x-tenant"]).json()["corrected"] == 1
    for headers in (SHOP, DESK):
        found = desk.http.get("/v1/outcomes/r-1", headers=headers).json()
        assert (found["told_by"], found["source"]) == ("desk", "desk")
        assert [each["corrected_by"] for each in found["history"]] == ["shop", "desk"]
    assert [row["tenant"] for row in desk.rows("SELECT tenant FROM outcomes")] == ["desk"] * 2


@pytest.mark.parametrize(
    "headers", [OTHER, {}, {"x-tenant": ""}, {"x-tenant": "des"}, {"x-tenant": "claims,desk"}]
)
def test_who_is_no_operator_may_nothing_that_others_may(desk: Under, headers: dict[str, str]) -> None:
    tell(desk, "r-1")
    desk.quote("r-2", "shop")
    given = {"request_id": "r-2", "outcome": 1, "source": "arrivals"}
    for answer in (
        desk.http.post("/v1/outcomes", json=given, headers=headers),
        correct(desk, headers=headers),
        desk.http.get("/v1/outcomes/r-1", headers=headers),
    ):
        assert answer.status_code == 404, answer.text
    assert len(desk.rows("SELECT * FROM outcomes")) == 1
    assert changes(desk) == []


@pytest.mark.parametrize("shown", [None, "", "no", "sesame!", "s\u00e9same"])
def test_past_the_gateway_nobody_is_the_tenant_that_it_says(start: Start, shown: str | None) -> None:
    """An operator neither; what it asks for is of no tenant."""
    booking = start(operators="desk", credential="sesame")
    vouched = {"x-gateway-credential": "sesame"}
    headers = {} if shown is None else {b"x-gateway-credential": shown.encode("latin-1")}
    booking.http.headers = httpx.Headers(vouched)
    tell(booking, "r-1")
    booking.http.headers = httpx.Headers(headers)
    for tenant in (SHOP, DESK):
        assert correct(booking, headers=tenant).status_code == 404
        assert booking.http.get("/v1/outcomes/r-1", headers=tenant).status_code == 404
    booking.quote("r-2", "shop")
    assert [row["tenant"] for row in booking.rows()] == ["shop", None]
    booking.http.headers = httpx.Headers(vouched)
    assert correct(booking, headers=DESK).status_code == 200


def test_an_operator_asks_for_quotes_as_itself(desk: Under) -> None:
    """Its rights are over outcomes; another's quote is not shown to it."""
    desk.quote("r-1", "shop")
    assert desk.quote("r-1", "desk").status_code == 409


@pytest.mark.parametrize("operators", ["desk,", "Desk", "desk claims", ","])
def test_operators_that_are_no_names_are_refused(operators: str) -> None:
    with pytest.raises(HopelessError, match="must be names of tenants such as desk,claims"):
        BookingApi(operators=operators)


def test_an_outcome_that_was_never_told_is_neither_corrected_nor_read(booking: Under) -> None:
    booking.quote("r-1", "shop")
    for answer in (correct(booking), booking.http.get("/v1/outcomes/r-1", headers=SHOP)):
        assert answer.status_code == 404
        assert answer.json() == {"detail": "no outcome is recorded for the request id r-1"}
    assert booking.rows("SELECT * FROM outcomes") == changes(booking) == []


def test_corrections_at_once_take_turns_and_are_both_kept(booking: Under) -> None:
    """Both wait for a third one, by connections of their own."""
    tell(booking, "r-1")
    answers: list[httpx.Response] = []

    def put(outcome: float) -> None:
        answers.append(correct(booking, outcome=outcome, source=f"says {outcome}"))

    both = [threading.Thread(target=put, args=(outcome,)) for outcome in (0.25, 0.75)]
    with psycopg.connect(booking.url) as holder, psycopg.connect(booking.url, autocommit=True) as watcher:
        holder.execute("SELECT FROM outcomes FOR UPDATE")
        for each in both:
            each.start()
        while watcher.execute(WAITING).fetchone() != (2,):
            assert all(each.is_alive() for each in both), answers
    for each in both:
        each.join(PATIENCE)
    assert [answer.json() for answer in answers] == [{"corrected": 1, "unchanged": 0}] * 2
    first, second = changes(booking)
    assert (first["number"], second["number"]) == (1, 2)
    assert (first["old_outcome"], second["old_outcome"]) == (1, first["outcome"])
    assert second["old_source"] == first["source"]
    assert {first["outcome"], second["outcome"]} == {0.25, 0.75}
    (present,) = booking.rows("SELECT * FROM scored")
    assert (present["outcome"], present["source"]) == (second["outcome"], second["source"])


def test_a_correction_is_dated_by_when_it_was_done(booking: Under) -> None:
    """One began before another, which was done first."""
    tell(booking, "r-1")
    given = {
        "tenant": "shop",
        "operator": False,
        "ids": ["r-1"],
        "outcomes": [0.5],
        "sources": ["late"],
        "reasons": ["it waited"],
    }
    with psycopg.connect(booking.url) as early:
        early.execute("SELECT now()")
        correct(booking)
        early.execute(corrections.MINE, given)
        early.execute(corrections.CORRECT, given)
    first, second = changes(booking)
    assert (first["source"], second["source"]) == ("airline", "late")
    assert first["at"] < second["at"]
