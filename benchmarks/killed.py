"""A training of `train_delay` as a TrainJob, with ranks that are killed on the way, and what was seen of it.

What is seen becomes lines of JSON, as programs print them, with the pods' own logs in them: `attempt.py` and
the suite make figures of it.
"""

import json
import time
import uuid
from dataclasses import asdict, dataclass
from typing import Any

from kubernetes import client as k8s

import client
import workloads
from benchmarks.attempt import Attempt
from benchmarks.errors import BenchmarkError
from benchmarks.pods import PROGRAMS, Printed
from client import Platform, jobs, pods
from client.jobs import Handle
from client.waiting import until
from workloads import checkpoints

PATIENCE = 1200
"""Seconds in which a training must come as far as its next kill, and to its end."""
QUIETER = "see the pods, and measure again on a quieter machine"
KILL = ("sh", "-c", f"echo at $(date +%s.%N); {pods.KILL[-1]}")
"""Says when: on a busy machine it may take seconds until a command runs in a pod."""
LOOK = "\nprint('seen:', json.dumps({**look(), 'cpu': processor()}))"
"""What is JSON from its first letter on, the Kubernetes client reads, and hands over as Python writes it."""


@dataclass(frozen=True)
class Kill:
    """SIGKILL for a rank, at a step that the training has come to."""

    rank: int
    step: int


@dataclass(frozen=True)
class Training:
    """What is trained, and when it is disturbed."""

    name: str
    image: str
    ranks: int
    settings: dict[str, Any]
    """Of `train_delay`, by name."""
    last_look: int
    """The step of the last attempt, at which the nodes are looked at for the last time; 0 is its begin."""
    kills: tuple[Kill, ...] = ()


class Timed(pods.Watched):
    """Knows when each pod was first seen, and first seen to have ended."""

    def __init__(self, platform: Platform, namespace: str, selector: str) -> None:
        super().__init__(platform, namespace, selector)
        self.made: dict[str, float] = {}
        self.ended: dict[str, float] = {}

    def _note(self, pod: Any) -> None:
        now = time.time()
        self.made.setdefault(pod.metadata.uid, now)
        if any(status.state.terminated for status in pod.status.container_statuses or []):
            self.ended.setdefault(pod.metadata.uid, now)
        super()._note(pod)


def launch(platform: Platform, wanted: Training) -> Printed:
    """Train to the end; what was seen is the text.

    Raises:
        ClientError: it failed for another reason than the kills, or did not come as far as one in time.
        BenchmarkError: it was done before a kill.
    """
    training = f"{wanted.name}-{uuid.uuid4().hex[:8]}"
    manifest = objects(wanted, training)
    try:
        submitted = time.time()
        client.deploy(platform, wanted.name, manifest, wait=False)
        (job,) = jobs.jobs(platform, manifest)
        watched = Timed(platform, job.namespace, job.selector)
        with watched:
            seen = Observer(platform, wanted, job, watched)
            seen.follow()
            seen.ends(submitted, jobs.follow(job, PATIENCE))
    finally:
        forget(platform, training)
    return Printed("\n".join(seen.lines) + "\n", seen.images, time.time() - submitted)


def objects(wanted: Training, training: str) -> list[dict[str, Any]]:
    settings = [word for name, value in wanted.settings.items() for word in ("--set", f"{name}={value}")]
    return workloads.manifest(
        "train_delay",
        wanted.image,
        form="TrainJob",
        name=wanted.name,
        config="tiny",
        ranks=wanted.ranks,
        training=training,
        arguments=settings,
    )


def forget(platform: Platform, training: str) -> None:
    """Delete the training's checkpoints."""
    store, bucket = platform.s3(), platform.access["S3_BUCKET"]
    listed = store.list_objects_v2(Bucket=bucket, Prefix=f"{checkpoints.FOLDER}/{training}/")
    for entry in listed.get("Contents", []):
        store.delete_object(Bucket=bucket, Key=entry["Key"])


