"""Lists, copies and removes images."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from local.errors import LocalError
from local.images import build, buildah, leash, parts, places, recipe, registry, store
from local.images.names import Image
from local.progress import Progress, Silent, step
from local.toolchain.locks import locked, locked_if_free


@dataclass(frozen=True)
class Row:
    """One image as `seatrial images list` shows it."""

    name: str
    recipe: str
    built: bool
    """The registry has it as its recipe now makes it."""
    megabytes: float
    """Compressed, as a node fetches it; 0 when it is not there."""

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def listing(images: Sequence[Image]) -> list[Row]:
    """Each image, whether it is built and how big it is."""
    return [
        Row(
            name=image.name,
            recipe=image.recipe,
            built=store.pushed(image),
            megabytes=sum(registry.layers(image.repository, image.tag).values()) / 1e6,
        )
        for image in images
    ]


def push(images: Sequence[Image], target: str, progress: Progress | None = None) -> list[str]:
    """Copy images to a registry of the user's; the names they have there.

    Who may push is decided by the usual login file (`buildah login`, `docker login`).
    """
    progress = progress or Silent()
    target = target.removeprefix("https://").rstrip("/")
    build.ensure(images, progress)
    pushed = []
    with build.alone(progress):
        for image, tag in build.built(images, progress).items():
            name = f"{target}/{image.repository}:{image.tag}"
            with step(progress, f"push {name}"):
                _push(tag, name)
            pushed.append(name)
    return pushed


def _push(tag: str, name: str) -> None:
    log = places.logs() / "push.log"
    try:
        buildah.push(tag, name, log=log)
    except leash.Failed as failure:
        raise LocalError(
            f"{name} could not be pushed: {' / '.join(failure.lines[-3:])}",
            f"log in with `buildah login {name.split('/')[0]}` if the registry asks for it, and see {log}",
        ) from failure


def prune(images: Sequence[Image]) -> int:
    """Remove every image that is not among `images` or below one of them; the bytes that this freed."""
    if not places.root().exists():
        return 0
    with locked(places.lock()):
        before = _taken()
        buildah.prepare()
        _prune_registry(images)
        wanted = set(build.wanted_tags(images))
        buildah.remove([tag for tag in buildah.tags() if tag not in wanted], log=places.logs() / "prune.log")
        _prune_parts(images)
        return max(before - _taken(), 0)


def clean() -> None:
    """Remove what a killed build left: temporary files and running state; not while one is building."""
    if places.root().exists():
        with locked_if_free(places.lock()) as alone:
            if alone:
                for folder in (places.run(), places.temporary()):
                    shutil.rmtree(folder, ignore_errors=True)


def _prune_registry(images: Sequence[Image]) -> None:
    wanted = {(image.repository, image.tag) for image in images}
    dropped = [found for found in registry.tags() if found not in wanted]
    for record in store.records():
        if record.name not in {image.name for image in images}:
            store.forget(record.name)
    for repository, tag in dropped:
        shutil.rmtree(
            places.registry() / "docker/registry/v2/repositories" / repository / "_manifests/tags" / tag
        )
    if dropped:
        registry.collect_garbage(places.logs() / "prune.log")


def _prune_parts(images: Sequence[Image]) -> None:
    """Remove programs that were built for recipes which no wanted image has."""
    wanted = {
        program.parent
        for image in images
        for found in recipe.chain(image.recipe)
        for program in parts.programs(found)
    }
    for folder in places.parts().glob("*"):
        if folder not in wanted:
            shutil.rmtree(folder, ignore_errors=True)


def _taken() -> int:
    """Bytes on disk of images, parts and registry."""
    return sum(
        _blocks(Path(folder) / name)
        for top in (places.root(), places.registry())
        for folder, _, names in os.walk(top)
        for name in names
    )


def _blocks(path: Path) -> int:
    return path.lstat().st_blocks * 512
