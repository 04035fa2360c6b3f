"""Units, charts of panels, the timeline of alerts, and the section of the report that holds them."""

import contextlib
import re
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any
from xml.etree import ElementTree

import pytest

from client import dashboards
from proofs import charts, pages, panels, report, run, units
from proofs.run import Result
from seatrial import prove

START, END, STEP = 1_700_000_000.0, 1_700_003_600.0, 30.0
SEEN: dict[str, Any] = {"start": START, "end": END, "step": STEP, "external_store": False}


def line(name: str, values: list[float], begin: float = START) -> dict[str, Any]:
    return {"name": name, "points": [[begin + STEP * place, value] for place, value in enumerate(values)]}


def panel(*series: dict[str, Any], **fields: Any) -> dict[str, Any]:
    made = {
        "title": "Requests",
        "about": "A second.",
        "unit": "reqps",
        "least": 0,
        "most": None,
        "errors": [],
    }
    return made | {"series": list(series)} | fields


def alert(name: str, state: str, start: float, end: float, group: str = "x", **labels: str) -> dict[str, Any]:
    return {
        "name": name,
        "state": state,
        "start": START + start,
        "end": START + end,
        "group": group,
        "labels": labels,
    }


def drawing(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(markup)


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [
        ("percentunit", 0.123, "12.3 %"), ("percentunit", 1.0, "100 %"), ("short", 0, "0"),
        ("short", 12345, "12.3 k"), ("short", 3, "3"), ("bytes", 0, "0 B"), ("bytes", 512, "512 B"),
        ("bytes", 5 * 2**30, "5 GiB"), ("bytes", 1023 * 2**20, "1,023 MiB"), ("Bps", -2048.0, "-2 KiB/s"),
        ("s", 0.0021, "2.1 ms"), ("s", 90, "1.5 min"), ("s", 86400 * 60, "60 d"), ("ms", 250, "250 ms"),
        ("ms", 4000, "4 s"), ("s", 0, "0 s"), ("ops", 0.25, "0.25 /s"), ("reqps", 1500, "1.5 k/s"),
        ("suffix: cores", 0.25, "0.25 cores"),
    ],
)  # fmt: skip
def test_values_are_written_as_people_read_them(unit: str, value: float, shown: str) -> None:
    assert units.scale(unit, abs(value)).shown(value) == shown


def test_a_unit_that_is_not_known_stands_as_it_is() -> None:
    assert units.scale("furlongs", 1200).shown(1200) == "1,200 furlongs"


def lines_of(markup: str) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (pair.split(",") for pair in each.attrib["points"].split())]
        for each in drawing(markup).iter("polyline")
    ]


def test_a_line_lies_where_its_values_are() -> None:
    [[low, high]] = lines_of(charts.panel(panel(line("a", [0.0, 10.0])), SEEN, []))
    assert low[0] == charts.LEFT
    assert low[1] == charts.HEIGHT - charts.BOTTOM
    assert charts.TOP < high[1] < low[1]
    [[begin, _], [end, _]] = [
        lines_of(charts.panel(panel(line("a", [1.0, 1.0], moment)), SEEN, []))[0]
        for moment in (START, END - STEP)
    ]
    assert begin[0] == charts.LEFT
    assert end[0] == pytest.approx(charts.WIDTH - charts.RIGHT, abs=3)


def test_axes_end_where_the_panel_says() -> None:
    markup = charts.panel(panel(line("a", [0.5]), unit="percentunit", most=1), SEEN, [])
    texts = ["".join(each.itertext()) for each in drawing(markup).iter("text")]
    assert {"0 %", "50 %", "100 %"} <= set(texts)
    for values in ([0.0, 0.0], [7.0, 7.0], [-3.0, -3.0]):
        charts.panel(panel(line("a", values)), SEEN, [])
        charts.panel(panel(line("a", values), least=None), SEEN, [])


def test_where_there_was_no_value_there_is_no_line() -> None:
    broken = line("a", [1.0, 2.0, 3.0])
    broken["points"] += line("a", [1.0, 2.0], START + 600)["points"] + [[START + 3000, 5.0]]
    markup = charts.panel(panel(broken), SEEN, [])
    assert [len(each) for each in lines_of(markup)] == [3, 2]
    assert len(list(drawing(markup).iter("circle"))) == 1


def test_of_many_series_the_highest_are_drawn_and_the_others_counted() -> None:
    many = [line(f"s{place}", [float(place)]) for place in range(11)]
    made = pages._panel(panel(*many), "seatrial-x", SEEN, [])
    assert [name for _, name, _ in made["legend"]] == [f"s{place}" for place in range(3, 11)]
    assert made["more"] == 3
    assert len({colour for colour, _, _ in made["legend"]}) == charts.MOST_LINES


def test_alerts_that_fired_are_marked_in_the_panel() -> None:
    markup = charts.panel(panel(line("a", [1.0])), SEEN, [alert("Down", "firing", 900, 1800, job="x")])
    [mark] = [each for each in drawing(markup).iter("g") if each.get("class") == "fired"]
    assert mark[0].text == "Down firing 22:28:20 to 22:43:20 UTC (job=x)"
    room = charts.WIDTH - charts.LEFT - charts.RIGHT
    assert float(mark[1].attrib["x"]) == pytest.approx(charts.LEFT + room / 4, abs=0.1)
    assert float(mark[1].attrib["width"]) == pytest.approx(room / 4, abs=0.1)


