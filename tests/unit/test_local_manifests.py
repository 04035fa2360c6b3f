"""Manifests of upstream modules are copied once, whole, to where the program looks."""

import json
from pathlib import Path

import pytest

from local import manifests
from local.errors import LocalError
from local.progress import Silent

WANTED = manifests.Wanted("thing", "1.0", "example.org/thing", ("a.yaml", "deep/b.yaml"))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module as Go unpacks it, and a `go` that knows it and notes how often it was asked."""
    folder = tmp_path / "module"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.yaml").write_text("a: 1")
    (folder / "deep" / "b.yaml").write_text("b: 2")
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    answer = json.dumps({"Dir": str(folder)})
    go.write_text(f'#!/bin/sh\necho "$@" "$GONOSUMDB" >> {tmp_path}/asked\necho \'{answer}\'\n')
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def asked(module: Path) -> list[str]:
    return (module.parent / "asked").read_text().splitlines()


def test_files_lie_where_the_program_looks(module: Path) -> None:
    manifests.ensure([WANTED], Silent())
    target = manifests.folder() / "thing-1.0"
    assert (target / "a.yaml").read_text() == "a: 1"
    assert (target / "deep" / "b.yaml").read_text() == "b: 2"
    assert asked(module)[0].startswith("mod download -json example.org/thing@v1.0")


def test_a_second_time_asks_nobody(module: Path) -> None:
    manifests.ensure([WANTED], Silent())
    manifests.ensure([WANTED], Silent())
    assert len(asked(module)) == 1


def test_a_folder_is_copied_whole_and_can_be_removed_again(module: Path) -> None:
    """Go keeps its modules read-only."""
    (module / "deep" / "b.yaml").chmod(0o444)
    (module / "deep").chmod(0o555)
    manifests.ensure([manifests.Wanted("chart", "1.0", "example.org/thing", ("deep",))], Silent())
    copied = manifests.folder() / "chart-1.0" / "deep"
    assert [file.name for file in copied.iterdir()] == ["b.yaml"]
    assert copied.stat().st_mode & 0o200
    assert (copied / "b.yaml").stat().st_mode & 0o200


def test_a_folder_that_was_not_copied_to_its_end_does_not_count(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (module / "deep" / "c.yaml").write_text("c: 3")
    wanted = manifests.Wanted("chart", "1.0", "example.org/thing", ("deep",))

    def fails(source: Path, target: Path) -> None:
        if target.name == "c.yaml":
            raise KeyboardInterrupt
        target.write_bytes(source.read_bytes())

    with monkeypatch.context() as broken:
        broken.setattr(manifests.shutil, "copyfile", fails)
        with pytest.raises(KeyboardInterrupt):
            manifests.ensure([wanted], Silent())
    manifests.ensure([wanted], Silent())
    copied = manifests.folder() / "chart-1.0" / "deep"
    assert {file.name for file in copied.iterdir()} == {"b.yaml", "c.yaml"}


def test_a_copy_that_was_interrupted_is_completed(module: Path) -> None:
    manifests.ensure([WANTED], Silent())
    (manifests.folder() / "thing-1.0" / "deep" / "b.yaml").unlink()
    manifests.ensure([WANTED], Silent())
    assert (manifests.folder() / "thing-1.0" / "deep" / "b.yaml").read_text() == "b: 2"


def test_a_file_that_the_module_lacks_is_named(module: Path) -> None:
    (module / "a.yaml").unlink()
    with pytest.raises(LocalError, match=r"(?s)thing@v1.0 has no file or folder a.yaml.*\[thing\]"):
        manifests.ensure([WANTED], Silent())


def test_what_go_says_is_passed_on(module: Path) -> None:
    go = module.parent / "bin" / "go"
    go.write_text('#!/bin/sh\necho \'{"Error": "not available"}\'\nexit 1\n')
    with pytest.raises(LocalError, match="could not be fetched: not available"):
        manifests.ensure([WANTED], Silent())


def test_a_machine_without_go_is_told_how_to_get_it(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LocalError, match=r"(?s)needs Go.*go\.dev"):
        manifests.ensure([WANTED], Silent())
