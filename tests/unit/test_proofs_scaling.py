"""The proofs of scaling: what they say when figures of pods cannot be read, or are not what they should."""

from types import SimpleNamespace as Some
from typing import Any

import pytest
from kubernetes import client as k8s

from client import ClientError
from proofs import scaled

METRIC, SELECTOR = "requests_per_second", "app=x"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the API says in turn, the last for good; there are the pods `a` and `b`."""
    said: list[Any] = []

    def figures(*_: Any) -> dict[str, float]:
        answer = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, float] = answer
        return found

    monkeypatch.setattr(scaled.scaling, "figures", figures)
    monkeypatch.setattr(scaled.booking, "nodes", lambda *_: {"a": "work", "b": "work"})
    monkeypatch.setattr("client.waiting.time.sleep", lambda _: None)
    clock = iter(range(10_000))
    monkeypatch.setattr("client.waiting.time.monotonic", lambda: float(next(clock)))
    return said


def refusal(status: int, message: str) -> k8s.ApiException:
    made = k8s.ApiException(status=status)
    made.body = f'{{"message": "{message}"}}'
    return made


def read(fits: Any = lambda _: True) -> dict[str, float]:
    platform: Any = Some()
    return scaled.figures(platform, METRIC, SELECTOR, fits, "to fit")


def test_they_are_waited_for_until_each_pod_has_one_that_fits(answers: list[Any]) -> None:
    answers += [refusal(404, "not found"), {"a": 9.0}, {"a": 1.0, "b": 0.0}, {"a": 3.0, "b": 0.0}]
    assert read(lambda found: sum(found.values()) > 2) == {"a": 3.0, "b": 0.0}


def test_where_nobody_answers_that_is_said_at_once(answers: list[Any]) -> None:
    answers += [refusal(503, "service unavailable"), {"a": 1.0, "b": 1.0}]
    with pytest.raises(LookupError, match=f"the metric {METRIC} cannot be read: service unavailable"):
        read()


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (refusal(404, "no such metric"), f"the metric {METRIC} cannot be read: no such metric"),
        ({"a": 1.0}, r"it is \{'a': 1.0\}"),
        ({"a": 1.0, "b": 1.0}, r"pods with app=x to fit; it is \{'a': 1.0, 'b': 1.0\}"),
    ],
)
def test_what_was_seen_last_is_told_when_they_do_not_fit(answers: list[Any], last: Any, words: str) -> None:
    answers.append(last)
    with pytest.raises(ClientError, match=words):
        read(lambda found: len(found) == 2 and sum(found.values()) > 2)
