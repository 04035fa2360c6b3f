"""Passengers, and the airline that tells how flights arrived, as users of Locust.

Locust starts the next request of a user when the one before has been answered: it says how many users a
service carries, not how long they would have waited (load.py does). Needs Locust, which no image of ours has:
docs/how-to/load-a-service.md.

Environment: LOAD_HOST is the name behind which the service is routed, where `--host` is another address;
LOAD_CA a file with its authority; GATEWAY_API_KEY is the key; MODEL_BODIES a file of bodies for the
model, one JSON document a line.
"""

import os
import random
import uuid
from collections import deque
from pathlib import Path
from typing import Any

from locust import HttpUser, between, constant, events, task
from requests.adapters import HTTPAdapter

from workloads.generate_load import bookings

NAME = os.environ.get("LOAD_HOST", "")
QUESTIONS = 1000
OUTCOMES_AT_ONCE = 100

known: list[bookings.Booking] = []
answered: deque[dict[str, Any]] = deque(maxlen=10_000)
"""What came of the flights that quotes were given for, until the airline tells it."""


@events.test_start.add_listener
def prepare(**_: Any) -> None:
    if not known:
        known.extend(bookings.sample(QUESTIONS, 13))


class UnderItsName(HTTPAdapter):
    """Checks the certificate for `NAME`, whatever the address is."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, assert_hostname=NAME, server_hostname=NAME)


class Caller(HttpUser):
    """Somebody with a key."""

    abstract = True

    def on_start(self) -> None:
        session = self.client
        session.trust_env = False
        session.verify = os.environ.get("LOAD_CA") or True
        session.headers["x-api-key"] = os.environ.get("GATEWAY_API_KEY", "")
        if NAME:
            session.headers["host"] = NAME
            session.mount("https://", UnderItsName())


class Passenger(Caller):
    """Looks at one to three flights, thinks between them, and at times asks the same once more."""

    weight = 20
    wait_time = between(1, 5)

    @task
    def look(self) -> None:
        for each in random.sample(known, random.randint(1, 3)):
            identity = str(uuid.uuid4())
            self.ask(each, identity)
            if random.random() < 0.1:
                self.ask(each, identity)  # As a browser whose answer got lost: the same again.
            self.wait()

    def ask(self, each: bookings.Booking, identity: str) -> None:
        headers = {"x-request-id": identity}
        with self.client.post(
            "/v1/quotes", json=each.question, headers=headers, catch_response=True
        ) as answer:
            if answer.ok and answer.json()["request_id"] != identity:
                answer.failure("the answer is that of another request")
            elif answer.ok:
                answered.append({"request_id": identity, "outcome": int(each.late), "source": "arrivals"})


class Airline(Caller):
    """Tells every ten seconds how flights arrived."""

    weight = 1
    wait_time = constant(10)

    @task
    def tell(self) -> None:
        told: dict[str, dict[str, Any]] = {}
        while answered and len(told) < OUTCOMES_AT_ONCE:
            entry = answered.popleft()
            told[entry["request_id"]] = entry
        if told:
            self.client.post("/v1/outcomes", json=list(told.values()))


class Program(Caller):
    """Asks the model itself, as fast as it answers. Only where MODEL_BODIES names what to ask."""

    weight = 1 if os.environ.get("MODEL_BODIES") else 0
    wait_time = constant(0)

    def on_start(self) -> None:
        super().on_start()
        self.bodies = Path(os.environ["MODEL_BODIES"]).read_bytes().splitlines()

    @task
    def infer(self) -> None:
        model = os.environ.get("MODEL", "delay")
        headers = {"content-type": "application/json", "x-request-id": str(uuid.uuid4())}
        self.client.post(f"/v2/models/{model}/infer", data=random.choice(self.bodies), headers=headers)
