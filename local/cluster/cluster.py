"""A Kubernetes cluster of three nodes on this one machine: up, down, and what there is to see."""

import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from local.cluster import (
    bootstrap,
    cgroups,
    cleanup,
    control_plane,
    daemons,
    mounts,
    network,
    nodes,
    pki,
    preflight,
)
from local.cluster.api import Api, connect
from local.cluster.daemons import Daemon
from local.cluster.files import write_if_changed
from local.cluster.layout import NODES, Layout, check_name
from local.cluster.lock import GLOBAL, locked
from local.cluster.status import ClusterStatus, missing_parts, observe
from local.errors import LocalError
from local.paths import cache_dir
from local.progress import Progress, Silent, step

TOOLS = ("kubernetes", "containerd", "etcd", "registry")
"""What `up` must be given, by the toolchain's names."""
_READY_WITHIN = 180.0


class Cluster:
    """One cluster of this machine, known by its name."""

    def __init__(self, name: str, needs: preflight.Needs | None = None) -> None:
        self.name = check_name(name)
        self._needs = needs or preflight.Needs()

    @property
    def state(self) -> Path:
        """Folder of everything that the cluster keeps."""
        record = cleanup.read_record(self.name)
        return record.state if record else cleanup.default_state(self.name)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, once the cluster is up."""
        return self.state / "kubeconfig"

    def require_possible(self) -> None:
        """Refuse what this machine cannot run, before anything is built for it.

        Raises:
            LocalError: it lacks a capability, memory or disk.
        """
        # What has begun has already taken its part of the machine.
        begun = bool(cgroups.processes(f"{cgroups.TOP}/{self.name}"))
        preflight.check(self.state, preflight.Needs(0, 0, 0) if begun else self._needs)

    def up(
        self, tools: Mapping[str, Path], progress: Progress | None = None, *, tied_to: int | None = None
    ) -> None:
        """Make the cluster run and be Ready: start it, repair it, or find that there is nothing to do.

        `tied_to` is a process that it must not outlive: once that is gone, anyone may end the cluster (see
        `find_leftovers`).
        """
        progress = progress or Silent()
        self.require_possible()
        _check_images()
        with locked(self.name, progress):
            layout = self._prepare(daemons.identity(tied_to) if tied_to else None)
            wanted = _wanted(layout, tools)
            if self._is_well(layout, wanted):
                return
            with step(progress, "network and mount namespaces", 1):
                emptied = self._build(layout)
            with step(progress, "control plane", 7):
                self._start_control_plane(layout, tools, emptied)
            with step(progress, "nodes and add-ons", 10):
                self._start_nodes(layout, tools)
                with _admin(layout) as api:
                    _wait(layout, lambda: next(iter(missing_parts(layout, api)), None), wanted())

    def down(self, progress: Progress | None = None) -> None:
        """End the cluster and remove everything of it, from any state that it may be in."""
        progress = progress or Silent()
        if not self.inventory():
            return
        with locked(self.name, progress), step(progress, f"ending cluster {self.name}", 5), locked(GLOBAL):
            cleanup.remove(self.name)

    def running(self) -> bool:
        """Whether its API server's process lives."""
        layout = self._layout()
        return layout is not None and daemons.pid_of(layout, "kube-apiserver") is not None

    def status(self) -> ClusterStatus:
        """What runs, what does not, and why."""
        return observe(self.name, self._layout())

    def inventory(self) -> list[str]:
        """Everything on this machine that belongs to it; empty after `down`."""
        return cleanup.inventory(self.name)

    def images(self) -> list[str]:
        """Images that every cluster needs."""
        return list(bootstrap.images())

    def logs(self, component: str, follow: bool = False) -> Iterator[str]:
        """Lines of a component's log (`status` names the components)."""
        path = self.state / "logs" / f"{component}.log"
        if not path.exists():
            have = ", ".join(sorted(p.stem for p in path.parent.glob("*.log"))) or "none"
            raise LocalError(f"cluster {self.name} has no log of `{component}`", f"there are: {have}")
        if not follow:
            with path.open(errors="replace") as lines:
                yield from lines
            return
        with subprocess.Popen(["tail", "-n", "+1", "-F", path], stdout=subprocess.PIPE, text=True) as tail:
            assert tail.stdout is not None
            try:
                yield from tail.stdout
            finally:
                tail.terminate()

    def _layout(self) -> Layout | None:
        record = cleanup.read_record(self.name)
        return Layout(self.name, record.index, record.state) if record else None

    def _prepare(self, owner: tuple[int, int] | None) -> Layout:
        """Settle subnet and state folder, and write them down before anything is made."""
        record = self._usable_record()
        if record is None:
            state = cleanup.default_state(self.name)
            for folder in (state, cache_dir()):
                mounts.check_place(folder)
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
            state.chmod(0o700)
            with locked(GLOBAL):
                index = network.choose_index()
                record = cleanup.Record(state, index, owner)
                cleanup.write_record(self.name, record)
                layout = Layout(self.name, index, state)
                network.build(layout)  # within the lock: the link is what makes the subnet taken
        elif record.owner != owner:
            cleanup.write_record(self.name, replace(record, owner=owner))
        return Layout(self.name, record.index, record.state)

    def _usable_record(self) -> cleanup.Record | None:
        """What an earlier `up` settled; leftovers that no `up` could build on are removed first."""
        record = cleanup.read_record(self.name)
        if record is not None and not record.ending and record.state.exists():
            return record
        with locked(GLOBAL):
            # Without a record (the machine was restarted, or /run emptied) the state folder is still good.
            cleanup.remove(self.name, keep_state=record is None)
        return None

    def _is_well(self, layout: Layout, wanted: Callable[[], list[Daemon]]) -> bool:
        """Whether everything runs as this version of the program would start it."""
        if not network.is_complete(layout) or mounts.nodes_without(layout) or not layout.kubeconfig.exists():
            return False
        if not all(daemons.is_current(layout, d) for d in wanted()) or not bootstrap.addons_are_current(
            layout
        ):
            return False
        with _admin(layout) as api:
            return api.ready() and not missing_parts(layout, api)

    def _build(self, layout: Layout) -> set[str]:
        """Namespaces and files; the nodes that are new, and so without the containers they may have had."""
        with locked(GLOBAL):
            renewed = network.build(layout)
        gone = {node.name for node in mounts.nodes_without(layout)}
        for role in {*renewed, *gone}:
            _stop_role(layout, role)  # its processes live in namespaces that are no more
        pki.ensure(layout)
        control_plane.write_files(layout)
        for node in NODES:
            mounts.build(layout, node)
            nodes.make_cgroups(layout, node)
            nodes.write_files(layout, node)
        write_if_changed(layout.kubeconfig, pki.kubeconfig(layout, "admin", layout.api))
        return gone

    def _start_control_plane(
        self, layout: Layout, tools: Mapping[str, Path], emptied: Collection[str]
    ) -> None:
        first = [
            d
            for d in control_plane.daemons(layout, tools)
            if d.name in ("etcd", "kube-apiserver", "registry")
        ]
        runtimes = [nodes.runtime(layout, node, tools) for node in NODES]
        _start_all(layout, [*first, *runtimes])
        with _admin(layout) as api:
            _wait(layout, lambda: None if api.ready() else "the API server does not answer", first)
            _wait(layout, lambda: nodes.silent_runtime(layout), runtimes)
            bootstrap.grant_access(layout, api)
            for node in emptied:
                bootstrap.forget_pods(node, api)

    def _start_nodes(self, layout: Layout, tools: Mapping[str, Path]) -> None:
        rest = [
            d
            for d in control_plane.daemons(layout, tools)
            if d.name.startswith("kube-") and "api" not in d.name
        ]
        for node in NODES:
            rest += nodes.agents(layout, node, tools)
        with ThreadPoolExecutor(1) as beside, _admin(layout) as api:
            installing = beside.submit(bootstrap.install_addons, layout, api)
            _start_all(layout, rest)
            installing.result()


