"""Checkpoints of a training in the object store: bytes in, bytes out; the training knows what they mean.

    checkpoints/<training>/step-00000040-<sha256>   one state
    checkpoints/<training>/latest.json              the pointer: the last states, newest first, and what of

A state is put first, the pointer after it, and each put is all or nothing: whenever the writer is killed, the
pointer names whole states. A state that was damaged later does not have the hash in its name; the one before
is taken then.
"""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from workloads.common import HopelessError, WorkloadError, digest, log

FOLDER = "checkpoints"
POINTER = "latest.json"


class Checkpoints:
    """The checkpoints of one training; one process writes them. `keep` is how many states are kept."""

    def __init__(self, s3: Any, bucket: str, training: str, *, keep: int = 3) -> None:
        self.s3 = s3
        self.bucket = bucket
        self.prefix = f"{FOLDER}/{training}/"
        self.keep = keep
        self.identity: dict[str, Any] = {}
        self.kept: list[dict[str, Any]] = []

    def origin(self) -> dict[str, Any] | None:
        """The identity of the training that saved here; None where nothing was saved yet."""
        pointer = self._pointer()
        return pointer and pointer["identity"]

    def save(self, step: int, state: bytes) -> None:
        """Put the state, then the pointer to it; then the oldest states go.

        Raises:
            WorkloadError: the object store did not take it; what was saved before stands.
        """
        sha256 = digest(state)
        entry: dict[str, Any] = {
            "key": f"{self.prefix}step-{step:08d}-{sha256}",
            "step": step,
            "sha256": sha256,
        }
        others = [each for each in self.kept if each["key"] != entry["key"]]
        kept, dropped = [entry, *others][: self.keep], others[self.keep - 1 :]
        self._put(entry["key"], state)
        self._put(self.prefix + POINTER, json.dumps({"identity": self.identity, "kept": kept}).encode())
        self.kept = kept
        for old in dropped:
            self._delete(old["key"])

    def load(self, identity: dict[str, Any]) -> tuple[int, bytes] | None:
        """The newest whole state with its step; None where nothing was saved yet.

        `identity` is what a training must have in common with a checkpoint to go on from it, for example its
        settings and the snapshot of its data; what is saved from now on carries it.

        Raises:
            HopelessError: it is of another training, or none is whole.
            WorkloadError: the object store does not answer.
        """
        self.identity = json.loads(json.dumps(identity))
        pointer = self._pointer()
        found = None
        if pointer is not None:
            self._require_same(pointer["identity"])
            self.kept = pointer["kept"]
            found = self._newest_whole()
        self._prune()
        return found

    def _newest_whole(self) -> tuple[int, bytes]:
        tried = list(self.kept)
        while self.kept:
            newest = self.kept[0]
            state = self._get(newest["key"])
            if state is not None and digest(state) == newest["sha256"]:
                return newest["step"], state
            cause = "is not there" if state is None else f"has the hash {digest(state)}"
            log("checkpoint refused, the one before is tried", key=newest["key"], cause=f"'it {cause}'")
            self.kept = self.kept[1:]
        raise HopelessError(
            f"none of the {len(tried)} checkpoints in {self.bucket}/{self.prefix} is whole; "
            "delete that folder to begin anew"
        )

    def _require_same(self, other: dict[str, Any]) -> None:
        differing = [
            f"{name} was {other.get(name)!r} and is {self.identity.get(name)!r}"
            for name in sorted(other.keys() | self.identity.keys())
            if other.get(name) != self.identity.get(name)
        ]
        if differing:
            raise HopelessError(
                f"the checkpoints in {self.bucket}/{self.prefix} are of another training: "
                f"{', '.join(differing)}; give this training an id of its own"
            )

    def _pointer(self) -> dict[str, Any] | None:
        key = self.prefix + POINTER
        body = self._get(key)
        if body is None:
            return None
        try:
            pointer: dict[str, Any] = json.loads(body)
            return {"identity": pointer["identity"], "kept": list(pointer["kept"])}
        except (ValueError, KeyError, TypeError) as error:
            raise HopelessError(
                f"{self.bucket}/{key} is no pointer to checkpoints ({error}); delete its folder to begin anew"
            ) from error

    def _prune(self) -> None:
        """Delete states that the pointer does not name: left by a kill, or refused."""
        named = {entry["key"] for entry in self.kept} | {self.prefix + POINTER}
        for key in self._keys():
            if key not in named:
                self._delete(key)

    # --- the object store ----------------------------------------------------------------------------------

    def _put(self, key: str, body: bytes) -> None:
        with self._calls("put", key):
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def _get(self, key: str) -> bytes | None:
        with self._calls("get", key):
            try:
                body: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            except Exception as error:
                if code_of(error) == "NoSuchKey":
                    return None
                raise
        return body

    def _delete(self, key: str) -> None:
        with self._calls("delete", key):
            self.s3.delete_object(Bucket=self.bucket, Key=key)

    def _keys(self) -> list[str]:
        """At most the first thousand: a later start deletes the rest."""
        with self._calls("list", self.prefix):
            answer = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix)
        return [entry["Key"] for entry in answer.get("Contents", [])]

    @contextmanager
    def _calls(self, what: str, key: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise WorkloadError(
                f"the object store did not {what} {key} in bucket {self.bucket}: "
                f"{code_of(error) or type(error).__name__}: {error}"
            ) from error


class Saver:
    """Saves behind the training's back, one state after another: the training goes on while a state is on its
    way, and waits only for the one before. What is lost with a kill is what was not there yet.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self.writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="saver")
        self.pending: Future[None] | None = None

    def __enter__(self) -> "Saver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing is on its way any more: who begins anew in this process sees all that will be there."""
        self.writer.shutdown()

    def save(self, step: int, state: bytes) -> None:
        """Hand the state over.

        Raises:
            WorkloadError: the one before was not taken; this one is not tried then.
        """
        self.flush()
        self.pending = self.writer.submit(self.checkpoints.save, step, state)

    def flush(self) -> None:
        """Wait until all that was handed over is saved.

        Raises:
            WorkloadError: the object store did not take it.
        """
        pending, self.pending = self.pending, None
        if pending:
            pending.result()


def code_of(error: Exception) -> str:
    """The S3 error code, such as NoSuchKey; empty where the error is not an answer."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
