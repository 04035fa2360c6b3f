"""Runs a program of `benchmarks/programs/` in pods of the platform, in the workloads' own image, and brings
back what it printed.

The program travels in a ConfigMap, so that an image that is there already can run one that has just changed.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import client
from benchmarks.benchmark import Seen, Taken, Turn
from benchmarks.errors import BenchmarkError
from client import Platform, jobs, outputs
from client.pods import Watched
from workloads import pods

PROGRAMS = Path(__file__).parent / "programs"
SHARED = ("watch", "ranks", "ranks_horovod")
PORT = 29500
DEADLINE = 300
"""Seconds that one launch may take."""
Starter = Literal["torchrun", "mpirun"]
"""What starts several ranks in one pod."""
_INDEX = "metadata.labels['batch.kubernetes.io/job-completion-index']"


@dataclass(frozen=True)
class Launch:
    """One start of a program: `pods` pods, each on a node of its own, with `processes` ranks in each."""

    program: str
    image: str
    config: Mapping[str, Any]
    """Becomes BENCHMARK_CONFIG."""
    pods: int = 1
    processes: int = 1
    starter: Starter = "torchrun"
    beside: Mapping[str, str] = field(default_factory=dict)
    """Labels of pods of which one must be on the same node."""
    cpu: str = "200m"
    """What each pod asks for: its share where others want the processor too."""

    @property
    def name(self) -> str:
        return f"bench-{self.program.replace('_', '-')}"


@dataclass(frozen=True)
class Printed:
    """What came of a launch."""

    text: str
    """What the first pod printed."""
    images: Mapping[str, str]
    seconds: float


@contextmanager
def launching(platform: Platform, program: str) -> Iterator[None]:
    """Remove what launches of this program left, however the block ends."""
    try:
        yield
    finally:
        client.delete_workloads(platform, Launch(program, "", {}).name)


@dataclass(frozen=True)
class Reading:
    """What one side of a pair printed."""

    values: dict[str, list[float]]
    seen: list[Seen]
    weights: str = ""
    """Hash of what was learned, where something was."""


Read = TypeVar("Read", bound=Reading)


def pair(
    turn: Turn, launched: Callable[[str], Printed], read: Callable[[str], Read]
) -> tuple[Taken, dict[str, Read]]:
    """Launch both sides in the order of the turn; what was measured, and each side's reading."""
    printed = {side: launched(side) for side in turn.order}
    readings = {side: read(each.text) for side, each in printed.items()}
    taken = Taken(
        turn=turn,
        values={side: each.values for side, each in readings.items()},
        seconds=sum(each.seconds for each in printed.values()),
        seen=[node for each in readings.values() for node in each.seen],
        images={name: digest for each in printed.values() for name, digest in each.images.items()},
        log="\n".join(f"--- {side}\n{each.text}" for side, each in printed.items()),
    )
    return taken, readings


def launch(platform: Platform, wanted: Launch) -> Printed:
    """Run the program to its end.

    Raises:
        ClientError: it failed; the message holds each pod's own account.
    """
    began = time.monotonic()
    client.deploy(platform, wanted.name, manifests(wanted), deadline=DEADLINE)
    seconds = time.monotonic() - began
    of_this_job = f"{jobs.PODS_OF['Job']}={wanted.name}"
    found = Watched(platform, outputs.NAMESPACE_WORKLOADS, of_this_job).look()
    digest = found[0].status.container_statuses[0].image_id.rpartition("@")[2]
    return Printed(client.pods.log(platform, found[0]), {wanted.image: digest}, seconds)


# --- what is printed ----------------------------------------------------------------------------------------


def records(text: str) -> list[dict[str, Any]]:
    """The program's lines of JSON, among whatever else was printed.

    Raises:
        BenchmarkError: there is none, one is torn, or the last one does not say that the program was done.
    """
    found = []
    for line in text.splitlines():
        if line.startswith('{"bench":'):
            try:
                found.append(json.loads(line))
            except ValueError as error:
                raise BenchmarkError(
                    f"a line that the program printed is torn: {line[:80]}…", "measure again"
                ) from error
    if not found or found[-1]["bench"] != "done":
        raise BenchmarkError(
            "the program printed no result"
            if not found
            else "the program was not done when its output ended",
            f"see what it printed: {text.strip()[-400:] or 'nothing'}",
        )
    return found


