"""A mount namespace for each node: kubelet and containerd find their fixed paths and leave nothing behind.

Inside, the machine's files are as they are, but `/run`, `/var/log` and `/var/lib` are the node's own, and the
six kernel settings that a kubelet insists on writing are private copies that hold what it wants. All of it
vanishes with the namespace, which a file under /run/seatrial pins, so that pods outlive a killed containerd
and kubelet.
"""

from pathlib import Path

from local.cluster.host import quiet, run
from local.cluster.layout import NODES, Layout, Node
from local.errors import LocalError

READY = "/run/.seatrial-ready"
HIDDEN = (Path("/run"), Path("/var/log"), Path("/var/lib"))
_KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
_OWN = {
    "kubelet": "/var/lib/kubelet",
    "containerd": "/var/lib/containerd",
    "volumes": "/var/lib/seatrial/volumes",
    "log": "/var/log",
}
"""Folders under the state folder's nodes/<node>/, and where the node sees them."""


def check_place(path: Path) -> None:
    """Refuse a folder that a node would not see."""
    for hidden in HIDDEN:
        if path.resolve().is_relative_to(hidden):
            raise LocalError(
                f"{path} lies under {hidden}, which every node has of its own",
                "set XDG_STATE_HOME and XDG_CACHE_HOME to folders elsewhere",
            )


def build(layout: Layout, node: Node) -> bool:
    """Make the node's namespace where it is missing; whether it had to be made."""
    pin = layout.mount_namespace(node)
    if is_ready(layout, node):
        return False
    _unpin(pin)
    _private_folder(pin.parent)
    pin.touch()
    for folder in _OWN:
        (layout.node_dir(node) / folder).mkdir(parents=True, exist_ok=True)
    run(["unshare", f"--mount={pin}", "--propagation", "unchanged", "sh", "-ec", _script(layout, node)])
    return True


def is_ready(layout: Layout, node: Node) -> bool:
    pin = layout.mount_namespace(node)
    return pin.exists() and quiet(["nsenter", f"--mount={pin}", "test", "-e", READY])


def _private_folder(folder: Path) -> None:
    """A namespace can only be pinned below a mount that is not shared, and on a systemd machine all are."""
    folder.mkdir(parents=True, exist_ok=True)
    if str(folder) not in mount_points():
        run(["mount", "--bind", folder, folder])
    run(["mount", "--make-private", folder])


def _script(layout: Layout, node: Node) -> str:
    binds = "\n".join(
        f"mkdir -p {seen}\nmount --bind '{layout.node_dir(node) / own}' {seen}" for own, seen in _OWN.items()
    )
    settings = "\n".join(
        f"mkdir -p /run/sys/{Path(name).parent}\necho {value} > /run/sys/{name}\n"
        f"test ! -e /proc/sys/{name} || mount --bind /run/sys/{name} /proc/sys/{name}"
        for name, value in _KERNEL_SETTINGS.items()
    )
    return f"""
    mount --make-rslave /
    mount --make-rshared /
    mount -t tmpfs -o mode=0755 seatrial-run /run
    mkdir -p /run/lock /run/tmp /run/.lib/upper /run/.lib/work
    over=lowerdir=/var/lib,upperdir=/run/.lib/upper,workdir=/run/.lib/work
    mount -t overlay -o $over seatrial-lib /var/lib
    {binds}
    {settings}
    touch {READY}
    """


def _unpin(pin: Path) -> None:
    remove(pin)
    pin.unlink(missing_ok=True)


def mount_points() -> list[str]:
    """Everything mounted in the machine's own namespace."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4].replace("\\040", " ") for line in lines]


def under(folder: Path) -> list[str]:
    """What is mounted at or below a folder, deepest first."""
    root = str(folder)
    found = [m for m in mount_points() if m == root or m.startswith(f"{root}/")]
    return sorted(found, key=len, reverse=True)


def remove(folder: Path) -> None:
    """Unmount everything at or below a folder of ours."""
    for _ in range(100):
        left = under(folder)
        if not left:
            return
        for point in left:
            quiet(["umount", "--lazy", point])
    raise LocalError(f"{under(folder)[0]} cannot be unmounted", "see `findmnt` for what holds it")


def nodes_without(layout: Layout) -> list[Node]:
    """Nodes whose mount namespace is missing."""
    return [node for node in NODES if not is_ready(layout, node)]
