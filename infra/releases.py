"""Reads `releases.toml`, the one place where an upstream version is written down."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from infra.errors import ReleaseError, UnpinnedImage
from infra.settings_base import Settings, explain

FILE = Path(__file__).with_name("releases.toml")

ImagePolicy = Literal["by-tag", "pinned-where-known", "pinned"]
"""`by-tag` where images are built here, `pinned` where nothing may run that was not resolved to a digest."""


class Manifests(Settings):
    """Manifests that an upstream publishes with its source."""

    module: str
    """The Go module that holds them."""
    files: Mapping[str, str]
    """Path of each wanted file in the module, and its SHA-256, wherever the file comes from."""
    address: str
    """Where the upstream publishes the same for those who have no Go; with `{version}` and `{file}`."""


class Release(Settings):
    """One upstream release."""

    component: str
    """The folder under `infra/components` that runs it."""
    version: str = Field(pattern=r"^[0-9][0-9A-Za-z.+-]*$")
    images: Mapping[str, str] = Field(default_factory=dict)
    """Image name with `{version}` → folder of the recipe that builds it locally."""
    digests: Mapping[str, str] = Field(default_factory=dict)
    """Full image name → digest, written by `seatrial images pin`; a new version needs a new one."""
    manifests: Manifests | None = None

    def image_names(self) -> Iterator[tuple[str, str]]:
        """Pairs of recipe and full image name."""
        for pattern, recipe in self.images.items():
            yield recipe, pattern.format(version=self.version)


class Releases:
    """All upstream releases, and how a stack wants their images named."""

    def __init__(self, policy: ImagePolicy, releases: dict[str, Release] | None = None) -> None:
        self._policy = policy
        self.by_name = load() if releases is None else releases

    def __getitem__(self, name: str) -> Release:
        return self.by_name[name]

    def image(self, recipe: str) -> str:
        """The reference to run: by tag, or by tag and digest."""
        release, name = self._find(recipe)
        digest = release.digests.get(name)
        if self._policy == "by-tag" or (digest is None and self._policy == "pinned-where-known"):
            return name
        if digest is None:
            raise UnpinnedImage(
                f"image {name} has no digest in infra/releases.toml; this stack runs only pinned images.\n"
                "  what to do: run `seatrial images pin STACK` where the registry can be reached"
            )
        return f"{name}@{digest}"

    def images(self) -> dict[str, str]:
        """Every image name and the recipe that builds it."""
        return {name: recipe for release in self.by_name.values() for recipe, name in release.image_names()}

    def _find(self, recipe: str) -> tuple[Release, str]:
        for release in self.by_name.values():
            for found, name in release.image_names():
                if found == recipe:
                    return release, name
        raise ReleaseError(f"infra/releases.toml names no image built by the recipe {recipe!r}")


def load(file: Path = FILE) -> dict[str, Release]:
    """The file, checked."""
    return {name: _release(name, fields) for name, fields in tomllib.loads(file.read_text()).items()}


def _release(name: str, fields: object) -> Release:
    try:
        return Release.model_validate(fields)
    except ValidationError as error:
        lines = "\n  ".join(explain(error, Release))
        raise ReleaseError(f"infra/releases.toml [{name}] is not valid:\n  {lines}") from None


def local_images() -> list[tuple[str, str, str]]:
    """Every image of the platform as (full name, recipe, version), to be built where it cannot be pulled."""
    return [
        (name, recipe, release.version)
        for release in load().values()
        for recipe, name in release.image_names()
    ]


def local_manifests() -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Every upstream file that the program reads, as (release, version, Go module, files)."""
    return [
        (name, release.version, release.manifests.module, tuple(release.manifests.files))
        for name, release in load().items()
        if release.manifests
    ]
