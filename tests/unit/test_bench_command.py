"""`seatrial bench` and `seatrial bench check`, on benchmarks whose pods print what was recorded."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import typer

from benchmarks.benchmark import Plan, Taken
from benchmarks.expectations import Expectations
from benchmarks.pods import Launch, Printed
from benchmarks.results import Results
from benchmarks.run import Order, measure
from benchmarks.suite import training_throughput
from seatrial import bench
from seatrial.console import ConsoleProgress
from tests.unit import made_up_benchmark as made_up

SEATRIAL = str(Path(sys.executable).with_name("seatrial"))
LOG = Path(__file__).parent / "data" / "benchmarks" / "training_throughput.log"


def call(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SEATRIAL, "bench", *map(str, words)], env=os.environ, text=True, capture_output=True
    )


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The results of three pairs, of which each printed the recorded log on both sides."""
    monkeypatch.setattr("client.delete_workloads", lambda *_: [])
    monkeypatch.setattr(
        "benchmarks.suite.training_throughput.launch",
        lambda _, wanted: Printed(LOG.read_text(), {wanted.image: "sha256:aa"}, 7.0),
    )
    order = Order(stack="local", image="w:1", folder=tmp_path, pairs=3, seed=1)
    results = measure(training_throughput.BENCHMARK, made_up.platform(monkeypatch), order)
    assert results.run.ended == "done", results.run.reason
    return tmp_path / "training_throughput.json"


def changed(file: Path, **parts: Any) -> Path:
    results = Results.read(file).model_copy(update=parts)
    results.write(file)
    return file


def test_equal_sides_are_judged_good(file: Path, tmp_path: Path) -> None:
    done = call("check", file, "--junit", tmp_path / "deep" / "bench.xml", "--evidence")
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("train.throughput", "platform / bare is 1.000", "3 pairs: 3 pass", "machine: 2 cores"):
        assert word in done.stdout
    (suite,) = ElementTree.parse(tmp_path / "deep" / "bench.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "0", "0")


def test_a_judged_file_can_be_had_as_json(file: Path) -> None:
    (judged,) = json.loads(call("check", file, "--json").stdout)
    assert judged["schema"] == "seatrial.bench/v1"
    assert {entry["verdict"] for entry in judged["comparison"]["verdicts"]} == {"pass"}
    assert Results.read(file).comparison is None, "what was measured stays as it is"


def test_a_regression_ends_with_1(file: Path) -> None:
    metrics = [
        entry.model_copy(update={"samples": {"platform": [[0.0], [1.0], [0.0]]}})
        if entry.id == "train.differs"
        else entry
        for entry in Results.read(file).metrics
    ]
    done = call("check", changed(file, metrics=metrics))
    assert done.returncode == 1
    assert "1 of 3 samples are not 0: 1" in done.stdout


def test_a_missing_metric_ends_with_1(file: Path) -> None:
    done = call("check", changed(file, metrics=Results.read(file).metrics[1:]))
    assert done.returncode == 1
    assert "it is expected but was not measured" in done.stdout


def test_what_is_no_results_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    done = call("check", tmp_path / "x.json")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--only", "nonsense"], "training_throughput"),
        (["local", "--budget", "soon"], "--budget"),
        (["run", "--pairs", "0"], "--pairs"),
    ],
)
def test_a_wrong_call_is_refused_whether_run_is_named_or_not(words: list[str], told: str) -> None:
    done = call(*words)
    assert done.returncode == 2
    assert told in done.stderr


# --- further looks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spread", "looks"), [(0.0, 1), (0.9, 3)])
def test_a_run_is_extended_while_a_gate_is_inconclusive(
    spread: float, looks: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def body(_: Any, plan: Plan) -> Iterator[Taken]:
        for turn in plan.turns():
            yield made_up.taken(turn, slower=1 + spread * (turn.number % 2))

    speed = {"metric": "m.speed", "ratio": 0.7, "because": "b", "no_evidence": "made up"}
    lost = {"metric": "m.lost", "exact": 0, "because": "b"}
    limits = Expectations.model_validate({"benchmark": "made_up", "metrics": [speed, lost]})
    monkeypatch.setattr("benchmarks.expectations.read", lambda _: limits)
    order = Order(stack="local", image="i", folder=tmp_path, pairs=3, looks=3, seed=1)
    platform = made_up.platform(monkeypatch)
    results = bench.measure(made_up.benchmark(body), platform, order, ConsoleProgress())
    assert (results.run.look, len(results.pairs)) == (looks, 3 * 2 ** (looks - 1))


@pytest.mark.parametrize(
    ("ended", "code"), [(["done", "budget"], None), (["done", "failed"], 1), (["interrupted"], 130), ([], 1)]
)
def test_the_command_ends_as_its_worst_run(
    ended: list[str], code: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    order = Order(stack="local", image="i", folder=tmp_path, pairs=1)
    one = measure(made_up.benchmark(), made_up.platform(monkeypatch), order)
    ran = [
        one.model_copy(update={"run": one.run.model_copy(update={"ended": how, "complete": how == "done"})})
        for how in ended
    ]
    if code is None:
        bench.finish(ran)
        return
    with pytest.raises(typer.Exit) as exited:
        bench.finish(ran)
    assert exited.value.exit_code == code


def test_a_launch_knows_its_name() -> None:
    assert Launch("training_throughput", "w:1", {}).name == "bench-training-throughput"
