"""What runs on a node: containerd, kubelet, kube-proxy, and on a GPU node the plugin for its devices."""

import json
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from string import Template

from local.cluster import cgroups, daemons, pki
from local.cluster import layout as names
from local.cluster.daemons import Daemon
from local.cluster.files import write_if_changed
from local.cluster.layout import NODES, POOL_LABEL, Layout, Node
from local.errors import LocalError

PAUSE_IMAGE = "registry.k8s.io/pause:3.10.1"
_CNI = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
_FOR_THE_REST = 2560 * 2**20
"""Memory that no node may promise: the control plane, the kubelets, and whoever works on the machine."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_RUNTIME_SOCKET = "/run/containerd/containerd.sock"
"""As a node sees it."""

_CONTAINERD = Template("""\
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "$socket"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  # The registry on this machine keeps the packed layers; a second copy a node would only cost disk.
  discard_unpacked_layers = true
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "$pause"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "$mirrors"

[plugins."io.containerd.cri.v1.runtime"]
  # Without CAP_SYS_RESOURCE nobody may lower a process's OOM score below the parent's.
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["$cni_bin"]
    conf_dir = "$cni_conf"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false
      # Shims outlive containerd: a restart of it ends what is in its own group, and they are not.
      ShimCgroup = "$shims"
""")


def cgroup(layout: Layout, node: Node) -> str:
    """Root of the node's pods."""
    return f"{layout.cgroup}/{node.name}"


def make_cgroups(layout: Layout, node: Node) -> None:
    cgroups.create(cgroup(layout, node))
    cgroups.create(_shims(layout, node))


def _shims(layout: Layout, node: Node) -> str:
    return f"{layout.cgroup}/shims/{node.name}"


def write_files(layout: Layout, node: Node) -> None:
    """Everything that a node's processes read, but the certificates."""
    folder = _config(layout, node)
    mirrors = folder / "mirrors"
    containerd = _CONTAINERD.substitute(
        socket=_RUNTIME_SOCKET,
        pause=PAUSE_IMAGE,
        mirrors=mirrors,
        cni_bin=cni_plugins(),
        cni_conf=folder / "cni",
        shims=_shims(layout, node),
    )
    write_if_changed(folder / "containerd.toml", containerd)
    write_if_changed(mirrors / "_default" / "hosts.toml", _mirror(layout))
    write_if_changed(folder / "cni" / "10-pods.conflist", json.dumps(_cni(node), indent=1))
    write_if_changed(
        folder / "resolv.conf", "# A node has no name server; pods use the cluster's.\n", mode=0o644
    )
    write_if_changed(folder / "kubelet.json", json.dumps(_kubelet(layout, node), indent=1))
    write_if_changed(folder / "kubelet.kubeconfig", pki.kubeconfig(layout, f"node-{node.name}", layout.api))
    write_if_changed(folder / "proxy.json", json.dumps(_proxy(layout, node), indent=1))


def _config(layout: Layout, node: Node) -> Path:
    return layout.node_dir(node) / "config"


def cni_plugins() -> Path:
    """Where the distribution keeps the network plugins."""
    for folder in _CNI:
        if (folder / "ptp").exists() and (folder / "host-local").exists():
            return folder
    raise LocalError(
        f"the network plugins `ptp` and `host-local` are in none of {', '.join(map(str, _CNI))}",
        "install the package containernetworking-plugins (`seatrial setup` does)",
    )


def _mirror(layout: Layout) -> str:
    """Every upstream name is read from the registry on this machine, and from nowhere else."""
    address = f"http://{layout.registry}:5000"
    return f'server = "{address}"\n[host."{address}"]\n  capabilities = ["pull", "resolve"]\n'


def _cni(node: Node) -> dict[str, object]:
    """Point-to-point links: all traffic is routed, so that Service addresses work without br_netfilter."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": node.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": "/run/cni/addresses",
    }
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipMasq": False, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet(layout: Layout, node: Node) -> dict[str, object]:
    pair = layout.pki / f"node-{node.name}"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": layout.address(node),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pair}.crt",
        "tlsPrivateKeyFile": f"{pair}.key",
        "containerRuntimeEndpoint": f"unix://{_RUNTIME_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup(layout, node),
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDNS": [names.DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": str(_config(layout, node) / "resolv.conf"),
        "podLogsDir": "/var/log/pods",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "containerLogMaxSize": "5Mi",
        "containerLogMaxFiles": 3,
        # A changed Secret or ConfigMap reaches a running pod when that is next looked at: what Prometheus is
        # to watch and which rules it has, for one, is then read within seconds and not within a minute.
        "syncFrequency": "10s",
        "serializeImagePulls": False,
        "maxParallelImagePulls": 3,
        "enforceNodeAllocatable": ["pods"],
        "systemReserved": {"memory": f"{_reserved(node)}"},
        # Images come from this machine's cache: removing one saves nothing that `prune` would not.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
        "registerWithTaints": list(node.taints),
    }


def _reserved(node: Node) -> int:
    """What a node must leave to the others, since each kubelet sees the whole machine."""
    total = machine_memory("MemTotal")
    usable = max(total - _FOR_THE_REST, total // 2)
    return total - int(usable * node.memory_share)


def machine_memory(entry: str) -> int:
    """Bytes, from /proc/meminfo."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(f"{entry}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(entry)


