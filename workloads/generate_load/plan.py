"""What is sent, where to, and at which times."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from urllib.parse import urlsplit

import numpy as np

from workloads.common import HopelessError, digest
from workloads.quantiles import Floats

ARRIVALS = ("poisson", "constant")
MOST = 5_000_000
"""Requests of one run: what is kept of each takes 48 bytes."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run.

    Raises:
        HopelessError: a value does not fit.
    """

    url: str
    """Its host picks the route, and is the name that a certificate must be for."""
    rate: float
    """Requests a second."""
    seconds: float
    """No request is begun later."""
    requests: int | None = None
    """No more than so many are begun."""
    arrival: str = "poisson"
    """`poisson`: as from many users who know nothing of each other; `constant`: evenly."""
    seed: int = 13
    connections: int = 32
    """The most that are open at once; a request that finds all of them busy waits, and that counts."""
    timeout: float = 5.0
    """Seconds from its scheduled time after which a request is given up."""
    warm_up: float = 0.0
    """Requests of the first so many seconds are counted, but not part of any latency."""
    connect: str = ""
    """`host:port` where the URL's host is really reached; empty: what its name resolves to."""
    ca: str = ""
    """The authorities (PEM) that certificates are checked against; empty: those of the system."""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    bodies: tuple[bytes, ...] = ()
    """Sent in turn."""
    id_header: str = ""
    """A header that carries a new UUID with each request; empty: none."""
    count_header: str = ""
    """A header of answers whose values are counted; empty: none."""

    def __post_init__(self) -> None:
        for unfit, complaint in self._complaints():
            if unfit:
                raise HopelessError(complaint)

    def _complaints(self) -> list[tuple[bool, str]]:
        url = urlsplit(self.url)
        host, _, port = self.connect.rpartition(":")
        named = any(letter.isalpha() for letter in url.hostname or "")
        return [
            (
                url.scheme not in ("http", "https") or not url.hostname,
                f"url '{self.url}' is none; give for example https://booking.platform.test/v1/quotes",
            ),
            *(
                (
                    not 0 < getattr(self, name) < math.inf,
                    f"{name} must be above 0, it is {getattr(self, name)}",
                )
                for name in ("rate", "seconds", "timeout", "connections")
            ),
            (
                self.requests is not None and self.requests < 1,
                f"requests must be at least 1, it is {self.requests}",
            ),
            (
                not 0 <= self.warm_up < self.seconds,
                f"warm_up must be from 0 to below seconds ({self.seconds}), it is {self.warm_up}",
            ),
            (
                self.arrival not in ARRIVALS,
                f"arrival '{self.arrival}' is unknown; there are: {', '.join(ARRIVALS)}",
            ),
            (
                bool(self.connect) and not (host and port.isdecimal()),
                f"connect '{self.connect}' is no host:port, for example 127.0.0.1:8443",
            ),
            (
                bool(self.connect) and not named,
                f"connect is for a URL whose host has a name; this one has the address {url.hostname}",
            ),
            (
                min(self.requests or math.inf, self.rate * self.seconds) > MOST,
                f"{self.rate:g} requests a second for {self.seconds:g} s are more than {MOST:,}; "
                "give fewer, or bound requests",
            ),
        ]

    def schedule(self) -> Floats:
        """Seconds since the start at which requests are due; the same for the same seed."""
        expected = self.rate * self.seconds
        enough = math.ceil(expected + 10 * math.sqrt(expected)) + 20
        count = min(enough, self.requests or enough)
        if self.arrival == "constant":
            due = np.arange(count) / self.rate
        else:
            due = np.cumsum(np.random.default_rng(self.seed).exponential(1 / self.rate, count))
        return np.asarray(due[due < self.seconds], dtype=np.float64)

    def told(self) -> dict[str, str | int | float | list[str] | None]:
        """What may be written down: a header's value may be a key, so only its name is."""
        plain = {
            entry.name: getattr(self, entry.name)
            for entry in fields(self)
            if entry.name not in ("headers", "bodies", "ca")
        }
        return {
            **plain,
            "headers": sorted(self.headers),
            "bodies": len(self.bodies),
            "bodies_sha256": digest(b"\n".join(self.bodies)),
        }
