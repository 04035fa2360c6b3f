"""Whether this machine can hold a cluster, asked before anything is changed."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from local.cluster import cgroups
from local.cluster.nodes import cni_plugins, machine_memory
from local.errors import LocalError

# Bits of the kernel's capability sets (capability.h), by the name that a person would look up.
_CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_NET_ADMIN": 12,
    "CAP_NET_RAW": 13,
    "CAP_SYS_CHROOT": 18,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_MKNOD": 27,
}
_COMMANDS = {
    "ip": "iproute2",
    "nft": "nftables",
    "runc": "runc",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setsid": "util-linux",
    "mount": "mount",
}


@dataclass(frozen=True)
class Needs:
    """What the cluster itself takes; the platform on it needs more and says so itself."""

    memory: int = 4 * 2**30
    disk: int = 6 * 2**30
    watches: int = 40
    """Inotify instances: the kernel lets root have 128 by default, and a cluster takes about 36."""


def check(state: Path, needs: Needs) -> None:
    """Raise what is missing, the most basic first."""
    _check_rights()
    _check_machine()
    _check_memory(needs.memory)
    _check_disk(state, needs.disk)
    _check_watches(needs.watches)


def _check_rights() -> None:
    if os.geteuid() != 0:
        raise LocalError(
            f"a local cluster needs root, and this is user {os.geteuid()}",
            "run it as root (sudo -E); the cloud stacks need no root",
        )
    missing = missing_capabilities()
    if missing:
        raise LocalError(
            f"this process lacks {', '.join(missing)}: network and mount namespaces cannot be made",
            "give the container these capabilities (for example --privileged), or use a virtual machine",
        )


def missing_capabilities() -> list[str]:
    status = Path("/proc/self/status").read_text().splitlines()
    effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    return [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]


def _check_machine() -> None:
    for command, package in _COMMANDS.items():
        if shutil.which(command) is None:
            raise LocalError(
                f"the command `{command}` is not on this machine",
                f"install the package {package} (`seatrial setup` does)",
            )
    cni_plugins()
    if "\toverlay\n" not in Path("/proc/filesystems").read_text():
        raise LocalError("this kernel has no overlay file system", "load it with `modprobe overlay`")
    cgroups.trees()


def _check_memory(needed: int) -> None:
    free = machine_memory("MemAvailable")
    if free < needed:
        raise LocalError(
            f"{_gib(free)} of memory are available, and a local cluster needs {_gib(needed)}",
            "end what uses memory (see `top`), or take a bigger machine",
        )


def _check_disk(state: Path, needed: int) -> None:
    place = state
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise LocalError(
            f"{_gib(free)} of disk are free at {place}, and a local cluster needs {_gib(needed)} there",
            "make room (`seatrial purge` removes the cache), or set XDG_STATE_HOME to a bigger disk",
        )


def _check_watches(needed: int) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    free = limit - _watches_in_use()
    if free < needed:
        raise LocalError(
            f"{free} of {limit} inotify instances (fs.inotify.max_user_instances) are free, "
            f"and a local cluster needs {needed}",
            "end another cluster, or allow more: sysctl fs.inotify.max_user_instances=512",
        )


def _watches_in_use() -> int:
    """Those of root's processes, all of which count against the same limit."""
    used = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == 0:
                used += sum(str(f.readlink()) == "anon_inode:inotify" for f in (process / "fd").iterdir())
        except OSError:
            continue  # it ended meanwhile
    return used


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
