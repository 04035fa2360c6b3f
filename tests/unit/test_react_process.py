"""The reaction's process: it starts where the platform says, tells what is missing, and ends on request."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.unit.test_react_api import KEY, TOLD

ROOT = Path(__file__).parents[2]
POLICY = "rules: [{name: all, match: {severity: critical}, action: page}]"
IN_A_POD = """
import sys
from kubernetes.config import incluster_config as of_pod
of_pod.SERVICE_TOKEN_FILENAME, of_pod.SERVICE_CERT_FILENAME = sys.argv[1:3]
sys.argv[1:3] = []
import kubernetes.client.rest
kubernetes.client.rest.RESTClientObject = lambda _: None  # The file is no certificate.
from react.main import main
main()
"""


@contextmanager
def process(tmp_path: Path, **variables: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """One with these variables in its environment; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for name, text in {"policy.yaml": POLICY, "token": "t", "ca.crt": "c"}.items():
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / name) for name in ("token", "ca.crt")]
    command = [sys.executable, "-c", IN_A_POD, *files, "--policy", str(tmp_path / "policy.yaml")]
    command += ["--set", f"port={port}", "--set", "start_seconds=2"]
    pod = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **pod, **variables}, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running, f"http://127.0.0.1:{port}"
        finally:
            running.kill()


def test_it_reacts_until_it_is_told_to_end(tmp_path: Path, trail_url: str) -> None:
    given = {"BOOKINGS_DATABASE": trail_url, "REACT_TOKEN": "secret", "TRAINING_IMAGE": "x/workloads:1"}
    with process(tmp_path, **given) as (running, address):
        assert running.stdout is not None
        assert next(line for line in running.stdout if "reacting" in line)
        with httpx.Client(base_url=address, headers=KEY, trust_env=False, timeout=60) as http:
            until = time.monotonic() + 120
            while not _there(http) and time.monotonic() < until:
                time.sleep(0.2)
            assert http.post("/alerts", json=_now()).status_code == 200
            found: list[dict[str, object]] = []
            while not (found and found[-1]["finished_at"]) and time.monotonic() < until:
                found = http.get("/v1/reactions").json()["reactions"]
                time.sleep(0.2)
            assert (found[-1]["action"], found[-1]["result"]) == (
                "page", "untold: there is no address to tell it to (PAGE_URL)",
            )  # fmt: skip
            shown = http.get("/metrics").text
            assert 'reaction_actions_total{action="page",result="untold"} 1.0' in shown
            assert 'reaction_actions_total{action="rollback",result="failed"} 0.0' in shown
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0


def _there(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _now() -> dict[str, object]:
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {**TOLD, "alerts": [{**TOLD["alerts"][0], "startsAt": began}]}


@pytest.mark.parametrize(
    ("missing", "code", "words"),
    [
        ("BOOKINGS_DATABASE", 1, "environment variable BOOKINGS_DATABASE is not set"),
        ("REACT_TOKEN", 1, "environment variable REACT_TOKEN is not set"),
    ],
)
def test_it_ends_with_the_cause_where_something_is_missing(
    tmp_path: Path, trail_url: str, missing: str, code: int, words: str
) -> None:
    given = {"BOOKINGS_DATABASE": trail_url, "REACT_TOKEN": "secret", "TRAINING_IMAGE": "x/workloads:1"}
    with process(tmp_path, **{name: value for name, value in given.items() if name != missing}) as (it, _):
        told = it.communicate(timeout=120)[0]
        assert (it.returncode, words in told) == (code, True)
