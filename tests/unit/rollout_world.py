"""A model with traffic that is no more than arithmetic: an API server with one HTTPRoute, a clock that only
sleeping moves, and servers that count what the weights send them.
"""

import copy
import json
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace as Some
from typing import Any

import pytest
from kubernetes import client as k8s

from client import live, models, rollout_step, rollouts, traffic, warming

EDGES = (0.01, 0.1, 1.0)


class World:
    """`rate` requests a second go where the weights send them; `bad[version]` are the shares of its answers
    that are 5xx, 4xx, and slower than a second.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rate: float = 100.0) -> None:
        self.rate, self.clock = rate, 0.0
        self.route: dict[str, Any] | None = None
        self.others: list[dict[str, Any]] = []
        self.versions = {"3": True, "4": True}
        self.bad: dict[str, tuple[float, float, float]] = {}
        self.owed: dict[Any, float] = defaultdict(float)
        self.counted: dict[tuple[str, ...], float] = {}
        self.restarts = 0
        self.outcomes: dict[str, tuple[int, int]] = {}
        self.gateway = True
        self.said: list[str] = []
        self.seen: list[dict[str, int]] = []
        self.events: list[tuple[Callable[[], bool], Callable[[], Any]]] = []
        self.writers: list[Any] = []
        self.steering: set[str] = set()
        self.platform: Any = Some(api=None, core=Some(list_namespaced_pod=self._pods), access={})
        self.progress: Any = Some(
            begin=lambda step, *_: self.said.append(f"begin {step}"),
            end=lambda step, note="": self.said.append(f"end {step}: {note}"),
            say=self.said.append,
        )
        self._install(monkeypatch)

    def _install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Some(sleep=self.sleep, monotonic=lambda: self.clock)
        for module in (traffic, rollouts, rollout_step, warming):
            monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(traffic, "request", self.request)
        monkeypatch.setattr(models, "served", self._served)
        monkeypatch.setattr(models, "withdraw", lambda _, __, version: self.versions.pop(version))
        monkeypatch.setattr(live, "look", lambda *_: live.Look(dict(self.counted)))
        monkeypatch.setattr(live, "outcomes", lambda *_: self.outcomes)
        monkeypatch.setattr(rollouts, "require_answering", self._answers)
        monkeypatch.setattr(k8s, "AppsV1Api", lambda _: Some(read_namespaced_deployment=self._deployment))

    # --- time and traffic --------------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        self.clock += seconds
        if self.route is not None:
            for version, share in traffic.Route(self.route).shares.items():
                self.serve(version, self._whole(version, share * self.rate * seconds))
        for event in [entry for entry in self.events if entry[0]()]:
            self.events.remove(event)
            event[1]()

    def after(self, seconds: float, action: Callable[[], Any]) -> None:
        """Do it once when so much time has passed."""
        due = self.clock + seconds
        self.events.append((lambda: self.clock >= due, action))

    def at(self, weight: int, action: Callable[[], Any]) -> None:
        """Do it once while version 4 has this weight."""
        self.events.append((lambda: self.now.weights.get("4") == weight, action))

    def _whole(self, whose: Any, more: float) -> int:
        """So many, with what was left over before; what is left over is kept."""
        self.owed[whose] += more
        whole = int(self.owed[whose] + 1e-9)
        self.owed[whose] -= whole
        return whole

    def serve(self, version: str, requests: int) -> None:
        failed, refused, slow = (
            self._whole((version, kind), part * requests)
            for kind, part in enumerate(self.bad.get(version, (0, 0, 0)))
        )
        for code, count in (("500", failed), ("422", refused), ("200", requests - failed - refused)):
            self._count((live.REQUESTS, version, code, ""), count)
        for edge in EDGES:
            self._count((live.SECONDS, version, "", str(edge)), requests - (slow if edge <= 1.0 else 0))
        self._count((live.SECONDS, version, "", "+Inf"), requests)
        if self.gateway:
            self._count((live.GATEWAY, "", "", "", "envoy_response_code_class=2"), requests - failed)
            self._count((live.GATEWAY, "", "", "", "envoy_response_code_class=5"), failed)

    def _count(self, key: tuple[str, ...], more: int) -> None:
        self.counted[key] = self.counted.get(key, 0) + more

    # --- the platform ------------------------------------------------------------------------------------

    def _served(self, *_: Any) -> list[Any]:
        return [Some(version=version, ready=ready) for version, ready in self.versions.items()]

    def _answers(self, _: Any, model: str, version: str, progress: Any) -> None:
        if version not in self.versions:
            raise rollouts.ClientError(f"version {version} of {model} is not served", "serve it")
        self.serve(version, warming.REQUESTS)

    def _pods(self, *_: Any, **__: Any) -> Any:
        status = Some(restart_count=self.restarts)
        return Some(items=[Some(status=Some(container_statuses=[status]))])

    def _deployment(self, name: str, _: str) -> Any:
        if name not in self.steering:
            raise k8s.ApiException(status=404)

    def request(self, _: Any, method: str, path: str, *, body: Any = None, **__: Any) -> str:
        """The API server, which refuses what was written for an older object."""
        if method == "GET" and path.endswith("/httproutes"):
            return json.dumps({"items": [*self.others, *([self.route] if self.route else [])]})
        if method == "POST":
            self._store(copy.deepcopy(body), 1)
        elif self.route is None:
            raise k8s.ApiException(status=404)
        elif method == "PUT":
            for writer in [self.writers.pop(0)] if self.writers else []:
                writer()
            version = int(self.route["metadata"]["resourceVersion"])
            if body["metadata"]["resourceVersion"] != str(version):
                raise k8s.ApiException(status=409)
            self._store(copy.deepcopy(body), version + 1)
        return json.dumps(self.route)

    def _store(self, item: dict[str, Any], version: int) -> None:
        item["metadata"] |= {"resourceVersion": str(version), "generation": version}
        held = [
            {"type": kind, "status": "True", "observedGeneration": version}
            for kind in ("Accepted", "ResolvedRefs")
        ]
        item["status"] = {"parents": [{"conditions": held}]}
        before, self.route = self.route, item
        if before is None or traffic.Route(before).weights != self.now.weights:
            self.seen.append(self.now.weights)

    def write(self, make: Any) -> None:
        """Somebody else changes the route."""
        traffic.change(self.platform, "delay", make)

    @property
    def now(self) -> traffic.Route:
        assert self.route is not None
        return traffic.Route(self.route)
