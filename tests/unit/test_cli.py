"""What the command line says and how it ends when the call or the machine is wrong."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from client import ClientError, outputs
from local.errors import LocalError
from proofs import report, run
from seatrial import cli, context, down
from seatrial import deploy as deploying
from seatrial import up as bringing_up
from seatrial.deploy import require_access

SEATRIAL = str(Path(sys.executable).with_name("seatrial"))


def call(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SEATRIAL, *words], env=os.environ | environment, text=True, capture_output=True)


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """No cluster and no cache."""
    return {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CACHE_HOME": str(tmp_path / "cache")}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["up", "--parts", "nonsense"], "parts are: core"),
        (["deploy", "nothing"], "ingest_flights"),
        (["deploy", "ingest_flights", "--ranks", "2"], "ingest_flights does not have it"),
        (["deploy", "train_delay", "--ranks", "0"], "equal to 1"),
        (["open", "nothing"], "mlflow"),
        (["prove", "local", "--deadline", "soon"], "90s,"),
        (["model", "promote", "delay", "4", "--to", "best"], "not to 'best'"),
        (["model", "promote", "delay", "4", "--steps", "some"], "1,5,25"),
        (["model", "promote", "delay", "4", "--steps", "25,5"], "rising percentages"),
        (["model", "shadow", "delay"], "name a version, or --off"),
        (["model", "divide", "delay", "canary"], "canary=4"),
        (["alerts", "silence", "TrinoDown", "--for", "soon", "--reason", "new disk"], "90s,"),
        (["alerts", "silence", "TrinoDown", "--for", "0h", "--reason", "new disk"], "at least 1s"),
        (["alerts", "silence", "TrinoDown", "--for", "8761h", "--reason", "new disk"], "at most 8760h"),
        (["alerts", "silence", "TrinoDown", "--for", "2h", "--reason", " "], "whoever finds the silence"),
        (["alerts", "silence", "TrinoDown", "--for", "2h"], "--reason"),
        (["alerts", "--stack", "dev", "unsilence", "5"], "behind unsilence"),
        (["alerts", "--json", "unsilence", "5"], "behind unsilence"),
        (["sail"], "No such command"),
    ],
)
def test_a_wrong_call_is_refused_with_what_would_be_right(words: list[str], told: str) -> None:
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 2
    assert told in done.stderr
    assert isinstance(done.exception, SystemExit)


def test_a_platform_that_is_not_there_is_said_with_what_to_do(bare: dict[str, str]) -> None:
    done = call("status", SEATRIAL_CLUSTER="t-nowhere", **bare)
    assert done.returncode == 3
    assert "t-nowhere" in done.stderr
    assert "seatrial up" in done.stderr


def test_an_unknown_stack_is_answered_with_those_that_there_are() -> None:
    done = call("prove", "nowhere")
    assert done.returncode == 4
    assert "staging" in done.stderr


def test_a_cluster_name_that_cannot_be_one_is_refused() -> None:
    done = call("cluster", "status", SEATRIAL_CLUSTER="Not A Name")
    assert done.returncode == 3
    assert "Not A Name" in done.stderr


def test_an_owner_that_is_no_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATRIAL_OWNER", "me")
    with pytest.raises(LocalError, match="'me', which is no process id"):
        context.owner()


def test_the_cache_is_not_removed_under_another_cluster() -> None:
    with pytest.raises(LocalError, match="other clusters of this machine: a, b") as refused:
        down.refuse_while_used({"b", "a"})
    assert "SEATRIAL_CLUSTER=a seatrial down" in str(refused.value)
    down.refuse_while_used(set())


def test_setup_check_counts_the_cost_and_changes_nothing(bare: dict[str, str], tmp_path: Path) -> None:
    done = call("setup", "--check", **bare)
    assert done.returncode == 0
    assert "image postgresql" in done.stdout
    assert "image jobset" in done.stdout
    assert re.search(r"training .* GiB .* MB", done.stdout)
    assert list(tmp_path.iterdir()) == []


def test_setup_check_leaves_out_what_was_not_chosen(bare: dict[str, str]) -> None:
    rows = json.loads(call("setup", "--check", "--json", "--parts", "core", **bare).stdout)
    names = {row["name"] for row in rows}
    assert "image trino" in names
    assert not names & {"image jobset", "image trainer", "image mpi-operator"}


@pytest.mark.skipif(os.geteuid() != 0, reason="the commands that need root say so before anything else")
def test_nothing_is_built_where_it_is_not_wanted(bare: dict[str, str]) -> None:
    done = call("cluster", "up", "--no-install", PATH="/usr/sbin:/usr/bin:/sbin:/bin", **bare)
    assert done.returncode == 3
    assert "what to do" in done.stderr


def test_an_interrupted_command_ends_with_130() -> None:
    script = (
        "import signal, sys, threading; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from seatrial import cli\n"
        "@cli.app.command()\n"
        "def wait() -> None:\n"
        "    print('waiting', flush=True); threading.Event().wait()\n"
        "sys.argv = ['seatrial', 'wait']; cli.main()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], text=True, stdout=-1, stderr=-1)
    assert process.stdout
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "carries on" in said


def test_a_deployment_gets_the_name_and_the_policy_that_it_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`--policy` is a file; what is in it is what `react` is given."""
    policy = tmp_path / "mine.yaml"
    policy.write_text("rules: []\n")
    applied: list[dict[str, Any]] = []
    monkeypatch.setattr(deploying, "connect", lambda _: nullcontext(SimpleNamespace(name="local")))
    monkeypatch.setattr(deploying, "require_access", lambda *_: None)
    monkeypatch.setattr(deploying, "workloads_run_in", lambda *_: "seatrial/workloads:1")
    monkeypatch.setattr(deploying, "offers", lambda _: {})
    monkeypatch.setattr(deploying, "put", lambda _, __, objects, **___: applied.extend(objects) or {})
    deploying.deploy("react", name="second", policy=policy)
    assert {item["metadata"]["name"] for item in applied} == {"second"}
    (given,) = [item for item in applied if item["kind"] == "ConfigMap"]
    assert given["data"]["policy.yaml"] == "rules: []\n"


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([("passed", 3, "")], True),
        ([("passed", 3, ""), ("skipped", 0, "the part serving is not provisioned")], True),
        ([("passed", 3, ""), ("skipped", 0, "")], False),
        ([("passed", 0, "")], False),
        ([("passed", 3, ""), ("not run", 0, "the deadline")], False),
        ([], False),
    ],
)
def test_up_proves_again_unless_the_last_report_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entries: list[tuple[str, int, str]], expected: bool
) -> None:
    monkeypatch.setattr(bringing_up, "reports", lambda _: tmp_path)
    assert not bringing_up.proven(), "there is no report yet"
    results = [run.Result(f"a.{n}", "a", found, how, why, 0.1) for n, (how, found, why) in enumerate(entries)]
    report.write(results, tmp_path)
    assert bringing_up.proven() == expected


