"""Takes out of PostgreSQL what is in the lake and is read by nobody there any more.

A prediction leaves with its outcome and corrections, and only when each of these holds: its outcome is known;
it is older than `keep_days`; the lake has it, its outcome and its corrections as the log has them; it belongs
to no experiment, whose report is read from the log; and no bandit or rollout of its model reads as far back.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from workloads import common
from workloads.common import query
from workloads.ship_predictions.config import ShipPredictions
from workloads.ship_predictions.tables import stamp

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
STEERED, ROLLOUT = "seatrial.dev/steered", "seatrial.dev/rollout"
"""Annotations of a model's route: of the bandit that moves its weights, and of a rollout."""
OLD = """
SELECT p.request_id, p.at, o.outcome, o.source,
    (SELECT count(*) FROM outcome_changes c WHERE c.request_id = p.request_id) AS corrections
FROM predictions p JOIN outcomes o USING (request_id)
WHERE p.experiment IS NULL AND p.at < now() - make_interval(secs => %(seconds)s)
    AND NOT EXISTS (
        SELECT FROM unnest(%(models)s::text[], %(since)s::timestamptz[]) AS held (model, since)
        WHERE held.model = p.model AND p.at >= held.since
    )
ORDER BY p.at LIMIT %(most)s FOR UPDATE OF o
"""
"""Locked until they are gone: nobody corrects one meanwhile."""
SHIPPED = """
SELECT p."request_id", p."at", o."outcome", o."source",
    (SELECT count(*) FROM {place}.outcome_changes c
        WHERE c."request_id" = p."request_id" AND c."predicted_at" = p."at") AS "corrections"
FROM {place}.predictions p
JOIN {place}.outcomes o ON o."request_id" = p."request_id" AND o."predicted_at" = p."at"
WHERE p."at" >= CAST('{first}' AS timestamp(6) with time zone)
    AND p."at" <= CAST('{last}' AS timestamp(6) with time zone)
"""
GONE = tuple(
    f"DELETE FROM {table} WHERE request_id = ANY(%s)"
    for table in ("outcome_changes", "outcomes", "predictions")
)


def forget(log: Any, trino: Any, settings: ShipPredictions, held: Mapping[str, datetime]) -> int:
    """Delete what may go, `forget` predictions at most; returns how many went.

    `held` has, by model, the time from which on somebody reads the log.

    Raises:
        WorkloadError: Trino does not say what the lake has. Nothing is deleted then.
    """
    given = {
        "seconds": settings.keep_days * 86_400,
        "models": list(held),
        "since": list(held.values()),
        "most": settings.forget,
    }
    with log.transaction():
        old = log.execute(OLD, given).fetchall()
        if not old:
            return 0
        first, last = stamp(old[0][1]), stamp(old[-1][1])
        rows = query(trino, SHIPPED.format(place=settings.place, first=first, last=last))
        there = {_same(row) for row in rows}
        ids = [row[0] for row in old if _same(row) in there]
        for statement in GONE:
            log.execute(statement, [ids])
        return len(ids)


def _same(row: Any) -> tuple[Any, ...]:
    request_id, at, outcome, source, corrections = row
    return request_id, at.timestamp(), outcome, source, int(corrections)


def held() -> dict[str, datetime]:
    """From when on bandits and rollouts read the log, by model, as they say on its route.

    Raises:
        requests.RequestException: the API server does not answer, or refuses.
    """
    import requests

    host, port = common.env("KUBERNETES_SERVICE_HOST"), common.env("KUBERNETES_SERVICE_PORT")
    namespace = (ACCOUNT / "namespace").read_text().strip()
    answer = requests.get(
        f"https://{host}:{port}/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes",
        headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"},
        verify=str(ACCOUNT / "ca.crt"),
        timeout=20,
    )
    answer.raise_for_status()
    return since(answer.json()["items"])


def since(routes: list[dict[str, Any]]) -> dict[str, datetime]:
    """The same, of these routes."""
    found: dict[str, datetime] = {}
    for route in routes:
        notes = route["metadata"].get("annotations") or {}
        steered, rollout = (json.loads(notes.get(name) or "{}") for name in (STEERED, ROLLOUT))
        times = [steered["since"]] if "since" in steered else []
        times += [rollout["began"]] if "began" in rollout and not rollout.get("ended") else []
        if times:
            found[route["metadata"]["name"]] = min(datetime.fromisoformat(each) for each in times)
    return found
