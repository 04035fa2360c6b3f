"""The windows that are judged: months, or days."""

from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

Place = tuple[int, ...]
"""A month, or a month and a day."""


@dataclass(frozen=True)
class Windows:
    """Windows of one length. Their names are like `7`, or `07-24`."""

    by: tuple[str, ...]
    """Columns of flights that tell one window from the other."""
    days: int
    """Length of the reference's stretches, which is a window's."""
    step: int
    """Days from the beginning of a stretch to that of the next one."""
    most: int
    """That a look judges: the newest with flights. What it writes of them is one statement, and Trino takes a
    million characters."""

    def name(self, place: Iterable[float]) -> str:
        numbers = [int(number) for number in place]
        return str(numbers[0]) if len(numbers) == 1 else "-".join(f"{number:02}" for number in numbers)

    def of_day(self, day: str) -> str:
        """The window that a day, like `07-24`, lies in."""
        return self.name([int(number) for number in day.split("-")][: len(self.by)])

    def counted(self, months: Sequence[int], counts: Mapping[Place, int]) -> dict[str, int]:
        """Each window of these months, in order, with its flights. A year has 365 days where none left on a
        366th.
        """
        days = ((month, day) for month in months for day in range(1, monthrange(2013, month)[1] + 1))
        due: set[Place] = {each[: len(self.by)] for each in days}
        places = sorted(due | {place for place in counts if place[0] in months})
        return {self.name(place): counts.get(place, 0) for place in places}

    def split(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """The rows of each window, in order."""
        return {self.name(tuple(place)): part for place, part in rows.groupby(list(self.by))}  # type: ignore[arg-type]


def month_of(window: str) -> int:
    return int(window.partition("-")[0])


def number_of(window: str) -> int:
    """7 of the month `7`, 724 of the day `07-24`."""
    return int(window.replace("-", ""))


WINDOWS = {"month": Windows(("month",), 30, 10, 12), "day": Windows(("month", "day"), 1, 1, 31)}
"""A month is as long as stretches of 30 days, of which one begins every ten."""
