"""What the causes of alerts need, there and quiet before the first of them begins."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from client import Platform, gateway, models
from proofs import echo, exporter, rollouts
from proofs import models as known_models
from proofs.exporter import Exporter


@dataclass(frozen=True)
class Model:
    """A served version that fails at one airline, and its questions."""

    http: httpx.Client
    fails: dict[str, Any]
    """A V2 request that it fails at."""

    def ask(self, body: dict[str, Any]) -> httpx.Response:
        return self.http.post(f"/v2/models/{rollouts.NAME}/infer", json=body)


@dataclass(frozen=True)
class Scene:
    platform: Platform
    exporter: Exporter
    model: Model | None = None
    """None where the platform serves none."""
    route: httpx.Client | None = None
    """Leads by the Gateway to the exporter; None where there is no Gateway."""


@contextmanager
def prepared(platform: Platform, rules: list[dict[str, Any]], *, serving: bool) -> Iterator[Scene]:
    """The scene, with these objects besides; nothing of it is left afterwards."""
    with exporter.running(platform, *rules, routed=serving) as telling:
        if not serving:
            yield Scene(platform, telling)
            return
        with gateway.Gateway(platform, exporter.NAME) as route, failing_model(platform) as model:
            echo.answers(route, lambda: route.get(exporter.ROUTE), lambda status: status == 200)
            yield Scene(platform, telling, model, route)


@contextmanager
def failing_model(platform: Platform) -> Iterator[Model]:
    """The version is asked by its Service: no route leads to it."""
    rollouts.remove(platform)
    try:
        version = rollouts.serve(platform, rollouts.FAILING)
        fails = rollouts.asked(models.example(platform, rollouts.NAME, version), rollouts.UNKNOWN)
        with known_models.client_of(platform, models.predictor(rollouts.NAME, version)) as http:
            yield Model(http, fails)
    finally:
        rollouts.remove(platform)
