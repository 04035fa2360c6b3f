"""The booking service itself, over HTTP, with a real PostgreSQL; only the model is made up."""

import asyncio
import json
import math
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from cryptography import x509

from infra.certificates import Authority, new_key, pem, private_pem
from tests.unit import model_server, postgres
from tests.unit.booking_service import HOST, QUESTION, Under
from tests.unit.conftest import FACTS, Start
from tests.unit.model_server import ModelServer
from workloads.booking_api import config, experiment, journal
from workloads.booking_api.api import Service, application
from workloads.booking_api.database import Database
from workloads.booking_api.model import Model, Place
from workloads.booking_api.rule import decide
from workloads.booking_api.schemas import Question
from workloads.common import HopelessError

DIVIDED = experiment.parse('{"name": "delay-v4", "arms": {"stable": 0.5, "canary": 0.5}}')


@pytest.fixture
def booking(start: Start) -> Under:
    return start()


# --- a quote ------------------------------------------------------------------------------------------------


def test_a_quote_is_answered_and_logged_with_the_same_id_and_score(booking: Under) -> None:
    answer = booking.quote("r-17")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-request-id"] == "r-17"
    quote = answer.json()
    (row,) = booking.rows()
    assert row["request_id"] == quote["request_id"] == "r-17"
    assert row["score"] == quote["score"] == 0.25
    assert (quote["decision"], quote["price"], quote["currency"]) == ("insurance", 31.25, "USD")
    assert (row["decision"], float(row["price"])) == ("insurance", 31.25)
    assert (quote["model"], quote["model_version"], row["version"]) == ("delay", "3", "3")
    assert (quote["experiment"], quote["variant"], row["experiment"], row["variant"]) == (None,) * 4
    assert row["user_key"] == "u-1"
    assert row["features"] == booking.model.asked[0].features


def test_the_model_is_asked_by_its_protocol_with_all_that_the_gateway_needs(booking: Under) -> None:
    booking.quote("r-17")
    (asked,) = booking.model.asked
    assert asked.path == "/v2/models/delay/infer"
    assert asked.headers["host"] == HOST
    assert asked.headers["x-api-key"] == "the-key"
    assert asked.headers["x-request-id"] == asked.body["id"] == "r-17"
    assert "x-variant" not in asked.headers
    types = {each["name"]: each["datatype"] for each in asked.body["inputs"]}
    assert types["carrier"] == "BYTES"
    assert types["distance"] == types["hour"] == "INT64"
    assert types["dep_delay"] == types["temp"] == "FP64"
    assert all(each["shape"] == [1] for each in asked.body["inputs"])


def test_the_features_are_those_that_the_model_learned_from(booking: Under) -> None:
    """The first flight of the source: what training would make of it, by the source itself."""
    from workloads.train_delay.features import INPUT_COLUMNS

    booking.quote()
    (asked,) = booking.model.asked
    assert set(asked.features) == set(INPUT_COLUMNS)
    assert asked.features == {
        "year": 2013, "month": 1, "day": 1, "hour": 5, "minute": 15, "carrier": "UA", "origin": "EWR",
        "dest": "IAH", "distance": 1400, "dep_delay": 2.0,
        "temp": 39.02, "humid": 64.43, "wind_speed": 12.658579999999999, "precip": 0.0, "visib": 10.0,
        "pressure": 1011.9,
    }  # fmt: skip


def test_the_hour_is_that_of_the_clock_at_the_origin_also_in_summer(booking: Under) -> None:
    booking.quote(departure="2013-07-01T05:15")
    (row,) = booking.rows("SELECT temp FROM weather WHERE origin = 'EWR' AND hour = '2013-07-01T05:00-04:00'")
    assert booking.model.asked[0].features["temp"] == row["temp"]


def test_for_an_hour_that_nobody_observed_the_usual_weather_is_taken(booking: Under) -> None:
    booking.quote(departure="2031-07-01T05:15")
    (row,) = booking.rows("SELECT * FROM climate WHERE origin = 'EWR' AND month = 7 AND hour = 5")
    (asked,) = booking.model.asked
    assert asked.features["temp"] == row["temp"]
    assert math.isfinite(asked.features["pressure"])


def test_a_risky_flight_is_rebooked_for_nothing(booking: Under) -> None:
    booking.model.score = 0.5
    quote = booking.quote().json()
    assert (quote["decision"], quote["price"]) == ("rebooking", 0)


