"""What came of a load: every request in columns, and what follows from them."""

import base64
import json
import zlib
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads import quantiles
from workloads.common import WorkloadError
from workloads.quantiles import Floats

SCHEMA = "seatrial.load/v1"
ENCODING = "int64, little-endian, zlib, base64; times in microseconds, -1 where there is none"
TIMEOUT = "timeout"
LAG_LIMIT = 0.001
"""Seconds by which the generator may be late in 1 of 100 requests,"""
LAG_SHARE = 0.05
"""or this share of the median latency, if that is more."""
RATE_OFF = 0.01
"""The share by which the rate may be off."""
Codes = NDArray[np.int64]


class Samples:
    """A row for each request, as columns; times in seconds."""

    TIMES = ("scheduled", "lag", "latency", "service")

    def __init__(self, times: dict[str, Floats], outcome: Codes, counted: Codes) -> None:
        self.scheduled = times["scheduled"]
        """Since the start of the run."""
        self.lag = times["lag"]
        """From then until the generator took it up: its own lateness."""
        self.latency = times["latency"]
        """From the scheduled time to the last byte of the answer; the time allowed where that ran out."""
        self.service = times["service"]
        """From when it was sent, with a free connection: what a closed loop measures."""
        self.outcome = outcome
        """Places in `outcomes`."""
        self.counted = counted
        """Places in `values`; -1 for what is no success."""
        self.outcomes: dict[str, int] = {}
        self.values: dict[str, int] = {}

    @classmethod
    def of(cls, scheduled: Floats) -> "Samples":
        """None of them sent yet."""
        empty = {name: np.full(scheduled.size, np.nan) for name in cls.TIMES}
        none = np.full(scheduled.size, -1, np.int64)
        return cls({**empty, "scheduled": scheduled}, none, none.copy())

    @property
    def size(self) -> int:
        return int(self.scheduled.size)

    def end(self, number: int, outcome: str, value: str) -> None:
        """Note how a request ended."""
        self.outcome[number] = self.outcomes.setdefault(outcome, len(self.outcomes))
        if success(outcome):
            self.counted[number] = self.values.setdefault(value, len(self.values))

    def first(self, count: int) -> "Samples":
        times = {name: getattr(self, name)[:count] for name in self.TIMES}
        found = Samples(times, self.outcome[:count], self.counted[:count])
        found.outcomes, found.values = self.outcomes, self.values
        return found

    def answered(self) -> NDArray[np.bool_]:
        """Which of them got a 2xx."""
        return self._are([name for name in self.outcomes if success(name)])

    def timed_out(self) -> NDArray[np.bool_]:
        return self._are([TIMEOUT])

    def _are(self, names: list[str]) -> NDArray[np.bool_]:
        return np.isin(self.outcome, [self.outcomes[name] for name in names if name in self.outcomes])

    def packed(self) -> dict[str, Any]:
        times = {name: pack(micros(getattr(self, name))) for name in self.TIMES}
        return {
            "encoding": ENCODING, **times, "outcome": pack(self.outcome), "counted": pack(self.counted),
            "outcomes": list(self.outcomes), "values": list(self.values),
        }  # fmt: skip

    @classmethod
    def unpacked(cls, packed: dict[str, Any]) -> "Samples":
        times = {name: seconds(unpack(packed[name])) for name in cls.TIMES}
        found = cls(times, unpack(packed["outcome"]), unpack(packed["counted"]))
        found.outcomes = {name: code for code, name in enumerate(packed["outcomes"])}
        found.values = {name: code for code, name in enumerate(packed["values"])}
        return found


