"""A cluster goes as if it had never been, from whatever state it is in."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from local.cluster import Cluster, cleanup, find_leftovers
from local.cluster.layout import check_name
from local.cluster.status import readiness
from local.errors import LocalError
from tests.cluster import machine
from tests.cluster.kubectl import Kubectl, pod

ROOT = Path(__file__).parents[2]
NAME = "t-second"
UP = """
import json, os, sys
from pathlib import Path
from local.cluster import Cluster
from local.progress import Silent

class Told(Silent):
    def begin(self, step, expected_seconds=None):
        print(f"{expected_seconds or 0} {step}", flush=True)

tools = {k: Path(v) for k, v in json.loads(sys.argv[2]).items()}
Cluster(sys.argv[1]).up(tools, Told(), tied_to=os.getpid())
"""


@pytest.fixture
def second() -> Iterator[Cluster]:
    """Another cluster on the same machine, gone before and after."""
    other = Cluster(NAME)
    other.down()
    yield other
    other.down()


def start_up(tools: Mapping[str, Path], stdout: int | None = None) -> subprocess.Popen[bytes]:
    """`up` in a process of its own, which can be killed."""
    told = json.dumps({k: str(v) for k, v in tools.items()})
    return subprocess.Popen([sys.executable, "-c", UP, NAME, told], cwd=ROOT, stdout=stdout)


def test_up_down_up_down_leaves_the_machine_as_it_was(
    cluster: Cluster, second: Cluster, tools: Mapping[str, Path]
) -> None:
    before = machine.picture(NAME)
    for _ in range(2):
        second.up(tools, tied_to=os.getpid())
        lived_in = machine.namespace_ids(NAME)
        assert machine.processes_in(lived_in), "looked in the wrong place"
        for one in (cluster, second):
            with Kubectl(tools["kubectl"], one.kubeconfig).namespace() as kubectl:
                assert kubectl.run_to_end(pod("side-by-side", f"echo {one.name}")) == f"{one.name}\n"
        second.down()
        assert second.inventory() == []
        assert machine.processes_in(lived_in) == []
        after = machine.picture(NAME)
        assert {kind: _difference(before[kind], after[kind]) for kind in before} == {
            kind: [] for kind in before
        }
    assert cluster.status().problems == []


def _difference(before: list[str], after: list[str]) -> list[str]:
    return [f"- {x}" for x in set(before) - set(after)] + [f"+ {x}" for x in set(after) - set(before)]


@dataclass(frozen=True)
class Moment:
    """A part of the time that a step of `up` is expected to take; before the first step counts as 1 s."""

    step: int
    part: float

    def __str__(self) -> str:
        return f"{self.part:.2f} of step {self.step}"


def _kill_up(tools: Mapping[str, Path], moment: Moment) -> None:
    """On a fast machine the step, or `up` itself, may have ended by then, which is a moment too."""
    with start_up(tools, stdout=subprocess.PIPE) as process:
        assert process.stdout
        expected = 1.0
        for _ in range(moment.step):
            line = process.stdout.readline()
            assert line, f"`up` ended before step {moment.step}"
            expected = float(line.split()[0])
        with suppress(subprocess.TimeoutExpired):
            process.wait(expected * moment.part)  # the moment itself is what is drawn
        process.kill()


def _moments(count: int) -> list[Moment]:
    """Moments between the start of `up` and somewhat before it is ready, from a printed seed."""
    seed = int(os.environ.get("SEATRIAL_SEED", random.randrange(10**6)))
    print(f"SEATRIAL_SEED={seed}")
    draw = random.Random(seed)
    return [Moment(draw.choice((0, 1, 2, 3)), draw.uniform(0.1, 1)) for _ in range(count)]


def test_down_removes_what_a_killed_up_leaves(second: Cluster, tools: Mapping[str, Path]) -> None:
    for moment in (*_moments(1), Moment(0, 0.9)):
        _kill_up(tools, moment)
        second.down()
        assert second.inventory() == [], f"killed after {moment}"


def test_the_next_up_finishes_what_a_killed_one_began(second: Cluster, tools: Mapping[str, Path]) -> None:
    (moment,) = _moments(1)
    _kill_up(tools, moment)
    assert find_leftovers() in ([], [NAME])  # nothing, where it was killed before it began
    second.up(tools, tied_to=os.getpid())
    assert second.status().problems == []


@pytest.mark.faults
@pytest.mark.parametrize("moment", _moments(6), ids=str)
def test_up_can_be_killed_at_any_moment(second: Cluster, tools: Mapping[str, Path], moment: Moment) -> None:
    _kill_up(tools, moment)
    second.down()
    assert second.inventory() == []
    _kill_up(tools, moment)
    second.up(tools, tied_to=os.getpid())
    assert second.status().problems == []


def test_down_twice_and_down_of_nothing_is_fine(second: Cluster) -> None:
    second.down()
    second.down()
    assert second.inventory() == []
    assert second.status().state == "absent"


def test_two_ups_at_once_make_one_cluster(second: Cluster, tools: Mapping[str, Path]) -> None:
    both = [start_up(tools), start_up(tools)]
    assert [p.wait() for p in both] == [0, 0]
    # Tied to processes that ended: any test run, from any checkout, may remove it.
    assert NAME in find_leftovers()
    assert second.status().problems == []
    # Whoever brings it up last owns it.
    second.up(tools, tied_to=os.getpid())
    assert NAME not in find_leftovers()


def test_up_after_half_a_removal_begins_afresh(second: Cluster, tools: Mapping[str, Path]) -> None:
    second.up(tools, tied_to=os.getpid())
    born = _birth(second, tools)
    record = cleanup.read_record(NAME)
    assert record is not None
    cleanup.write_record(NAME, replace(record, ending=True))
    shutil.rmtree(second.state / "pki")
    second.up(tools, tied_to=os.getpid())
    assert second.status().problems == []
    assert _birth(second, tools) != born


def test_up_frees_the_address_of_a_service_that_a_kill_left_half_made(
    second: Cluster, tools: Mapping[str, Path]
) -> None:
    second.up(tools, tied_to=os.getpid())
    kubectl = Kubectl(tools["kubectl"], second.kubeconfig, "kube-system")
    service = kubectl.json("get", "service", "kube-dns")
    address = kubectl.json("get", "ipaddress", service["spec"]["clusterIP"])
    kubectl("delete", "service", "kube-dns")
    kept = {"name": address["metadata"]["name"], "labels": address["metadata"]["labels"]}
    kubectl.apply({**address, "metadata": kept})
    (second.state / "addons.applied").unlink()
    second.up(tools, tied_to=os.getpid())
    assert kubectl.json("get", "service", "kube-dns")["spec"]["clusterIP"] == service["spec"]["clusterIP"]
    assert second.status().problems == []


@pytest.mark.faults
def test_up_after_its_state_was_deleted_begins_afresh(second: Cluster, tools: Mapping[str, Path]) -> None:
    second.up(tools, tied_to=os.getpid())
    away = second.state.rename(second.state.with_name("t-second-away"))  # at once, while its processes write
    try:
        assert NAME in find_leftovers()
        second.up(tools, tied_to=os.getpid())
        assert second.status().problems == []
    finally:
        shutil.rmtree(away)


@pytest.mark.faults
def test_up_after_the_machine_was_restarted_keeps_what_was_stored(
    second: Cluster, tools: Mapping[str, Path]
) -> None:
    """A restart ends all processes and empties /run; the state folder stays."""
    second.up(tools, tied_to=os.getpid())
    born, ready = _birth(second, tools), _ready_pods(second, tools)
    cleanup.remove(NAME, keep_state=True)
    second.up(tools, tied_to=os.getpid())
    assert second.status().problems == []
    assert _birth(second, tools) == born
    assert not ready & _ready_pods(second, tools), "their containers ended with the machine"


def _birth(cluster: Cluster, tools: Mapping[str, Path]) -> str:
    found = Kubectl(tools["kubectl"], cluster.kubeconfig).json("get", "namespace", "kube-system")
    return str(found["metadata"]["uid"])


def _ready_pods(cluster: Cluster, tools: Mapping[str, Path]) -> set[str]:
    found = Kubectl(tools["kubectl"], cluster.kubeconfig).json("get", "pods", "--all-namespaces")
    return {pod["metadata"]["uid"] for pod in found["items"] if readiness(pod)[0]}


def test_a_name_that_would_not_do_is_refused() -> None:
    for name in ("", "Upper", "a/b", "-x", "x" * 40, "a b"):
        with pytest.raises(LocalError, match="cannot name a cluster"):
            check_name(name)
