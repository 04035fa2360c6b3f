"""The proofs of feedback, against the booking service, a real log and a lake in DuckDB: what they say when it
holds and when not. The shipper is a thread, which a kill ends at its next statement.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace as Some
from typing import Any
from unittest.mock import MagicMock

import httpx
import psycopg
import pytest
from prometheus_client import CollectorRegistry

from infra import outputs
from proofs import booking, damage_feedback, faults, models, shipped
from proofs.booking import Booked
from proofs.run import REGISTRY, Result, run_one
from proofs.subjects import feedback
from tests.unit.conftest import Start
from tests.unit.lake import Lake
from workloads.booking_api import journal
from workloads.ship_predictions import quality
from workloads.ship_predictions.shipping import Shipper
from workloads.ship_predictions.telemetry import Telemetry

KILLED, CORRECTED, CLOCKS, QUALITY, TELLERS = (
    "a_killed_shipper_loses_and_doubles_nothing", "a_correction_arrives", "clocks_that_differ_lose_nothing",
    "live_quality_is_that_of_the_rows", "only_its_tenant_and_operators_tell_an_outcome",
)  # fmt: skip


class Killed(BaseException):
    """What nothing runs after."""


class Here:
    """A platform, as far as these proofs need one, and the shipper on it."""

    def __init__(self, start: Start) -> None:
        self.start, self.under = start, start(operators=booking.OPERATOR, credential="vouched")
        self.staging = self.under.server.create(f"feedback-staging-{id(self)}")
        self.lake = Lake(self.staging)
        self.clients: list[httpx.Client] = []
        self.access, self.name = dict.fromkeys(outputs.SECRET_ACCESS_OF["serving"], "x"), "dev"
        self.over, self.killed, self.kills = threading.Event(), threading.Event(), 0
        self.thread = threading.Thread()
        self.lake.before = self._slowly
        self.changes: dict[str, float] = {}
        """Metrics that Prometheus tells otherwise."""

    def booked(self, tenant: str) -> Booked:
        """The service as the Gateway would lead this tenant to it."""

        def judged(request: httpx.Request) -> None:
            request.headers["x-tenant"] = tenant
            request.headers["x-gateway-credential"] = "vouched"

        made = httpx.Client(
            base_url=self.under.http.base_url, trust_env=False, timeout=60, event_hooks={"request": [judged]}
        )
        self.clients.append(made)
        return Booked(made, Some(found=Some(version="3")))  # type: ignore[arg-type]

    def operated_by(self, _: Any, *tenants: str) -> None:
        """Another service on the same log takes the requests."""
        other = self.start(operators=",".join(tenants), model=self.under.model, credential="vouched")
        for each in self.clients:
            each.base_url = other.http.base_url

    def address(self, *_: Any) -> str:
        return str(self.under.http.base_url).removeprefix("http://")

    def bookings(self) -> Any:
        return psycopg.connect(self.under.url)

    def postgres(self) -> Any:
        return psycopg.connect(self.staging)

    def sql(self, statement: str) -> list[Any]:
        return [list(row) for row in self.lake.run(statement)]

    def prometheus(self, path: str, query: str) -> Any:
        assert (path, 'model="delay",version="3"' in query) == ("query", True)
        registry = CollectorRegistry()
        found = quality.window(self.lake, shipped.SETTINGS)
        Telemetry(registry).judged(found, {})
        samples = [each for family in registry.collect() for each in family.samples]
        return {
            "result": [
                {
                    "metric": {"__name__": each.name, **each.labels},
                    "value": [0, repr(self.changes.get(each.name, each.value))],
                }
                for each in samples
                if each.name.startswith("live_")
            ]
        }

    def _slowly(self, sql: str) -> None:
        """A commit takes a while, and whoever was killed does nothing any more."""
        if threading.current_thread() is not self.thread:
            return
        if sql.startswith("MERGE"):
            self.killed.wait(0.3)
        if self.killed.is_set():
            raise Killed

    @contextmanager
    def shipper(self, _: Any) -> Iterator[None]:
        self._start()
        try:
            yield
        finally:
            self.over.set()
            self.thread.join(60)

    def _start(self) -> None:
        self.over.clear()
        self.killed.clear()
        self.thread = threading.Thread(target=self._ship)
        self.thread.start()

    def _ship(self) -> None:
        shipper = Shipper(shipped.SETTINGS, self.lake)
        try:
            shipper.prepare()
            quality.make_views(self.lake, shipped.SETTINGS)
            while not self.over.is_set():
                with (
                    psycopg.connect(self.under.url, autocommit=True) as log,
                    psycopg.connect(self.staging, autocommit=True) as staging,
                ):
                    try:
                        shipper.round(log, staging)
                    except Killed:
                        log.close()
                        staging.close()
                        raise
                self.over.wait(0.25)
        except Killed:
            pass

    def kill(self, _: Any) -> int:
        self.killed.set()
        self.thread.join(60)
        self.kills += 1
        self._start()
        return 137


@pytest.fixture
def platform(start: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    made = Here(start)
    made.under.model.score = 0.61
    asked, other = made.booked(booking.OPERATOR), made.booked(outputs.TENANT_TRIAL)
    monkeypatch.setattr(booking, "booked", MagicMock(return_value=asked))
    monkeypatch.setattr(booking, "of_tenant", lambda _, tenant: {outputs.TENANT_TRIAL: other}[tenant])
    monkeypatch.setattr(damage_feedback, "_operated_by", made.operated_by)
    monkeypatch.setattr(models, "NAME", "delay")
    monkeypatch.setattr(shipped, "shipper", made.shipper)
    monkeypatch.setattr(shipped, "kill", made.kill)
    settled = shipped.settled
    monkeypatch.setattr(shipped, "settled", lambda here, told, _=0: settled(here, told, 6))
    monkeypatch.setattr(feedback, "ASKED", 20)
    yield made
    for each in made.clients:
        each.close()


def proven(platform: Any, name: str) -> Result:
    return run_one(REGISTRY[f"feedback.{name}"], platform, None)


@pytest.mark.parametrize("name", [KILLED, CORRECTED, CLOCKS, QUALITY, TELLERS])
def test_they_pass_where_it_holds(platform: Any, name: str) -> None:
    result = proven(platform, name)
    assert (result.result, result.cause) == ("passed", "")
    assert result.assertions > 3
    assert platform.kills == (feedback.KILLS if name == KILLED else 0)


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (damage_feedback.lost_predictions, KILLED),
        (damage_feedback.postdated_corrections, CORRECTED),
        (damage_feedback.strict_clocks, CLOCKS),
        (damage_feedback.everybody_operates, TELLERS),
        (damage_feedback.flattering_view, QUALITY),
    ],
)
def test_a_fault_reddens_its_proof_and_is_mended(
    platform: Any, fault: Callable[[Any], AbstractContextManager[None]], name: str
) -> None:
    (described,) = [each for each in faults.FAULTS.values() if each.breaks is fault]
    with fault(platform):
        broken = proven(platform, name)
    assert described.reddens == (f"feedback.{name}",)
    assert broken.result == "failed"
    assert any(word in broken.cause for word in described.words), broken.cause
    again = proven(platform, name)
    assert (again.result, again.cause) == ("passed", "")


def test_a_service_that_takes_part_of_a_list_is_found_out(
    platform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves out what it does not know."""
    monkeypatch.setattr(journal, "UNKNOWN", "SELECT 'x' AS request_id WHERE false")
    known = "JOIN predictions p USING (request_id) ON CONFLICT"
    monkeypatch.setattr(journal, "RECORD", journal.RECORD.replace("ON CONFLICT", known))
    cause = proven(platform, CORRECTED).cause
    assert "a list with the outcome of a quote that there is not is refused (found=200" in cause


