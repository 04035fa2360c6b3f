"""Who builds images takes turns with others."""

import threading

import pytest

from local.images.build import alone
from local.progress import Silent


class Waits(Silent):
    """Tells when somebody waits."""

    def __init__(self) -> None:
        self.seen = threading.Event()

    def say(self, message: str) -> None:
        self.seen.set()


def test_who_waits_is_next(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    other, turns = Waits(), []

    def build() -> None:
        with alone(other):
            turns.append("other")

    thread = threading.Thread(target=build)
    with alone(Silent()):
        thread.start()
        assert other.seen.wait(30)
        turns.append("long list")
    with alone(Silent()):
        turns.append("long list")
    thread.join(30)
    assert turns == ["long list", "other", "long list"]
