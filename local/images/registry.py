"""The registry: a short-lived process to push to, and what lies in its storage.

Clusters serve the same folder read-only to their nodes.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from local import toolchain
from local.errors import LocalError
from local.images import places

_CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}, maxthreads: 100}}
  delete: {{enabled: true}}
http: {{addr: "{address}", secret: loopback, relativeurls: true}}
"""

_PATIENCE = 20.0

_USUAL_PORT = 36917


@contextmanager
def serving() -> Iterator[str]:
    """A registry that takes pushes on loopback during the block; its address. It dies with us."""
    binary = toolchain.ensure(["registry"])["registry"]
    places.registry().mkdir(parents=True, exist_ok=True)
    places.logs().mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{_free_port()}"
    config = _configure(address)
    with (
        (places.logs() / "registry.log").open("wb") as log,
        subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", binary, "serve", config],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            _await(address, process)
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def digest(repository: str, tag: str) -> str | None:
    """The digest under that name, when its manifest and all its layers are there."""
    base = places.registry() / "docker/registry/v2"
    link = base / "repositories" / repository / "_manifests/tags" / tag / "current/link"
    try:
        found = link.read_text().strip()
        manifest = json.loads(_blob(found).read_bytes())
    except (OSError, ValueError):
        return None
    blobs = [manifest["config"], *manifest["layers"]]
    whole = all(_size(_blob(blob["digest"])) == blob["size"] for blob in blobs)
    return found if whole else None


def layers(repository: str, tag: str) -> dict[str, int]:
    """Digest and bytes of each blob of an image in the registry."""
    found = digest(repository, tag)
    if found is None:
        return {}
    manifest = json.loads(_blob(found).read_bytes())
    return {blob["digest"]: blob["size"] for blob in [manifest["config"], *manifest["layers"]]}


def tags() -> list[tuple[str, str]]:
    """Every repository and tag in the registry."""
    repositories = places.registry() / "docker/registry/v2/repositories"
    return sorted(
        (str(path.parents[3].relative_to(repositories)), path.parent.name)
        for path in repositories.glob("**/_manifests/tags/*/current")
    )


def collect_garbage(log: Path) -> None:
    """Remove the blobs that no tag needs."""
    binary = toolchain.ensure(["registry"])["registry"]
    config = _configure("127.0.0.1:0")
    with log.open("ab") as out:
        subprocess.run(
            [binary, "garbage-collect", "--delete-untagged", config],
            env=_environment(), stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=True,
        )  # fmt: skip


def _blob(name: str) -> Path:
    algorithm, _, value = name.partition(":")
    return places.registry() / "docker/registry/v2/blobs" / algorithm / value[:2] / value / "data"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _configure(address: str) -> Path:
    places.root().mkdir(parents=True, exist_ok=True)
    config = places.root() / "registry.yaml"
    config.write_text(_CONFIG.format(root=json.dumps(str(places.registry())), address=address))
    return config


def _environment() -> dict[str, str]:
    """Without variables that the registry would take for its configuration."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("REGISTRY_", "OTEL_"))
    } | {"OTEL_TRACES_EXPORTER": "none"}


def _free_port() -> int:
    """The usual port, else any: under another address buildah would not know which layers it sent before."""
    for port in (_USUAL_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no port is free on 127.0.0.1")


def _await(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"http://{address}/v2/", timeout=2, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    said = (places.logs() / "registry.log").read_text(errors="replace").strip().splitlines()[-5:]
    raise LocalError(
        f"the registry on {address} did not start: {' / '.join(said) or 'it says nothing'}",
        f"see {places.logs() / 'registry.log'}; if another program took the port meanwhile, run again",
    )
