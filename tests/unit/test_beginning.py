"""How a pod's one rank is started, and what it says of its way to the first step."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from workloads import beginning, torchrun
from workloads.beginning import Beginning

TOLD = {
    "PET_NPROC_PER_NODE": "1", "PET_NNODES": "2", "PET_NODE_RANK": "1",
    "PET_MASTER_ADDR": "train-0.train", "PET_MASTER_PORT": "29500",
}  # fmt: skip


def test_one_rank_a_pod_is_told_what_torchrun_would_tell_it() -> None:
    assert torchrun.alone(TOLD)
    assert torchrun.place(TOLD) == {
        "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": "train-0.train", "MASTER_PORT": "29500",
    }  # fmt: skip


def test_several_ranks_a_pod_and_ranks_that_were_told_nothing_are_left_to_torchrun() -> None:
    assert not torchrun.alone({**TOLD, "PET_NPROC_PER_NODE": "8"})
    assert not torchrun.alone({})


def launcher(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "workloads.torchrun", "-c", program],
        env={**os.environ, **TOLD}, text=True, stdout=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("import os; assert os.environ['RANK'] == '1'", 0),
        ("raise SystemExit(3)", 3),
        ("import os; os.kill(os.getpid(), 9)", 137),
    ],
)
def test_it_ends_as_its_rank_ended(program: str, code: int) -> None:
    with launcher(program) as running:
        assert running.wait(60) == code


def test_being_asked_to_end_is_passed_on() -> None:
    with launcher("import time; print('here', flush=True); time.sleep(60)") as running:
        assert running.stdout
        assert running.stdout.readline() == "here\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 128 + signal.SIGTERM


def test_when_a_process_was_started_is_known() -> None:
    before = time.time()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        seen = beginning.started(child.pid, time.time())
        child.communicate(b"\n")
    assert before - 0.1 <= seen <= time.time() + 0.1


def test_the_parts_add_up_to_the_time_since_the_start_and_are_told_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours = Beginning()
    ours.mark("meet")
    ours.over("first_steps")
    ended = time.time()
    ours.over("first_steps")
    (line,) = capsys.readouterr().out.splitlines()
    told = dict(re.findall(r"(\w+)=(\S+)", line))
    assert list(told) == ["container", "launch", "import", "meet", "first_steps"]
    total = sum(float(value) for name, value in told.items() if name != "container")
    assert float(told["container"]) + total == pytest.approx(ended, abs=0.1)
