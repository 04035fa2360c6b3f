"""Which API server to talk to and as whom: a kubeconfig's content or path, or the ambient ones."""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from local.provider.errors import Unreachable

_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Choice:
    """What the provider's arguments choose within a kubeconfig; empty means the kubeconfig's own choice."""

    context: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class Access:
    """An API server and the means to be let in. Certificates are PEM bytes."""

    server: str
    ca: bytes = b""
    insecure: bool = False
    server_name: str = ""
    client_certificate: bytes = b""
    client_key: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)
    token_file: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    exec: Mapping[str, Any] | None = None
    namespace: str = ""


def load(source: str) -> dict[str, Any]:
    """A kubeconfig from its content, its path or, where `source` is empty, the ambient files."""
    if not source:
        return _ambient()
    if (path := _existing(source)) is not None:
        return _from_file(path)
    content = _parse(source, "the provider's argument `kubeconfig`")
    if content is None:
        raise Unreachable("the provider's argument `kubeconfig` is neither an existing file nor a kubeconfig")
    return content


def _existing(source: str) -> Path | None:
    """The file of that name; content is not one, and its text (it holds keys) must not get into an error."""
    try:
        path = Path(source).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError, ValueError):
        return None


def _ambient() -> dict[str, Any]:
    variable = os.environ.get("KUBECONFIG", "")
    paths = [Path(part).expanduser() for part in variable.split(os.pathsep) if part]
    merged: dict[str, Any] = {}
    for path in paths or [Path.home() / ".kube" / "config"]:
        if path.is_file():
            merged = _merge(merged, _from_file(path))
    return merged


def _merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Of two files that name the same thing the first wins, as for kubectl."""
    merged = {**second, **first}
    for key in ("clusters", "contexts", "users"):
        entries = {entry.get("name"): entry for entry in [*(second.get(key) or []), *(first.get(key) or [])]}
        merged[key] = list(entries.values())
    return merged


def _from_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
    except OSError as error:
        raise Unreachable(f"kubeconfig {path} cannot be read: {error.strerror}") from None
    content = _parse(text, f"kubeconfig {path}")
    if content is None:
        raise Unreachable(f"kubeconfig {path} is not a kubeconfig")
    return _absolute(content, path.parent)


def _parse(content: str, what: str) -> dict[str, Any] | None:
    try:
        parsed = yaml.load(content, Loader=_Loader)
    except yaml.YAMLError as error:
        raise Unreachable(f"{what} is not valid YAML: {type(error).__name__}") from None
    return parsed if isinstance(parsed, dict) else None


def _absolute(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths within a kubeconfig are relative to its own folder."""
    for entries, inner in (("clusters", "cluster"), ("users", "user")):
        for entry in content.get(entries) or []:
            values = entry.get(inner) or {}
            for key in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
                if values.get(key):
                    values[key] = str(folder / Path(values[key]).expanduser())
    return content


def active_cluster(content: Mapping[str, Any], choice: Choice) -> Mapping[str, Any] | None:
    """The cluster entry in use, by which the provider notices that it was pointed to another cluster."""
    context = _named(content, "contexts", choice.context or content.get("current-context"))
    name = choice.cluster or (context or {}).get("cluster")
    return _named(content, "clusters", name)


def _named(content: Mapping[str, Any], section: str, name: object) -> dict[str, Any] | None:
    for entry in content.get(section) or []:
        if entry.get("name") == name:
            value = entry.get(section.rstrip("s"))
            return value if isinstance(value, dict) else {}
    return None


def resolve(content: Mapping[str, Any], choice: Choice) -> Access:
    """The access that the chosen context gives."""
    if not content and not choice.context and (_SERVICE_ACCOUNT / "token").is_file():
        return _in_cluster()
    name = choice.context or content.get("current-context") or ""
    context = _named(content, "contexts", name)
    if context is None:
        known = ", ".join(str(entry.get("name")) for entry in content.get("contexts") or []) or "none"
        raise Unreachable(
            f"the kubeconfig has no context {name!r} (it has: {known});"
            " set KUBECONFIG or the provider's `kubeconfig`"
        )
    cluster_name = choice.cluster or context.get("cluster")
    cluster = _named(content, "clusters", cluster_name)
    if cluster is None or not cluster.get("server"):
        raise Unreachable(f"the kubeconfig has no cluster {cluster_name!r} with a server")
    user = _named(content, "users", context.get("user")) or {}
    return Access(
        server=str(cluster["server"]).rstrip("/"),
        ca=_pem(cluster, "certificate-authority"),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=str(cluster.get("tls-server-name") or ""),
        client_certificate=_pem(user, "client-certificate"),
        client_key=_pem(user, "client-key"),
        token=str(user.get("token") or ""),
        token_file=str(user.get("tokenFile") or ""),
        username=str(user.get("username") or ""),
        password=str(user.get("password") or ""),
        exec=user.get("exec"),
        namespace=str(context.get("namespace") or ""),
    )


def _pem(values: Mapping[str, Any], key: str) -> bytes:
    data = values.get(f"{key}-data")
    if data:
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise Unreachable(f"the kubeconfig's {key}-data is not base64") from None
    if not values.get(key):
        return b""
    try:
        return Path(values[key]).read_bytes()
    except OSError as error:
        raise Unreachable(f"the kubeconfig's {key} cannot be read: {error}") from None


def _in_cluster() -> Access:
    host, port = (
        os.environ.get("KUBERNETES_SERVICE_HOST", ""),
        os.environ.get("KUBERNETES_SERVICE_PORT", "443"),
    )
    return Access(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        ca=(_SERVICE_ACCOUNT / "ca.crt").read_bytes(),
        token_file=str(_SERVICE_ACCOUNT / "token"),
        namespace=(_SERVICE_ACCOUNT / "namespace").read_text().strip(),
    )
