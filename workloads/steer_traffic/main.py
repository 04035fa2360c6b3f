"""Move a model's traffic to the version whose decisions are most often right.

Looks at the log of outcomes every few seconds and, when enough is new, moves the weights of the model's
HTTPRoute a bounded step towards Thompson sampling's. When it knows nothing, or somebody else is at work, it
holds the weights and says why. It ends when it is told to, and leaves the weights.
"""

import argparse
import signal
from datetime import UTC, datetime
from threading import Event
from typing import Any

from workloads import common
from workloads.common import log
from workloads.settings import changed
from workloads.steer_traffic import config
from workloads.steer_traffic.config import SteerTraffic
from workloads.steer_traffic.gateway import Gateway
from workloads.steer_traffic.steering import Counts, Holds, Note, arms_of, decide, note_on

NAME = "steer-traffic"
KNOWN = """
SELECT version, count(*), count(*) FILTER (WHERE hit) FROM scored
WHERE model = %s AND experiment IS NULL AND at >= %s AND at <= now() - make_interval(secs => %s)
GROUP BY version
"""
"""Requests of an experiment are not the default rule's: their version is not by these weights."""


def known(settings: SteerTraffic, since: str) -> Counts:
    """What the log knows of each version's decisions, each request once.

    Raises:
        psycopg.Error: it does not answer, or there is none.
    """
    import psycopg

    url = common.env("BOOKINGS_DATABASE")
    with psycopg.connect(url, connect_timeout=20, autocommit=True) as database:
        rows = database.execute(KNOWN, [settings.model, since, settings.mature]).fetchall()
    return {version: (count, hits) for version, count, hits in rows}


def look(settings: SteerTraffic, gateway: Gateway) -> str:
    """One look; what it came to, in words."""
    route = gateway.read()
    if route is None:
        raise Holds(f"there is no HTTPRoute {settings.model}")
    note = note_on(route, NAME)
    if note is None:
        return _begin(gateway, route)
    counts = known(settings, note.since)
    strange = {version: count for version, (count, _) in counts.items() if version not in note.arms}
    said = f"; {sum(strange.values())} outcomes of versions {', '.join(strange)} ignored" if strange else ""
    try:
        move = decide(settings, route, note, counts)
    except Holds as holds:
        raise Holds(f"{holds}{said}") from None
    if not gateway.write(route, move.note, move):
        return "the route was changed meanwhile; looking again"
    weights = " ".join(f"v{arm}={weight / 10:g}%" for arm, weight in move.weights.items())
    return f"moved to {weights} after {sum(move.note.known.values())} outcomes{said}"


def _begin(gateway: Gateway, route: dict[str, Any]) -> str:
    """The first note is written before anything is counted: `since` must not move with each start."""
    note = Note(NAME, datetime.now(UTC).isoformat(timespec="milliseconds"), sorted(arms_of(route)))
    if not gateway.write(route, note):
        return "the route was changed meanwhile; looking again"
    return f"steers versions {', '.join(note.arms)} by what is known from now on"


def steer(settings: SteerTraffic) -> dict[str, Any]:
    """Look until told to end."""
    import psycopg
    import requests

    leaving, told, moves = Event(), "", 0
    signal.signal(signal.SIGTERM, lambda *_: leaving.set())
    gateway = Gateway(settings.model)
    while True:
        try:
            said = look(settings, gateway)
            moves += said.startswith("moved")
        except Holds as holds:
            said = f"holds the weights: {holds}"
        except (psycopg.Error, requests.RequestException) as error:
            cause = next(iter(str(error).splitlines()), "")
            said = f"holds the weights: {type(error).__name__}: {cause}"
        if said != told:
            log(said, model=settings.model)
            told = said
        if leaving.wait(settings.every):
            return {"model": settings.model, "moves": moves, "last": said}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", choices=["reference", "tiny"], default="reference")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    common.run(lambda: steer(changed(getattr(config, arguments.config)(), arguments.set)))


if __name__ == "__main__":
    main()
