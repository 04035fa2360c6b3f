"""What faults do to the booking service, its log and its model's route: each breaks on entering, mends on
leaving.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes import client as k8s

import client
from client import Platform, deployments, outputs, traffic
from client.waiting import until
from proofs import booking, echo, models, probe
from proofs.damage import NAME
from proofs.subjects.serving_booking import MODEL_SELECTOR, NOWHERE, flights, question
from workloads import pods

FALSIFY = """
CREATE OR REPLACE FUNCTION falsify() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN NEW.score := 1 - NEW.score; RETURN NEW; END $$;
CREATE OR REPLACE TRIGGER falsify BEFORE INSERT ON predictions FOR EACH ROW EXECUTE FUNCTION falsify()
"""
"""The log keeps another score than the one that is told."""
SAYS = """
import http.server, json
class Impostor(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        output = {"name": "late_probability", "datatype": "FP32", "shape": [1], "data": [0.5]}
        body = json.dumps({"model_name": "MODEL", "model_version": "0", "outputs": [output]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("", 8080), Impostor).serve_forever()
"""
"""Answers each question with 0.5."""


@contextmanager
def falsified_log(platform: Platform) -> Iterator[None]:
    """Scores are changed on their way into the log."""
    try:
        with platform.bookings() as database:
            database.execute(FALSIFY)
        yield
    finally:
        with platform.bookings() as database:
            database.execute("DROP FUNCTION IF EXISTS falsify CASCADE")


@contextmanager
def invented_airline(platform: Platform) -> Iterator[None]:
    """The airline of the question that makes no sense flies."""
    try:
        with platform.bookings() as database:
            database.execute("INSERT INTO airlines VALUES (%(carrier)s, 'Nobody')", NOWHERE)
            database.execute(
                "INSERT INTO routes VALUES (%(carrier)s, %(origin)s, %(dest)s, 1400, 1)", NOWHERE
            )
        yield
    finally:
        with platform.bookings() as database:
            for table in ("routes", "airlines"):
                database.execute(f"DELETE FROM {table} WHERE carrier = %(carrier)s", NOWHERE)


@contextmanager
def impostor(platform: Platform) -> Iterator[None]:
    """Something else answers on the model's route, whether the model is there or not."""
    here = booking.booked(platform)
    version = here.model.found.version
    asked = question(next(flights(platform, here).itertuples()))
    name = client.models.predictor(models.NAME, NAME)
    objects = echo.manifests(probe.workload_image(platform), name)
    (main,) = objects[0]["spec"]["template"]["spec"]["containers"]
    main["command"] = ["python3", "-c", SAYS.replace("MODEL", models.NAME)]
    objects[1]["spec"]["ports"][0]["port"] = traffic.PORT
    try:
        client.deploy(platform, name, objects[:2])
        # The version keeps a share: a proof that finds no route to it would make one.
        _weigh(platform, {NAME: traffic.TOTAL - 1, version: 1})
        until(lambda: _answered_by(here, asked) == "0", "the impostor to answer")
        yield
    finally:
        _weigh(platform, {version: traffic.TOTAL})
        client.delete_workloads(platform, name)


def _answered_by(here: booking.Booked, asked: dict[str, Any]) -> str | None:
    """The version by which a quote was made, if one was."""
    answer = here.quote(str(uuid.uuid4()), asked)
    return answer.json()["model_version"] if answer.status_code == 200 else None


def _weigh(platform: Platform, weights: dict[str, int]) -> None:
    changed = traffic.change(platform, models.NAME, lambda now: now.weighed(weights))
    traffic.in_force(platform, changed)


@contextmanager
def apart(platform: Platform) -> Iterator[None]:
    """The pods of the service must not be where its model is."""
    booking.booked(platform)
    key, _, value = MODEL_SELECTOR.partition("=")
    beside = pods.on_a_node({key: value})
    try:
        _place(platform, {"podAffinity": None, "podAntiAffinity": beside})
        yield
    finally:
        _place(platform, {"podAffinity": beside, "podAntiAffinity": None})


def _place(platform: Platform, affinity: dict[str, Any]) -> None:
    """Another affinity, once all pods have it."""
    body = {"spec": {"template": {"spec": {"affinity": affinity}}}}
    namespace = outputs.NAMESPACE_WORKLOADS
    k8s.AppsV1Api(platform.api).patch_namespaced_deployment(booking.NAME, namespace, body)
    deployments.follow(platform, namespace, booking.NAME, 180)
