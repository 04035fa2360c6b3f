"""Goodput from what a training printed whose ranks were killed: by hand-made logs, and by a recorded one."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import pytest

from benchmarks import killed
from benchmarks.attempt import Attempt
from benchmarks.benchmark import Plan, Turn
from benchmarks.errors import BenchmarkError
from benchmarks.killed import Kill, Observer, Timed, Training
from benchmarks.suite import goodput

START = 1_770_000_000.0
WAY = "launch=0.5 import=3.0 meet=0.5 take_up=1.0 read=2.0 restore=0.5 first_steps={first}"


def line(at: float, text: str) -> str:
    stamp = datetime.fromtimestamp(at, UTC)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}.{stamp.microsecond:06d}000Z 12:00:00 {text}"


def began(container: float, first: float = 1.0) -> str:
    return line(container + 7.5 + first, f"began container={container} {WAY.format(first=first)}")


def checkpoint(at: float, step: int) -> str:
    return line(at, f"checkpoint step={step}")


def record(kind: str, **fields: Any) -> str:
    return json.dumps({"bench": kind, **fields})


def text(kills: int = 1) -> str:
    """Two attempts of 8 steps of 0.125 s that are told together; killed at 40 s, 4 s after a checkpoint."""
    first = [began(START + 2), checkpoint(START + 36, 200)]
    second = [
        line(START + 55, "resumed step=200 epoch=3"),
        began(START + 47, first=1.5),
        checkpoint(START + 80, 400),
    ]
    records = [
        record("attempt", number=0, made=START + 1, log=first),
        record("kill", number=0, rank=1, step=230, at=START + 40, failed=START + 41),
        record("attempt", number=1, made=START + 45, log=second),
        record("seen", node="work", cpu="EPYC", steal_percent=0.1, swapped_pages=0, load1=2.0),
        record(
            "training", ranks=2, settings={"log_every": 8}, restarts=1, submitted=START, done=START + 100,
            steps=400, learned_seconds=50.0,
        ),
        record("done", kills=kills),
    ]  # fmt: skip
    return "\n".join(records) + "\n"


def test_a_recovery_is_split_by_cause_and_the_causes_add_up() -> None:
    found = goodput.read(text())
    causes = {key.partition("/")[2]: value[0] for key, value in found.values.items() if "by_cause" in key}
    assert causes == pytest.approx({
        "detect": 1, "reschedule": 4, "pod": 2, "launch": 0.5, "import": 3, "meet": 0.5, "take_up": 1,
        "read": 2, "restore": 0.5, "first_steps": 0.5, "redo": 4,
    }, abs=1e-4)  # fmt: skip
    assert found.values["train.recovery"] == [pytest.approx(sum(causes.values()))]
    first_new_step = START + 47 + 7.5 + 0.5
    assert found.values["train.recovery"][0] == pytest.approx(first_new_step - (START + 40) + 4)


def test_goodput_is_what_was_learned_of_all_the_time() -> None:
    found = goodput.read(text())
    assert found.values["train.goodput"] == [0.5]
    assert found.values["train.step"] == [125]
    assert found.values["train.start"] == [pytest.approx(2 + 7.5)]
    assert found.values["train.restarts_unasked"] == [0]
    assert goodput.read(text().replace('"restarts": 1', '"restarts": 2')).values[
        "train.restarts_unasked"
    ] == [1]


def test_the_best_possible_loses_half_an_interval_and_a_start_with_each_kill() -> None:
    found = goodput.read(text())
    assert goodput.CONFIG["checkpoint_every"] == 32
    best = 1 - 1 * (32 / 2 * 0.125 + 9.5) / 100
    assert goodput.under_kill(found, found) == pytest.approx(0.5 / best)


def test_without_a_checkpoint_all_is_lost_that_was_learned_in_the_attempt() -> None:
    lost = text().replace("resumed step=200", "resumed step=100")
    redo = goodput.read(lost).values["train.recovery_by_cause/redo"]
    assert redo == [pytest.approx(40 - (2 + 7.5), abs=1e-4)]


def test_an_attempt_that_is_missing_is_noticed() -> None:
    with pytest.raises(BenchmarkError, match="printed 2 lines of 'attempt', not 3"):
        goodput.read(text(kills=2))


def test_a_recorded_training_lost_three_ranks_and_told_where_the_time_went() -> None:
    found = goodput.read((Path(__file__).parent / "data/benchmarks/goodput.log").read_text())
    assert (found.kills, found.values["train.restarts_unasked"]) == (3, [0])
    for number, whole in enumerate(found.values["train.recovery"]):
        causes = [found.values[f"train.recovery_by_cause/{cause}"][number] for cause in goodput.CAUSES]
        assert whole == pytest.approx(sum(causes))
        assert min(causes) > -1, "a cause that takes no time may look like a little less, by two clocks"
        assert 10 < whole < 60
    assert found.learned < found.wall


# --- when to kill -------------------------------------------------------------------------------------------


def test_the_same_seed_kills_the_same_ranks_at_the_same_steps_and_no_other_does() -> None:
    turn, other = Turn(0, 0, goodput.BENCHMARK.sides), Turn(1, 1, goodput.BENCHMARK.sides)
    drawn = goodput.kills(7, turn)
    assert drawn == goodput.kills(7, turn)
    assert drawn != goodput.kills(7, other)
    assert drawn != goodput.kills(8, turn)
    steps = [kill.step for kill in drawn]
    assert steps == sorted(steps)
    whole = goodput.EPOCHS["killed"] * goodput.STEPS_AN_EPOCH
    for number in range(200):
        for third, kill in enumerate(goodput.kills(number, turn)):
            assert 0.05 * whole <= kill.step <= 0.95 * whole
            assert (
                third * 0.3 * whole + 0.05 * whole - 1
                <= kill.step
                <= (third + 1) * 0.3 * whole + 0.05 * whole
            )
            assert kill.rank in range(goodput.RANKS)


def test_a_training_is_at_a_step_between_two_checkpoints_by_its_pace() -> None:
    attempt = Attempt.of([began(START), checkpoint(START + 28.5, 160)])
    assert attempt.learns_since == START + 8.5
    assert attempt.pace == pytest.approx(0.125, abs=1e-4)
    assert not attempt.has_come_to(176, START + 30.4)
    assert attempt.has_come_to(176, START + 30.6)
    assert attempt.has_come_to(0, START + 9)


def test_before_its_first_checkpoint_nobody_knows_where_it_is() -> None:
    begun = Attempt.of([began(START)])
    assert begun.has_come_to(0, START + 9)
    assert not begun.has_come_to(1, START + 900)
    nothing = Attempt.of([line(START, "read seconds=1.2 training=t train=5")])
    assert not nothing.has_come_to(0, START + 900)


def test_a_checkpoint_that_was_refused_is_none() -> None:
    refused = line(START, "checkpoint refused, the one before is tried key=x cause='it has the hash 1'")
    assert Attempt.of([refused]).checkpoints == []


def test_a_line_without_its_time_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="does not begin with its time: 12:00:00 checkpoint step=4"):
        Attempt.of(["12:00:00 checkpoint step=4"])


# --- what is deployed and seen ------------------------------------------------------------------------------


def test_the_killed_side_is_killed_and_longer_and_else_the_same() -> None:
    plan, turn = (
        Plan(goodput.BENCHMARK.sides, image="w:1", pairs=1, seed=3),
        Turn(0, 0, goodput.BENCHMARK.sides),
    )
    ours, theirs = (goodput.training(plan, turn, side) for side in goodput.BENCHMARK.sides)
    assert (len(ours.kills), len(theirs.kills)) == (3, 0)
    assert {**ours.settings, "epochs": 0} == {**theirs.settings, "epochs": 0}
    (job,) = killed.objects(ours, "bench-goodput-1")
    assert job["kind"] == "TrainJob"
    assert f"epochs={goodput.EPOCHS['killed']}" in job["spec"]["trainer"]["command"]
    assert {"name": "TRAINING_ID", "value": "bench-goodput-1"} in job["spec"]["trainer"]["env"]


def pod(uid: str, attempt: int, code: int | None = None) -> Any:
    ended = Some(message="") if code is not None else None
    return Some(
        metadata=Some(uid=uid, name=uid, labels={"jobset.sigs.k8s.io/restart-attempt": str(attempt)}),
        status=Some(container_statuses=[Some(state=Some(terminated=ended, waiting=None))]),
    )


def test_detection_ends_when_a_pod_is_first_seen_to_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 11.0, 20.0, 21.5, 30.0, 31.0])
    monkeypatch.setattr(killed.time, "time", lambda: next(clock))
    watched = Timed(Some(), "workloads", "x")
    wanted = Training("t", "w:1", 2, {}, 10, (Kill(1, 5),))
    seen = Observer(Some(), wanted, Some(), watched)  # type: ignore[arg-type]
    for each in (pod("a", 0), pod("b", 0), pod("b", 0, 137), pod("a", 0, 1), pod("c", 1), pod("d", 1)):
        watched._note(each)
    assert (seen.made(0), seen.made(1)) == (11.0, 31.0)
    assert seen.failed(0, at=19.0) == 20.0
    assert seen.failed(0, at=25.0) == 31.0, "at the latest when all were made anew"
