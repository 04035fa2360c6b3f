"""The same training in TensorFlow: it learns what PyTorch learns, and is as hard to disturb."""

import random

from client import Platform
from proofs import trainings
from proofs.run import Check, proof
from proofs.subjects.training import trained

WORKLOAD = "train_delay_tensorflow"
KILL_AT = random.Random("tensorflow").randrange(12, trainings.STEPS // 4)
ACCURACY_APART = 0.003
"""By how much the figures of the test month may differ between two trainings of 390 steps, in which rounding
has grown: one worker in PyTorch and two in TensorFlow differed by 0.0004 at most."""


def whole(platform: Platform) -> trainings.Outcome:
    return trainings.whole(platform, "probe-tensorflow", WORKLOAD)


@proof("training", needs=["training.a_training_runs_now"])
def tensorflow_learns_what_pytorch_learns(platform: Platform, check: Check) -> None:
    """Two workers on two nodes, with the rows of each step that PyTorch's ranks have: equal losses."""
    trainings.require_part(platform, check)
    found = whole(platform)
    check.equal(len(set(found.result.nodes.values())), 2, "its workers ran on two nodes")
    check(
        len(found.weights) == 1 and None not in found.weights,
        "their weights are equal",
        weights=found.weights,
    )
    steps = [step for step, _ in found.losses]
    check.equal(steps, list(range(trainings.STEPS)), "MLflow has the loss of each step once")
    trainings.near(check, found, trainings.whole(platform))


@proof("training", needs=["training.tensorflow_learns_what_pytorch_learns"])
def a_killed_tensorflow_training_ends_like_an_uninterrupted_one(platform: Platform, check: Check) -> None:
    """A worker is killed at a step drawn by lot; the others notice, and all go on from a checkpoint."""
    trainings.require_part(platform, check)

    def disturb(training: str) -> None:
        trainings.reached(platform, training, KILL_AT)
        trainings.kill(platform, "probe-tensorflow-killed", rank=1)

    found = trainings.run(platform, "probe-tensorflow-killed", disturb, workload=WORKLOAD)
    trainings.went_on_after(check, found, KILL_AT)
    trainings.ends_like(check, found, whole(platform))


@proof("training", needs=["training.it_beats_the_base_rate"])
def tensorflow_is_as_good_as_pytorch(platform: Platform, check: Check) -> None:
    """Trained on all months, it is right on the test month as often as PyTorch's model, and registered."""
    trainings.require_part(platform, check)
    found = trainings.run(
        platform, "probe-tensorflow-reference", workload=WORKLOAD, config="reference", changes=()
    )
    said = found.result.messages["0"]
    steps = [step for step, _ in found.losses]
    check.equal(steps, list(range(len(steps))), "MLflow has the loss of each step once")
    pytorch = trained(platform).evaluation["metrics"]
    for name in ("accuracy", "precision", "recall", "roc_auc"):
        check(
            abs(said[name] - pytorch[name]) <= ACCURACY_APART,
            f"its {name} is PyTorch's, but for {ACCURACY_APART}",
            tensorflow=said[name],
            pytorch=pytorch[name],
        )
    version = platform.mlflow().get_model_version(said["model"], said["version"])
    for name in ("snapshot_id", "code_sha256", "features_sha256", "image", "weights_sha256"):
        check(bool(version.tags.get(name)), f"the registered version names its {name}")


@proof("training")
def a_diverging_tensorflow_training_is_failed_with_its_cause(platform: Platform, check: Check) -> None:
    """A loss that is no number ends it: the pods, the TrainJob and MLflow say so."""
    trainings.require_part(platform, check)
    rate = ("--set", "learning_rate=1e30")
    name, cause = "probe-tensorflow-diverging", "the training diverged"
    trainings.fails_for(platform, check, name, cause, *rate, workload=WORKLOAD)
