"""What builds take from the host and leave out of images; what failures say; names; digests."""

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest

from local.errors import LocalError
from local.images import build, digests, hostconfig, leash
from local.images.names import Image

DEB822 = """\
Types: deb
# URIs: http://old.example.org/debian
URIs: http://mirror.example.org/debian
Suites: bookworm

Types: deb
URIs: http://mirror.example.org/debian-security
"""


@pytest.mark.parametrize(
    ("name", "repository", "tag"),
    [
        ("docker.io/trinodb/trino:476", "trinodb/trino", "476"),
        ("docker.io/library/postgres:17.12", "library/postgres", "17.12"),
        ("docker.io/postgres:17.12", "library/postgres", "17.12"),
        ("busybox:1.37.0", "library/busybox", "1.37.0"),
        ("registry.k8s.io/pause:3.10.1", "pause", "3.10.1"),
        ("registry.k8s.io/coredns/coredns:v1.14.7", "coredns/coredns", "v1.14.7"),
        ("localhost:5000/a/b:1", "a/b", "1"),
        ("seatrial/workloads:0f", "seatrial/workloads", "0f"),
    ],
)
def test_a_node_finds_an_image_by_its_upstream_name(name: str, repository: str, tag: str) -> None:
    image = Image(name, "any", "1")
    assert (image.repository, image.tag) == (repository, tag)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("sources.list.d/debian.sources", DEB822),
        (
            "sources.list",
            "deb [arch=amd64] http://mirror.example.org/debian bookworm main\n"
            "# deb http://old.example.org/debian bookworm main\n"
            "deb http://mirror.example.org/debian-security/ bookworm-security main\n",
        ),
    ],
)
def test_the_hosts_mirror_serves_the_images(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    (tmp_path / "sources.list.d").mkdir(exist_ok=True)
    (tmp_path / "sources.list.d/a.list.disabled").write_text("deb http://no.example.org/debian x main\n")
    assert [re.sub(r"\[.*?\] ", "", line) for line in hostconfig.sources(tmp_path)] == [
        "deb http://mirror.example.org/debian trixie main",
        "deb http://mirror.example.org/debian trixie-updates main",
        "deb http://mirror.example.org/debian-security trixie-security main",
    ]


def test_a_host_without_a_debian_archive_is_told_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LocalError, match="names no Debian archive") as raised:
        hostconfig.sources(tmp_path)
    assert "SEATRIAL_DEBIAN_MIRROR" in raised.value.todo
    monkeypatch.setenv("SEATRIAL_DEBIAN_MIRROR", "http://mine.example.org/debian")
    assert "http://mine.example.org/debian trixie main" in hostconfig.sources(tmp_path)[0]


def test_pip_packages_of_a_build_come_from_the_hosts_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example.org/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://one.example.org https://two.example.org")
    monkeypatch.setenv("PIP_TARGET", "/somewhere")
    monkeypatch.setenv("SEATRIAL_DEBIAN_MIRROR", "http://mine.example.org/debian")
    hostconfig.write(tmp_path)
    written = tomllib.loads((tmp_path / "uv.toml").read_text())
    assert written["index-url"] == "https://index.example.org/simple"
    assert written["extra-index-url"] == ["https://one.example.org", "https://two.example.org"]
    assert set(written) == {"no-cache", "index-url", "extra-index-url"}
    assert (tmp_path / "ca.crt").read_bytes() == hostconfig.certificates().read_bytes()
    assert os.access(tmp_path / "uv", os.X_OK)


def test_a_failed_build_names_image_step_and_last_lines() -> None:
    failure = leash.Failed(["buildah"], ["STEP 2/3: RUN apt-get install x", "E: Unable to locate package x"])
    error = build._error("the image x could not be built", failure, Path("/logs/x.log"))
    assert "at STEP 2/3: RUN apt-get install x" in error.what
    assert "Unable to locate package x" in error.what
    assert "/logs/x.log" in error.todo


def test_a_full_disk_is_called_one() -> None:
    failure = leash.Failed(["buildah"], ["tar: write error: No space left on device"])
    error = build._error("the image x could not be built", failure, Path("/logs/x.log"))
    assert "is full" in error.what
    assert "XDG_CACHE_HOME" in error.todo


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
def test_what_is_run_does_not_outlive_us(tmp_path: Path) -> None:
    """Killed without a chance to clean up: its program, what that started and its mounts are gone."""
    log, folder = tmp_path / "log", tmp_path / "mounted"
    folder.mkdir()
    script = f"mount -t tmpfs none {folder} && touch {folder}/x && (sleep 1000 & echo ready; wait)"
    call = f"leash.run(['sh', '-c', {script!r}], log=Path({str(log)!r}))"
    code = f"from pathlib import Path; from local.images import leash; {call}"
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2]) as process:
        while not (log.exists() and "ready" in log.read_text()):
            assert process.poll() is None
        started = descendants(process.pid)
        process.send_signal(signal.SIGKILL)
    assert len(started) >= 3
    for pid in started:
        with_pidfd(pid)
    assert str(folder) not in Path("/proc/mounts").read_text()
    assert list(folder.iterdir()) == []


def descendants(pid: int) -> list[int]:
    children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [deeper for child in children for deeper in descendants(child)]


def with_pidfd(pid: int) -> None:
    """Wait for the end of a process that is not our child."""
    import select

    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([descriptor], [], [], 20)
        assert ended, f"process {pid} still runs"
    finally:
        os.close(descriptor)


TRINO = Image("docker.io/trinodb/trino:476", "trino", "476")
DIGEST = "sha256:" + "a" * 64


def test_pinning_asks_the_upstream_registry_with_an_anonymous_token() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.example.org":
            assert request.url.params["scope"] == "repository:trinodb/trino:pull"
            return httpx.Response(200, json={"token": "t"})
        if request.headers.get("authorization") != "Bearer t":
            challenge = 'Bearer realm="https://auth.example.org/token",scope="repository:trinodb/trino:pull"'
            return httpx.Response(401, headers={"www-authenticate": challenge})
        assert request.url.path == "/v2/trinodb/trino/manifests/476"
        return httpx.Response(200, headers={"docker-content-digest": DIGEST})

    ours = Image("seatrial/workloads:1", "workloads", "")
    assert digests.pin([TRINO, ours], httpx.MockTransport(answer)) == {TRINO.name: DIGEST}


def test_pinning_without_a_network_says_so() -> None:
    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Name or service not known", request=request)

    with pytest.raises(LocalError, match="cannot be reached to resolve trinodb/trino:476"):
        digests.pin([TRINO], httpx.MockTransport(unreachable))


def test_digests_are_written_once_and_replaced(tmp_path: Path) -> None:
    file = tmp_path / "releases.toml"
    file.write_text(
        '# why\n[trino]\nversion = "476"\nimages = { "docker.io/trinodb/trino:{version}" = "trino" }\n'
        '\n[other]\nversion = "1"\n'
    )
    assert digests.write_digests(file, {TRINO.name: DIGEST}) == [TRINO.name]
    once = file.read_text()
    assert f'[trino.digests]\n"{TRINO.name}" = "{DIGEST}"\n' in once
    assert digests.write_digests(file, {TRINO.name: DIGEST}) == []
    assert file.read_text() == once
    other = DIGEST.replace("a", "b")
    assert digests.write_digests(file, {TRINO.name: other}) == [TRINO.name]
    assert file.read_text() == once.replace(DIGEST, other)
