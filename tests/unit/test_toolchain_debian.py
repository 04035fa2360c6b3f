"""Distribution packages: what is missing is found, named with its reason, and installed in one go."""

from pathlib import Path

import pytest

from local.errors import LocalError
from local.paths import cache_dir
from local.toolchain import debian


class Distribution:
    """A machine's package commands, replaced by scripts that note how they are called."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.calls = folder / "calls"
        self.installed = folder / "installed"
        self.installed.write_text("runc installed\nnftables config-files\n")
        self.command("dpkg-query", f"cat {self.installed}; exit 1")
        self.command("apt-get", f'echo "$DEBIAN_FRONTEND $*" >> {self.calls}')

    def command(self, name: str, script: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        (self.bin / name).chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Distribution:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DEBIAN_FRONTEND", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return Distribution(tmp_path)


def test_a_removed_package_whose_configuration_is_left_is_missing(machine: Distribution) -> None:
    assert debian.missing(["runc", "nftables", "buildah"]) == ["nftables", "buildah"]


def test_a_command_that_is_there_needs_no_package(machine: Distribution) -> None:
    machine.command("buildah", "exit 0")
    assert debian.missing(["buildah"]) == []


def test_nothing_is_run_when_nothing_is_missing(machine: Distribution) -> None:
    debian.ensure(["runc"])
    assert not machine.calls.exists()
    assert not cache_dir().exists()


def test_what_is_missing_is_installed_without_questions_and_extras(machine: Distribution) -> None:
    debian.ensure(["runc", "buildah", "mmdebstrap"])
    update, install = machine.calls.read_text().splitlines()
    assert update.startswith("noninteractive")
    assert " update " in update
    assert install.startswith("noninteractive")
    assert install.endswith("install -q -y --no-install-recommends buildah mmdebstrap")


def test_a_refusal_names_package_reason_and_command(machine: Distribution) -> None:
    with pytest.raises(LocalError) as caught:
        debian.ensure(["runc", "buildah"], install=False)
    message = str(caught.value)
    assert f"buildah: {debian.needed()['buildah']}" in message
    assert "run `apt-get install --no-install-recommends buildah`" in message
    assert not machine.calls.exists()


def test_without_root_the_command_is_told(machine: Distribution, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(LocalError, match="run `sudo apt-get install --no-install-recommends buildah`"):
        debian.ensure(["buildah"])


def test_another_distribution_is_told_what_is_needed(machine: Distribution) -> None:
    (machine.bin / "apt-get").unlink()
    (machine.bin / "dpkg-query").unlink()
    with pytest.raises(LocalError, match=r"not a Debian-like system(?s:.*)buildah: "):
        debian.ensure(["buildah"])


def test_what_apt_said_is_in_the_error(machine: Distribution) -> None:
    machine.command("apt-get", "echo 'E: Unable to locate package'; exit 100")
    with pytest.raises(LocalError, match=r"installing buildah failed(?s:.*)E: Unable to locate package"):
        debian.ensure(["buildah"])
