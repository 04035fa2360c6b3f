"""A recipe: a folder with a Containerfile, the files it copies and a recipe.toml with what else it needs."""

import hashlib
import platform
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from local.errors import LocalError
from local.toolchain import tools

FOLDER = Path(__file__).with_name("recipes")

_COSTS = ("seconds", "megabytes", "cache_megabytes")
"""What may be measured anew without building anew."""

_WAY_OF_BUILDING = "1"
"""Raise it when the framework builds differently from the same recipe, so that images are built anew."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GoPart(_Part):
    """A program built from a Go module; go.mod and go.sum lie in the recipe's folder, or are a tool's."""

    tool: str = ""
    """A tool of local/toolchain, whose module is used; nothing else is given then."""
    recipe: str = ""
    """Another recipe, when go.mod and go.sum lie in its folder."""
    module: str = ""
    """The module whose version is the program's."""
    package: str = ""
    name: str = ""
    """The file's name under parts/."""
    ldflags: str = ""
    """Besides `-s -w`; `{version}` is go.mod's without the v."""
    tags: str = ""


class MavenPart(_Part):
    """A file from a Maven repository."""

    artifact: str
    """group:artifact:version:packaging; `{version}` is the image's."""
    sha256: str
    name: str
    """The file's name under parts/."""


class DebianPart(_Part):
    """A root file system of Debian, made by mmdebstrap as parts/base.tar."""

    suite: str
    include: tuple[str, ...] = ()


class Recipe(_Part):
    """recipe.toml."""

    name: str
    base: str = ""
    """The recipe that `FROM ${BASE}` stands for; none for what begins from scratch."""
    code: tuple[str, ...] = ()
    """Folders and files of the checkout that are copied to code/."""
    debian: DebianPart | None = None
    go: tuple[GoPart, ...] = ()
    maven: tuple[MavenPart, ...] = ()
    seconds: float
    """Wall time of this recipe alone on 2 cores, downloads included, from an empty cache."""
    megabytes: int
    """What it adds on disk: in the image store and in the registry."""
    cache_megabytes: int = 0
    """What is needed besides while it is built: downloads, Go's caches."""

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    def uses_version(self) -> bool:
        """Whether what is built depends on the image's version."""
        return bool(self.go or self.maven) or "ARG VERSION" in (self.folder / "Containerfile").read_text()

    def files(self) -> list[Path]:
        """What its folder holds, in a fixed order."""
        return _files(self.folder)


def known() -> list[str]:
    """The names of all recipes."""
    return sorted(path.parent.name for path in FOLDER.glob("*/Containerfile"))


@cache
def load(name: str) -> Recipe:
    """The recipe of that name."""
    file = FOLDER / name / "recipe.toml"
    if not file.is_file():
        raise LocalError(
            f"there is no recipe for an image called {name!r}",
            f"use one of {', '.join(known())}, or write local/images/recipes/{name}/",
        )
    try:
        return Recipe.model_validate({"name": name, **tomllib.loads(file.read_text())})
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise LocalError(f"{file} is not a valid recipe: {error}", "mend that file") from error


def go_module(recipe: Recipe, part: GoPart) -> Path:
    """The folder with the go.mod of a Go program."""
    if part.tool:
        return tools.load(part.tool).module_dir
    return FOLDER / (part.recipe or recipe.name)


def go_files(module: Path) -> list[Path]:
    """What a program is built from besides published modules: go.mod, go.sum, and sources of our own."""
    return sorted([*module.glob("go.*"), *module.rglob("*.go")])


def recipes_for(names: Iterable[str]) -> set[str]:
    """Every recipe that building `names` needs, those below them included; says which of `names` has none."""
    return {found.name for name in names for found in chain(name)}


def chain(name: str) -> list[Recipe]:
    """The recipe with those it stands on, the lowest first."""
    recipe = load(name)
    return [*chain(recipe.base), recipe] if recipe.base else [recipe]


def key(name: str, version: str, context: Path | None = None) -> str:
    """Changes with all that the image is made from; equal keys mean that nothing needs to be built."""
    recipe = load(name)
    digest = hashlib.sha256()
    below = key(recipe.base, "") if recipe.base else ""
    used = version.removeprefix("v") if recipe.uses_version() else ""
    _add(digest, _WAY_OF_BUILDING, platform.machine(), name, used, below)
    _add(digest, recipe.model_dump_json(exclude=set(_COSTS)))
    for path in recipe.files():
        if path.name != "recipe.toml":
            _add(digest, str(path.relative_to(recipe.folder)), path.read_bytes())
    for part in recipe.go:
        module = go_module(recipe, part)
        for path in go_files(module):
            _add(digest, str(path.relative_to(module)), path.read_bytes())
    for folder in recipe.code:
        for path in code_files(recipe, folder, context):
            _add(
                digest, f"{folder}/{path.relative_to(_checkout(recipe, context) / folder)}", path.read_bytes()
            )
    return digest.hexdigest()[:16]


def code_files(recipe: Recipe, folder: str, context: Path | None) -> list[Path]:
    """The files of one folder of the checkout that go into the image; of a file itself."""
    path = _checkout(recipe, context) / folder
    return [path] if path.is_file() else _files(path)


def _checkout(recipe: Recipe, context: Path | None) -> Path:
    if context is None:
        raise ValueError(
            f"the recipe {recipe.name} copies {', '.join(recipe.code)} and was given no checkout"
        )
    return context


def _files(folder: Path) -> list[Path]:
    return sorted(_walk(folder))


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name == "__pycache__" or path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _walk(path)
        elif path.suffix != ".pyc":
            yield path


def _add(digest: "hashlib._Hash", *pieces: str | bytes) -> None:
    """With its length before each piece, so that two different lists never look the same."""
    for piece in pieces:
        data = piece.encode() if isinstance(piece, str) else piece
        digest.update(len(data).to_bytes(8, "big") + data)