def test_the_timeline_has_a_row_for_each_alert_and_firing_on_top() -> None:
    alerts = [
        alert("Down", "firing", 600, 900, pod="a"), alert("Down", "pending", 0, 1200, pod="b"),
        alert("Full", "pending", 300, 400),
    ]  # fmt: skip
    bars = list(drawing(charts.alert_timeline(alerts, SEEN)).iter("rect"))
    assert [each.attrib["fill"] for each in bars] == ["var(--doubt)", "var(--bad)", "var(--doubt)"]
    rows = [each.attrib["y"] for each in bars]
    assert rows[0] == rows[1] != rows[2]
    assert float(bars[0].attrib["width"]) > float(bars[1].attrib["width"])


def seen(**fields: Any) -> dict[str, Any]:
    page = {
        "uid": "seatrial-x", "title": "Page", "about": "About.", "groups": ["seatrial", "x"],
        "panels": [panel(line("<b>a</b>", [1.0, 2.0])), panel(title="Empty")],
    }  # fmt: skip
    return SEEN | {"dashboards": [page], "alerts": [], **fields}


def html(found: dict[str, Any] | None) -> str:
    result = Result("a.b", "a", 1, "passed", "", 1.0, "It holds.")
    return report.html([result], stack="local", made="now", seen=found)


def test_the_report_has_a_section_with_each_page_and_says_which_panels_are_empty() -> None:
    text = html(seen())
    assert "<h2>Dashboards</h2>" in text
    assert "1 of 2 panels without data" in text
    assert "&lt;b&gt;a" in text
    assert "<b>a</b>" not in text
    assert "No alert was pending or firing in this time." in text
    assert re.search(r'class="nothing bad"><b>no data</b>nobody knows why', text)
    for word in ("http://", "https://", "<script", "@import", "url("):
        assert word not in text, word


def test_the_report_names_the_reason_that_is_known_and_what_prometheus_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(panels.EMPTY, ("seatrial-x", "Empty"), "nobody came")
    assert '<div class="nothing"><b>no data</b>nobody came</div>' in html(seen())
    found = seen()
    found["dashboards"][0]["panels"][1]["errors"] = ["parse error: x"]
    assert 'class="nothing bad"><b>no data</b>parse error: x' in html(found)


def test_alerts_that_fired_are_named_on_their_own_page_alone() -> None:
    alerts = [
        alert("Down", "firing", 0, 60),
        alert("Other", "firing", 0, 60, group="y"),
        alert("Slow", "pending", 0, 60),
    ]
    text = html(seen(alerts=alerts))
    assert '<small class="failed">fired: Down</small>' in text
    assert text.count('class="fired"') == 1
    assert "fired: Down, Other" not in text


def test_a_report_of_a_platform_without_prometheus_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Any:
        raise ConnectionError("it does not answer")

    monkeypatch.setattr(dashboards, "observed", away)
    nobody: Any = Some(access={})
    found = pages.look(nobody, 0.0)
    assert "What Prometheus saw could not be read: ConnectionError: it does not answer" in html(found)
    assert "Dashboards" not in html(None)


def test_a_short_run_is_shown_with_the_time_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[float] = []

    def observed(_: Any, start: float, end: float) -> dict[str, Any]:
        spans.append(end - start)
        return {"alerts": [{"name": "Watchdog"}, {"name": "TrinoDown"}]}

    monkeypatch.setattr(dashboards, "observed", observed)
    platform: Any = Some(
        access={"AWS_ENDPOINT_URL": "http://object-store.platform-data.svc.cluster.local:7070"}
    )
    now = pages.time.time()
    told = [{"name": "TrinoDown"}]
    assert pages.look(platform, now) == {"alerts": told, "external_store": False}, "the heartbeat is no news"
    pages.look(platform, now - 5000)
    assert spans[0] == pages.LEAST
    assert spans[1] == pytest.approx(5000, abs=5)
    platform.access["AWS_ENDPOINT_URL"] = "https://s3.us-east-1.amazonaws.com"
    assert pages.look(platform, now) == {"alerts": told, "external_store": True}


def test_prove_looks_at_the_dashboards_once_the_proofs_are_through(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    order: list[str] = []

    def holds(_: Any, check: run.Check) -> None:
        order.append("proof")
        check(True, "it holds")

    def look(_: Any, began: float) -> dict[str, Any]:
        assert began <= pages.time.time()
        order.append("look")
        return {"error": "nobody answers"}

    entry = run.Proof("a.b", "a", "It holds.", (), holds)
    monkeypatch.setattr(prove, "connect", lambda _: contextlib.nullcontext(Some()))
    monkeypatch.setattr(run, "discover", lambda: [entry])
    monkeypatch.setattr(pages, "look", look)
    prove.run_proofs("local", tmp_path)
    assert order == ["proof", "look"]
    assert "could not be read: nobody answers" in (tmp_path / "report.html").read_text()