def of_kind(found: list[dict[str, Any]], kind: str, count: int | None = None) -> list[dict[str, Any]]:
    """The records of a kind, of which there must be `count`, or at least one."""
    wanted = [entry for entry in found if entry["bench"] == kind]
    if not wanted or (count is not None and len(wanted) != count):
        raise BenchmarkError(
            f"the program printed {len(wanted)} lines of '{kind}', not {count or 'one or more'}",
            "see the log beside the results",
        )
    return wanted


def seen(found: list[dict[str, Any]]) -> list[Seen]:
    """What the pods saw of their nodes."""
    fields = ("node", "cpu", "steal_percent", "swapped_pages", "load1")
    return [Seen(**{name: entry[name] for name in fields}) for entry in of_kind(found, "seen")]


# --- manifests ----------------------------------------------------------------------------------------------


def manifests(wanted: Launch) -> list[dict[str, Any]]:
    """The program's files, the Service by which its pods find the first, and the Job."""
    return [_files(wanted), _service(wanted), _job(wanted)]


def _metadata(wanted: Launch) -> dict[str, Any]:
    return {
        "name": wanted.name,
        "namespace": outputs.NAMESPACE_WORKLOADS,
        "labels": pods.labels(wanted.name),
    }


def _files(wanted: Launch) -> dict[str, Any]:
    files = {f"{name}.py": (PROGRAMS / f"{name}.py").read_text() for name in (*SHARED, wanted.program)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(wanted), "data": files}


def _service(wanted: Launch) -> dict[str, Any]:
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": pods.labels(wanted.name),
        "ports": [{"name": "rendezvous", "port": PORT}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(wanted), "spec": spec}


def _job(wanted: Launch) -> dict[str, Any]:
    main = pods.container(wanted.image, "-", [], cpu=wanted.cpu, memory="512Mi", memory_limit="2Gi")
    main["command"] = _command(wanted)
    main["resources"]["limits"]["cpu"] = str(2 * wanted.processes)
    main["env"] += [
        {"name": "BENCHMARK_CONFIG", "value": json.dumps(dict(wanted.config))},
        *_meeting(wanted),
    ]
    main["volumeMounts"].append({"name": "bench", "mountPath": "/bench", "readOnly": True})
    template = pods.pod(wanted.name, main, subdomain=wanted.name, affinity=_affinity(wanted))
    template["spec"]["volumes"].append({"name": "bench", "configMap": {"name": wanted.name}})
    spec = {
        "completionMode": "Indexed",
        "completions": wanted.pods,
        "parallelism": wanted.pods,
        "backoffLimit": 0,
        "activeDeadlineSeconds": DEADLINE,
        "template": template,
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(wanted), "spec": spec}


def _affinity(wanted: Launch) -> dict[str, Any]:
    """The pods apart from each other, and beside what they measure."""
    beside = {"podAffinity": pods.on_a_node(wanted.beside)} if wanted.beside else {}
    return {"podAntiAffinity": pods.on_a_node(pods.labels(wanted.name)), **beside}


def _command(wanted: Launch) -> list[str]:
    """Several ranks in one pod are started by a launcher, as by hand."""
    program = f"/bench/{wanted.program}.py"
    if wanted.processes == 1:
        return ["python3", program]
    ranks = str(wanted.processes)
    if wanted.starter == "mpirun":
        # Slots are said, and nothing is bound: it would count the machine's cores, not the pod's.
        here = ["--host", f"localhost:{ranks}", "--bind-to", "none"]
        return ["mpirun", "-np", ranks, *here, "python3", program]
    # Its `--standalone` would have them meet under the pod's host name, which need not resolve.
    meeting = ["--nnodes", "1", "--master-addr", "127.0.0.1", "--master-port", str(PORT)]
    return ["torchrun", *meeting, "--nproc-per-node", ranks, program]


def _meeting(wanted: Launch) -> list[dict[str, Any]]:
    """Where ranks in pods of their own meet; a launcher says so itself."""
    if wanted.processes > 1:
        return []
    host = f"{wanted.name}-0.{wanted.name}.{outputs.NAMESPACE_WORKLOADS}.svc.cluster.local"
    return [
        {"name": "MASTER_ADDR", "value": host},
        {"name": "MASTER_PORT", "value": str(PORT)},
        {"name": "WORLD_SIZE", "value": str(wanted.pods)},
        {"name": "RANK", "valueFrom": {"fieldRef": {"fieldPath": _INDEX}}},
    ]
