"""Building for real, with small recipes in a cache of their own: layers, changes, pruning, kills."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local import toolchain
from local.errors import LocalError
from local.images import Image, build, housekeeping, leash, places, recipe, registry
from tests.apiserver import certificates

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="buildah needs root here")

GROUND = "FROM scratch\nCOPY hello.txt /hello.txt\n"
HOUSE = "ARG BASE\nARG VERSION\nFROM ${BASE}\nARG VERSION\nCOPY house.txt /house-${VERSION}.txt\n"
TOML = "seconds = 1\nmegabytes = 1\n"


@pytest.fixture(scope="session")
def registry_binary() -> Path:
    return toolchain.ensure(["registry"])["registry"]


@pytest.fixture
def kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry_binary: Path) -> Iterator[Path]:
    """Two recipes, and a cache of their own."""
    for name, text in {
        "ground/Containerfile": GROUND,
        "ground/recipe.toml": TOML,
        "ground/hello.txt": "hello\n",
        "house/Containerfile": HOUSE,
        "house/recipe.toml": f'base = "ground"\n{TOML}',
        "house/house.txt": "house\n",
    }.items():
        (tmp_path / "recipes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "recipes" / name).write_text(text)
    monkeypatch.setattr(recipe, "FOLDER", tmp_path / "recipes")
    monkeypatch.setattr(places, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr(toolchain, "ensure", lambda names: {"registry": registry_binary})
    recipe.load.cache_clear()
    yield tmp_path
    recipe.load.cache_clear()
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def image(version: str) -> Image:
    return Image(f"docker.io/test/house:{version}", "house", version)


class Told:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def begin(self, step: str, expected_seconds: float | None = None) -> None:
        self.begun.append(step)

    def end(self, step: str, note: str = "") -> None:
        pass

    def say(self, line: str) -> None:
        pass


def ensured(*images: Image) -> list[str]:
    told = Told()
    build.ensure(images, told)
    return told.begun


def test_each_layer_is_built_once_and_only_what_is_asked_for(kitchen: Path) -> None:
    assert ensured(image("1")) == ["build image ground", "build image house", "push docker.io/test/house:1"]
    assert ensured(image("1")) == []
    assert ensured(image("1"), image("2")) == ["build image house", "push docker.io/test/house:2"]
    assert registry.tags() == [("test/house", "1"), ("test/house", "2")]
    shared = set(registry.layers("test/house", "1")) & set(registry.layers("test/house", "2"))
    assert len(shared) == 1


def test_a_changed_file_is_built_and_pushed_again(kitchen: Path) -> None:
    ensured(image("1"))
    before = registry.digest("test/house", "1")
    (kitchen / "recipes/house/house.txt").write_text("painted\n")
    assert ensured(image("1")) == ["build image house", "push docker.io/test/house:1"]
    assert registry.digest("test/house", "1") != before


def test_a_lost_registry_is_filled_again_without_building(kitchen: Path) -> None:
    ensured(image("1"))
    shutil.rmtree(places.registry())
    assert ensured(image("1")) == ["push docker.io/test/house:1"]


def test_prune_keeps_what_is_wanted(kitchen: Path) -> None:
    ensured(image("1"), image("2"))
    assert housekeeping.prune([image("2")]) > 0
    assert registry.tags() == [("test/house", "2")]
    assert ensured(image("2")) == []
    assert ensured(image("1")) == ["build image house", "push docker.io/test/house:1"]


def test_a_broken_recipe_is_named_with_its_step(kitchen: Path) -> None:
    (kitchen / "recipes/house/Containerfile").write_text("ARG BASE\nFROM ${BASE}\nCOPY nothing /\n")
    with pytest.raises(LocalError, match=r"the image house could not be built, at STEP 2/2: COPY nothing /"):
        ensured(image("1"))


YOURS = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {data}}}}}
http: {{addr: "{address}", tls: {{certificate: {pki}/server.crt, key: {pki}/server.key}}}}
"""


@pytest.fixture
def yours(tmp_path: Path, registry_binary: Path) -> Iterator[str]:
    """The address of a registry as a user has one, over TLS; its authority is in pki/ca.crt."""
    certificates.make(tmp_path / "pki")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = tmp_path / "yours.yaml"
    config.write_text(YOURS.format(address=address, data=tmp_path / "data", pki=tmp_path / "pki"))
    with subprocess.Popen(["setpriv", "--pdeathsig", "KILL", registry_binary, "serve", config]) as process:
        while not listening(address):
            assert process.poll() is None
            time.sleep(0.05)
        yield address
        process.terminate()


