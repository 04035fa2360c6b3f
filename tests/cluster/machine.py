"""A picture of the machine outside any cluster, to compare before and after."""

import json
import os
import re
import subprocess
from pathlib import Path

from local.cluster import cleanup
from local.cluster.layout import ROLES
from local.paths import cache_dir, run_dir

FOLDERS = ("/etc", "/opt", "/run", "/tmp", "/usr/libexec", "/var/lib", "/var/log", "/var/run")
SETTINGS = ("/proc/sys/vm", "/proc/sys/kernel", "/proc/sys/fs", "/proc/sys/net")
# These count what happens on the machine; nobody sets them.
COUNTERS = re.compile(
    r"nr_|random/|ns_last_pid|pty/|dentry-state|file-nr|inode-|nf_conntrack_count|sched_domain|user_|"
    r"aio-nr|drop_caches|kernel/tainted|quota|route/flush|stat_refresh|compact_memory|somaxconn_lock|perf_event"
)


def picture(name: str) -> dict[str, list[str]]:
    """All that a cluster called `name` could change; what belongs to other clusters is left out."""
    others = cleanup.known() - {name}
    seen = {
        "mounts": _lines("findmnt", "--noheadings", "--list", "--output", "TARGET,FSTYPE"),
        "network namespaces": _lines("ip", "netns"),
        "links": [link["ifname"] for link in _ip("link") if not _is_others(link.get("ifalias", ""), others)],
        "routes": _lines("ip", "route", "show", "table", "all"),
        "firewall": _lines("nft", "list", "ruleset"),
        "cgroups": _cgroups(),
        "/etc/hosts": [Path("/etc/hosts").read_text()],
        "settings": _settings(),
        "files": _files(),
    }
    return {kind: [x for x in lines if not _is_others(x, others)] for kind, lines in seen.items()}


def _lines(*argv: str) -> list[str]:
    out = subprocess.run(argv, text=True, capture_output=True, check=True).stdout
    hidden = str(cache_dir() / "images")
    return sorted(line for line in out.splitlines() if hidden not in line and "seatrial-images" not in line)


def _ip(what: str) -> list[dict[str, str]]:
    out = subprocess.run(["ip", "-json", what], text=True, capture_output=True, check=True).stdout
    found: list[dict[str, str]] = json.loads(out)
    return found


def _is_others(text: str, others: set[str]) -> bool:
    names = "|".join(map(re.escape, others))
    return bool(others) and bool(
        re.search(rf"seatrial/({names})\b|\bst-({names})-|\.({names})\.lock|10\.201\.\d+\.|dev st\d+", text)
    )


def _cgroups() -> list[str]:
    top = Path("/sys/fs/cgroup")
    return [str(p) for p in sorted([*top.glob("*/seatrial/*"), *top.glob("seatrial/*")]) if p.is_dir()]


def _settings() -> list[str]:
    found = []
    for top in SETTINGS:
        for folder, _, files in os.walk(top):
            if "/net/" in folder and re.search(r"/(conf|neigh)/(?!all|default)", folder):
                continue  # one folder a link: the links are compared
            found += [f"{folder}/{f}={_read(Path(folder, f))}" for f in files]
    return [line for line in found if not COUNTERS.search(line)]


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _files() -> list[str]:
    """Names two levels deep, which is where a cluster's programs would leave something."""
    found = []
    for top in FOLDERS:
        found += [str(p) for p in Path(top).glob("*")]
        found += [str(p) for p in Path(top).glob("*/*") if not str(p).startswith(("/tmp/", "/var/lib/dpkg"))]
    # A pod has a /dev/shm of its own: PostgreSQL's there are those of tests beside this one, as are files in
    # which a client or a plugin keeps certificates.
    beside = ("/run/shm/PostgreSQL.", "/var/run/shm/PostgreSQL.", "/tmp/seatrial-")
    foreign = ("/run/user", "/var/log/journal", *beside)
    return [
        f
        for f in found
        if not f.startswith(foreign) and (not f.startswith("/tmp/") or "seatrial" in Path(f).name)
    ]


def namespace_ids(name: str) -> set[str]:
    """The kernel's names of a running cluster's namespaces, by which its processes are known later on."""
    pins = [Path("/run/netns") / f"st-{name}-{role}" for role in ROLES]
    found = {f"net:[{p.stat().st_ino}]" for p in pins}
    return found | {f"mnt:[{p.stat().st_ino}]" for p in (run_dir() / name / "mnt").iterdir()}


def processes_in(namespaces: set[str]) -> list[str]:
    """Every process of the machine that lives in one of the namespaces."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        for kind in ("net", "mnt"):
            try:
                if str((process / "ns" / kind).readlink()) in namespaces:
                    found.append(f"{process.name} {(process / 'cmdline').read_text()!r}")
            except OSError:
                continue  # it ended meanwhile
    return found
