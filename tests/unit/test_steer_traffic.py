"""The bandit's program: what it reads, writes and says, and what its account may do."""

import json
from dataclasses import asdict
from types import SimpleNamespace as Some
from typing import Any

import pytest
import requests

import workloads
from workloads.common import HopelessError
from workloads.settings import changed
from workloads.steer_traffic import config, gateway, main
from workloads.steer_traffic.steering import STEERED, Holds, Note

IMAGE = "registry.example/seatrial/workloads:0123"
SETTINGS = config.reference()


class Server:
    """An API server with one HTTPRoute, which takes merge patches of the version that was read."""

    def __init__(self, **weights: int) -> None:
        backends = [
            {"name": f"delay-{version}-predictor", "port": 80, "weight": weight}
            for version, weight in weights.items()
        ]
        self.route: dict[str, Any] | None = {
            "metadata": {"resourceVersion": "1"},
            "spec": {"rules": [{"name": "default", "backendRefs": backends}]},
        }
        self.patches: list[dict[str, Any]] = []

    def request(self, method: str, url: str, *, headers: Any, verify: str, timeout: int, **more: Any) -> Any:
        assert url == (
            "https://10.0.0.1:443/apis/gateway.networking.k8s.io/v1/namespaces/workloads/httproutes/delay"
        )
        assert headers["Authorization"] == "Bearer secret"
        if self.route is None:
            return self._answer(404)
        if method == "GET":
            return self._answer(200)
        assert headers["Content-Type"] == "application/merge-patch+json"
        patch, metadata = more["json"], self.route["metadata"]
        if patch["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            return self._answer(409)
        self.patches.append(patch)
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        metadata.setdefault("annotations", {}).update(patch["metadata"]["annotations"])
        self.route["spec"].update(patch.get("spec", {}))
        return self._answer(200)

    def _answer(self, status: int) -> Any:
        answer = requests.Response()
        answer.status_code, answer._content = status, json.dumps(self.route).encode()
        return answer

    @property
    def weights(self) -> dict[str, int]:
        assert self.route is not None
        return {entry["name"]: entry["weight"] for entry in self.route["spec"]["rules"][0]["backendRefs"]}

    @property
    def note(self) -> Note:
        assert self.route is not None
        return Note(**json.loads(self.route["metadata"]["annotations"][STEERED]))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Server:
    (tmp_path / "token").write_text("secret")
    made = Server(v3=900, v4=100)
    monkeypatch.setattr(gateway, "ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(requests, "request", made.request)
    return made


def look(monkeypatch: pytest.MonkeyPatch, counts: dict[str, tuple[int, int]]) -> str:
    monkeypatch.setattr(main, "known", lambda *_: counts)
    return main.look(SETTINGS, gateway.Gateway("delay"))


def test_it_notes_when_it_begins_and_then_counts_from_there(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look(monkeypatch, {"3": (10_000, 10_000)}).startswith("steers versions 3, 4")
    begun = server.note
    assert (begun.arms, begun.moves, begun.known) == (["3", "4"], 0, {})
    asked: list[str] = []

    def known(_: Any, since: str) -> dict[str, tuple[int, int]]:
        asked.append(since)
        return {"3": (400, 200), "4": (250, 240)}

    monkeypatch.setattr(main, "known", known)
    said = main.look(SETTINGS, gateway.Gateway("delay"))
    assert asked == [begun.since]
    assert said == "moved to v3=80% v4=20% after 650 outcomes"
    assert server.weights == {"delay-v3-predictor": 800, "delay-v4-predictor": 200}
    assert (server.note.since, server.note.moves) == (begun.since, 1)


def test_the_weights_and_what_they_were_made_of_are_one_write(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(monkeypatch, {})
    look(monkeypatch, {"3": (400, 200), "4": (250, 240)})
    assert len(server.patches) == 2
    assert server.patches[1].keys() == {"metadata", "spec"}
    with pytest.raises(Holds, match="0 of 50 new outcomes"):
        look(monkeypatch, {"3": (400, 200), "4": (250, 240)})


def test_who_was_quicker_is_not_written_over(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    look(monkeypatch, {})

    def meanwhile(*_: Any) -> dict[str, tuple[int, int]]:
        assert server.route is not None
        server.route["metadata"]["resourceVersion"] = "99"
        return {"3": (400, 200), "4": (250, 240)}

    monkeypatch.setattr(main, "known", meanwhile)
    assert "looking again" in main.look(SETTINGS, gateway.Gateway("delay"))
    assert server.weights["delay-v3-predictor"] == 900


def test_versions_that_are_no_arm_are_ignored_and_counted(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(monkeypatch, {})
    with pytest.raises(Holds, match=r"no outcome of versions 3, 4 .*; 12 outcomes of versions 7, 8 ignored"):
        look(monkeypatch, {"7": (5, 5), "8": (7, 0)})
    said = look(monkeypatch, {"3": (400, 200), "4": (250, 240), "7": (5, 5)})
    assert said.endswith("after 650 outcomes; 5 outcomes of versions 7 ignored")


def test_a_model_without_a_route_is_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.route = None
    with pytest.raises(Holds, match="there is no HTTPRoute delay"):
        look(monkeypatch, {})


def test_it_holds_and_says_so_while_the_log_or_the_api_server_is_away(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failures: list[Exception] = [requests.ConnectionError("refused"), requests.ConnectionError("refused")]

    def fail(*_: Any) -> str:
        raise failures.pop()

    waits = iter([False, True])
    monkeypatch.setattr(main, "Event", lambda: Some(set=None, wait=lambda _: next(waits)))
    monkeypatch.setattr(main.signal, "signal", lambda *_: None)
    monkeypatch.setattr(main, "look", fail)
    ended = main.steer(SETTINGS)
    assert ended == {"model": "delay", "moves": 0, "last": "holds the weights: ConnectionError: refused"}
    assert capsys.readouterr().out.count("holds the weights: ConnectionError: refused") == 1, "told once"
    assert failures == []


def test_its_account_may_change_the_route_of_its_model_and_nothing_else() -> None:
    made = workloads.manifest("steer_traffic", IMAGE, arguments=["--set", "model=price"])
    by_kind = {item["kind"]: item for item in made}
    assert by_kind["Role"]["rules"] == [
        {
            "apiGroups": ["gateway.networking.k8s.io"],
            "resources": ["httproutes"],
            "resourceNames": ["price"],
            "verbs": ["get", "patch"],
        }
    ]
    assert by_kind["RoleBinding"]["roleRef"]["name"] == by_kind["Role"]["metadata"]["name"]
    (subject,) = by_kind["RoleBinding"]["subjects"]
    template = by_kind["Deployment"]["spec"]["template"]
    assert (
        subject["name"]
        == template["spec"]["serviceAccountName"]
        == by_kind["ServiceAccount"]["metadata"]["name"]
    )
    assert template["spec"]["automountServiceAccountToken"] is True
    assert template["spec"]["containers"][0]["command"][-2:] == ["--set", "model=price"]
    assert (
        by_kind["Deployment"]["spec"]["selector"]["matchLabels"].items()
        <= template["metadata"]["labels"].items()
    )
    assert by_kind["Deployment"]["metadata"]["name"] == main.NAME, "what promotions look for"


def test_a_setting_that_there_is_not_is_refused_before_anything_is_deployed() -> None:
    with pytest.raises(ValueError, match="there is no setting 'arms'"):
        workloads.manifest("steer_traffic", IMAGE, arguments=["--set", "arms=3"])


def test_the_note_survives_json() -> None:
    note = Note("b", "2013-07-01", ["3"], {"3": 1}, 2, {"3": 0.5})
    assert Note(**json.loads(json.dumps(asdict(note)))) == note


@pytest.mark.parametrize("wrong", ["every=0", "batch=0", "mature=-1", "margin=1", "floor=0.6", "most=0"])
def test_settings_that_steer_nowhere_are_refused(wrong: str) -> None:
    name = wrong.partition("=")[0]
    with pytest.raises(HopelessError, match=f"setting {name} must be"):
        changed(config.reference(), [wrong])
