"""A platform whose Prometheus and Alertmanager answer what real ones were recorded to answer."""

import json
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

from kubernetes import client as k8s

RECORDED = Path(__file__).parent / "data" / "alerts.json"
"""Of Prometheus 2.53.3 and Alertmanager 0.28.1: one alert that is told, one silenced, one inhibited by the
first, one pending; silences that are active, to begin in 2099 and ended. Addresses of graphs are left out."""
SILENCE = "3df97840-e52b-4a2b-869d-a815da112ecb"
"""The one that is active."""
MADE = "00000000-0000-4000-8000-000000000001"
"""The first that is made."""


class Watched:
    """What it answers can be changed, and what was asked of it read."""

    def __init__(self) -> None:
        recorded = json.loads(RECORDED.read_text())
        self.rules: dict[str, Any] = recorded["prometheus rules"]
        self.firing: list[dict[str, Any]] = recorded["prometheus alerts"]["alerts"]
        self.sent: list[dict[str, Any]] = recorded["alertmanager alerts"]
        self.silences: list[dict[str, Any]] = recorded["alertmanager silences"]
        self.namespaces: dict[str, int] = {"workloads": 200, "platform-ml": 200}
        self.fail: dict[str, Exception] = {}
        """By `prometheus`, `alertmanager` or a method of the latter."""
        self.complaints: dict[str, str] = {}
        self.posted: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self.platform: Any = self

    @property
    def core(self) -> Any:
        return Some(read_namespace=self._namespace)

    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def alert_sent(self, name: str) -> dict[str, Any]:
        """The alert as Alertmanager has it."""
        [found] = [entry for entry in self.sent if entry["labels"]["alertname"] == name]
        return found

    def complaint(self, variable: str) -> str:
        return self.complaints.get(variable, "")

    def prometheus(self, path: str, **parameters: str) -> Any:
        self._raise("prometheus")
        if path == "rules":
            assert parameters == {"type": "alert"}
            return self.rules
        assert path == "alerts"
        return {"alerts": self.firing}

    def alertmanager(self, method: str, path: str, body: Any = None) -> Any:
        self._raise("alertmanager", method)
        kind, _, id_ = path.partition("/")
        if (method, kind) == ("GET", "silence"):
            [found] = [each for each in self.silences if each["id"] == id_]
            return found
        answers = {("GET", "alerts"): self.sent, ("GET", "silences"): self.silences}
        if method == "GET":
            return answers[method, path]
        if (method, path) == ("POST", "silences"):
            self.posted.append(body)
            made = f"{MADE[:-1]}{len(self.posted)}"
            self.silences.append({**body, "id": made, "status": {"state": "active"}})
            return {"silenceID": made}
        assert (method, kind) == ("DELETE", "silence")
        self.deleted.append(id_)
        return None

    def _raise(self, *names: str) -> None:
        for name in names:
            if name in self.fail:
                raise self.fail[name]

    def _namespace(self, name: str) -> Any:
        status = self.namespaces.get(name, 404)
        if status != 200:
            raise k8s.ApiException(status=status)
        return Some()
