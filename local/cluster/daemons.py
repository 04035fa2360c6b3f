"""Our long-running processes: detached, each in a cgroup of its own, known by process id and start time."""

import hashlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.cluster import cgroups
from local.cluster.layout import Layout
from local.errors import LocalError

_LOG_LIMIT = 64 * 2**20
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Daemon:
    """One component: what it runs, where, and the files that it reads at its start."""

    name: str
    argv: tuple[str, ...]
    netns: str
    mounts: Path | None = None
    """Mount namespace, for what runs on a node."""
    env: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[Path, ...] = ()

    def fingerprint(self) -> str:
        """Changes when a restart would change what runs."""
        digest = hashlib.sha256(repr((self.argv, sorted(self.env.items()))).encode())
        for path in self.reads:
            digest.update(path.read_bytes())
        return digest.hexdigest()[:16]


def pid_of(layout: Layout, name: str) -> int | None:
    """The daemon's process id where it lives; another process with the same id has another start time."""
    recorded = _recorded(layout, name)
    if recorded is None:
        return None
    pid, started, _ = recorded
    return pid if _start_time(pid) == started else None


def started_at(layout: Layout, name: str) -> float | None:
    """When it was started, by the machine's clock; nothing where it never was."""
    try:
        return _pid_file(layout, name).stat().st_mtime
    except FileNotFoundError:
        return None


def is_current(layout: Layout, daemon: Daemon) -> bool:
    """Whether it runs, and runs what it should."""
    recorded = _recorded(layout, daemon.name)
    return (
        pid_of(layout, daemon.name) is not None
        and recorded is not None
        and recorded[2] == daemon.fingerprint()
    )


def ensure(layout: Layout, daemon: Daemon) -> bool:
    """Start it unless it runs as it should; whether it was started."""
    if is_current(layout, daemon):
        return False
    stop(layout, daemon.name)
    _start(layout, daemon)
    return True


def stop(layout: Layout, name: str) -> None:
    """Ask it to end, then make it."""
    pid = pid_of(layout, name)
    if pid is not None:
        _terminate(layout, name, pid)
    cgroups.kill(_cgroup(layout, name))


def _terminate(layout: Layout, name: str, pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + 5
    while pid_of(layout, name) is not None and time.monotonic() < deadline:
        time.sleep(0.05)


def log_path(layout: Layout, name: str) -> Path:
    return layout.logs / f"{name}.log"


def _cgroup(layout: Layout, name: str) -> str:
    return f"{layout.cgroup}/daemons/{name}"


def _pid_file(layout: Layout, name: str) -> Path:
    return layout.run / "daemons" / name


def _start(layout: Layout, daemon: Daemon) -> None:
    cgroups.create(_cgroup(layout, daemon.name))
    pid_file, log = _pid_file(layout, daemon.name), log_path(layout, daemon.name)
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    pid_file.unlink(missing_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    done = subprocess.run(
        ["setsid", "--fork", "sh", "-c", _script(layout, daemon, pid_file, log)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        check=False,
    )
    deadline = time.monotonic() + 10
    while not pid_file.exists():
        if done.returncode != 0 or time.monotonic() > deadline:
            raise LocalError(f"{daemon.name} could not be started", f"see the end of {log}")
        time.sleep(0.005)


def _script(layout: Layout, daemon: Daemon, pid_file: Path, log: Path) -> str:
    """Joins the cgroup first, so that the process is ours from its first moment; then leaves its mark."""
    joins = "\n".join(
        f"echo $$ > {shlex.quote(str(f))} || exit 1" for f in cgroups.join_files(_cgroup(layout, daemon.name))
    )
    mark = shlex.quote(str(pid_file))
    enter = ["nsenter", f"--net=/run/netns/{daemon.netns}"]
    if daemon.mounts is not None:
        enter.append(f"--mount={daemon.mounts}")
    enter += _command(daemon)
    return f"""
    exec </dev/null >>{shlex.quote(str(log))} 2>&1
    {joins}
    umask 077
    read -r stat < /proc/$$/stat
    echo "{daemon.fingerprint()} $stat" > {mark}.new && mv {mark}.new {mark} || exit 1
    umask 022
    exec {shlex.join(enter)}
    """


def _command(daemon: Daemon) -> list[str]:
    """Starts it without the caller's variables, of which many would change it: proxies, ETCD_*, OTEL_*."""
    env = {"PATH": _PATH, "HOME": str(Path.home()), **daemon.env}
    return ["env", "-i", *(f"{name}={value}" for name, value in env.items()), *daemon.argv]


def _recorded(layout: Layout, name: str) -> tuple[int, int, str] | None:
    try:
        fingerprint, _, stat = _pid_file(layout, name).read_text().partition(" ")
    except FileNotFoundError:
        return None
    pid, started, _ = _parse(stat)
    return pid, started, fingerprint


def _start_time(pid: int) -> int | None:
    try:
        _, started, state = _parse(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else started


def _parse(stat: str) -> tuple[int, int, str]:
    """Process id, start time and state of a line of /proc/PID/stat, whose second field may hold anything."""
    pid, _, rest = stat.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    return int(pid), int(fields[19]), fields[0]


def identity(pid: int) -> tuple[int, int]:
    """A process with its start time, so that others can tell whether it still lives."""
    return pid, _start_time(pid) or 0


def lives(identity: tuple[int, int]) -> bool:
    return _start_time(identity[0]) == identity[1]
