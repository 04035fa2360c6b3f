"""What clusters leave on the machine: how it is found, by cluster, and how it is removed."""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from local.cluster import cgroups, mounts, network
from local.cluster.daemons import lives
from local.cluster.files import write
from local.paths import run_dir, state_dir


@dataclass(frozen=True)
class Record:
    """What is written at a cluster's very start, so that any checkout can find and end it."""

    state: Path
    index: int
    owner: tuple[int, int] | None
    """A process that the cluster must not outlive (a test run), by id and start time."""
    ending: bool = False
    """Its removal has begun: what is left of it is of no use."""


def record_path(name: str) -> Path:
    return run_dir() / name / "record.json"


def read_record(name: str) -> Record | None:
    """Nothing where the cluster was never started on this machine since its last restart."""
    try:
        told = json.loads(record_path(name).read_text())
    except FileNotFoundError:
        return None
    owner = told.get("owner")
    return Record(
        Path(told["state"]),
        told["index"],
        owner=(owner[0], owner[1]) if owner else None,
        ending=told.get("ending", False),
    )


def write_record(name: str, record: Record) -> None:
    write(record_path(name), json.dumps({**asdict(record), "state": str(record.state)}))


def default_state(name: str) -> Path:
    return state_dir() / "clusters" / name


def inventory(name: str) -> list[str]:
    """Everything on this machine that belongs to the cluster, one line each."""
    record = read_record(name)
    state = record.state if record else default_state(name)
    group = f"{cgroups.TOP}/{name}"
    found = [f"process {pid}" for pid in sorted(cgroups.processes(group))]
    found += [f"cgroup {folder}" for folder in cgroups.trees().folders(group) if folder.exists()]
    found += [f"network namespace {netns}" for netns in network.namespaces().get(name, [])]
    found += [f"link {link}" for link in network.host_links(name)]
    found += [f"mount {point}" for point in [*mounts.under(run_dir() / name), *mounts.under(state)]]
    found += [f"folder {folder}" for folder in (run_dir() / name, state) if folder.exists()]
    return found


def remove(name: str, keep_state: bool = False) -> None:
    """End and remove all of it; safe to repeat, also when something of it is missing."""
    record = read_record(name)
    if record is not None and not keep_state:
        write_record(name, replace(record, ending=True))
    group = f"{cgroups.TOP}/{name}"
    cgroups.kill(group)
    cgroups.remove(group)
    network.remove(name, record.index if record else None)
    if not keep_state:
        for folder in {record.state if record else default_state(name), default_state(name)}:
            mounts.remove(folder)
            _remove_tree(folder)
    # Last: as long as the record is there, the next `down` finds the rest.
    mounts.remove(run_dir() / name)
    _remove_tree(run_dir() / name)


def _remove_tree(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    for parent in (folder.parent, folder.parent.parent):
        try:
            if parent.name in ("clusters", "seatrial"):
                parent.rmdir()
        except OSError:
            pass  # not empty


def known() -> set[str]:
    """Names of all clusters that left anything on this machine."""
    found = cgroups.clusters() | set(network.namespaces())
    for folder in (run_dir(), state_dir() / "clusters"):
        if folder.exists():
            found.update(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    return found


def find_leftovers() -> list[str]:
    """Clusters that nobody will miss: their owner is dead, or their state folder or record is gone."""
    return sorted(name for name in known() if _is_left(name))


def _is_left(name: str) -> bool:
    record = read_record(name)
    if record is None:
        return name in cgroups.clusters() | set(network.namespaces())
    if record.owner is not None and not lives(record.owner):
        return True
    return not record.state.exists()
