"""Which months a retraining takes: the newest whole ones of the last load, tested on the last of them."""

import calendar
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

from client import ClientError, Platform
from react.policy import MONTHS, Months
from workloads.common import LOAD_RECORD


def newest(platform: Platform, wanted: Months) -> dict[str, list[int]]:
    """The months (1 to 12) to train, validate and test on, of the data that a training would read now.

    Raises:
        ClientError: the last load has too few of them, or does not say which it has.
    """
    body = platform.s3().get_object(Bucket=platform.access["S3_BUCKET"], Key=LOAD_RECORD)["Body"].read()
    known = json.loads(body)["tables"]["flights"].get("months")
    if known is None:
        raise ClientError(
            f"the record of the last load ({LOAD_RECORD}) names no months of the flights",
            "load them again: seatrial deploy ingest_flights",
        )
    return split(known, wanted)


def split(known: Mapping[str, Sequence[int]], wanted: Months) -> dict[str, list[int]]:
    """The same, of months like `2013-01` with the first and the last day that the load has.

    Raises:
        ClientError: too few are whole, or one is there of two years.
    """
    there = [month for month in sorted(known) if _whole(month, known[month])]
    if len(there) < wanted.together:
        raise ClientError(
            f"the last load has {len(there)} whole months ({', '.join(there)}), a retraining takes "
            f"{wanted.together} (training.months)",
            "load more, or take fewer",
        )
    chosen = [_number(month) for month in there[-wanted.together :]]
    years = Counter(_number(month) for month in known)
    if twice := [month for month in chosen if years[month] > 1]:
        raise ClientError(
            f"the last load has month {twice[0]} of more than one year, and train_delay takes all of them",
            "load no more than a year",
        )
    ends = accumulate((wanted.train, wanted.validation, wanted.test), initial=0)
    return dict(zip(MONTHS, (chosen[a:b] for a, b in pairwise(ends)), strict=True))


def _whole(month: str, days: Sequence[int]) -> bool:
    """Whether there are flights from its first day to its last."""
    year, number = map(int, month.split("-"))
    return list(days) == [1, calendar.monthrange(year, number)[1]]


def _number(month: str) -> int:
    return int(month.partition("-")[2])