class Observer:
    """Kills ranks when their time has come and notes what happens."""

    def __init__(self, platform: Platform, wanted: Training, job: Handle, watched: Timed) -> None:
        self.platform, self.wanted, self.job, self.watched = platform, wanted, job, watched
        self.lines: list[str] = []
        self.images: dict[str, str] = {}
        self.before: dict[str, dict[str, Any]] = {}

    def tell(self, kind: str, **fields: Any) -> None:
        self.lines.append(json.dumps({"bench": kind, **fields}))

    def follow(self) -> None:
        """To the last look at the nodes, with all kills before it."""
        self.reached(0, 0)
        self.before = self.nodes()
        for number, kill in enumerate(self.wanted.kills):
            self.strike(number, kill)
        self.reached(len(self.wanted.kills), self.wanted.last_look)
        self.look_at_nodes()

    def strike(self, number: int, kill: Kill) -> None:
        """Kill when the training is at the step, which lies somewhere between two checkpoints."""
        attempt = self.reached(number, kill.step)
        at = float(pods.execute(self.platform, self.pod(kill.rank), KILL).partition("at")[2].split()[0])
        self.tell("attempt", number=number, made=self.made(number), log=(self.printed() or attempt).lines)
        again = f"all pods to be made anew after kill {number + 1}"
        until(lambda: len(self.watched.of(number + 1)) == self.wanted.ranks, again, 300, todo=QUIETER)
        self.tell("kill", number=number, **asdict(kill), at=at, failed=self.failed(number, at))

    def reached(self, number: int, step: int) -> Attempt:
        """Wait until this attempt is at the step, by its last checkpoint and its pace; what rank 0 printed.

        With step 0 until it has begun.
        """
        found: list[Attempt] = []

        def there() -> bool:
            if self.watched.attempt < number:
                return False
            conditions = jobs.conditions_of(self.job.read())
            if "Failed" in conditions:
                jobs.follow(self.job)  # It says why.
            if "Complete" in conditions:
                raise BenchmarkError(
                    f"the training was done before step {step} of attempt {number + 1} was seen",
                    "give it more epochs",
                )
            now = self.printed()
            if now is None:
                return False
            found[:] = [now]
            return now.has_come_to(step, time.time())

        until(there, f"step {step} in attempt {number + 1} of the training", PATIENCE, todo=QUIETER)
        return found[0]

    def printed(self) -> Attempt | None:
        """What rank 0 has printed; None while its container has not started, or when it is gone."""
        try:
            return Attempt.of(pods.log(self.platform, self.pod(0), timestamps=True).splitlines())
        except (LookupError, k8s.ApiException):
            return None

    def pod(self, rank: int) -> Any:
        return pods.of_rank(self.platform, self.job.namespace, self.job.selector, rank)

    def made(self, number: int) -> float:
        """When the last pod of an attempt was seen first."""
        return max(self.watched.made[pod.metadata.uid] for pod in self.watched.of(number))

    def failed(self, number: int, at: float) -> float:
        """When the first pod of an attempt was seen to have ended, at the latest when all were made anew."""
        seen = [self.watched.ended.get(pod.metadata.uid) for pod in self.watched.of(number)]
        return min([self.made(number + 1), *(when for when in seen if when is not None and when >= at)])

    def ends(self, submitted: float, result: jobs.JobResult) -> None:
        done = time.time()
        number = len(self.wanted.kills)
        last = pods.log(self.platform, self.pod(0), timestamps=True).splitlines()
        self.tell("attempt", number=number, made=self.made(number), log=Attempt.of(last).lines)
        said = result.messages["0"]
        self.images = {self.wanted.image: self.digest()}
        self.tell(
            "training", ranks=self.wanted.ranks, settings=self.wanted.settings, restarts=result.restarts,
            submitted=submitted, done=done, steps=said["steps"], learned_seconds=said["learned_seconds"],
        )  # fmt: skip
        self.tell("done", kills=number)

    def digest(self) -> str:
        return str(self.pod(0).status.container_statuses[0].image_id.rpartition("@")[2])

    # --- nodes ----------------------------------------------------------------------------------------------

    def nodes(self) -> dict[str, dict[str, Any]]:
        """The counters of each node that trains, as its pod sees them."""
        program = (PROGRAMS / "watch.py").read_text() + LOOK
        found = {}
        for rank in range(self.wanted.ranks):
            pod = self.pod(rank)
            said = pods.execute(self.platform, pod, ["python3", "-c", program])
            found[pod.spec.node_name] = json.loads(said.partition("seen:")[2])
        return found

    def look_at_nodes(self) -> None:
        for node, now in self.nodes().items():
            if node not in self.before:
                continue  # It had no rank at the start.
            was = self.before[node]
            ticks = max(now["ticks"] - was["ticks"], 1)
            self.tell(
                "seen", node=node, cpu=now["cpu"], load1=was["load1"],
                steal_percent=round(100 * (now["stolen"] - was["stolen"]) / ticks, 2),
                swapped_pages=now["swapped"] - was["swapped"],
            )  # fmt: skip
