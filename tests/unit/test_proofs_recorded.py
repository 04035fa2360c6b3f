"""What rules read is recorded as it was, and goes on as a live platform would."""

from typing import Any

import pytest

from proofs import recorded as subject
from tests.unit import recorded_day

BEGAN = 1_000_000.4


class Prometheus:
    """One rule that is recorded, one alert that reads it, and three metrics, of which none reads one."""

    rules = (
        {
            "type": "recording",
            "name": "answers:rate",
            "query": 'sum by (job) (rate(answers_total{job="a"}[5m]))',
        },
        {"type": "alerting", "name": "Slow", "query": "answers:rate < 1 and on (job) up == 1"},
    )

    def prometheus(self, path: str, **asked: str) -> Any:
        if path == "rules":
            return {"groups": [{"rules": [rule]} for rule in self.rules]}
        if path == "label/__name__/values":
            return ["ALERTS", "answers:rate", "answers_total", "unread", "up"]
        assert (path, asked["step"]) == ("query_range", "30")
        assert float(asked["end"]) - float(asked["start"]) == pytest.approx(120.2)
        here = {"__name__": asked["query"], "job": "a"}
        if asked["query"] == "up":
            return {"result": [{"metric": here, "values": [[BEGAN + 30, "1"], [BEGAN + 60, "1"]]}]}
        return {"result": [{"metric": here, "values": [[BEGAN + 30 * n, str(7 + n)] for n in range(5)]}]}


def test_what_rules_read_is_recorded_and_what_they_make_is_not() -> None:
    found = subject.recorded(Prometheus(), BEGAN, BEGAN + 120.2)  # type: ignore[arg-type]
    assert (found["began"], found["step"], found["alerts"]) == (1_000_000, 30, ["Slow"])
    assert found["series"] == {
        'answers_total{job="a"}': [(7, 1), (8, 1), (9, 1), (10, 1), (11, 1)],
        'up{job="a"}': [(None, 1), (1, 2), (None, 2)],
    }


@pytest.mark.parametrize(
    ("series", "runs", "said"),
    [
        ('up{job="a"}', [[1.0, 3], [0.0, 1], [1.0, 1]], "1.0x2 0.0 1.0x2 0.0"),
        ('up{job="a"}', [[None, 2], [1.0, 2], [None, 1]], "_x2 1.0x1 stale _x1 1.0x1"),
        ("asked_total{}", [[500.0, 1], [503.0, 2], [504.0, 2]], "500.0 503.0x1 504.0x1 507.0x1 508.0"),
        ("seen_timestamp_seconds{}", [[1000.0, 2], [1060.0, 3]], "0.0x1 60.0x1 120.0x1 180.0x1"),
    ],
    ids=["gauge", "that ends and comes", "counter", "time"],
)
def test_what_was_recorded_goes_on_as_long_as_is_wanted(series: str, runs: Any, said: str) -> None:
    recorded = {"began": 1000, "step": 30, "series": {series: runs}}
    assert recorded_day.inputs(recorded, seconds=240) == [{"series": series, "values": said}]
