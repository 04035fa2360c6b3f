"""What `seatrial alerts` prints and how it ends."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace as Some
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from client import alerts
from seatrial import alerts as command
from seatrial import status
from tests.unit.watched_platform import MADE, SILENCE, Watched

NOW = datetime(2026, 11, 27, 22, 57, tzinfo=UTC)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Watched:
    made = Watched()
    stacks = {"local": made, "dev": made}
    monkeypatch.setattr(command, "connect", lambda stack: stacks[stack])
    return made


def call(*words: str) -> Any:
    return CliRunner().invoke(command.app, words, catch_exceptions=False)


def test_each_alert_is_told_with_what_to_do(there: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    command.tell(alerts.look(there.platform), NOW)
    said = capsys.readouterr().out
    first, second, third, fourth = said.split("silence ")[0].split("\n        docs/runbooks/")[:4]
    assert first.splitlines() == [
        "firing  MlflowDown in platform-ml  critical",
        "        MLflow does not answer Prometheus: runs cannot be logged and models not be loaded",
        "        since 2026-11-27 22:54:44 UTC, 2 min 16 s",
        "        Alertmanager tells: none",
    ]
    assert second.startswith("MlflowDown.md\nfiring  TargetDown in platform-ml  warning\n")
    assert "not told: a worse alert explains it" in second
    assert "not told: silenced" in third
    assert "pending TrinoDown  critical" in fourth
    assert "nobody is told yet: it has not held for long enough" in fourth
    active, pending = said.splitlines()[-2:]
    assert active == (
        f'silence {SILENCE}: alertname="TargetDown", namespace="workloads" until 2026-11-28 00:53:29 UTC, '
        "1 h 56 min left; by root@vm: we move it"
    )
    assert "from 2099-01-01 00:00:00 UTC until 2099-01-01 02:00:00 UTC, " in pending


def test_every_way_of_not_being_told_has_words() -> None:
    words = {alerts.SILENCED, alerts.INHIBITED, alerts.MUTED, alerts.UNPROCESSED, alerts.UNKNOWN, ""}
    assert set(command.SAID) == words


def test_quiet_is_said(there: Watched) -> None:
    there.firing.clear()
    there.silences.clear()
    done = call()
    assert (done.exit_code, done.output) == (0, "nothing fires, and nothing is pending\n")


def test_without_alertmanager_the_list_is_there_and_the_command_fails(there: Watched) -> None:
    there.fail["alertmanager"] = httpx.ConnectError("refused")
    done = call()
    assert done.exit_code == 1
    assert "firing  MlflowDown in platform-ml" in done.output
    assert "Alertmanager has not got it" in done.output
    assert "nobody is told of anything: refused" in done.output


def test_a_program_reads_the_same(there: Watched) -> None:
    done = call("--json", "--stack", "dev")
    assert done.exit_code == 0
    found = json.loads(done.output)
    assert found["away"] == ""
    assert [each["notification"] for each in found["alerts"]] == ["active", "inhibited", "silenced", ""]
    assert found["alerts"][0]["since"] == "2026-11-27T22:54:44.404466+00:00"
    assert found["alerts"][1]["labels"]["namespace"] == "platform-ml"
    assert found["silences"][0]["until"] == "2026-11-28T00:53:29.161000+00:00"


def test_a_silence_says_whom_it_is_about_and_how_it_ends(there: Watched) -> None:
    words = ("silence", "TargetDown", "--for", "2h", "--reason", "new disk", "--namespace", "workloads")
    done = call(*words, "--by", "ann", "--stack", "dev")
    assert done.exit_code == 0, done.output
    assert f'silence {MADE}: alertname="TargetDown", namespace="workloads" until ' in done.output
    assert "1 h 59 min left; by ann: new disk" in done.output or "2 h 0 min left" in done.output
    assert "silenced now: TargetDown in workloads, firing\n" in done.output
    assert "platform-ml" not in done.output
    assert f"seatrial alerts unsilence {MADE} --stack dev" in done.output


def test_a_silence_names_who_made_it(there: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    monkeypatch.setattr("socket.gethostname", lambda: "desk")
    call("silence", "TrinoDown", "--for", "30m", "--reason", "new disk")
    assert there.posted[0]["createdBy"] == "ann@desk"


def test_a_silence_of_nothing_says_so(there: Watched) -> None:
    call_ = ("silence", "TrinoDown", "--for", "30m", "--reason", "new disk")
    assert "silenced now: TrinoDown, pending\n" in call(*call_).output
    said = call(*call_, "--namespace", "workloads").output
    assert "nothing that fires or is pending is silenced by that\n" in said
    assert "TrinoDown is active in namespace none, which only a silence without --namespace meets\n" in said


def test_a_silence_is_ended(there: Watched) -> None:
    done = call("unsilence", SILENCE)
    assert done.exit_code == 0
    assert done.output == 'ended: alertname="TargetDown", namespace="workloads"\n'
    assert there.deleted == [SILENCE]


def test_status_knows_platforms_of_before_alertmanager_could_be_opened() -> None:
    container = Some(image="quay.io/prometheus/alertmanager:v0.28.1")
    made = Some(
        metadata=Some(name="alertmanager-platform", labels={status.NAME_LABEL: "alertmanager"}),
        spec=Some(replicas=1, template=Some(spec=Some(containers=[container]))),
        status=Some(ready_replicas=1),
    )
    assert status.row(made, {}).open == ""
    row = status.row(made, {"ALERTMANAGER_URL": "http://alertmanager.platform-monitoring.svc:9093"})
    assert row.open == "seatrial open alertmanager"
    assert row.address == "http://alertmanager.platform-monitoring.svc:9093"
