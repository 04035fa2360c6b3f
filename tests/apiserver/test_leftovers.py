"""A test run that is killed leaves a control plane behind; the next run ends it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.apiserver import controlplane
from tests.apiserver.plugin import ROOT

_RUN = """
import subprocess, sys
from tests.apiserver import controlplane
plane = controlplane.ControlPlane()
plane.folder.mkdir(parents=True)
sleeper = subprocess.Popen(["sleep", "600"])
plane._processes = [sleeper]
plane._note()
print(sleeper.pid, flush=True)
sleeper.wait()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def start_run() -> tuple[subprocess.Popen, psutil.Process]:
    run = subprocess.Popen(
        [sys.executable, "-c", _RUN], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ
    )
    assert run.stdout is not None
    with run.stdout:
        return run, psutil.Process(int(run.stdout.readline()))


def test_what_a_killed_run_left_is_ended_by_the_next(home: Path) -> None:
    run, sleeper = start_run()
    try:
        run.send_signal(signal.SIGKILL)
        run.wait(10)
        assert sleeper.is_running()
        assert controlplane.clean_leftovers() == [sleeper.pid]
        assert not sleeper.is_running() or sleeper.status() == psutil.STATUS_ZOMBIE
        assert not list(controlplane.runs_dir().glob("*"))
    finally:
        if sleeper.is_running():
            sleeper.kill()


def test_a_run_that_is_alive_is_left_alone(home: Path) -> None:
    run, sleeper = start_run()
    try:
        assert controlplane.clean_leftovers() == []
        assert sleeper.is_running()
    finally:
        sleeper.kill()
        run.wait(10)
