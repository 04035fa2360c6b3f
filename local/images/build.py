"""Builds images and the recipes they stand on, each once, and pushes them."""

import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from local.errors import LocalError
from local.images import buildah, hostconfig, leash, parts, places, recipe, registry, store
from local.images.names import Image
from local.images.recipe import Recipe
from local.progress import Progress, Silent, step
from local.toolchain import Missing, debian, disk
from local.toolchain.locks import locked

_TAIL = 15
"""Lines of a failed build that the error repeats."""

_PACKAGES = ("buildah", "mmdebstrap", "debian-archive-keyring", "util-linux")


def ensure(images: Sequence[Image], progress: Progress | None = None) -> None:
    """Make the registry hold `images` as their recipes now make them; what is there is left alone."""
    progress = progress or Silent()
    if not (lacking := missing(images)):
        return
    _require_commands(lacking, progress)
    _require_disk(lacking)
    for image in lacking:
        with alone(progress):
            if not store.pushed(image):
                _make(image, progress)


@contextmanager
def alone(progress: Progress) -> Iterator[None]:
    """Hold the lock of all images. Who waits for it is next: a long list lets others in between."""

    def wait() -> None:
        progress.say("waiting: another process builds images")

    with ExitStack() as held:
        with locked(places.queue(), waiting=wait):
            held.enter_context(locked(places.lock(), waiting=wait))
        yield


def _make(image: Image, progress: Progress) -> None:
    """Build and push; the caller holds the lock."""
    with disk.watched(places.root(), "building images"), registry.serving() as address:
        _prepare()
        _push(image, _build_chain(image, progress), address, progress)


def missing(images: Iterable[Image]) -> list[Image]:
    """Those of `images` that the registry lacks or has from an older recipe."""
    return [image for image in dict.fromkeys(images) if not store.pushed(image)]


def plan(images: Sequence[Image]) -> list[Missing]:
    """What `ensure` would build, and what that costs on 2 cores; changes nothing."""
    present = buildah.tags()
    return [
        Missing(f"image {found.name}", found.seconds, found.megabytes, found.cache_megabytes)
        for tag, found in _to_build(missing(images)).items()
        if tag not in present
    ]


def wanted_tags(images: Iterable[Image]) -> list[str]:
    """Tags in the store of the images and of what they stand on."""
    return list(_to_build(images))


def built(images: Sequence[Image], progress: Progress) -> dict[Image, str]:
    """The images' tags in the store, built where the store lacks them. The caller holds the lock."""
    _prepare()
    return {image: _build_chain(image, progress) for image in images}


def _prepare() -> None:
    buildah.prepare()
    hostconfig.write(places.root() / "host")


def _to_build(images: Iterable[Image]) -> dict[str, Recipe]:
    """Every recipe that the images need, under the tag that it gets in the store."""
    return {
        _tag(found.name, *(_given(image) if found.name == image.recipe else ("", None))): found
        for image in images
        for found in recipe.chain(image.recipe)
    }


def _given(image: Image) -> tuple[str, Path | None]:
    return image.version, image.context


def _tag(name: str, version: str, context: Path | None) -> str:
    return f"localhost/seatrial/{name}:{recipe.key(name, version, context)}"


def _build_chain(image: Image, progress: Progress) -> str:
    """Build the image's recipe on those it stands on; its tag in the store."""
    base = ""
    for found in recipe.chain(image.recipe):
        version, context = _given(image) if found.name == image.recipe else ("", None)
        tag = _tag(found.name, version, context)
        if not buildah.has(tag):
            with step(progress, f"build image {found.name}", found.seconds):
                _build(found, version, context, base, tag, progress)
        base = tag
    return base


def _build(
    found: Recipe, version: str, context: Path | None, base: str, tag: str, progress: Progress
) -> None:
    log = places.logs() / f"{found.name}.log"
    log.unlink(missing_ok=True)
    parts.check_version(found, version)
    arguments = {"BASE": base, "VERSION": version, "RECIPE": tag.rpartition(":")[2]}
    declared = [name for name in arguments if f"ARG {name}" in (found.folder / "Containerfile").read_text()]
    try:
        with buildah.folder() as folder:
            _stage(found, context, folder)
            if _tag(found.name, version, context) != tag:
                raise LocalError(
                    f"files of the image {found.name} changed while it was being built", "run again"
                )
            parts.collect(found, version, folder / "parts", log, progress)
            buildah.build(folder, tag, {name: arguments[name] for name in declared}, log=log)
    except leash.Failed as failure:
        raise _error(f"the image {found.name} could not be built", failure, log) from failure


def _stage(found: Recipe, context: Path | None, folder: Path) -> None:
    """Copy the recipe and the code it wants, readable by any user that the image runs as."""
    for path in found.files():
        _copy(path, folder / path.relative_to(found.folder))
    for code in found.code:
        assert context is not None
        for path in recipe.code_files(found, code, context):
            _copy(path, folder / "code" / path.relative_to(context))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)


def _push(image: Image, tag: str, address: str, progress: Progress) -> None:
    log = places.logs() / "push.log"
    started = time.monotonic()
    progress.begin(f"push {image.name}")
    try:
        buildah.push(tag, f"{address}/{image.repository}:{image.tag}", log=log, verify=False)
    except leash.Failed as failure:
        raise _error(
            f"the image {image.name} could not be pushed to the local registry", failure, log
        ) from failure
    store.write(image, tag.rpartition(":")[2])
    size = sum(registry.layers(image.repository, image.tag).values())
    progress.end(f"push {image.name}", f"{size / 1e6:,.0f} MB in {time.monotonic() - started:.1f} s")


def _error(what: str, failure: leash.Failed, log: Path) -> LocalError:
    said = failure.lines
    if any(phrase in line.lower() for line in said for phrase in disk.FULL):
        return disk.full(places.root(), what)
    at = next((line for line in reversed(said) if line.startswith("STEP ")), "")
    last = "".join(f"\n    {line}" for line in said[-_TAIL:])
    return LocalError(
        f"{what}{f', at {at}' if at else ''}:{last}",
        f"mend what the lines above name (network, package sources, recipe) and run again; the log is {log}",
    )


def _require_commands(lacking: Sequence[Image], progress: Progress) -> None:
    maven = any(found.maven for found in _to_build(lacking).values())
    debian.ensure([*_PACKAGES, *(["maven"] if maven else [])], progress)


def _require_disk(lacking: Sequence[Image]) -> None:
    needed = plan(lacking)
    names = ", ".join(one.name.removeprefix("image ") for one in needed)
    disk.require(
        sum(one.megabytes for one in needed) + 500, places.root(), f"building the images {names or 'again'}"
    )
