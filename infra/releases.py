"""Reads `releases.toml`, the one place where an upstream version is written down."""

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from infra.errors import ReleaseError, UnpinnedImage
from infra.parts import ALL, Part, left_out
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


class Chart(Settings):
    """A Helm chart that an upstream publishes with its source."""

    module: str
    """The Go module that holds it."""
    path: str
    """Its folder in the module; the last part is the chart's name."""
    sha256: str
    """Of what counts in it (`infra.helm.checksum`), wherever it comes from."""
    address: str = Field(pattern=r"^oci://.+:.+$")
    """Where the upstream publishes the same for those who have no Go: `oci://registry/chart:{version}`."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Release(Settings):
    """One upstream release."""

    component: str
    """The folder under `infra/components` that runs it."""
    version: str = Field(pattern=r"^[0-9][0-9A-Za-z.+-]*$")
    images: Mapping[str, str] = Field(default_factory=dict)
    """Image name with `{version}` → folder of the recipe that builds it locally."""
    cloud_images: Mapping[str, str] = Field(default_factory=dict)
    """Likewise → the name that the component knows it by. No recipe builds it, so `local` does without."""
    digests: Mapping[str, str] = Field(default_factory=dict)
    """Full image name → digest, written by `seatrial images pin`; a new version needs a new one."""
    manifests: Manifests | None = None
    chart: Chart | None = None

    def image_names(self) -> Iterator[tuple[str, str]]:
        """Pairs of recipe, or the name where there is none, and full image name."""
        for pattern, recipe in (*self.images.items(), *self.cloud_images.items()):
            yield recipe, pattern.format(version=self.version)

    @property
    def built_here(self) -> bool:
        """Whether the local stack can run it."""
        return not self.cloud_images


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


def local_images(parts: Collection[Part] = ALL) -> list[tuple[str, str, str]]:
    """Every image of these parts as (full name, recipe, version), to be built where it cannot be pulled."""
    return _images(release for release in _of(parts).values() if release.built_here)


def upstream_images() -> list[tuple[str, str, str]]:
    """The same of all parts and every stack: what is pulled by digest."""
    return _images(load().values())


def _images(found: Iterable[Release]) -> list[tuple[str, str, str]]:
    return [(name, recipe, release.version) for release in found for recipe, name in release.image_names()]


def local_manifests(parts: Collection[Part] = ALL) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """What the program reads of upstreams, as (release, version, Go module, files and chart folders)."""
    return _manifests({name: release for name, release in _of(parts).items() if release.built_here})


def upstream_manifests() -> list[tuple[str, str, str, tuple[str, ...]]]:
    """The same of all parts and every stack."""
    return _manifests(load())


def _manifests(releases: Mapping[str, Release]) -> list[tuple[str, str, str, tuple[str, ...]]]:
    found = []
    for name, release in releases.items():
        if release.manifests:
            found.append((name, release.version, release.manifests.module, tuple(release.manifests.files)))
        if release.chart:
            found.append((name, release.version, release.chart.module, (release.chart.path,)))
    return found


def _of(parts: Collection[Part]) -> dict[str, Release]:
    return {name: release for name, release in load().items() if not left_out(release.component, parts)}
