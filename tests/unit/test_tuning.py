"""The search for settings: every slot gets exactly one result, whenever a worker dies. On SQLite, with real
Optuna; a worker's death is what it leaves: a trial that nobody marks alive any more.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, Trial, TrialState

from workloads.common import WorkloadError
from workloads.tune_delay import config, slots, study
from workloads.tune_delay.slots import SLOT, Retry, Slots

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore:Heartbeat")

SPACE = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
GRACE = 1
COUNT = 5

NewWorker = Callable[..., Slots]


class Death(BaseException):
    """A kill at a certain point."""


@pytest.fixture
def new_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewWorker:
    """Makes workers of one study, each with a connection of its own."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    monkeypatch.setattr(slots, "POLL", 0.05)
    lock = threading.Lock()

    def make(count: int = COUNT, retries: int = 5, heartbeat: int = 1, grace: int = GRACE) -> Slots:
        kept = slots.storage(
            f"sqlite:///{tmp_path}/studies.db", heartbeat=heartbeat, grace=grace, retries=retries
        )
        made = optuna.create_study(
            storage=kept, study_name="s", direction="maximize", load_if_exists=True,
            pruner=study.pruner(config.tiny()),
        )  # fmt: skip
        return Slots(
            made, kept, count, space=dict(SPACE), samplers=lambda slot: optuna.samplers.RandomSampler(slot),
            lock=lambda: lock,
        )  # fmt: skip

    return make


def objective(trial: Trial) -> float:
    return float(trial.params["x"])


def silence(grace: int = GRACE) -> None:
    """Wait until whoever was not marked alive counts as dead."""
    time.sleep(grace + 1.1)


def tries(worker: Slots) -> list[FrozenTrial]:
    return worker.study.get_trials()


def assert_whole(worker: Slots, count: int = COUNT) -> None:
    found = tries(worker)
    states = Counter(trial.state for trial in found)
    results = Counter(trial.user_attrs[SLOT] for trial in found if trial.state in slots.RESULTS)
    assert results == Counter(range(count))
    assert states[TrialState.RUNNING] == states[TrialState.WAITING] == 0
    assert len(found) == count + states[TrialState.FAIL]


def test_several_workers_reach_exactly_the_number_asked_for(new_worker: NewWorker) -> None:
    workers = [new_worker() for _ in range(3)]
    done: list[int] = []
    threads = [threading.Thread(target=lambda w=w: done.extend(w.work(objective))) for w in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(COUNT))
    assert_whole(workers[0])


def test_a_worker_that_comes_late_runs_nothing(new_worker: NewWorker) -> None:
    new_worker().work(objective)
    late = new_worker()
    assert late.finished()
    assert late.work(lambda _: pytest.fail("a trial too many")) == []
    assert len(tries(late)) == COUNT


def test_a_worker_reads_the_tries_twice_a_trial(new_worker: NewWorker) -> None:
    worker = new_worker()
    worker.take()  # The first queues the slots, and reads once more for that.
    statements: list[str] = []
    sqlalchemy.event.listen(
        worker.storage.engine, "before_cursor_execute", lambda *given: statements.append(given[2])
    )
    assert worker.take() is not None
    # Every such reading begins with the study: once to mend, and once that Optuna does when it is asked.
    assert sum("FROM studies" in statement for statement in statements) == 2


def test_the_last_worker_waits_for_a_silent_trial_and_runs_it_with_the_same_parameters(
    new_worker: NewWorker,
) -> None:
    lost = new_worker().take()
    assert lost is not None
    other = new_worker()
    other.work(objective)
    assert_whole(other)
    (again,) = [trial for trial in tries(other) if trial.system_attrs.get("failed_trial") == lost.number]
    assert tries(other)[lost.number].state == TrialState.FAIL
    assert again.state == TrialState.COMPLETE
    assert again.params == lost.params
    assert again.user_attrs[SLOT] == tries(other)[lost.number].user_attrs[SLOT]