def _proxy(layout: Layout, node: Node) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(layout.pki / "proxy.kubeconfig")},
        "hostnameOverride": node.name,
        "clusterCIDR": names.POD_NETWORK,
        "mode": "nftables",
        # Connection tracking limits belong to the machine: leave them alone.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
        "oomScoreAdj": 0,
    }


def runtime(layout: Layout, node: Node, tools: Mapping[str, Path]) -> Daemon:
    """containerd: needs nobody."""
    config = _config(layout, node) / "containerd.toml"
    return Daemon(
        f"containerd-{node.name}",
        (str(tools["containerd"]), "--config", str(config)),
        layout.netns(node.name),
        layout.mount_namespace(node),
        env={"PATH": f"{tools['containerd-shim-runc-v2'].parent}:{_PATH}", "TMPDIR": "/run/tmp"},
        reads=(config,),
    )


def silent_runtime(layout: Layout) -> str | None:
    """Why a kubelet would end at once: a containerd that was killed leaves its socket, and nobody listens."""
    for node in NODES:
        pid = daemons.pid_of(layout, f"containerd-{node.name}")
        if pid is None or not _listens(pid):
            return f"containerd-{node.name} does not answer"
    return None


def _listens(containerd: int) -> bool:
    """On the socket that its node sees, once the process has entered its node's mounts."""
    try:
        entered = Path(f"/proc/{containerd}/comm").read_text().strip() == "containerd"
    except FileNotFoundError:
        return False  # it ended meanwhile
    with socket.socket(socket.AF_UNIX) as knock:
        return entered and knock.connect_ex(f"/proc/{containerd}/root{_RUNTIME_SOCKET}") == 0


def agents(layout: Layout, node: Node, tools: Mapping[str, Path]) -> list[Daemon]:
    """What needs the API server."""
    found = [_kubelet_daemon(layout, node, tools), _proxy_daemon(layout, node, tools)]
    return [*found, _gpu_plugin(layout, node)] if node.gpus else found


def _kubelet_daemon(layout: Layout, node: Node, tools: Mapping[str, Path]) -> Daemon:
    config = _config(layout, node)
    labels = {POOL_LABEL: node.name, **node.labels}
    return Daemon(
        f"kubelet-{node.name}",
        (
            str(tools["kubelet"]),
            f"--config={config / 'kubelet.json'}",
            f"--kubeconfig={config / 'kubelet.kubeconfig'}",
            f"--hostname-override={node.name}",
            f"--node-ip={layout.address(node)}",
            f"--node-labels={','.join(f'{k}={v}' for k, v in labels.items())}",
        ),
        layout.netns(node.name),
        layout.mount_namespace(node),
        env={"PATH": _PATH, "TMPDIR": "/run/tmp"},
        reads=(config / "kubelet.json", config / "kubelet.kubeconfig"),
    )


def _proxy_daemon(layout: Layout, node: Node, tools: Mapping[str, Path]) -> Daemon:
    config = _config(layout, node) / "proxy.json"
    return Daemon(
        f"kube-proxy-{node.name}",
        (str(tools["kube-proxy"]), f"--config={config}"),
        layout.netns(node.name),
        layout.mount_namespace(node),
        env={"PATH": _PATH},
        reads=(config, layout.pki / "proxy.kubeconfig"),
    )


def _gpu_plugin(layout: Layout, node: Node) -> Daemon:
    program = Path(__file__).with_name("device_plugin.py")
    return Daemon(
        f"gpu-plugin-{node.name}",
        (sys.executable, "-P", str(program), str(node.gpus)),
        layout.netns(node.name),
        layout.mount_namespace(node),
        env={"PATH": _PATH},
        reads=(program,),
    )
