"""Recipes hang together: Containerfile, recipe.toml, go.mod, requirements, and what a stack names."""

import re
import tomllib
from pathlib import Path

import pytest

from infra import releases
from local.images import recipe
from local.images.names import Image
from local.images.recipe import Recipe
from local.toolchain import tools

ADDONS = Path(recipe.FOLDER).parents[1] / "cluster" / "addons" / "images.toml"

RECIPES = [recipe.load(name) for name in recipe.known()]
EVERY_RECIPE = pytest.mark.parametrize("made", RECIPES, ids=lambda made: made.name)


def containerfile(made: Recipe) -> str:
    text = (made.folder / "Containerfile").read_text()
    return re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))


def named() -> list[Image]:
    """Every image that the local stack runs: add-ons of the cluster and releases of the platform."""
    addons = tomllib.loads(ADDONS.read_text())
    of_addons = [
        Image(name, made, name.rpartition(":")[2].removeprefix("v")) for name, made in addons.items()
    ]
    return [*of_addons, *(Image(*each) for each in releases.local_images())]


def test_every_folder_is_a_recipe() -> None:
    assert [path.name for path in sorted(recipe.FOLDER.iterdir()) if path.is_dir()] == recipe.known()


def test_every_image_has_a_recipe_and_every_recipe_an_image() -> None:
    images = named()
    assert images
    ours = {made.name for made in RECIPES if made.code}
    assert recipe.recipes_for({image.recipe for image in images} | ours) == set(recipe.known())


@EVERY_RECIPE
def test_an_image_has_the_version_that_its_recipe_builds(made: Recipe) -> None:
    versions = {image.version for image in named() if image.recipe == made.name}
    for part in made.go:
        module_dir = recipe.go_module(made, part)
        held = tools.load(part.tool).version if part.tool else tools.required_version(module_dir, part.module)
        assert {f"v{version}" for version in versions} == {held}
    if made.base == "python" and versions:
        assert f"=={versions.pop().split('-')[0]} " in (made.folder / "requirements.txt").read_text()


@EVERY_RECIPE
def test_go_parts_have_checksums(made: Recipe) -> None:
    for part in made.go:
        if not part.tool:
            folder = recipe.go_module(made, part)
            held = tools.required_version(folder, part.module)
            assert f"{part.module} {held} h1:" in (folder / "go.sum").read_text()
            # What uses an upstream's internal packages must bear its name.
            ours = (
                f"{part.module}/seatrial"
                if [*folder.rglob("*.go")]
                else f"seatrial.local/images/{folder.name}"
            )
            assert (folder / "go.mod").read_text().startswith(f"module {ours}\n")


@EVERY_RECIPE
def test_the_containerfile_uses_exactly_what_the_recipe_brings(made: Recipe) -> None:
    used = set(re.findall(r"\bparts/([\w.-]+)", containerfile(made)))
    brought = {part.name or part.tool for part in made.go} | {part.name for part in made.maven}
    assert used == brought | ({"base.tar"} if made.debian else set())
    assert ("${BASE}" in containerfile(made)) == bool(made.base)
    assert bool(made.code) == ("COPY code/" in containerfile(made))


@EVERY_RECIPE
def test_an_image_stands_on_nothing_that_a_registry_would_be_asked_for(made: Recipe) -> None:
    text = containerfile(made)
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE))
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) <= {"scratch", "${BASE}"} | stages


@EVERY_RECIPE
def test_package_clients_are_configured_by_the_host(made: Recipe) -> None:
    assert not re.search(r"https?://", containerfile(made))
    scripts = (path for path in made.files() if path.stat().st_mode & 0o100)
    text = "\n".join([containerfile(made), *(path.read_text() for path in scripts)])
    for command, variable in (
        ("apt-get", "APT_CONFIG=/run/host/apt.conf"),
        ("uv pip install", "UV_CONFIG_FILE=/run/host/uv.toml SSL_CERT_FILE=/run/host/ca.crt"),
    ):
        if command in text:
            assert variable in text
    assert not re.search(r"ENV.*(PIP_|UV_|APT_CONFIG|SSL_CERT)", text)
    assert "pip install" not in text or "--require-hashes" in text


@EVERY_RECIPE
def test_a_changed_part_is_not_mistaken_for_a_finished_step(made: Recipe) -> None:
    """buildah knows a step by its text and its arguments, not by the content of what is mounted."""
    text = containerfile(made)
    if "--mount=type=bind" in text:
        assert "ARG RECIPE" in text[: text.index("--mount=type=bind")]


@EVERY_RECIPE
def test_requirements_are_what_was_asked_for(made: Recipe) -> None:
    for asked in made.folder.glob("*.in"):
        fixed = asked.with_suffix(".txt").read_text()
        for line in asked.read_text().splitlines():
            if line and not line.startswith("#"):
                name, version = re.fullmatch(r"([\w.-]+)(?:\[\S+\])?([<=]=?\S+)?", line).groups()  # type: ignore[union-attr]
                pinned = version if version and version.startswith("==") else "=="
                assert re.search(
                    rf"^{re.escape(name.lower())}(\[\S+\])?{re.escape(pinned)}", fixed, re.MULTILINE
                ), line


def test_an_unknown_recipe_is_named_with_those_there_are() -> None:
    with pytest.raises(Exception, match="no recipe for an image called 'postgres'") as raised:
        recipe.load("postgres")
    assert "postgresql" in str(raised.value)
