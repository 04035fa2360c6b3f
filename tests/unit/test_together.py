"""Several pieces of work at once."""

from threading import Barrier, Event

import pytest

from seatrial.together import together


def test_all_are_done_at_once_and_answer_in_their_order() -> None:
    met = Barrier(2, timeout=30)

    def work(answer: str) -> str:
        met.wait()
        return answer

    assert together(lambda: work("tools"), lambda: work("images")) == ["tools", "images"]


def test_the_first_error_is_told_while_others_still_work() -> None:
    ends, ended = Event(), Event()

    def work() -> None:
        ends.wait(30)
        ended.set()

    def refuse() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        together(work, refuse)
    assert not ended.is_set()
    ends.set()
