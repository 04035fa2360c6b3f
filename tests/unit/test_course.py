"""What the trainings of the delay model share, and how TensorFlow's workers find each other: no framework."""

import json
import socket
from dataclasses import replace

import numpy as np
import pytest

import workloads
from infra import outputs
from workloads import gang
from workloads.common import HopelessError, WorkloadError
from workloads.train_delay import config
from workloads.train_delay.course import Course, train
from workloads.train_delay.data import Data
from workloads.train_delay.shape import Shape
from workloads.train_delay_tensorflow import cluster
from workloads.train_delay_tensorflow import config as tensorflow_config

SETTINGS = replace(config.tiny(), batch=8, epochs=2, log_every=3, checkpoint_every=4)
ROWS = 85
"""Ten steps, and five rows that fill no batch."""


def course(rank: int = 0, size: int = 1, settings: config.TrainDelay = SETTINGS, rows: int = ROWS) -> Course:
    return Course(settings, rank, size, rows)


# --- what chance decides ------------------------------------------------------------------------------------

SHAPE = Shape([3, 40], numeric=5, hidden=8)


def test_the_shape_follows_from_the_features() -> None:
    assert SHAPE.widths == [2, 16]
    assert SHAPE.layers == [(23, 8), (8, 4), (4, 1)]


def test_first_weights_are_drawn_once_for_every_framework() -> None:
    weights = SHAPE.first_weights(13)
    assert [table.shape for table in weights.embeddings] == [(3, 2), (40, 16)]
    assert [(kernel.shape, bias.shape) for kernel, bias in weights.layers] == [
        ((23, 8), (8,)), ((8, 4), (4,)), ((4, 1), (1,))
    ]  # fmt: skip
    arrays = [*weights.embeddings, *(array for layer in weights.layers for array in layer)]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
    assert abs(weights.embeddings[1].std() - 1) < 0.1
    kernel = weights.layers[0][0]
    assert 0.9 * 23**-0.5 < abs(kernel).max() <= 23**-0.5
    assert float(kernel[0, 0]) == pytest.approx(-0.0625084415, abs=1e-9), (
        "not what other machines and versions draw"
    )
    assert not np.array_equal(kernel, SHAPE.first_weights(14).layers[0][0])


def test_ranks_share_each_batch_and_each_row_is_met_once_an_epoch() -> None:
    alone, pair = course(), [course(rank, 2) for rank in (0, 1)]
    met: list[int] = []
    for step in range(alone.steps):
        whole = alone.share(step)
        assert len(whole) == SETTINGS.batch
        assert np.array_equal(whole, np.concatenate([each.share(step) for each in pair]))
        met += whole.tolist()
    assert len(set(met)) == len(met) == 80


def test_every_epoch_has_an_order_of_its_own_which_need_not_be_kept() -> None:
    one, other = course(), course()
    first = one.share(0)
    one.epoch = other.epoch = 1
    assert not np.array_equal(one.share(0), first)
    assert np.array_equal(one.share(0), other.share(0))


# --- the course ---------------------------------------------------------------------------------------------


class Walker(Course):
    """Learns nothing, and writes down where it stopped."""

    def advance(self) -> None:
        first = self.total
        self.took([float(number) for number in range(first, first + self.until() - self.step)])

    def end_epoch(self, validation: Data) -> None:
        self.next_epoch(0.5)


def test_a_training_stops_where_there_is_something_to_tell_or_to_keep() -> None:
    walker = Walker(SETTINGS, 0, 1, ROWS)
    told: list[int] = []
    kept: list[int] = []
    train(walker, None, lambda: told.append(walker.total), lambda: kept.append(walker.total))  # type: ignore[arg-type]
    assert told == [3, 4, 6, 8, 9, 10, 13, 14, 16, 18, 19, 20]
    assert kept == [4, 8, 10, 14, 18, 20]
    assert walker.losses == list(range(20))
    assert walker.train_losses == [4.5, 14.5]
    assert walker.validation_losses == [0.5, 0.5]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_hopeless(loss: float) -> None:
    with pytest.raises(HopelessError, match=f"the loss is {loss} at step 1 .*learning rate below 0.002"):
        course().took([0.5, loss])


def test_what_cannot_be_shared_is_hopeless() -> None:
    with pytest.raises(HopelessError, match="3 ranks cannot share a batch of 8 rows evenly"):
        course(size=3)
    with pytest.raises(HopelessError, match="7 rows do not fill one batch of 8"):
        course(rows=7)


# --- TensorFlow's workers -----------------------------------------------------------------------------------


def pod_of_a_train_job(monkeypatch: pytest.MonkeyPatch, nodes: int, rank: int) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setenv("PET_NNODES", str(nodes))
    monkeypatch.setenv("PET_NODE_RANK", str(rank))
    monkeypatch.setenv("PET_MASTER_ADDR", "run-0-node-0-0.run-0")


def test_workers_find_each_other_by_the_name_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    pod_of_a_train_job(monkeypatch, nodes=3, rank=1)
    assert cluster.tf_config() == {
        "cluster": {"worker": [f"run-0-node-0-{index}.run-0:{cluster.PORT}" for index in range(3)]},
        "task": {"type": "worker", "index": 1},
    }


def test_one_worker_needs_nobody_and_a_config_that_is_given_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    pod_of_a_train_job(monkeypatch, nodes=1, rank=0)
    assert cluster.tf_config() == {}
    given = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(given))
    assert cluster.tf_config() == given


def test_a_worker_that_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(cluster, "MEETING_S", 0)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(WorkloadError, match=r"worker run-node-0-1\.run has no address after 0 s"):
        cluster.find(["run-node-0-1.run:2222"])


IMAGE = "registry.example/seatrial/workloads:0123"


def test_the_tensorflow_training_names_its_runtime_and_its_image() -> None:
    (item,) = workloads.manifest(
        "train_delay_tensorflow", IMAGE, served={"Job"}, training="t-1", arguments=["--set", "epochs=2"]
    )
    trainer = item["spec"]["trainer"]
    assert (
        item["spec"]["runtimeRef"]
        == {"name": outputs.RUNTIME_TENSORFLOW}
        == {"name": gang.TENSORFLOW_RUNTIME}
    )
    assert trainer["image"] == "registry.example/seatrial/workloads-tensorflow:0123"
    assert trainer["command"][:2] == ["sh", "-c"], "it must not be process 1"
    assert trainer["command"][-6:] == [
        "-m", "workloads.train_delay_tensorflow.main", "--config", "reference", "--set", "epochs=2"
    ]  # fmt: skip


def test_the_tensorflow_training_differs_from_pytorchs_in_the_name_of_its_model_alone() -> None:
    for name in ("tiny", "reference"):
        ours, theirs = getattr(tensorflow_config, name)(), getattr(config, name)()
        assert ours.model != theirs.model
        assert replace(ours, model=theirs.model) == theirs
