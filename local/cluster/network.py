"""The network of a cluster: namespaces, one bridge, and one link to the machine.

```
machine ── st<k> 10.201.k.254 ──┐
                                bridge (netns …-fabric)
  control .1 · registry .2 · system .11 · work .12 · gpu .13
```
Nothing else changes in the machine's own namespace. A node's default route is `unreachable`, and before that
its own nft table counts and refuses what a pod sends to the outside (a route alone lets TCP wait a second).
"""

import ipaddress
import json
from pathlib import Path

from local.cluster import layout as names
from local.cluster.host import quiet, run
from local.cluster.layout import NODES, ROLES, Layout, Node
from local.errors import LocalError

_READY = "seatrial"
"""Alias of a namespace's loopback device, set when the namespace is complete."""
_NETNS = Path("/run/netns")


def choose_index() -> int:
    """The first k whose 10.201.k.0/24 and link name nobody on this machine uses."""
    taken = _taken_networks()
    links = _link_labels()
    for index in names.SUBNETS:
        subnet = ipaddress.ip_network(f"10.201.{index}.0/24")
        if names.host_link(index) not in links and not any(subnet.overlaps(t) for t in taken):
            return index
    raise LocalError(
        f"no subnet is free: addresses and routes of this machine cover all of 10.201.0.0/16 ({taken[0]}, …)",
        "end another cluster (`seatrial cluster down`), or the network (a VPN?) that holds this range",
    )


def _taken_networks() -> list[ipaddress.IPv4Network]:
    found = []
    for link in json.loads(run(["ip", "-json", "-4", "address"])):
        for address in link.get("addr_info", []):
            interface = ipaddress.ip_interface(f"{address['local']}/{address['prefixlen']}")
            found.append(ipaddress.IPv4Network(interface.network))
    for route in json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"])):
        if route["dst"] != "default":
            found.append(ipaddress.IPv4Network(route["dst"], strict=False))
    return [n for n in found if n.prefixlen > 0 and n.overlaps(ipaddress.ip_network("10.201.0.0/16"))]


def build(layout: Layout) -> list[str]:
    """Make what is missing; the roles whose namespace had to be made anew are returned."""
    renewed = []
    for role in ROLES:
        if not _is_ready(layout, role):
            _drop_netns(layout.netns(role))
            _ROLE_BUILDERS.get(role, _build_node)(layout, role)
            renewed.append(role)
    if layout.host_link not in host_links(layout.name):
        _link_host(layout)
    return renewed


def is_complete(layout: Layout) -> bool:
    return layout.host_link in host_links(layout.name) and all(_is_ready(layout, role) for role in ROLES)


def _is_ready(layout: Layout, role: str) -> bool:
    if not (_NETNS / layout.netns(role)).exists():
        return False
    try:
        links = json.loads(run(["ip", "-n", layout.netns(role), "-json", "link", "show"]))
    except LocalError:
        return False  # the name is there, the namespace is not
    by_name = {link["ifname"]: link for link in links}
    device = "br0" if role == "fabric" else "eth0"
    return device in by_name and by_name["lo"].get("ifalias") == _READY


def _inside(netns: str, script: str) -> None:
    """Run shell lines in a namespace; `ip netns exec` would hide the cgroup mounts."""
    run(["nsenter", f"--net={_NETNS / netns}", "sh", "-ec", script], where=netns)


def _build_fabric(layout: Layout, role: str) -> None:
    netns = layout.netns(role)
    run(["ip", "netns", "add", netns])
    _inside(
        netns,
        f"""
        ip link set lo up
        ip link add br0 type bridge
        ip link set br0 addrgenmode none up
        ip link set lo alias {_READY}
        """,
    )


def _link_host(layout: Layout) -> None:
    fabric = layout.netns("fabric")
    quiet(["ip", "link", "delete", layout.host_link])  # without its label: its maker was killed
    run(["ip", "link", "add", layout.host_link, "type", "veth", "peer", "name", "host", "netns", fabric])
    _inside(fabric, "ip link set host master br0 addrgenmode none up")
    batch = f"""
        link set {layout.host_link} alias seatrial/{layout.name} addrgenmode none
        address add {layout.host}/24 dev {layout.host_link}
        link set {layout.host_link} up
    """
    run(["ip", "-batch", "-"], stdin=batch)


def _attach(layout: Layout, role: str, address: str) -> None:
    netns, fabric = layout.netns(role), layout.netns("fabric")
    run(["ip", "netns", "add", netns])
    quiet(["ip", "-n", fabric, "link", "delete", role])  # its other end died with the old namespace, or will
    _inside(
        fabric,
        f"""
        ip link add {role} type veth peer name eth0 netns {netns}
        ip link set {role} master br0 addrgenmode none up
        """,
    )
    _inside(
        netns,
        f"""
        ip link set lo up
        ip link set eth0 addrgenmode none up
        ip address add {address}/24 dev eth0
        """,
    )


