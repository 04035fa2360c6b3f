"""When an image counts as built: its key follows all it is made from, and the registry really has it."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from local.images import build, parts, recipe, registry, store, workload_image, workload_images
from local.images.names import Image

CHAIN = {
    "ground/Containerfile": "FROM scratch\n",
    "ground/recipe.toml": "seconds = 1\nmegabytes = 1\n",
    "house/Containerfile": "ARG BASE\nFROM ${BASE}\nCOPY code/ /\n",
    "house/recipe.toml": 'base = "ground"\ncode = ["src"]\nseconds = 2\nmegabytes = 20\n',
    "checkout/src/main.py": "print(1)\n",
}


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in CHAIN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(recipe, "FOLDER", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recipe.load.cache_clear()
    yield tmp_path
    recipe.load.cache_clear()


def key(folder: Path, version: str = "1") -> str:
    return recipe.key("house", version, folder / "checkout")


@pytest.mark.parametrize("changed", list(CHAIN))
def test_the_key_follows_every_file(recipes: Path, changed: str) -> None:
    before = key(recipes)
    text = CHAIN[changed] + "# changed\n"
    if changed.endswith("recipe.toml"):
        text = CHAIN[changed] + 'go = [{ tool = "coredns" }]\n'
    (recipes / changed).write_text(text)
    recipe.load.cache_clear()
    assert key(recipes) != before


def test_another_measure_of_cost_builds_nothing(recipes: Path) -> None:
    before = key(recipes)
    (recipes / "house/recipe.toml").write_text(CHAIN["house/recipe.toml"].replace("= 20", "= 21"))
    recipe.load.cache_clear()
    assert recipe.load("house").megabytes == 21
    assert key(recipes) == before


def test_the_key_follows_version_and_names_of_files(recipes: Path) -> None:
    assert key(recipes, "2") == key(recipes)
    (recipes / "house/Containerfile").write_text(CHAIN["house/Containerfile"] + "ARG VERSION\n")
    before = key(recipes)
    assert key(recipes, "2") != before
    (recipes / "checkout/src/main.py").rename(recipes / "checkout/src/other.py")
    between = key(recipes)
    assert between != before
    (recipes / "house/one").write_text("")
    (recipes / "house/one").rename(recipes / "house/two")
    with_two = key(recipes)
    (recipes / "house/two").rename(recipes / "house/one")
    assert len({between, with_two, key(recipes)}) == 3


def test_the_key_ignores_what_python_leaves_behind(recipes: Path) -> None:
    before = key(recipes)
    (recipes / "checkout/src/__pycache__").mkdir()
    (recipes / "checkout/src/__pycache__/main.cpython-313.pyc.140").write_bytes(b"\0")
    (recipes / "checkout/src/main.pyc").write_bytes(b"\0")
    assert key(recipes) == before


def test_two_checkouts_with_the_same_code_share_an_image(recipes: Path) -> None:
    shutil.copytree(recipes / "checkout", recipes / "clone")
    assert recipe.key("house", "", recipes / "checkout") == recipe.key("house", "", recipes / "clone")


def test_our_images_share_a_tag_that_changes_with_each_of_them(recipes: Path) -> None:
    ours = workload_images(recipes / "checkout")
    before = {image.name for image in ours}
    assert [image.recipe for image in ours] == ["house"]
    assert before == {image.name for image in workload_images(recipes / "checkout")}
    shutil.copytree(recipes / "house", recipes / "hut")
    both = workload_images(recipes / "checkout")
    assert {image.repository for image in both} == {"seatrial/house", "seatrial/hut"}
    assert len({image.tag for image in both}) == 1
    assert not before & {image.name for image in both}


def test_most_workloads_run_in_one_image() -> None:
    checkout = Path(__file__).parents[2]
    assert workload_image(checkout).repository == "seatrial/workloads"
    assert workload_image(checkout) in workload_images(checkout)


def pushed(image: Image) -> Path:
    """Put an image into the registry's folder as a push leaves it; its layer's file."""
    blobs = {}
    for content in (b"{}", b"layer"):
        blobs[content] = blob(content)
    described = [{"digest": name, "size": len(content)} for content, name in blobs.items()]
    manifest = json.dumps({"config": described[0], "layers": described[1:]}).encode()
    link = registry.places.registry() / "docker/registry/v2/repositories" / image.repository
    link = link / "_manifests/tags" / image.tag / "current/link"
    link.parent.mkdir(parents=True)
    link.write_text(blob(manifest))
    store.write(image, store.wanted_key(image))
    return registry._blob(blobs[b"layer"])


def blob(content: bytes) -> str:
    name = f"sha256:{hashlib.sha256(content).hexdigest()}"
    registry._blob(name).parent.mkdir(parents=True)
    registry._blob(name).write_bytes(content)
    return name


@pytest.fixture
def house(recipes: Path) -> Image:
    return Image("quay.io/a/house:1", "house", "1", recipes / "checkout")


def test_what_was_pushed_is_not_built_again(house: Image) -> None:
    assert build.missing([house, house]) == [house]
    pushed(house)
    assert build.missing([house, house]) == []


def test_another_recipe_another_push_or_a_lost_layer_count_as_missing(house: Image, recipes: Path) -> None:
    layer = pushed(house)
    layer.write_bytes(b"la")
    assert build.missing([house]) == [house]
    layer.write_bytes(b"layer")
    assert build.missing([house]) == []
    (recipes / "checkout/src/main.py").write_text("print(2)\n")
    assert build.missing([house]) == [house]


def test_a_tag_that_somebody_else_pushed_counts_as_missing(house: Image) -> None:
    pushed(house)
    link = next(registry.places.registry().glob("**/current/link"))
    link.write_text(blob(json.dumps({"config": {"digest": blob(b"x"), "size": 1}, "layers": []}).encode()))
    assert registry.digest(house.repository, house.tag)
    assert build.missing([house]) == [house]


def test_the_plan_names_each_recipe_once_with_its_cost(house: Image, recipes: Path) -> None:
    other = Image("quay.io/a/house:2", "house", "2", recipes / "checkout")
    planned = build.plan([house, other])
    assert [(one.name, one.seconds, one.megabytes) for one in planned] == [
        ("image ground", 1, 1),
        ("image house", 2, 20),
    ]
    assert not (recipes / "cache").exists()


def test_the_key_follows_the_sources_of_a_program_that_lie_with_another_recipe(recipes: Path) -> None:
    mill = recipes / "mill" / "wheel" / "main.go"
    mill.parent.mkdir(parents=True)
    mill.write_text("package main")
    (recipes / "mill" / "go.mod").write_text("module m\nrequire a.b/c v1.0.0\n")
    part = '[[go]]\nrecipe = "mill"\nmodule = "a.b/c"\npackage = "./wheel"\nname = "wheel"\n'
    (recipes / "house/recipe.toml").write_text(CHAIN["house/recipe.toml"] + part)
    recipe.load.cache_clear()
    before, [kept] = key(recipes), parts.programs(recipe.load("house"))
    mill.write_text("package main // changed")
    assert key(recipes) != before
    assert parts.programs(recipe.load("house")) != [kept]