def test_the_price_follows_the_risk() -> None:
    settings = config.reference()
    prices = {risk: decide(settings, risk) for risk in (0, 0.02, 0.1234, 0.4999, 0.5, 1)}
    assert [str(offer.price) for offer in prices.values()] == [
        "3.00",
        "3.00",
        "15.43",
        "62.49",
        "0.00",
        "0.00",
    ]
    assert [offer.decision for offer in prices.values()] == ["insurance"] * 4 + ["rebooking"] * 2


def test_a_request_without_an_id_gets_one(booking: Under) -> None:
    one, other = booking.quote(None), booking.quote(None)
    ids = {answer.json()["request_id"] for answer in (one, other)}
    assert len(ids) == 2
    assert {row["request_id"] for row in booking.rows()} == ids
    assert one.headers["x-request-id"] in ids


# --- the same request again ---------------------------------------------------------------------------------


def test_the_same_request_again_gives_the_logged_answer_without_asking_the_model(booking: Under) -> None:
    first = booking.quote("r-1").json()
    booking.model.score, booking.model.version = 0.9, "4"
    assert booking.quote("r-1").json() == first
    assert len(booking.model.asked) == len(booking.rows()) == 1


def test_it_is_answered_from_the_log_while_the_model_is_away(booking: Under) -> None:
    first = booking.quote("r-1").json()
    booking.model.status = 503
    assert booking.quote("r-1").json() == first


@pytest.mark.parametrize("change", [{"user": "u-2"}, {"dest": "MIA"}, {"departure_delay": 3}])
def test_another_question_with_the_same_id_is_refused(booking: Under, change: dict[str, Any]) -> None:
    booking.quote("r-1")
    answer = booking.quote("r-1", **change)
    assert (answer.status_code, answer.json()["detail"]) == (
        409, "the request id r-1 is that of another question",
    )  # fmt: skip
    assert len(booking.rows()) == 1


@pytest.mark.parametrize(("asked", "again"), [("shop", "other"), ("shop", None), (None, "shop")])
def test_the_id_of_another_tenants_question_is_refused(
    booking: Under, asked: str | None, again: str | None
) -> None:
    first = booking.quote("r-1", asked)
    answer = booking.quote("r-1", again)
    assert (answer.status_code, answer.json()) == (
        409, {"detail": "the request id r-1 is that of another question"},
    )  # fmt: skip
    assert booking.quote("r-1", asked).json() == first.json()
    assert [row["tenant"] for row in booking.rows()] == [asked]


def test_the_same_question_of_another_tenant_is_another_one() -> None:
    question = Question.model_validate(QUESTION)
    features = question.flight().given()
    logged = journal.Prediction(
        "r-1", "shop", "delay", "3", None, None, question.user, features, 0.1, "insurance", Decimal(3)
    )
    assert question.is_that_of(logged, "shop")
    assert not question.is_that_of(logged, "other")
    assert not question.is_that_of(logged, None)


def test_two_at_once_get_the_same_answer(booking: Under) -> None:
    """Both ask the model, which answers each of them otherwise."""
    scores, turn = iter([0.1, 0.2]), threading.Barrier(2)

    def answer() -> bytes:
        turn.wait(60)
        booking.model.score = next(scores)
        return ModelServer.answer(booking.model)

    booking.model.answer = answer  # type: ignore[method-assign]
    booking.model.version = "twice"
    counted = 'booking_quotes_total{decision="insurance",variant="",version="twice"}'
    before = booking.metric(counted)
    answers: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: answers.append(booking.quote("r-1").json())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(booking.model.asked) == 2
    assert answers[0] == answers[1]
    assert [row["score"] for row in booking.rows()] == [answers[0]["score"]]
    assert booking.metric(counted) - before == 1, "it is one quote"