def _build_control(layout: Layout, role: str) -> None:
    _attach(layout, role, layout.control)
    routes = "\n".join(f"ip route add {node.pods} via {layout.address(node)}" for node in NODES)
    # The API server calls webhooks and aggregated APIs: their pods directly, Services by a node's kube-proxy.
    _inside(
        layout.netns(role),
        f"""
        {routes}
        ip route add {names.SERVICE_NETWORK} via {layout.address(NODES[0])}
        ip route add unreachable default
        ip link set lo alias {_READY}
        """,
    )


def _build_registry(layout: Layout, role: str) -> None:
    _attach(layout, role, layout.registry)
    _inside(layout.netns(role), f"ip route add unreachable default\nip link set lo alias {_READY}")


def _build_node(layout: Layout, role: str) -> None:
    node = next(n for n in NODES if n.name == role)
    _attach(layout, role, layout.address(node))
    others = "\n".join(f"ip route add {n.pods} via {layout.address(n)}" for n in NODES if n is not node)
    _inside(
        layout.netns(role),
        f"""
        echo 1 > /proc/sys/net/ipv4/ip_forward
        echo 0 > /proc/sys/net/ipv4/icmp_ratelimit
        {others}
        ip route add unreachable default
        ip route add unreachable {layout.host}/32
        nft -f - <<'END'
{_counter(layout, node)}
END
        ip link set lo alias {_READY}
        """,
    )


def _counter(layout: Layout, node: Node) -> str:
    """Counts and refuses what a pod sends to the machine itself, or to no part of this cluster."""
    return f"""
table ip seatrial {{
  counter outbound {{ }}
  set inside {{
    type ipv4_addr; flags interval
    elements = {{ {layout.subnet}, {names.POD_NETWORK}, {names.SERVICE_NETWORK}, 127.0.0.0/8, 224.0.0.0/4 }}
  }}
  chain leaving {{
    type filter hook prerouting priority raw; policy accept;
    iifname "eth0" return
    ip daddr {layout.host} counter name outbound goto refuse
    ip daddr != @inside counter name outbound goto refuse
  }}
  chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject with icmp type net-unreachable
  }}
}}
"""


_ROLE_BUILDERS = {"fabric": _build_fabric, "control": _build_control, "registry": _build_registry}


def outbound_packets(layout: Layout, node: Node) -> int | None:
    """Packets of the node's pods that tried to leave the cluster; nothing where the node is not there."""
    netns = _NETNS / layout.netns(node.name)
    if not netns.exists():
        return None
    try:
        told = json.loads(
            run(["nsenter", f"--net={netns}", "nft", "-j", "list", "counter", "ip", "seatrial", "outbound"])
        )
    except LocalError:
        return None
    return next(int(item["counter"]["packets"]) for item in told["nftables"] if "counter" in item)


def namespaces() -> dict[str, list[str]]:
    """All network namespaces of all clusters, by cluster."""
    found: dict[str, list[str]] = {}
    for path in sorted(_NETNS.iterdir()) if _NETNS.exists() else []:
        cluster = names.cluster_of_netns(path.name)
        if cluster is not None:
            found.setdefault(cluster, []).append(path.name)
    return found


def host_links(cluster: str) -> list[str]:
    """Links of a cluster in the machine's own namespace, known by the label that they carry."""
    return [name for name, alias in _link_labels().items() if alias == f"seatrial/{cluster}"]


def _link_labels() -> dict[str, str]:
    links = json.loads(run(["ip", "-json", "link", "show"]))
    return {link["ifname"]: link.get("ifalias", "") for link in links}


def remove(cluster: str, index: int | None) -> None:
    """Remove every namespace and link of a cluster, also a link that its maker had no time to label."""
    unlabelled = [name for name, alias in _link_labels().items() if index is not None and not alias]
    for link in [
        *host_links(cluster),
        *(n for n in unlabelled if index is not None and n == names.host_link(index)),
    ]:
        quiet(["ip", "link", "delete", link])
    for netns in namespaces().get(cluster, []):
        _drop_netns(netns)
    if _NETNS.exists() and not any(_NETNS.iterdir()):
        quiet(["umount", _NETNS])  # `ip netns add` had mounted the folder on itself
        _NETNS.rmdir()


def _drop_netns(netns: str) -> None:
    path = _NETNS / netns
    if not path.exists():
        return
    if not quiet(["ip", "netns", "delete", netns]):
        # Not a namespace: `ip netns add` was killed between making the file and mounting on it.
        path.unlink(missing_ok=True)
