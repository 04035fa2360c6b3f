"""What runs beside the nodes: registry, etcd, API server, controller manager and scheduler."""

import base64
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from local.cluster import layout as names
from local.cluster import pki
from local.cluster.daemons import Daemon
from local.cluster.files import write, write_if_changed
from local.cluster.layout import Layout
from local.paths import cache_dir

_SILENT_TRACES = {"OTEL_TRACES_EXPORTER": "none"}
ISSUER = "https://kubernetes.default.svc.cluster.local"


def write_files(layout: Layout) -> None:
    """Everything that these components read, but the certificates."""
    if not (layout.pki / "encryption.json").exists():
        write(layout.pki / "encryption.json", _encryption())
    for identity in ("controller-manager", "scheduler", "proxy"):
        text = pki.kubeconfig(layout, identity, layout.api)
        write_if_changed(layout.pki / f"{identity}.kubeconfig", text)
    write_if_changed(layout.state / "registry.yaml", json.dumps(_registry(layout), indent=1))
    (cache_dir() / "registry").mkdir(parents=True, exist_ok=True)


def _encryption() -> str:
    """Secrets are encrypted before they reach etcd; what was written before is readable by `identity`."""
    key = {"name": "first", "secret": base64.b64encode(secrets.token_bytes(32)).decode()}
    document = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [
            {"resources": ["secrets"], "providers": [{"secretbox": {"keys": [key]}}, {"identity": {}}]}
        ],
    }
    return json.dumps(document, indent=1)


def _registry(layout: Layout) -> dict[str, object]:
    """Serves the images of the cache, and changes nothing there."""
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(cache_dir() / "registry")},
            "maintenance": {"readonly": {"enabled": True}, "uploadpurging": {"enabled": False}},
        },
        "http": {"addr": f"{layout.registry}:5000"},
    }


def daemons(layout: Layout, tools: Mapping[str, Path]) -> list[Daemon]:
    """In the order in which each needs the one before."""
    control = layout.netns("control")
    config = layout.state / "registry.yaml"
    return [
        Daemon(
            "registry",
            (str(tools["registry"]), "serve", str(config)),
            layout.netns("registry"),
            env=_SILENT_TRACES,
            reads=(config,),
        ),
        Daemon("etcd", (str(tools["etcd"]), *_etcd(layout)), control, reads=(layout.pki / "etcd.crt",)),
        Daemon(
            "kube-apiserver",
            (str(tools["kube-apiserver"]), *_apiserver(layout)),
            control,
            reads=(layout.pki / "apiserver.crt", layout.pki / "encryption.json"),
        ),
        _with_kubeconfig(layout, tools, "controller-manager", _controller_manager(layout)),
        _with_kubeconfig(layout, tools, "scheduler", ()),
    ]


def _etcd(layout: Layout) -> tuple[str, ...]:
    pair = (layout.pki / "etcd.crt", layout.pki / "etcd.key", layout.pki / "etcd-ca.crt")
    client, peer = "https://127.0.0.1:2379", "https://127.0.0.1:2380"
    return (
        f"--data-dir={layout.state / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        f"--cert-file={pair[0]}",
        f"--key-file={pair[1]}",
        f"--trusted-ca-file={pair[2]}",
        "--client-cert-auth",
        f"--peer-cert-file={pair[0]}",
        f"--peer-key-file={pair[1]}",
        f"--peer-trusted-ca-file={pair[2]}",
        "--peer-client-cert-auth",
        "--auto-compaction-retention=1",
        "--logger=zap",
        "--log-level=warn",
    )


def _apiserver(layout: Layout) -> tuple[str, ...]:
    p = layout.pki
    return (
        f"--bind-address={layout.control}",
        f"--advertise-address={layout.control}",
        "--etcd-servers=https://127.0.0.1:2379",
        f"--etcd-cafile={p / 'etcd-ca.crt'}",
        f"--etcd-certfile={p / 'etcd-client.crt'}",
        f"--etcd-keyfile={p / 'etcd-client.key'}",
        f"--encryption-provider-config={p / 'encryption.json'}",
        f"--service-cluster-ip-range={names.SERVICE_NETWORK}",
        f"--client-ca-file={p / 'ca.crt'}",
        f"--tls-cert-file={p / 'apiserver.crt'}",
        f"--tls-private-key-file={p / 'apiserver.key'}",
        f"--service-account-key-file={p / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={p / 'service-accounts.key'}",
        f"--service-account-issuer={ISSUER}",
        "--authorization-mode=Node,RBAC",
        "--anonymous-auth=false",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--kubelet-certificate-authority={p / 'ca.crt'}",
        f"--kubelet-client-certificate={p / 'kubelet-client.crt'}",
        f"--kubelet-client-key={p / 'kubelet-client.key'}",
        # Node names are not known to any name server here.
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={p / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={p / 'front-proxy.crt'}",
        f"--proxy-client-key-file={p / 'front-proxy.key'}",
        "--enable-aggregator-routing=true",
        "--profiling=false",
    )


def _controller_manager(layout: Layout) -> tuple[str, ...]:
    p = layout.pki
    return (
        f"--service-account-private-key-file={p / 'service-accounts.key'}",
        f"--root-ca-file={p / 'ca.crt'}",
        f"--cluster-signing-cert-file={p / 'ca.crt'}",
        f"--cluster-signing-key-file={p / 'ca.key'}",
        "--use-service-account-credentials",
        # Each node's pods have their fixed range (see the CNI configuration that the nodes get).
        "--allocate-node-cidrs=false",
    )


def _with_kubeconfig(layout: Layout, tools: Mapping[str, Path], short: str, more: tuple[str, ...]) -> Daemon:
    name, kubeconfig = f"kube-{short}", layout.pki / f"{short}.kubeconfig"
    common = (
        f"--kubeconfig={kubeconfig}",
        # Nobody asks it for its metrics, and serving them costs inotify instances, of which there are few.
        "--secure-port=0",
        "--leader-elect=false",
        "--profiling=false",
    )
    return Daemon(
        name,
        (str(tools[name]), *common, *more),
        layout.netns("control"),
        reads=(kubeconfig,),
    )
