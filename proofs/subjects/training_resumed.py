"""A training that is disturbed ends as if it had not been; one that cannot succeed says why."""

import random

from client import Platform
from proofs import trainings
from proofs.run import Check, proof

DICE = random.Random(trainings.SETTINGS.seed)
KILL_AT = DICE.randrange(12, trainings.STEPS // 4)
DAMAGE_AT = DICE.randrange(12, trainings.STEPS // 4)


@proof("training", needs=["training.a_training_runs_now"])
def a_killed_training_ends_like_an_uninterrupted_one(platform: Platform, check: Check) -> None:
    """A rank is killed at a step drawn by lot; the training goes on from a checkpoint and nobody sees it."""
    trainings.require_part(platform, check)

    def disturb(training: str) -> None:
        trainings.reached(platform, training, KILL_AT)
        trainings.kill(platform, "probe-killed", rank=1)

    found = trainings.run(platform, "probe-killed", disturb)
    trainings.went_on_after(check, found, KILL_AT)
    trainings.ends_like(check, found, trainings.whole(platform))


@proof("training", needs=["training.a_training_runs_now"])
def a_damaged_checkpoint_is_not_used(platform: Platform, check: Check) -> None:
    """One bit of the newest checkpoint is turned: the one before is used, and the end is the same."""
    trainings.require_part(platform, check)
    before: list[int] = []

    def disturb(training: str) -> None:
        trainings.reached(platform, training, DAMAGE_AT)
        trainings.kill(platform, "probe-damaged", rank=0)
        newest, older = trainings.kept(platform, training)[:2]
        trainings.damage(platform, newest["key"])
        before.append(older["step"])

    found = trainings.run(platform, "probe-damaged", disturb)
    resumed = {said.get("resumed_at") for said in found.result.messages.values()}
    check.equal(resumed, set(before), "all ranks went on at the checkpoint before the damaged one")
    check(max(before) < trainings.STEPS - 2, "there was more to learn", at=before)
    trainings.ends_like(check, found, trainings.whole(platform))


@proof("training", needs=["training.a_training_runs_now"])
def one_rank_learns_what_two_learn(platform: Platform, check: Check) -> None:
    """The same rows a step, shared by two ranks or not: the losses differ by rounding alone."""
    trainings.require_part(platform, check)
    two, one = trainings.whole(platform), trainings.run(platform, "probe-one-rank", ranks=1)
    check.equal(len(one.result.messages), 1, "one rank trained")
    trainings.near(check, one, two)


@proof("training")
def a_diverging_training_is_failed_with_its_cause(platform: Platform, check: Check) -> None:
    """A loss that is no number ends the training: the pods, the TrainJob and MLflow say so."""
    trainings.require_part(platform, check)
    trainings.fails_for(
        platform, check, "probe-diverging", "the training diverged", "--set", "learning_rate=1e30"
    )


@proof("training")
def an_unknown_snapshot_is_refused_with_its_name(platform: Platform, check: Check) -> None:
    """A training of a snapshot that there is not ends at once: the pods, the TrainJob and MLflow say so."""
    trainings.require_part(platform, check)
    trainings.fails_for(platform, check, "probe-snapshot", "has no snapshot 42", "--snapshot", "42")
