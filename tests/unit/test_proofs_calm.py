"""Load that raises no alarm: what fires is found, also between two looks, and silence must mean something."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace as Some
from typing import Any

import pytest
from kubernetes import client as k8s

from client import ClientError, waiting
from proofs import alarms, causes_objects, damage_alerts, faults, load, probe, scene
from proofs.load import Tally
from proofs.run import Broken, Check, Skip
from proofs.subjects import monitoring_calm as subject
from tests.unit.test_client_waiting import Clock as Waits

BROUGHT = {"FeedbackStalls", "LiveQualityFalls", "ReactionFails"}


class Clock(Waits):
    """Seconds since 1970, too."""

    def time(self) -> float:
        return self.now


@dataclass
class Series:
    """An alert from when until when, as Prometheus keeps it."""

    alert: str
    begins: float
    ends: float
    state: str = "firing"
    labels: dict[str, str] = field(default_factory=lambda: {"job": "x"})

    def at(self, moment: float) -> bool:
        return self.begins <= moment < self.ends


class World:
    """A platform under load: what its Prometheus has loaded, and what came of alerts and requests."""

    name = "local"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.objects = {"TrinoDown", "TargetDown", *BROUGHT}
        """Alerts in PrometheusRules."""
        self.unread: set[str] = set()
        """Those that Prometheus does not read."""
        self.series = [Series(alarms.HEARTBEAT, 0, 1e9, labels={})]
        self.tallies = {"rows": Tally(900, 900), "runs": Tally(180, 179)}
        self.course: list[str] = []
        self.under_load: Callable[[], None] = lambda: None
        """What the load does, as soon as it begins."""

    def forget(self) -> None:
        pass

    def prometheus(self, path: str, **asked: str) -> Any:
        now = self.clock.now
        if path == "label/__name__/values":
            return ["up", "ALERTS"]
        if path == "rules":
            loaded = [
                {"type": "alerting", "name": name, "query": f"of {name}", "duration": 0}
                for name in self.objects - self.unread
            ]
            return {"groups": [{"interval": 5, "rules": loaded}]}
        if path == "alerts":
            shown = [each for each in self.series if each.at(now) and each.alert in self.objects]
            return {"alerts": [{"labels": {"alertname": each.alert}, "state": each.state} for each in shown]}
        if path == "query":
            assert asked["query"].startswith("of ")
            value = {"metric": {"job": "x", "__name__": "up"}, "value": [now, "0.75"]}
            return {"result": [{"metric": {"job": "y"}, "value": [now, "9"]}, value]}
        return {"result": list(self.between(asked))}

    def between(self, asked: dict[str, str]) -> Iterator[Any]:
        start, end, query = float(asked["start"]), float(asked["end"]), asked["query"]
        moments = [start + second for second in range(int(end - start) + 1)]
        for each in self.series:
            of_heartbeat = each.alert == alarms.HEARTBEAT
            wanted = of_heartbeat == ('alertname="Watchdog"' in query) and (
                of_heartbeat or each.state in query
            )
            values = [[moment, "1"] for moment in moments if each.at(moment)]
            if wanted and values:
                of = {"__name__": "ALERTS", "alertname": each.alert, "alertstate": each.state, **each.labels}
                yield {"metric": of, "values": values}

    @contextmanager
    def there(self, what: str) -> Iterator[Any]:
        self.course.append(what)
        try:
            yield self.tallies
        finally:
            self.course.append(f"no {what}")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    clock = Clock()
    made = World(clock)

    @contextmanager
    def begun(_: Any, seconds: float) -> Iterator[Any]:
        made.under_load()
        with made.there(f"load of {seconds:.0f} s") as tallies:
            yield tallies

    @contextmanager
    def prepared(platform: Any, *_: Any, serving: bool) -> Iterator[scene.Scene]:
        assert not serving
        with made.there("scene"):
            yield scene.Scene(platform, Some(report=lambda *_: None))  # type: ignore[arg-type]

    def rules(*_: str) -> dict[str, Any]:
        written = [{"record": "of:something"}, *({"alert": name} for name in made.objects)]
        return {"items": [{"spec": {"groups": [{"rules": written}]}}]}

    monkeypatch.setattr(subject, "time", clock)
    monkeypatch.setattr(waiting, "time", clock)
    monkeypatch.setattr(k8s, "CustomObjectsApi", lambda _: Some(list_cluster_custom_object=rules))
    monkeypatch.setattr(made, "api", None, raising=False)
    monkeypatch.setattr(causes_objects, "clear", lambda _: made.course.append("cleared"))
    monkeypatch.setattr(probe, "workload_image", lambda _: "registry.test/workloads:1")
    monkeypatch.setattr(scene, "prepared", prepared)
    monkeypatch.setattr(load, "prepared", lambda _: made.there("users"))
    monkeypatch.setattr(load, "begun", begun)
    return made


def prove(world: World) -> Check:
    check = Check()
    subject.half_an_hour_of_load_raises_no_alarm(world, check)  # type: ignore[arg-type]
    return check


def fires(world: World, after: float, seconds: float = 2, **changes: Any) -> None:
    """TrinoDown fires so many seconds after the load has begun."""

    def happens() -> None:
        begins = world.clock.now + after
        world.series.append(Series("TrinoDown", begins, begins + seconds, **changes))

    world.under_load = happens


def test_half_an_hour_in_which_nothing_fires_is_calm_and_leaves_nothing(world: World) -> None:
    check = prove(world)
    assert "all 5 alerts are loaded" in check.asserted
    assert len(check.asserted) == 1 + 1 + 2 * 2 + 1
    assert world.clock.now >= 100 + 1800
    made = ["cleared", "scene", "users", "load of 1800 s"]
    assert world.course == made + [f"no {what}" for what in reversed(made[1:])]
    assert check.attached["loaded"] == sorted(world.objects)
    assert check.attached["load"]["rows"]["asked"] == 900


def test_an_alert_ends_it_at_once_and_is_told_with_labels_time_and_value(world: World) -> None:
    fires(world, after=101, seconds=600)
    said = r"no alert fires under load .*TrinoDown\(job=x\) at 00:03:21 UTC, value 0.75"
    with pytest.raises(Broken, match=said):
        prove(world)
    assert world.clock.now < 100 + 101 + 2 * subject.EVERY
    assert world.course[-1] == "no scene"


def test_one_that_is_over_at_the_next_look_is_found(world: World) -> None:
    fires(world, after=1.5, seconds=1)
    with pytest.raises(Broken, match="TrinoDown"):
        prove(world)


def test_one_that_fires_after_the_last_look_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = subject.watched

    def and_then(*of: Any) -> Any:
        found = watched(*of)
        world.series.append(Series("TargetDown", world.clock.now + 1, 1e9))
        world.clock.now += 3  # Until the last requests have ended.
        return found

    monkeypatch.setattr(subject, "watched", and_then)
    with pytest.raises(Broken, match="TargetDown"):
        prove(world)


def test_what_only_waits_to_fire_is_kept_and_no_alarm(world: World) -> None:
    fires(world, after=10, seconds=4, state="pending")
    assert prove(world).attached["pending"] == [{"alertname": "TrinoDown", "job": "x", "seconds": 4}]


@pytest.mark.parametrize("state", ["firing", "pending"])
def test_what_was_before_is_waited_for_also_where_its_rule_is_gone(world: World, state: str) -> None:
    world.series += [Series("TrinoDown", 0, 160), Series("OfNobody", 0, 180, state)]
    prove(world)
    assert 180 + subject.STILL <= world.clock.now - 1800 < 190 + subject.STILL


def test_what_does_not_end_by_itself_is_named(world: World) -> None:
    world.series += [Series("TrinoDown", 0, 1e9), Series("TargetDown", 0, 1e9, "pending")]
    with pytest.raises(ClientError, match="there are TargetDown, TrinoDown"):
        prove(world)


def test_a_wrong_answer_is_no_calm(world: World) -> None:
    world.tallies["runs"] = Tally(180, 180, 1, ["after 3 s: Wrong: the metrics"])
    with pytest.raises(Broken, match=r"all 180 runs were answered right .*the metrics"):
        prove(world)


def test_with_an_alert_the_wrong_answers_are_told_too(world: World) -> None:
    world.tallies["runs"] = Tally(180, 180, 1, ["after 3 s: Wrong: the metrics"])
    fires(world, after=10)
    with pytest.raises(Broken, match=r"TrinoDown.*the metrics"):
        prove(world)


@pytest.mark.parametrize("tally", [Tally(180, 161), Tally(0, 0)])
def test_load_that_was_not_made_shows_nothing(world: World, tally: Tally) -> None:
    world.tallies["runs"] = tally
    with pytest.raises(Broken, match="the load had its runs"):
        prove(world)


def test_a_prometheus_that_evaluates_nothing_shows_nothing(world: World) -> None:
    world.series[0].ends = 1000
    with pytest.raises(Broken, match="the heartbeat was there"):
        prove(world)


def test_an_alert_that_is_not_loaded_is_named_before_the_load_begins(world: World) -> None:
    world.unread = {"ReactionFails"}
    with pytest.raises(ClientError, match="ReactionFails to be loaded"):
        prove(world)
    assert "load of 1800 s" not in world.course


def test_rules_of_workloads_that_were_not_brought_are_missed(world: World) -> None:
    world.objects -= {"FeedbackStalls"}
    with pytest.raises(ClientError, match="FeedbackStalls to be loaded"):
        prove(world)


def test_other_stacks_are_left_in_peace(world: World) -> None:
    world.name = "prod"
    with pytest.raises(Skip, match="makes load"):
        prove(world)
    assert world.course == []


# --- its fault ----------------------------------------------------------------------------------------------


def test_a_nervous_rule_is_named_and_goes_in_a_trial_of_minutes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def added(_: Any, __: str, ___: str, spec: Any) -> Iterator[None]:
        (rule,) = spec["groups"][0]["rules"]
        assert "CompletedQueries" in rule["expr"]
        world.objects.add(rule["alert"])
        yield
        world.objects.remove(rule["alert"])
        # Prometheus ends the series a little later.
        for each in world.series[1:]:
            each.ends = world.clock.now + 10

    def happens() -> None:
        if damage_alerts.NERVOUS in world.objects:
            world.series.append(Series(damage_alerts.NERVOUS, world.clock.now + 12, 1e9))

    world.under_load = happens
    monkeypatch.setattr(damage_alerts, "monitoring_object", added)
    tried = faults.trial(world, faults.FAULTS["nervous-rule"])  # type: ignore[arg-type]
    assert tried.complaints == []
    assert f"{damage_alerts.NERVOUS}(job=x)" in tried.broken[0].cause
    assert world.course.count("load of 120 s") == 2
    assert subject.MINUTES == 30