# --- what cannot be answered --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"carrier": "XX"}, "nothing is known of carrier 'XX'"),
        ({"dest": "QQQ", "origin": "ORD"}, "nothing is known of origin 'ORD', dest 'QQQ'"),
        ({"dest": "ANC", "origin": "JFK"}, "UA does not fly from JFK to ANC"),
        ({"departure": "2013-07-04T05:15-04:00"}, "timezone"),
        ({"departure": "1913-07-04T05:15"}, "the year must be within 2000 and 2099"),
        ({"departure": "tomorrow"}, "departure"),
        ({"departure_delay": 1e9}, "less than or equal to 2880"),
        ({"departure_delay": "NaN"}, "departure_delay"),
        ({"origin": "ewr"}, "pattern"),
        ({"user": ""}, "user"),
        ({"user": "u\0"}, "user"),
        ({"usr": "u-1"}, "usr"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_the_cause(
    booking: Under, change: dict[str, Any], cause: str
) -> None:
    answer = booking.quote(**change)
    assert answer.status_code == 422
    assert cause in answer.text
    assert booking.model.asked == booking.rows() == []


@pytest.mark.parametrize("request_id", ["x" * 129, "a b", "ä", "r;DROP"])
def test_an_id_that_cannot_be_kept_is_refused(booking: Under, request_id: str) -> None:
    answer = booking.quote(request_id)
    assert answer.status_code == 422
    assert "x-request-id must be" in answer.text
    assert "x-request-id" not in answer.headers


@pytest.mark.parametrize(
    ("told", "status", "cause"),
    [
        ({"status": 503, "body": b"no healthy upstream"}, 503, "the model delay answered 503: no healthy"),
        ({"status": 429, "body": b"slowly"}, 503, "answered 429: slowly"),
        ({"seconds": 5}, 503, "did not answer within 0.5 s"),
        ({"status": 400, "body": b'{"error": "no column x"}'}, 502, "answered 400"),
        ({"status": 401, "body": b""}, 502, "answered 401"),
        ({"body": b"<html>"}, 502, "no late_probability and version: JSONDecodeError"),
        ({"body": b'{"outputs": []}'}, 502, "no late_probability"),
        ({"version": ""}, 502, "KeyError: 'model_version'"),
        ({"score": None}, 502, "is no number: None"),
        ({"score": "0.5"}, 502, "is no number"),
        ({"score": float("nan")}, 502, "is no number"),
        ({"score": 1.01}, 502, "is no probability: 1.01"),
    ],
)
def test_without_a_usable_answer_of_the_model_there_is_none_and_no_row(
    start: Start, told: dict[str, Any], status: int, cause: str
) -> None:
    booking = start(**({"model_seconds": 0.5} if "seconds" in told else {}))
    for name, value in told.items():
        setattr(booking.model, name, value)
    answer = booking.quote()
    assert answer.status_code == status, answer.text
    assert cause in answer.json()["detail"]
    assert ("retry-after" in answer.headers) == (status == 503)
    assert booking.rows() == []
    assert len(booking.model.asked) == 1, "retries are the gateway's"
    assert booking.http.get("/readyz").status_code == 200


def test_a_model_that_answers_byte_by_byte_is_not_waited_for(start: Start) -> None:
    booking = start(model_seconds=2)
    booking.model.drip = 0.1
    answer = booking.quote()
    assert (answer.status_code, answer.json()["detail"]) == (
        503, "the model delay did not answer within 2 s",
    )  # fmt: skip
    assert booking.rows() == []


def test_a_model_that_cannot_be_reached_is_named_and_no_row_is_left(start: Start) -> None:
    with model_server.running() as gone:
        pass
    booking = start(model=gone)
    answer = booking.quote()
    assert answer.status_code == 503
    assert "the model delay did not answer: ConnectError" in answer.json()["detail"]
    assert booking.rows() == []


def test_an_authority_that_is_none_is_refused() -> None:
    with pytest.raises(HopelessError, match="GATEWAY_CA is no certificate in PEM: 'hello'"):
        Model(Place("delay", "https://gateway", HOST, "", "hello"), 1)


def test_the_gateway_is_verified_by_the_host_of_the_route_and_by_its_authority(
    start: Start, tmp_path: Path
) -> None:
    """It is reached by one name, and shows a certificate for the host of the route, which is asked for."""
    ours, other = Authority.make("ours"), Authority.make("other")
    with model_server.running(tls=certified(ours, HOST, tmp_path)) as model:
        assert model.url.startswith("https://127.0.0.1:")
        assert start(model=model, authority=pem(ours.certificate)).quote("r-1").status_code == 200
        assert model.hosts == [HOST]
        answer = start(model=model, authority=pem(other.certificate)).quote("r-2")
        assert (answer.status_code, "CERTIFICATE_VERIFY_FAILED" in answer.text) == (503, True), answer.text
    with model_server.running(tls=certified(ours, "prices.platform.test", tmp_path)) as model:
        answer = start(model=model, authority=pem(ours.certificate)).quote("r-3")
        assert (answer.status_code, "Hostname mismatch" in answer.text) == (503, True), answer.text


def certified(authority: Authority, host: str, folder: Path) -> Path:
    """A file with a key and a certificate for the host."""
    key = new_key()
    file = folder / f"{host}.pem"
    file.write_text(private_pem(key) + pem(authority.sign(host, key, [x509.DNSName(host)])))
    return file


# --- the database -------------------------------------------------------------------------------------------


def test_connections_that_were_lost_are_made_anew(booking: Under) -> None:
    booking.quote("r-1")
    assert booking.server.end_connections(FACTS) > 0
    assert booking.quote("r-2").status_code == 200
    assert len(booking.rows()) == 2


def test_an_answer_that_was_not_logged_is_not_given(start: Start) -> None:
    booking = start()
    hurried = start(url=booking.url, model=booking.model, database_seconds=2)
    booking.quote("r-1")
    with psycopg.connect(booking.url) as holder:
        holder.execute("LOCK TABLE predictions IN SHARE MODE")
        answer = hurried.quote("r-2")
    assert answer.status_code == 503
    assert "the database did not answer: it was not done within 2 s" in answer.json()["detail"]
    assert [row["request_id"] for row in booking.rows()] == ["r-1"]
    assert booking.quote("r-2").status_code == 200


def test_what_the_database_says_is_in_the_log_and_not_in_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names its address and its account."""
    words = 'connection to server at "10.96.0.7", port 5432 failed: FATAL: no password for user "bookings"'

    async def fail(*_: Any) -> None:
        raise psycopg.OperationalError(words)

    async def ask() -> httpx.Response:
        database = Database("", connections=1, seconds=60)
        monkeypatch.setattr(database, "_once", fail)
        monkeypatch.setattr(database.pool, "check", fail)
        place = Place("delay", "http://nowhere", HOST, "", "")
        app = application(Service(config.tiny(), None, database, Model(place, 1)))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http:
            return await http.post("/v1/quotes", json=QUESTION)

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()) == (503, {"detail": "the database did not answer"})
    assert words in capsys.readouterr().out


def test_a_database_that_is_away_is_named(start: Start, postgresql: postgres.Server) -> None:
    booking = start(url=postgresql.url("no_such_database"), database_seconds=1)
    for answer in (booking.quote(), booking.http.get("/readyz")):
        assert answer.status_code == 503
        assert "the database did not answer" in answer.text
    assert booking.model.asked == []


def test_without_facts_it_is_not_ready_and_says_so(start: Start, postgresql: postgres.Server) -> None:
    booking = start(url=postgresql.create("no_facts", FACTS))
    with psycopg.connect(booking.url) as connection:
        connection.execute("CREATE TABLE apart AS SELECT * FROM loaded")
        connection.execute("DELETE FROM loaded")
    assert booking.http.get("/healthz").status_code == 200
    assert booking.http.get("/readyz").json() == {"status": "the facts are not loaded yet"}
    answer = booking.quote()
    assert (answer.status_code, answer.json()["detail"]) == (
        503, "what is to be known about flights is not loaded yet",
    )  # fmt: skip
    with psycopg.connect(booking.url) as connection:
        connection.execute("INSERT INTO loaded SELECT * FROM apart")
    assert booking.http.get("/readyz").status_code == 200
    assert booking.quote().status_code == 200


# --- experiments --------------------------------------------------------------------------------------------


def test_a_user_is_in_one_arm_which_the_model_is_asked_for_and_the_log_keeps(start: Start) -> None:
    booking = start(DIVIDED)
    arms: dict[str, set[str]] = {}
    for number in range(20):
        quote = booking.quote(f"r-{number}", user=f"u-{number % 5}").json()
        assert quote["experiment"] == "delay-v4"
        arms.setdefault(f"u-{number % 5}", set()).add(quote["variant"])
    assert {len(found) for found in arms.values()} == {1}
    assert set.union(*arms.values()) == {"stable", "canary"}
    logged = {row["request_id"]: row["variant"] for row in booking.rows()}
    assert {asked.body["id"]: asked.headers["x-variant"] for asked in booking.model.asked} == logged


def test_a_repeated_request_keeps_its_arm_when_the_experiment_is_another(start: Start) -> None:
    first = start(DIVIDED)
    quote = first.quote("r-1").json()
    later = start(None, url=first.url, model=first.model)
    assert later.quote("r-1").json() == quote


# --- outcomes -----------------------------------------------------------------------------------------------


def outcome(request_id: str, late: float, source: str = "arrivals") -> dict[str, Any]:
    return {"request_id": request_id, "outcome": late, "source": source}


def test_outcomes_are_recorded_one_or_many_and_again(booking: Under) -> None:
    for number, score in enumerate((0.1, 0.8, 0.2)):
        booking.model.score = score
        booking.quote(f"r-{number}")
    post = booking.http.post
    assert post("/v1/outcomes", json=outcome("r-0", 0)).json() == {"recorded": 1, "unchanged": 0}
    many = [outcome("r-0", 0), outcome("r-1", 1), outcome("r-2", 1)]
    assert post("/v1/outcomes", json=many).json() == {"recorded": 2, "unchanged": 1}
    assert post("/v1/outcomes", json=many).json() == {"recorded": 0, "unchanged": 3}
    hits = {row["request_id"]: row["hit"] for row in booking.rows("SELECT * FROM scored")}
    assert hits == {"r-0": True, "r-1": True, "r-2": False}


@pytest.mark.parametrize(
    ("given", "status", "cause"),
    [
        ([outcome("r-0", 1), outcome("r-7", 1)], 404, "no prediction has the request id r-7"),
        ([outcome("r-0", 1), outcome("r-1", 0)], 409, "another outcome is recorded for the request id r-1"),
        ([outcome("r-0", 1), outcome("r-0", 0)], 422, "more than one outcome is given for r-0"),
        ([outcome("r-0", 2)], 422, "less than or equal to 1"),
        ([outcome("r-0", float("inf"))], 422, "outcome"),
        ([outcome("r-0", 1) | {"x": 1}], 422, "Extra inputs"),
        ([outcome("r-0", 1) | {"source": "a\0"}], 422, "source"),
        ([], 422, "at least 1 item"),
        ([outcome(f"r-{n}", 1) for n in range(1001)], 422, "at most 1000 items"),
        ([outcome(f"q-{n}", 1) for n in range(7)], 404, "q-0, q-1, q-2, q-3, q-4 and 2 more"),
    ],
)
def test_outcomes_that_cannot_be_are_refused_and_none_of_them_is_recorded(
    booking: Under, given: list[dict[str, Any]], status: int, cause: str
) -> None:
    for number in range(2):
        booking.quote(f"r-{number}")
    booking.http.post("/v1/outcomes", json=outcome("r-1", 1))
    content = json.dumps(given).replace("Infinity", "1e999")
    answer = booking.http.post("/v1/outcomes", content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, cause in answer.text) == (status, True), answer.text
    assert [row["request_id"] for row in booking.rows("SELECT * FROM outcomes")] == ["r-1"]


@pytest.mark.parametrize(("asked", "told"), [("shop", "other"), ("shop", None), (None, "shop")])
def test_what_came_of_a_quote_is_told_by_who_asked_for_it(
    booking: Under, asked: str | None, told: str | None
) -> None:
    """To another tenant it looks as if there were none."""

    def tell(request_id: str, tenant: str | None) -> Any:
        headers = {"x-tenant": tenant} if tenant else {}
        answer = booking.http.post("/v1/outcomes", json=outcome(request_id, 1), headers=headers)
        return answer.status_code, answer.json()

    booking.quote("r-0", asked)
    assert tell("r-0", told) == (404, {"detail": "no prediction has the request id r-0"})
    assert tell("r-1", told) == (404, {"detail": "no prediction has the request id r-1"})
    assert booking.rows("SELECT * FROM outcomes") == []
    assert tell("r-0", asked) == (200, {"recorded": 1, "unchanged": 0})
    assert tell("r-0", told)[0] == 404, "nor does it learn what is recorded"


# --- metrics and settings -----------------------------------------------------------------------------------


def test_what_is_answered_is_counted_and_probes_are_not(booking: Under) -> None:
    lines = [
        'booking_requests_total{code="200",route="/v1/quotes"}',
        'booking_requests_total{code="422",route="/v1/quotes"}',
        'booking_requests_total{code="404",route="none"}',
        'booking_quotes_total{decision="insurance",variant="",version="metrics"}',
        'booking_model_seconds_count{variant="",version="metrics"}',
        'booking_failures_total{of="model"}',
        'booking_requests_total{code="503",route="/v1/quotes"}',
    ]
    before = [booking.metric(line) for line in lines]
    booking.model.version = "metrics"
    booking.quote("r-1")
    booking.quote("r-1")
    booking.quote(carrier="nothing")
    booking.http.get("/v1/nothing")
    booking.http.get("/healthz")
    booking.model.status = 503
    booking.quote("r-2")
    assert [booking.metric(line) - old for line, old in zip(lines, before, strict=True)] == [
        2, 1, 1, 1, 1, 1, 1,
    ]  # fmt: skip
    assert booking.metric("booking_in_flight") == 0


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"rebook_at": 0}, "setting rebook_at must be within"),
        ({"payout": -1}, "setting payout must be more than 0, it is -1"),
        ({"model_seconds": float("nan")}, "setting model_seconds must be more than 0, it is nan"),
        ({"connections": 0}, "setting connections must be at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any], cause: str) -> None:
    with pytest.raises(HopelessError, match=cause):
        config.BookingApi(**change)


def test_the_small_configuration_serves_too(start: Start) -> None:
    booking = start(connections=config.tiny().connections)
    assert [booking.quote(f"r-{number}").status_code for number in range(3)] == [200] * 3