def _wanted(layout: Layout, tools: Mapping[str, Path]) -> Callable[[], list[Daemon]]:
    def everything() -> list[Daemon]:
        found = control_plane.daemons(layout, tools)
        for node in NODES:
            found += [nodes.runtime(layout, node, tools), *nodes.agents(layout, node, tools)]
        return found

    return everything


def _check_images() -> None:
    missing = bootstrap.missing_images()
    if missing:
        raise LocalError(
            f"the registry's storage lacks {len(missing)} image(s) of the cluster itself, first {missing[0]}",
            "build them: `seatrial images build`",
        )


def _stop_role(layout: Layout, role: str) -> None:
    for group in (f"{layout.cgroup}/{role}", f"{layout.cgroup}/shims/{role}"):
        cgroups.kill(group)
    members = {
        "control": ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"],
        "registry": ["registry"],
    }
    of_node = [f"{d}-{role}" for d in ("containerd", "kubelet", "kube-proxy", "gpu-plugin")]
    for name in members.get(role, of_node):
        daemons.stop(layout, name)


def _start_all(layout: Layout, wanted: list[Daemon]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda daemon: daemons.ensure(layout, daemon), wanted))


def _admin(layout: Layout) -> AbstractContextManager[Api]:
    return connect(layout, layout.pki / "admin.crt", layout.pki / "admin.key")


def _wait(layout: Layout, missing: Callable[[], str | None], watched: list[Daemon]) -> None:
    """Until nothing is missing; ends at once when a watched daemon dies."""
    deadline = time.monotonic() + _READY_WITHIN
    while (reason := missing()) is not None:
        dead = [d.name for d in watched if daemons.pid_of(layout, d.name) is None]
        if dead:
            raise LocalError(
                f"cluster {layout.name}: {dead[0]} ended while it started: {_last_error(layout, dead[0])}",
                f"see {daemons.log_path(layout, dead[0])}; `up` again tries to repair it",
            )
        if time.monotonic() > deadline:
            raise LocalError(
                f"cluster {layout.name} is not ready after {_READY_WITHIN:.0f} s: {reason}",
                f"see `seatrial cluster status` and the logs in {layout.logs}; `up` again waits on",
            )
        time.sleep(0.1)


def _last_error(layout: Layout, name: str) -> str:
    """The last line by which a component complained, else its last line."""
    lines = daemons.log_path(layout, name).read_text(errors="replace").strip().splitlines()[-200:]
    complaints = [x for x in lines if x.startswith(("E", "F", "Error", "error")) or "level=fatal" in x]
    return (complaints or lines or ["it said nothing"])[-1][:500]


def find_leftovers() -> list[str]:
    """Clusters of any name that nobody will miss (see `cleanup`)."""
    return cleanup.find_leftovers()


def down_all(names: list[str], progress: Progress | None = None) -> None:
    """End each of them."""
    for name in names:
        Cluster(name).down(progress)