def test_a_worker_that_dies_before_it_first_marks_its_trial_loses_nothing(
    new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = new_worker()

    def killed(*_: Any) -> None:
        raise Death

    monkeypatch.setattr(dying.study.sampler.__class__, "sample_independent", killed)
    monkeypatch.setattr(optuna.samplers.RandomSampler, "sample_independent", killed)
    with pytest.raises(Death):
        dying.take()
    monkeypatch.undo()
    other = new_worker()
    other.work(objective)
    assert_whole(other)
    assert Counter(trial.state for trial in tries(other))[TrialState.FAIL] == 1


def test_a_worker_that_dies_between_failing_and_queueing_again_loses_nothing(
    new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_worker().take()
    silence()
    dying = new_worker()

    def killed(*_: Any) -> None:
        raise Death

    monkeypatch.setattr(Retry, "__call__", killed)
    with pytest.raises(Death):
        dying.take()
    monkeypatch.undo()
    assert Counter(trial.state for trial in tries(dying))[TrialState.FAIL] == 1
    other = new_worker()
    other.work(objective)
    assert_whole(other)


def test_a_worker_that_dies_while_it_makes_the_study_leaves_no_slot_out(
    new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying, made = new_worker(), []
    enqueue = dying.study.enqueue_trial

    def killed(*arguments: Any, **options: Any) -> None:
        if len(made) == 2:
            raise Death
        made.append(options)
        enqueue(*arguments, **options)

    monkeypatch.setattr(dying.study, "enqueue_trial", killed)
    with pytest.raises(Death):
        dying.take()
    other = new_worker()
    other.work(objective)
    assert_whole(other)


def test_a_worker_that_was_only_slow_is_told_that_it_is_too_late(new_worker: NewWorker) -> None:
    slow, quick = new_worker(heartbeat=60), new_worker()
    trial = slow.take()
    assert trial is not None

    def sleepy(trial: Trial) -> float:
        silence()
        quick.work(objective)
        return 77.0

    assert slow.run(trial, sleepy) is False
    assert_whole(quick)
    assert 77.0 not in [each.value for each in tries(quick)]


def test_a_report_on_a_trial_that_was_given_up_ends_it(new_worker: NewWorker) -> None:
    slow, quick = new_worker(heartbeat=60), new_worker()
    trial = slow.take()
    assert trial is not None

    def sleepy(trial: Trial) -> float:
        silence()
        quick.work(objective)
        trial.report(1.0, 1)
        raise AssertionError("unreachable")

    assert slow.run(trial, sleepy) is False
    assert_whole(quick)


def test_a_trial_that_is_marked_alive_is_left_alone(new_worker: NewWorker) -> None:
    grace = 5  # On a busy machine a mark comes late.
    slow, quick = new_worker(count=1, grace=grace), new_worker(count=1, grace=grace)
    trial = slow.take()
    assert trial is not None
    waiting = threading.Thread(target=lambda: quick.work(lambda _: pytest.fail("it was taken away")))

    def long(trial: Trial) -> float:
        waiting.start()
        silence(grace)
        return 1.0

    assert slow.run(trial, long) is True
    waiting.join()
    assert [each.state for each in tries(quick)] == [TrialState.COMPLETE]


def test_a_worker_that_is_asked_to_go_gives_its_trial_back_at_once(new_worker: NewWorker) -> None:
    leaving, other = new_worker(), new_worker()
    trial = leaving.take()
    assert trial is not None

    def asked_to_go(_: Trial) -> float:
        raise SystemExit(143)

    with pytest.raises(SystemExit):
        leaving.run(trial, asked_to_go)
    assert tries(other)[trial.number].state == TrialState.FAIL  # Nobody waits for its silence.
    other.work(objective)
    assert_whole(other)


def test_a_slot_whose_workers_always_die_is_named_and_not_tried_for_ever(new_worker: NewWorker) -> None:
    def dies(_: Trial) -> float:
        raise MemoryError

    for _ in range(2):
        worker = new_worker(count=1, retries=1)
        trial = worker.take()
        assert trial is not None
        with pytest.raises(MemoryError):
            worker.run(trial, dies)
    with pytest.raises(WorkloadError, match=r"trial 1 of study s was lost .*tried 2 times \(trials \[0, 1\]"):
        new_worker(count=1, retries=1).take()


def test_a_second_result_of_one_slot_does_not_stand_for_that_of_another(new_worker: NewWorker) -> None:
    worker = new_worker()
    first = worker.take()
    assert first is not None
    worker.run(first, objective)
    worker.study.add_trial(
        optuna.trial.create_trial(state=TrialState.COMPLETE, value=0.5, user_attrs={SLOT: 0})
    )
    assert len(worker.work(objective)) == COUNT - 1
    assert worker.finished()


def test_a_retry_does_not_begin_with_the_rungs_of_the_try_before(new_worker: NewWorker) -> None:
    worker = new_worker(count=1)
    lost = worker.take()
    assert lost is not None
    lost.report(0.5, 1)
    lost.should_prune()
    silence()
    worker.take()
    before, again = tries(worker)
    assert "completed_rung_0" in before.system_attrs
    assert "completed_rung_0" not in again.system_attrs
    assert again.system_attrs["retry_history"] == [lost.number]


def test_the_random_sampler_gives_a_slot_the_same_parameters_whoever_asks() -> None:
    settings = config.TuneDelay(sampler="random")

    def drawn(slot: int) -> dict[str, Any]:
        made = optuna.create_study(sampler=study.sampler(settings, slot))
        return made.ask(study.distributions()).params

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_the_best_of_equal_trials_is_the_first_and_pruned_ones_do_not_count() -> None:
    made = optuna.create_study(direction="maximize")
    for value, state in ((0.5, "COMPLETE"), (0.9, "PRUNED"), (0.7, "COMPLETE"), (0.7, "COMPLETE")):
        made.add_trial(optuna.trial.create_trial(state=TrialState[state], value=value, user_attrs={SLOT: 0}))
    assert study.best_of(made).number == 2
    assert [row["best"] for row in study.history(made)["trials"]] == [0.5, 0.5, 0.7, 0.7]


def test_a_study_without_a_complete_trial_says_so() -> None:
    made = optuna.create_study(direction="maximize", study_name="none")
    with pytest.raises(WorkloadError, match="no trial of study none was complete"):
        study.best_of(made)


def test_another_question_under_the_same_name_is_refused() -> None:
    there, asked = {"settings": {"trials": 8}, "code": 2}, {"settings": {"trials": 9}, "code": 2}
    with pytest.raises(WorkloadError, match=r"study s .* else: settings.trials was 8 and is 9; give"):
        study.refuse_another("s", there, asked)
    study.refuse_another("s", asked, asked)


def test_the_profile_counts_what_the_page_on_it_says(tmp_path: Path) -> None:
    """docs/explanation/tuning-storage.md has the same figures; on SQLite Optuna says the same statements."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, root / "benchmarks/programs/tuning_profile.py"],
        env={
            **os.environ,
            "BENCHMARK_CONFIG": json.dumps({"trials": 2}),
            "OPTUNA_STORAGE": f"sqlite:///{tmp_path}/profile.db",
            "PYTHONPATH": str(root),
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told[-1] == {"bench": "done"}
    durable = [each for each in told if each["bench"] == "step" and each["storage"] == "RDBStorage"]
    counts = {(each["subject"], each["step"]): (each["statements"], each["commits"]) for each in durable}
    assert counts["tuning_storage", "second parameter"] == (2.5, 1)  # The first looks for the distribution.
    assert counts["tuning_storage", "tell"] == counts["tune_delay", "tell"] == (16, 3)
    assert counts["tune_delay", "report"] == (24, 8)
    shares = [each["shares"] for each in told if each["bench"] == "layers"]
    assert all(abs(sum(each.values()) - 1) < 0.01 for each in shares)
    assert len(shares) == 4