def listening(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as knock:
        return knock.connect_ex((host, int(port))) == 0


def test_images_are_copied_to_a_registry_of_yours(
    kitchen: Path, yours: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = str(kitchen / "pki/ca.crt")
    monkeypatch.setenv("SSL_CERT_FILE", authority)
    assert housekeeping.push([image("1")], f"https://{yours}/team/") == [f"{yours}/team/test/house:1"]
    trusted = ssl.create_default_context(cafile=authority)
    answer = httpx.get(
        f"https://{yours}/v2/team/test/house/manifests/1",
        headers={"Accept": "application/vnd.oci.image.manifest.v1+json"}, verify=trusted, trust_env=False,
    )  # fmt: skip
    assert len(answer.raise_for_status().json()["layers"]) == 2


def test_a_registry_that_cannot_be_trusted_is_refused_by_name(kitchen: Path, yours: str) -> None:
    with pytest.raises(LocalError, match=rf"{yours}/test/house:1 could not be pushed: .*certificate"):
        housekeeping.push([image("1")], yours)


ENDLESS = """\
ARG BASE
FROM ${BASE}
COPY program endless.yaml /
RUN ["/program", "serve", "/endless.yaml"]
"""
CONFIG = "version: 0.1\nstorage: {filesystem: {rootdirectory: /held}}\nhttp: {addr: '127.0.0.1:0'}\n"


def test_a_killed_build_leaves_nothing_and_the_next_one_works(kitchen: Path, registry_binary: Path) -> None:
    """kill -9 while a step runs: processes and mounts are gone, the next build ends well."""
    shutil.copy(registry_binary, kitchen / "recipes/house/program")
    (kitchen / "recipes/house/endless.yaml").write_text(CONFIG)
    (kitchen / "recipes/house/Containerfile").write_text(ENDLESS)
    code = script(kitchen, 'build.ensure([Image("docker.io/test/house:1", "house", "1")])')
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as process:
        while not endless(str(kitchen)):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    while endless(str(kitchen)):
        time.sleep(0.05)
    (kitchen / "recipes/house/Containerfile").write_text(HOUSE)
    assert ensured(image("1"))[-1] == "push docker.io/test/house:1"
    assert list(places.temporary().iterdir()) == []


def endless(place: str) -> list[int]:
    """Processes whose root folder is an image under construction in `place`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (
                    place in str((entry / "root").readlink())
                    and b"/program" in (entry / "cmdline").read_bytes()
                ):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def script(kitchen: Path, then: str) -> str:
    """A program of its own that builds from the kitchen's recipes."""
    return textwrap.dedent(f"""
        from pathlib import Path
        from local import toolchain
        from local.images import Image, build, places, recipe
        found = toolchain.ensure(["registry"])
        toolchain.ensure = lambda names: found
        recipe.FOLDER = Path({str(kitchen / "recipes")!r})
        places.cache_dir = lambda: Path({str(kitchen / "cache")!r})
    """) + textwrap.dedent(then)


@pytest.mark.parametrize("known_before", [True, False])
def test_a_full_disk_is_named(kitchen: Path, known_before: bool) -> None:
    """Refused before it starts where the need is known, named where the disk fills up on the way."""
    (kitchen / "recipes/house/house.txt").write_bytes(os.urandom(30 << 20))
    (kitchen / "cache").mkdir()
    skip = "" if known_before else "build._require_disk = lambda images: None"
    code = script(
        kitchen,
        f"""
        import subprocess
        mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "none"]
        subprocess.run([*mount, {str(kitchen / "cache")!r}], check=True)
        {skip}
        build.ensure([Image("docker.io/test/house:1", "house", "1")])
        """,
    )
    with pytest.raises(leash.Failed) as raised:  # in a mount namespace of its own
        leash.run([sys.executable, "-c", code], log=kitchen / "log", cwd=ROOT)
    said = "\n".join(raised.value.lines)
    assert "local.errors.LocalError" in said
    assert str(kitchen / "cache") in said
    assert ("building the images ground, house needs about" if known_before else "is full") in said
