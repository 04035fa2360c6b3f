"""buildah with its storage inside our cache; the host's own configuration is neither used nor changed."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.images import hostconfig, leash, places

COMPRESSION = ("--compression-format", "zstd", "--compression-level", "1")


def prepare() -> None:
    """Remove what a killed build left, and write the configuration. The caller holds the lock."""
    for folder in (places.run(), places.temporary()):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    places.root().chmod(0o700)
    (places.root() / "policy.json").write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    (places.root() / "registries.conf").write_text("unqualified-search-registries = []\n")
    driver = os.environ.get("STORAGE_DRIVER", "overlay")
    (places.root() / "storage.conf").write_text(
        f'[storage]\ndriver = "{driver}"\ngraphroot = "{places.storage()}"\nrunroot = "{places.run()}"\n'
    )


def build(folder: Path, tag: str, arguments: Mapping[str, str], *, log: Path, network: bool = True) -> None:
    """Build the Containerfile in `folder`; steps that a broken build finished are taken from the store."""
    command = ["bud", "--layers", "--pull-never", "--isolation", "chroot", "--format", "oci", "--tag", tag]
    command += ["--network", "host" if network else "none", "--signature-policy", _policy()]
    command += ["--volume", f"{places.root() / 'host'}:{hostconfig.MOUNT}"]
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    _run([*command, str(folder)], log)


def push(tag: str, target: str, *, log: Path, verify: bool = True) -> None:
    """Copy an image from the store to `registry/repository:tag`; layers that are there are not sent again."""
    command = ["push", "--signature-policy", _policy(), *COMPRESSION]
    _run([*command, *([] if verify else ["--tls-verify=false"]), tag, f"docker://{target}"], log)


def has(tag: str) -> bool:
    """Whether the store holds the image."""
    if not (places.storage() / "overlay-images" / "images.json").is_file():
        return False
    return tag in tags()


def tags() -> dict[str, str]:
    """Every tag in the store with the image it stands for."""
    return {name: image["id"] for image in _images() for name in image.get("names") or []}


def sizes() -> dict[str, int]:
    """Unpacked size of each tagged image in bytes, layers that are shared counted each time."""
    layers = {layer["id"]: layer for layer in _json(places.storage() / "overlay-layers" / "layers.json")}
    found: dict[str, int] = {}
    for image in _images():
        size, layer = 0, image.get("layer")
        while layer in layers:
            size += layers[layer].get("diff-size", 0)
            layer = layers[layer].get("parent")
        found |= dict.fromkeys(image.get("names") or [], size)
    return found


def remove(names: Sequence[str], *, log: Path) -> None:
    """Remove images and the layers that no other image has."""
    if names:
        _run(["rmi", "--force", *names], log)
    _run(["rmi", "--prune", "--force"], log)


def _images() -> list[dict[str, Any]]:
    return _json(places.storage() / "overlay-images" / "images.json")


def _json(file: Path) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(file.read_text())
        return found
    except FileNotFoundError:
        return []


def _policy() -> str:
    return str(places.root() / "policy.json")


def _run(words: Sequence[str], log: Path) -> list[str]:
    environment = {
        "CONTAINERS_STORAGE_CONF": str(places.root() / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(places.root() / "registries.conf"),
    }
    return leash.run([*_own_state(), "buildah", *words], log=log, environment=environment)


def _own_state() -> list[str]:
    """Have buildah note in our cache which layer it pushed where; it has /var/lib compiled in for that.

    The mount is seen by buildah alone, since `leash` gives each program a mount namespace.
    """
    state = places.root() / "state"
    state.mkdir(parents=True, exist_ok=True)
    if Path("/var/lib") in places.root().resolve().parents:
        return []
    return ["sh", "-c", 'mount --bind "$0" /var/lib && exec "$@"', str(state)]


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder in the image cache's file system."""
    made = Path(tempfile.mkdtemp(dir=places.temporary()))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