@dataclass(frozen=True)
class Quantile:
    """In milliseconds, between bounds that hold it with 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Quantiles:
    """Of a column, in milliseconds."""

    samples: int
    timeouts: int
    """Samples that are only known to be as long as the time allowed, and would have taken longer."""
    told: dict[str, Quantile | None]
    """By `0.5`, `0.99`, …; None where there are fewer samples than `needs` says."""
    needs: dict[str, int]
    largest: float | None

    @classmethod
    def of(cls, seconds: Floats, timeouts: int = 0) -> "Quantiles":
        told: dict[str, Quantile | None] = {}
        for q in quantiles.QUANTILES:
            value, between = quantiles.quantile(seconds, q), quantiles.interval(seconds, q)
            if value is None or between is None:
                told[str(q)] = None
            else:
                told[str(q)] = Quantile(ms(value), ms(between[0]), ms(between[1]))
        needs = {str(q): quantiles.samples_needed(q) for q in quantiles.QUANTILES}
        largest = ms(float(seconds.max())) if seconds.size else None
        return cls(int(seconds.size), timeouts, told, needs, largest)


@dataclass(frozen=True)
class Condition:
    """What must hold for the latencies to be those of the server, and not of the generator."""

    id: str
    value: float
    limit: float
    ok: bool


@dataclass(frozen=True)
class Failure:
    """One request that did not succeed."""

    at: float
    """Seconds since the start at which it ended."""
    outcome: str
    said: str
    """By the server in its answer, or by the connection."""
    identity: str


@dataclass(frozen=True)
class Result:
    """One run. What is counted holds in any case; latencies hold if the run is `valid`."""

    plan: dict[str, Any]
    started: str
    stopped: bool
    """Whether it was stopped before all was sent."""
    samples: Samples
    failures: list[Failure]
    control: dict[str, Any] | None = field(default=None)
    """What the generator does against an echo (control.py)."""

    @property
    def requests(self) -> int:
        """Begun, and ended: the sum of `outcomes`."""
        return self.samples.size

    @property
    def outcomes(self) -> dict[str, int]:
        """By status, or by what happened instead of an answer."""
        return self._count(self.samples.outcome, self.samples.outcomes)

    @property
    def counted(self) -> dict[str, int]:
        """Successes by the value of the header that the plan counts."""
        return self._count(self.samples.counted[self.samples.answered()], self.samples.values)

    @staticmethod
    def _count(codes: Codes, names: dict[str, int]) -> dict[str, int]:
        found = Counter(codes.tolist())
        return {name: found[code] for name, code in names.items() if found[code]}

    @property
    def failed(self) -> int:
        """Requests that got no 2xx."""
        return self.requests - int(self.samples.answered().sum())

    @property
    def _warm(self) -> NDArray[np.bool_]:
        return np.asarray(self.samples.scheduled >= self.plan["warm_up"])

    @property
    def latency(self) -> Quantiles:
        """From the scheduled time, of successes, and of timeouts as if they had ended then."""
        late = self.samples.timed_out() & self._warm
        used = (self.samples.answered() & self._warm) | late
        return Quantiles.of(self.samples.latency[used], int(late.sum()))

    @property
    def from_send(self) -> Quantiles:
        """From the send, of successes: what a closed loop would tell."""
        return Quantiles.of(self.samples.service[self.samples.answered() & self._warm])

    @property
    def lag(self) -> float:
        """Seconds by which the generator took up 99 of 100 requests late at most."""
        lags = self.samples.lag[self._warm]
        return float(np.quantile(lags, 0.99, method="inverted_cdf")) if lags.size else 0.0

    @property
    def validity(self) -> list[Condition]:
        answered = self.samples.latency[self.samples.answered() & self._warm]
        middle = float(np.median(answered)) if answered.size else 0.0
        limit = max(LAG_LIMIT, LAG_SHARE * middle)
        off = self._rate_off()
        return [
            Condition("lag.p99_ms", ms(self.lag), ms(limit), self.lag <= limit),
            Condition("rate.off", round(off, 6), RATE_OFF, off <= RATE_OFF),
        ]

    def _rate_off(self) -> float:
        """The share by which the rate at which requests were taken up is off the scheduled one."""
        scheduled = self.samples.scheduled
        if scheduled.size < 2:
            return 0.0
        taken_up = scheduled + self.samples.lag
        asked = float(scheduled[-1] - scheduled[0])
        return abs(asked / max(float(taken_up[-1] - taken_up[0]), 1e-9) - 1)

    @property
    def valid(self) -> bool:
        return all(entry.ok for entry in self.validity)

    def brief(self) -> dict[str, Any]:
        """Everything but the samples and the examples."""
        return {
            "schema": SCHEMA,
            "started": self.started,
            "stopped": self.stopped,
            "plan": self.plan,
            "requests": self.requests,
            "failed": self.failed,
            "outcomes": self.outcomes,
            "counted": self.counted,
            "latency_ms": asdict(self.latency),
            "from_send_ms": asdict(self.from_send),
            "validity": [asdict(entry) for entry in self.validity],
            "valid": self.valid,
            "control": self.control,
        }

    def to_json(self) -> str:
        failures = [asdict(entry) for entry in self.failures]
        return json.dumps({**self.brief(), "failures": failures, "samples": self.samples.packed()}) + "\n"

    @classmethod
    def read(cls, path: Path) -> "Result":
        """A file that was written by `to_json`; what is derived is derived anew.

        Raises:
            WorkloadError: it is none.
        """
        try:
            whole = json.loads(path.read_bytes())
            return cls(
                plan=whole["plan"],
                started=whole["started"],
                stopped=whole["stopped"],
                samples=Samples.unpacked(whole["samples"]),
                failures=[Failure(**entry) for entry in whole["failures"]],
                control=whole["control"],
            )
        except (OSError, ValueError, KeyError, TypeError, zlib.error) as error:
            raise WorkloadError(f"{path} is no file of a load ({SCHEMA}): {error}") from error


def success(outcome: str) -> bool:
    return len(outcome) == 3 and outcome.startswith("2") and outcome.isdecimal()


def ms(seconds: float) -> float:
    return round(1000 * seconds, 3)


def micros(column: Floats) -> Codes:
    whole = np.rint(np.nan_to_num(column, nan=-1e-6) * 1e6)
    return whole.astype(np.int64)


def seconds(column: Codes) -> Floats:
    return np.where(column < 0, np.nan, column / 1e6)


def pack(column: Codes) -> str:
    return base64.b64encode(zlib.compress(column.astype("<i8").tobytes())).decode()


def unpack(text: str) -> Codes:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i8").astype(np.int64)