@pytest.mark.parametrize(
    ("worked", "left_out"), [(["ingest_flights", "train_delay"], True), (["ingest_flights"], False)]
)
def test_a_first_training_is_not_repeated_at_once(
    monkeypatch: pytest.MonkeyPatch, worked: list[str], left_out: bool
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(bringing_up, "require_bare_machine", lambda _: None)
    monkeypatch.setattr(bringing_up, "bring_up", lambda *_: (True, worked))
    monkeypatch.setattr(bringing_up, "run_proofs", lambda *_, **options: asked.update(options))
    bringing_up.up()
    assert set(bringing_up.LATER) <= set(asked["without"])
    assert (bringing_up.AGAIN in asked["without"]) == left_out
    known = {each.name for each in run.discover()}
    assert {*bringing_up.LATER, bringing_up.AGAIN} <= known


def test_a_workload_whose_part_is_missing_is_refused_with_the_part() -> None:
    bare: Any = SimpleNamespace(name="local", access={"S3_BUCKET": "datasets"})
    with pytest.raises(ClientError, match="needs the part 'tuning'") as refused:
        require_access(bare, "tune_delay")
    assert "--with tuning" in refused.value.todo
    require_access(bare, "train_delay")
    whole: Any = SimpleNamespace(access=dict.fromkeys(outputs.SECRET_ACCESS_OF["tuning"], "x"))
    require_access(whole, "tune_delay")