def test_a_service_that_believes_everybody_is_found_out(
    platform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    believing = platform.start(operators=booking.OPERATOR, model=platform.under.model)
    monkeypatch.setattr(platform, "address", lambda *_: str(believing.http.base_url)[len("http://") :])
    assert "who asks past the Gateway is not the tenant that it says it is" in proven(platform, TELLERS).cause


OPERATED_BY = damage_feedback._operated_by


def test_all_pods_get_the_operators_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["python3", "-m", "workloads.booking_api.main", "--set", "operators=workloads"]
    main = Some(name="main", command=command)
    item = Some(spec=Some(template=Some(spec=Some(containers=[main]))))
    apps, follow = MagicMock(), MagicMock()
    monkeypatch.setattr(booking, "deployment", lambda _: item)
    monkeypatch.setattr(damage_feedback.k8s, "AppsV1Api", lambda _: apps)
    monkeypatch.setattr(damage_feedback.deployments, "follow", follow)
    OPERATED_BY(Some(api=None), "workloads", "trial")  # type: ignore[arg-type]
    (call,) = apps.patch_namespaced_deployment.call_args_list
    (changed,) = call.args[2]["spec"]["template"]["spec"]["containers"]
    assert changed == {"name": "main", "command": [*command[:-1], "operators=workloads,trial"]}
    assert follow.called


def test_a_shipper_that_ships_a_row_twice_is_found_out(platform: Any) -> None:
    place = f"{shipped.SETTINGS.place}.outcomes"

    def twice(sql: str) -> None:
        if sql.startswith(f"MERGE INTO {place}"):
            platform.lake.after = lambda _: None
            platform.lake.rows(f"INSERT INTO {place} SELECT * FROM {place} LIMIT 1")

    platform.lake.after = twice
    assert "0 of 20 rows are missing, 1 are strange" in proven(platform, CORRECTED).cause


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        (CLOCKS, "live_outcomes_before_prediction"),
        (QUALITY, "live_outcomes"),
        *((QUALITY, f"live_{level}{name}") for name in shipped.COMPARED for level in ("", "segment_")),
    ],
)
def test_a_prometheus_that_tells_otherwise_is_found_out(
    platform: Any, monkeypatch: pytest.MonkeyPatch, name: str, metric: str
) -> None:
    until = feedback.until
    monkeypatch.setattr(feedback, "until", lambda holds, what, _=0, **__: until(holds, what, 2))
    platform.changes = {metric: 1e6}
    cause = proven(platform, name).cause
    assert "for Prometheus to tell of version 3 what its rows say" in cause
    assert "1000000.0" in cause


def test_figures_of_too_few_rows_are_none() -> None:
    given = [(0.9, True, 1.0), (0.2, False, 0.0), (0.7, True, 0.0), (0.1, False, None)]
    rows = [shipped.Row(datetime.now(UTC), "EWR", *each, before=each[0] == 0.9) for each in given]
    few = shipped.figures(rows)
    assert (few["n"], few["known"], few["accuracy"], few["calibration_error"]) == (4, 3, None, None)
    many = shipped.figures(rows * 5)
    assert many["accuracy"] == pytest.approx(2 / 3)
    assert many["precision"] == pytest.approx(1 / 2)
    assert many["recall"] == 1.0
    assert many["known_before"] == 5
    assert many["brier"] == pytest.approx((0.01 + 0.04 + 0.49) / 3)
    assert many["calibration_error"] == pytest.approx((0.1 + 0.2 + 0.7) / 3)
    assert shipped.near(many, many)
    assert not shipped.near(many, {**many, "recall": None})
    assert not shipped.near(many, {**many, "brier": 0.0})
