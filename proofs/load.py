"""Load as users make it: queries, runs, objects, rows and predictions, at moments that are drawn and the same
each time. Each answer must be right.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from client import Platform
from proofs import probe, rollouts
from proofs.run import short
from proofs.subjects import data
from proofs.subjects.serving_gateway import has_part
from workloads.generate_load.load import Running
from workloads.generate_load.plan import Plan

SEED = 13
RATE = 10.0
"""Predictions a second."""
EXAMPLES = 3
"""Wrong answers of a kind that are kept with what was wrong."""
NAME = "probe-load"
TABLE = "probe_load"
KIB = 2**10
SIZES = (KIB, 256 * KIB)
"""Bytes of an object."""
STEPS = 20
"""Of a run."""

Ask = Callable[[Random], None]
"""One request of a user, and whatever belongs to it; what it is about is drawn. It raises what is wrong."""


class Wrong(Exception):
    """An answer that is not the right one."""


def right(found: Any, expected: Any, what: str) -> None:
    if found != expected:
        raise Wrong(f"{what}: {short(found, 100)} instead of {short(expected, 100)}")


@dataclass
class Tally:
    """What came of one kind of load."""

    planned: int
    asked: int = 0
    failed: int = 0
    """No answer, or a wrong one."""
    said: list[str] = field(default_factory=list)
    """About the first of them."""


Begin = Callable[[float], AbstractContextManager[Tally]]
"""One kind of load for so many seconds, meanwhile; all is counted when it is left."""


@contextmanager
def prepared(platform: Platform) -> Iterator[dict[str, Begin]]:
    """All kinds that the platform bears, with what they need; nothing of that is left afterwards."""
    with ExitStack() as stack:
        found: dict[str, Begin] = {
            name: partial(asking, name, every, stack.enter_context(users(platform)))
            for name, (every, users) in KINDS.items()
        }
        if has_part(platform):
            found["predictions"] = partial(predicting, stack.enter_context(predictions(platform)))
        yield found


@contextmanager
def begun(kinds: dict[str, Begin], seconds: float) -> Iterator[dict[str, Tally]]:
    """All of them side by side, for so many seconds."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(begin(seconds)) for name, begin in kinds.items()}


# --- one kind -----------------------------------------------------------------------------------------------


def moments(dice: Random, every: float, seconds: float) -> list[float]:
    """When requests are due, in seconds since the start: as of users who know nothing of each other."""
    found: list[float] = []
    due = dice.expovariate(1 / every)
    while due < seconds:
        found.append(due)
        due += dice.expovariate(1 / every)
    return found


@contextmanager
def asking(name: str, every: float, ask: Ask, seconds: float) -> Iterator[Tally]:
    """Ask in a thread of its own, every so many seconds in the mean. One request is done before the next."""
    dice, over, began = Random(f"{SEED} {name}"), threading.Event(), time.monotonic()
    due = moments(dice, every, seconds)
    tally = Tally(planned=len(due))

    def work() -> None:
        for moment in due:
            if over.wait(max(began + moment - time.monotonic(), 0)):
                return
            one(ask, dice, tally, moment)

    thread = threading.Thread(target=work, name=f"load-{name}", daemon=True)
    thread.start()
    try:
        yield tally
    finally:
        over.set()
        thread.join()


def one(ask: Ask, dice: Random, tally: Tally, moment: float) -> None:
    """One request, counted."""
    tally.asked += 1
    try:
        ask(dice)
    except Exception as error:  # Whatever is wrong is counted, and told at the end.
        tally.failed += 1
        if len(tally.said) < EXAMPLES:
            tally.said.append(f"after {moment:.0f} s: {type(error).__name__}: {short(str(error))}")


@contextmanager
def predicting(served: tuple[str, Plan], seconds: float) -> Iterator[Tally]:
    """Ask the model by `workloads/generate_load`, which does not wait for answers before it asks again."""
    version, usual = served
    plan = replace(usual, seconds=seconds, requests=None, seed=SEED)
    tally, load = Tally(planned=plan.schedule().size), Running(plan)
    try:
        with load:
            yield tally
    finally:
        result = load.result()
        tally.asked = result.requests
        tally.failed = result.requests - result.counted.get(version, 0)
        tally.said = [f"after {each.at:.0f} s: {each.outcome}: {each.said}" for each in result.failures]
        del tally.said[EXAMPLES:]


