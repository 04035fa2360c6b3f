"""A module's folder is fetched by exact version, and refused when it is not what go.sum names."""

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from local.errors import LocalError
from local.toolchain import gocache, gohost, gomod

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="no go on PATH")

CHARTS = "example.org/charts"


def publish(proxy: Path, content: str) -> None:
    """Serve version v1.0.0 of the module from a folder, as Go's proxy protocol has it."""
    served = proxy / CHARTS / "@v"
    served.mkdir(parents=True, exist_ok=True)
    (served / "v1.0.0.info").write_text('{"Version": "v1.0.0"}')
    (served / "v1.0.0.mod").write_text(f"module {CHARTS}\n")
    with zipfile.ZipFile(served / "v1.0.0.zip", "w") as archive:
        archive.writestr(f"{CHARTS}@v1.0.0/go.mod", f"module {CHARTS}\n")
        archive.writestr(f"{CHARTS}@v1.0.0/chart/Chart.yaml", content)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of ours that requires it and knows its checksum."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GOPROXY", f"file://{tmp_path / 'proxy'}")
    monkeypatch.setenv("GONOSUMDB", "example.org")
    monkeypatch.setenv("GOFLAGS", "-modcacherw")
    publish(tmp_path / "proxy", "name: first")
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "go.mod").write_text(f"module ours\n\ngo 1.26.0\n\nrequire {CHARTS} v1.0.0\n")
    asked = subprocess.run(
        ["go", "mod", "download", "-json", f"{CHARTS}@v1.0.0"],
        cwd=tmp_path,
        env=os.environ | {"GOMODCACHE": str(tmp_path / "other"), "GOCACHE": str(tmp_path / "other-build")},
        capture_output=True,
        check=True,
    )
    answer = json.loads(asked.stdout)
    sums = f"{CHARTS} v1.0.0 {answer['Sum']}\n{CHARTS} v1.0.0/go.mod {answer['GoModSum']}\n"
    (folder / "go.sum").write_text(sums)
    return folder


def test_the_folder_holds_the_published_files(module: Path) -> None:
    found = gomod.directory(module, CHARTS)
    assert (found / "chart" / "Chart.yaml").read_text() == "name: first"
    assert found.is_relative_to(gohost.module_cache())


def test_it_comes_again_after_the_caches_were_dropped(module: Path) -> None:
    first = gomod.directory(module, CHARTS)
    assert gocache.drop() is True
    assert not first.exists()
    assert (gomod.directory(module, CHARTS) / "chart" / "Chart.yaml").exists()


def test_other_content_than_go_sum_names_is_refused(module: Path, tmp_path: Path) -> None:
    publish(tmp_path / "proxy", "name: changed")
    with pytest.raises(LocalError, match="checksum mismatch"):
        gomod.directory(module, CHARTS)


def test_a_module_that_nobody_serves_is_named(module: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "proxy")
    with pytest.raises(LocalError, match=r"example\.org/charts@v1\.0\.0 could not be fetched"):
        gomod.directory(module, CHARTS)
