"""Checkpoints survive kills, damage and a bad object store, and are not mistaken for another training's."""

import io
import json
import threading
from typing import Any

import pytest

from workloads.checkpoints import Checkpoints, Saver
from workloads.common import WorkloadError

IDENTITY = {"snapshot": 7, "epochs": 2, "months": (1, 2)}


class Refusal(Exception):
    def __init__(self, code: str, said: str) -> None:
        super().__init__(said)
        self.response = {"Error": {"Code": code}}


class Store:
    """Stands for the object store; `before_put` may refuse, or be the moment of a kill."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.before_put: Any = lambda key: None

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        self.before_put(Key)
        self.objects[Key] = Body

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if Key not in self.objects:
            raise Refusal("NoSuchKey", "the key does not exist")
        return {"Body": io.BytesIO(self.objects[Key])}

    def delete_object(self, Bucket: str, Key: str) -> None:
        self.objects.pop(Key, None)

    def list_objects_v2(self, Bucket: str, Prefix: str) -> dict[str, Any]:
        return {"Contents": [{"Key": key} for key in sorted(self.objects) if key.startswith(Prefix)]}

    def states(self) -> list[bytes]:
        return [body for key, body in sorted(self.objects.items()) if "/step-" in key]


class Killed(BaseException):
    pass


def load(store: Any, training: str = "t1", **other: Any) -> tuple[int, bytes] | None:
    return Checkpoints(store, "datasets", training, keep=2).load(IDENTITY | other)


def begun(store: Any) -> Checkpoints:
    ours = Checkpoints(store, "datasets", "t1", keep=2)
    ours.load(IDENTITY)
    return ours


def test_the_newest_state_comes_back_in_another_process() -> None:
    store = Store()
    assert load(store) is None
    ours = begun(store)
    ours.save(10, b"ten")
    ours.save(20, b"twenty")
    assert load(store) == (20, b"twenty")
    assert load(store, "t2") is None


def test_the_last_states_are_kept_and_the_rest_goes() -> None:
    store = Store()
    ours = begun(store)
    for step in (1, 2, 3, 4):
        ours.save(step, b"state %d" % step)
        ours.save(step, b"state %d" % step)
    assert store.states() == [b"state 3", b"state 4"]
    again = begun(store)
    again.save(5, b"state 5")
    assert store.states() == [b"state 4", b"state 5"]


@pytest.mark.parametrize("moment", ["step-00000003", "latest.json"])
def test_a_kill_in_a_save_loses_only_what_was_being_saved(moment: str) -> None:
    store = Store()
    ours = begun(store)
    ours.save(1, b"one")
    ours.save(2, b"two")

    def kill(key: str) -> None:
        if moment in key:
            raise Killed

    store.before_put = kill
    with pytest.raises(Killed):
        ours.save(3, b"three")
    store.before_put = lambda key: None
    assert load(store) == (2, b"two")
    assert store.states() == [b"one", b"two"], "what the kill left is pruned"


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_state_is_refused_and_the_one_before_is_used(
    damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store()
    ours = begun(store)
    ours.save(1, b"one")
    ours.save(2, b"two")
    newest = ours.kept[0]["key"]
    if damage == "gone":
        del store.objects[newest]
    else:
        store.objects[newest] = {"changed": b"twO", "cut": b"tw"}[damage]
    again = Checkpoints(store, "datasets", "t1", keep=2)
    assert again.load(IDENTITY) == (1, b"one")
    said = capsys.readouterr().out
    assert "checkpoint refused, the one before is tried" in said
    assert newest in said
    again.save(2, b"two")
    assert load(store) == (2, b"two")


def test_when_none_is_whole_nobody_begins_anew_unasked() -> None:
    store = Store()
    ours = begun(store)
    ours.save(1, b"one")
    store.objects[ours.kept[0]["key"]] = b"?"
    with pytest.raises(
        WorkloadError, match=r"none of the 1 checkpoints in datasets/checkpoints/t1/ is whole"
    ):
        load(store)


def test_a_checkpoint_of_other_settings_or_data_is_refused_by_name() -> None:
    store = Store()
    begun(store).save(1, b"one")
    with pytest.raises(WorkloadError, match=r"of another training: snapshot was 7 and is 8;"):
        load(store, snapshot=8)
    with pytest.raises(WorkloadError, match=r"epochs was 2 and is 3, rows was None and is 5"):
        load(store, epochs=3, rows=5)
    assert load(store) == (1, b"one")


def test_what_a_training_was_of_is_known_before_it_goes_on() -> None:
    store = Store()
    assert Checkpoints(store, "datasets", "t1").origin() is None
    begun(store).save(1, b"one")
    assert Checkpoints(store, "datasets", "t1").origin() == {"snapshot": 7, "epochs": 2, "months": [1, 2]}


def test_a_pointer_that_is_none_is_named() -> None:
    store = Store()
    store.objects["checkpoints/t1/latest.json"] = b"{"
    with pytest.raises(WorkloadError, match=r"datasets/checkpoints/t1/latest.json is no pointer"):
        load(store)
    store.objects["checkpoints/t1/latest.json"] = json.dumps(["x"]).encode()
    with pytest.raises(WorkloadError, match="is no pointer"):
        load(store)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("NoSuchBucket", "the bucket does not exist"),
        ("AccessDenied", "not allowed"),
        ("", "no space left on device"),
    ],
)
def test_a_store_that_refuses_is_named_with_bucket_key_and_cause(code: str, said: str) -> None:
    store = Store()

    def refuse(key: str) -> None:
        raise Refusal(code, said)

    store.before_put = refuse
    with pytest.raises(WorkloadError) as refused:
        begun(store).save(3, b"three")
    for part in ("did not put checkpoints/t1/step-00000003-", "in bucket datasets", code, said):
        assert part in str(refused.value)


def test_a_bucket_that_is_missing_is_not_mistaken_for_a_fresh_start() -> None:
    store = Store()

    def refuse(**_: Any) -> None:
        raise Refusal("NoSuchBucket", "the bucket does not exist")

    store.get_object = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(WorkloadError, match=r"did not get checkpoints/t1/latest\.json in bucket datasets"):
        load(store)


# --- behind the training's back -----------------------------------------------------------------------------


def test_a_training_goes_on_while_its_state_is_on_its_way_and_waits_for_the_one_before() -> None:
    store, gate = Store(), threading.Event()
    store.before_put = lambda key: gate.wait(10)
    saver = Saver(begun(store))
    saver.save(1, b"one")
    assert store.states() == [], "it is on its way, and nobody waits"
    gate.set()
    saver.save(2, b"two")
    assert store.states()[0] == b"one"
    saver.flush()
    assert load(store) == (2, b"two")


def test_a_state_that_found_no_room_is_told_with_the_next_one_or_at_the_end() -> None:
    store = Store()

    def refuse(key: str) -> None:
        if "step-00000002" in key:
            raise Refusal("InsufficientStorage", "No space left on device.")

    saver = Saver(begun(store))
    saver.save(1, b"one")
    saver.flush()
    store.before_put = refuse
    saver.save(2, b"two")
    with pytest.raises(WorkloadError, match=r"did not put .*step-00000002.*No space left on device"):
        saver.save(3, b"three")
    assert load(store) == (1, b"one"), "what was saved before stands, and nothing was saved after"
    saver.save(2, b"two")
    with pytest.raises(WorkloadError, match="No space left on device"):
        saver.flush()
    saver.flush()
