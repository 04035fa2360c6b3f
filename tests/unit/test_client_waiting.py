"""Waiting for a condition: it is asked until it holds, or until it is late."""

from collections.abc import Callable

import pytest

from client import waiting
from client.errors import ClientError
from client.waiting import until


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    return clock


def after(clock: Clock, moment: float) -> Callable[[], bool]:
    return lambda: clock.now >= moment


def test_it_asks_every_so_many_seconds_until_the_condition_holds(clock: Clock) -> None:
    until(after(clock, 100.9), "the pod to run", every=0.25)
    assert clock.now == 101.0


def test_what_holds_already_is_not_waited_for(clock: Clock) -> None:
    until(lambda: True, "nothing", patience=0)
    assert clock.now == 100.0


def test_who_is_late_is_told_what_for_how_long_and_what_to_do(clock: Clock) -> None:
    with pytest.raises(ClientError, match="waited 30 s for the pod to run") as late:
        until(lambda: False, "the pod to run", 30, todo="look at the pod")
    assert str(late.value).endswith("what to do: look at the pod")
    assert 130 < clock.now <= 131


def test_who_is_late_may_be_told_what_was_seen_last(clock: Clock) -> None:
    seen: list[int] = []

    def look() -> bool:
        seen.append(len(seen))
        return False

    with pytest.raises(ClientError, match="waited 2 s for an answer, there came 5"):
        until(look, lambda: f"an answer, there came {seen[-1]}", 2)


def test_what_becomes_true_at_the_last_moment_is_in_time(clock: Clock) -> None:
    until(after(clock, 110.0), "the pod to run", 10, every=10)


def test_an_error_of_the_condition_is_not_swallowed(clock: Clock) -> None:
    def broken() -> bool:
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        until(broken, "nothing")