# --- what users do ------------------------------------------------------------------------------------------


@contextmanager
def queries(platform: Platform) -> Iterator[Ask]:
    """Questions about the flights."""
    expected = {question: data.right_answer(question) for question in data.QUESTIONS}

    def ask(dice: Random) -> None:
        question = dice.choice(list(expected))
        ours, theirs = data.answer(platform, question), expected[question]
        right(len(ours), len(theirs), f"rows: {question}")
        for pair in zip(ours, theirs, strict=True):
            if not data.same(*pair):
                right(*pair, question)

    yield ask


@contextmanager
def runs(platform: Platform) -> Iterator[Ask]:
    """Runs with metrics and an artifact, read again and deleted."""
    mlflow = platform.mlflow()
    experiment = probe.experiment(mlflow)
    from mlflow.entities import Metric

    def ask(dice: Random) -> None:
        losses = [dice.random() for _ in range(STEPS)]
        run_id = mlflow.create_run(experiment).info.run_id
        try:
            now = round(time.time() * 1000)
            metrics = [Metric("loss", loss, now, at) for at, loss in enumerate(losses)]
            mlflow.log_batch(run_id, metrics=metrics)
            mlflow.log_text(run_id, str(losses), "losses.txt")
            mlflow.set_terminated(run_id)
            logged = {entry.step: entry.value for entry in mlflow.get_metric_history(run_id, "loss")}
            right(logged, dict(enumerate(losses)), "the metrics")
            with tempfile.TemporaryDirectory() as folder:
                file = mlflow.download_artifacts(run_id, "losses.txt", folder)
                right(Path(file).read_text(), str(losses), "the artifact")
        finally:
            mlflow.delete_run(run_id)

    yield ask


@contextmanager
def objects(platform: Platform) -> Iterator[Ask]:
    """Objects that are put, read and deleted."""
    s3, bucket = platform.s3(), platform.access["S3_BUCKET"]

    def there(prefix: str) -> list[str]:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def clear() -> None:
        for key in there(NAME):
            s3.delete_object(Bucket=bucket, Key=key)

    def ask(dice: Random) -> None:
        key, content = f"{NAME}-{dice.randrange(10**9):09}", dice.randbytes(dice.randint(*SIZES))
        s3.put_object(Bucket=bucket, Key=key, Body=content)
        read = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        right(read == content, True, "the object is as it was")
        s3.delete_object(Bucket=bucket, Key=key)
        right(there(key), [], "after it was deleted")

    clear()  # What a killed run left.
    try:
        yield ask
    finally:
        clear()


@contextmanager
def rows(platform: Platform) -> Iterator[Ask]:
    """Bookings that are made, changed, read and cancelled in PostgreSQL, each over its own connection."""

    def do(statement: str) -> None:
        with platform.postgres() as database:
            database.execute(statement)

    def ask(dice: Random) -> None:
        number, seats = dice.randrange(10**9), dice.randint(1, 9)
        with platform.postgres() as database:
            database.execute(f"INSERT INTO {TABLE} VALUES (%s, 0)", [number])
            database.commit()
            database.execute(f"UPDATE {TABLE} SET seats = %s WHERE number = %s", [seats, number])
            database.commit()
            found = database.execute(f"SELECT seats FROM {TABLE} WHERE number = %s", [number]).fetchall()
            right(found, [(seats,)], "the booking")
            database.execute(f"DELETE FROM {TABLE} WHERE number = %s", [number])

    do(f"DROP TABLE IF EXISTS {TABLE}")  # What a killed run left.
    do(f"CREATE TABLE {TABLE} (number bigint, seats integer)")
    try:
        yield ask
    finally:
        do(f"DROP TABLE {TABLE}")


@contextmanager
def predictions(platform: Platform) -> Iterator[tuple[str, Plan]]:
    """A served model of the proofs' own: its version, and how it is asked by the Gateway."""
    with rollouts.served(platform, rollouts.FIRST) as (version,):
        yield version, rollouts.plan(platform, requests=1, rate=RATE)


KINDS: dict[str, tuple[float, Callable[[Platform], AbstractContextManager[Ask]]]] = {
    "queries": (10.0, queries),
    "runs": (10.0, runs),
    "objects": (2.0, objects),
    "rows": (2.0, rows),
}
"""Seconds between two requests in the mean, and what makes them: together no strain for two cores."""
