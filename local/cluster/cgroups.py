"""The cgroup of a cluster: what joined it is ours, and what is ours is stopped by it.

Version 1 has one tree a controller, version 2 one tree for all
(v2: written by the kernel's documentation, not run by us).
"""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError

TOP = "/seatrial"
_JOINED = ("freezer", "memory", "pids")
"""Trees that our own processes join in version 1; pods join all of them."""
_SHARES = "8192"
"""Weight of all clusters together; any one other busy process of the machine has 1024."""
_DEADLINE = 30.0


@dataclass(frozen=True)
class Trees:
    """The mounted cgroup hierarchies: controllers → mount point."""

    unified: bool
    mounts: dict[frozenset[str], Path]

    def folders(self, path: str) -> list[Path]:
        return [mount / path.lstrip("/") for mount in self.mounts.values()]

    def folder(self, controller: str, path: str) -> Path | None:
        for names, mount in self.mounts.items():
            if controller in names:
                return mount / path.lstrip("/")
        return None


def trees() -> Trees:
    """What this machine has mounted."""
    first: dict[frozenset[str], Path] = {}
    unified_at = None
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        mount, (kind, _, options) = Path(left.split()[4]), right.split(" ", 2)
        if kind == "cgroup2" and mount == Path("/sys/fs/cgroup"):
            unified_at = mount
        elif kind in ("cgroup", "cgroup2"):
            names = frozenset(options.split(",")) - {"rw", "ro", "xattr"} if kind == "cgroup" else {"unified"}
            first.setdefault(frozenset(names), mount)
    if unified_at is not None:
        return Trees(unified=True, mounts={frozenset({"unified"}): unified_at})
    if not first:
        raise LocalError("no cgroup hierarchy is mounted", "mount cgroups under /sys/fs/cgroup and try again")
    return Trees(unified=False, mounts=first)


def create(path: str) -> None:
    """Make `path` and its parents in every hierarchy, fit to hold processes and further groups."""
    here = trees()
    for mount in here.mounts.values():
        folder = mount
        for part in path.strip("/").split("/"):
            if here.unified:
                _delegate(folder)
            folder = folder / part
            folder.mkdir(exist_ok=True)
            _inherit_cpuset(folder)
    shares = here.folder("cpu", TOP)
    if shares is not None and (shares / "cpu.shares").exists():
        (shares / "cpu.shares").write_text(_SHARES)


def _delegate(folder: Path) -> None:
    """Version 2: hand every controller that is there to the children."""
    have = (folder / "cgroup.controllers").read_text().split()
    for controller in have:
        try:
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError:
            pass  # not every one can be handed on; the kubelet names what it misses


def _inherit_cpuset(folder: Path) -> None:
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = folder / name
        if file.exists() and not file.read_text().strip() and (folder.parent / name).exists():
            file.write_text((folder.parent / name).read_text())


def join_files(path: str) -> list[Path]:
    """Files into which a process writes its id to join `path`."""
    here = trees()
    if here.unified:
        return [f / "cgroup.procs" for f in here.folders(path)]
    found = [here.folder(c, path) for c in _JOINED]
    return [f / "cgroup.procs" for f in found if f is not None]


def processes(path: str) -> set[int]:
    """Everything that lives in `path` or below, in any hierarchy."""
    found: set[int] = set()
    for folder in _below(path):
        try:
            found.update(int(p) for p in (folder / "cgroup.procs").read_text().split())
        except (FileNotFoundError, OSError):
            continue
    found.discard(0)
    return found


def exists(path: str) -> bool:
    return any(folder.exists() for folder in trees().folders(path))


def clusters() -> set[str]:
    """Names of all clusters that have a cgroup."""
    found: set[str] = set()
    for top in trees().folders(TOP):
        if top.exists():
            found.update(p.name for p in top.iterdir() if p.is_dir())
    return found


def kill(path: str) -> None:
    """End everything in `path` and below; nothing can escape, because it is frozen first."""
    deadline = time.monotonic() + _DEADLINE
    while processes(path):
        _freeze(path, frozen=True)
        for pid in processes(path):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        _freeze(path, frozen=False)
        if time.monotonic() > deadline:
            left = sorted(processes(path))
            raise LocalError(
                f"processes of {path} do not end after SIGKILL: {left}",
                "they wait in the kernel (see /proc/PID/stack); try again, or restart the machine",
            )
        time.sleep(0.02)


def _freeze(path: str, frozen: bool) -> None:
    here = trees()
    if here.unified:
        for folder in here.folders(path):
            _try_write(folder / "cgroup.freeze", "1" if frozen else "0")
        return
    top = here.folder("freezer", path)
    if top is None or not top.exists():
        return
    if frozen:
        _try_write(top / "freezer.state", "FROZEN")
        return
    for folder in [top, *(f for f in top.rglob("*") if f.is_dir())]:
        _try_write(folder / "freezer.state", "THAWED")


def _try_write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError:
        pass  # the group went away meanwhile


def _below(path: str) -> Iterator[Path]:
    for top in trees().folders(path):
        for folder, _, _ in os.walk(top):
            yield Path(folder)


def remove(path: str) -> None:
    """Remove the empty `path` everywhere, and the top when nothing else is under it."""
    deadline = time.monotonic() + _DEADLINE
    while left := [f for f in _below(path) if not _rmdir_tree(f)]:
        if time.monotonic() > deadline:
            raise LocalError(
                f"the cgroup {left[0]} cannot be removed", "see its cgroup.procs for what is in it"
            )
        time.sleep(0.02)
    for top in trees().folders(TOP):
        try:
            top.rmdir()
        except OSError:
            pass  # other clusters live there, or it never was


def _rmdir_tree(top: Path) -> bool:
    for folder, _, _ in os.walk(top, topdown=False):
        try:
            Path(folder).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
