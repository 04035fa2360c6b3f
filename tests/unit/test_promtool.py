"""promtool is taken from PATH in the platform's version, or unpacked into the cache, or asked for."""

from pathlib import Path

import pytest

from local import promtool
from local.errors import LocalError
from local.paths import cache_dir


class Machine:
    """Commands that note how they are called, in the place of apt's and dpkg's."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.calls = folder / "calls"
        self.calls.touch()
        self.command("apt-get", 'case "$*" in *download*) touch promtool.deb;; esac')
        self.command("dpkg", self.unpacks("2.53.3"))

    def command(self, name: str, script: str) -> None:
        (self.bin / name).write_text(
            f'#!/bin/sh\nPATH=/usr/bin:/bin\necho "{name} $*" >> {self.calls}\n{script}\n'
        )
        (self.bin / name).chmod(0o755)

    @staticmethod
    def unpacks(version: str) -> str:
        program = "$3/usr/bin/promtool"
        return (
            'mkdir -p "$3/usr/bin"\n'
            f'printf "#!/bin/sh\\necho promtool, version {version}+ds1" > "{program}"\n'
            f'chmod 755 "{program}"'
        )

    def called(self) -> list[str]:
        return [line.split()[0] for line in self.calls.read_text().splitlines()]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SEATRIAL_DEBIAN_MIRROR", "http://deb.example.org/debian")
    return Machine(tmp_path)


def test_it_is_unpacked_into_the_cache_once(machine: Machine) -> None:
    found = promtool.ensure("2.53.3")
    assert found == cache_dir() / "tools" / "promtool-2.53.3" / "promtool"
    assert machine.called() == ["apt-get", "apt-get", "dpkg"]
    assert "install" not in machine.calls.read_text()
    assert promtool.ensure("2.53.3") == found
    assert machine.called() == ["apt-get", "apt-get", "dpkg"]


def test_what_is_fetched_leaves_the_machines_own_lists_alone(machine: Machine) -> None:
    promtool.ensure("2.53.3")
    for line in machine.calls.read_text().splitlines()[:2]:
        assert f"Dir::State::Lists={cache_dir()}" in line
        assert f"Dir::Etc::SourceList={cache_dir()}" in line


def test_one_on_path_is_taken_in_the_same_minor_version(machine: Machine) -> None:
    machine.command("promtool", "echo promtool, version 2.53.1")
    assert promtool.ensure("2.53.3") == machine.bin / "promtool"
    machine.command("promtool", "echo promtool, version 2.42.0")
    assert promtool.ensure("2.53.3") != machine.bin / "promtool"


def test_another_version_than_the_platforms_is_refused(machine: Machine) -> None:
    machine.command("dpkg", machine.unpacks("3.5.0"))
    with pytest.raises(LocalError, match=r"no promtool of Prometheus 2\.53\.3(?s:.*)infra/releases\.toml"):
        promtool.ensure("2.53.3")
    assert not (cache_dir() / "tools" / "promtool-2.53.3").exists()


def test_what_apt_said_is_in_the_error(machine: Machine) -> None:
    machine.command("apt-get", "echo 'E: Failed to fetch'; exit 100")
    with pytest.raises(LocalError, match=r"E: Failed to fetch(?s:.*)put promtool 2\.53\.3 on PATH"):
        promtool.ensure("2.53.3")


def test_another_distribution_is_told_what_to_do(machine: Machine) -> None:
    (machine.bin / "apt-get").unlink()
    with pytest.raises(LocalError, match=r"put promtool of Prometheus 2\.53\.3 on PATH"):
        promtool.ensure("2.53.3")
