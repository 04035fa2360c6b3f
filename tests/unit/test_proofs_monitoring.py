"""The proof of dashboards: what it waits for, what it lets pass with which reason, and its fault."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from kubernetes import client as k8s

from client.dashboards import LABELS, Dashboard, Panel, Series
from proofs import damage_monitoring, panels, run
from proofs.subjects import monitoring

ROOT = Path(__file__).parents[2]
FULL = [Series("a", [(1.0, 1.0)])]


def page(*shown: Panel, uid: str = "seatrial-x") -> Dashboard:
    return Dashboard(uid, "Page", "", [], list(shown))


def panel(title: str, series: list[Series], errors: list[str] | None = None) -> Panel:
    return Panel(title, "", "short", series=series, errors=errors or [])


def proven(monkeypatch: pytest.MonkeyPatch, *looks: Dashboard, store: str = "") -> run.Result:
    """The proof where each look at the only page finds the next of these, the last one again and again."""
    found = list(looks)
    monkeypatch.setattr(monitoring.dashboards, "read", lambda _: [{}])
    monkeypatch.setattr(monitoring, "look", lambda *_: [found.pop(0) if len(found) > 1 else found[0]])
    monkeypatch.setattr(monitoring, "PATIENCE", 0.05)
    monkeypatch.setattr(monitoring.time, "sleep", lambda _: None)
    [entry] = [each for each in run.discover() if each.name == "monitoring.every_panel_has_data"]
    platform = MagicMock()
    platform.access = {"AWS_ENDPOINT_URL": store or "http://object-store.platform-data.svc.cluster.local"}
    return run.run_one(entry, platform, None)


def test_it_passes_at_the_first_look_where_each_panel_shows_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    never = page(panel("Two", [], ["looked at again"]))
    result = proven(monkeypatch, page(panel("One", FULL), panel("Two", FULL)), never)
    assert result.result == "passed"
    assert "Page: Two shows something" in result.asserted


def test_it_waits_for_a_panel_that_is_filled_later(monkeypatch: pytest.MonkeyPatch) -> None:
    result = proven(monkeypatch, page(panel("One", [])), page(panel("One", FULL)))
    assert result.result == "passed"


def test_an_empty_panel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    result = proven(monkeypatch, page(panel("One", FULL), panel("Two", [])))
    assert result.result == "failed"
    assert result.cause.startswith("not so: Page: Two shows something")


def test_a_query_that_is_refused_is_told_even_where_others_of_its_panel_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = proven(monkeypatch, page(panel("One", FULL, ["parse error: x"])))
    assert result.result == "failed"
    assert "Prometheus takes the queries of Page: One" in result.cause
    assert "parse error: x" in result.cause


def test_a_panel_on_the_list_may_be_empty_and_its_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(panels.EMPTY, ("seatrial-x", "Two"), "nobody came")
    result = proven(monkeypatch, page(panel("One", FULL), panel("Two", [])))
    assert result.result == "passed"
    assert "Page: Two is empty: nobody came" in result.asserted


def test_the_page_of_a_store_that_is_elsewhere_may_be_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = page(panel("One", []), uid="seatrial-object-store")
    assert proven(monkeypatch, empty).result == "failed"
    elsewhere = proven(monkeypatch, empty, store="https://s3.us-east-1.amazonaws.com")
    assert elsewhere.result == "passed"
    assert any(panels.OF_EXTERNAL_STORE in line for line in elsewhere.asserted)


def test_only_panels_that_there_are_may_be_empty_and_most_must_not() -> None:
    there = [
        (dashboard["uid"], each["title"])
        for file in (ROOT / "infra/components").glob("*/dashboard.json")
        for dashboard in [json.loads(file.read_text())]
        for each in dashboard["panels"]
    ]
    assert set(panels.EMPTY) <= set(there)
    assert len(panels.EMPTY) <= len(there) / 3


def test_the_fault_is_a_page_of_its_own_that_goes_away() -> None:
    platform: Any = MagicMock()
    platform.core.delete_namespaced_config_map.side_effect = [k8s.ApiException(status=404), None]
    with pytest.raises(KeyError), damage_monitoring.panel_of_nobody(platform):
        raise KeyError("the proof's own error")
    [made] = platform.core.create_namespaced_config_map.call_args_list
    space, config_map = made.args
    assert space == "platform-monitoring"
    assert config_map["metadata"]["labels"] == LABELS
    [text] = config_map["data"].values()
    assert damage_monitoring.METRIC in text
    assert platform.core.delete_namespaced_config_map.call_count == 2
    platform.core.delete_namespaced_config_map.side_effect = k8s.ApiException(status=403)
    with pytest.raises(k8s.ApiException):
        damage_monitoring.panel_of_nobody(platform).__enter__()
