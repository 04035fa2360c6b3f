"""A real etcd, kube-apiserver and kube-controller-manager on loopback; tests write what a node would.

Every run notes its processes with their start times. A run that was killed leaves them behind; the next one
finds the note, ends what is still the same process and removes the folder.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import yaml

from local import paths, toolchain
from tests.apiserver import certificates
from tests.apiserver.cluster import Cluster

_RUNS = "tests/apiserver"
_NOTE = "processes.json"
_START_SECONDS = 120.0


def runs_dir() -> Path:
    return paths.state_dir() / _RUNS


def clean_leftovers() -> list[int]:
    """End the processes of runs whose owner is gone, and say which these were."""
    ended: list[int] = []
    for folder in sorted(runs_dir().glob("*")):
        note = _read_note(folder)
        if _is_alive(note["owner"]) if note else _is_fresh(folder):
            continue
        for process in reversed(note.get("processes", [])):
            if _is_alive(process):
                _end(psutil.Process(process["pid"]))
                ended.append(process["pid"])
        shutil.rmtree(folder, ignore_errors=True)
    return ended


def _read_note(folder: Path) -> dict:
    try:
        return json.loads((folder / _NOTE).read_text())
    except (OSError, ValueError):
        return {}


def _is_fresh(folder: Path) -> bool:
    """A folder whose run has not come to write its note."""
    return time.time() - folder.stat().st_mtime < _START_SECONDS


def _identity(pid: int) -> dict:
    return {"pid": pid, "started": psutil.Process(pid).create_time()}


def _is_alive(identity: dict) -> bool:
    try:
        process = psutil.Process(identity["pid"])
        return process.create_time() == identity["started"] and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end(process: psutil.Process) -> None:
    try:
        process.kill()
        process.wait(10)
    except psutil.NoSuchProcess:
        pass


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ControlPlane:
    """Use as a context manager; `kubeconfig` and `server` are of use inside it."""

    def __init__(self) -> None:
        self.folder = runs_dir() / f"{os.getpid()}-{secrets.token_hex(3)}"
        self._processes: list[subprocess.Popen] = []
        self._etcd, self._peer, self._api, self._manager = (_free_port() for _ in range(4))
        self.server = f"https://127.0.0.1:{self._api}"
        self.kubeconfig = self.folder / "kubeconfig"

    def __enter__(self) -> "ControlPlane":
        clean_leftovers()
        self.folder.mkdir(parents=True, mode=0o700)
        self._note()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def _start(self) -> None:
        programs = toolchain.ensure(["etcd", "kubernetes"])
        self.pki = certificates.make(self.folder / "pki")
        self.kubeconfig.write_text(yaml.safe_dump(self.kubeconfig_content()))
        self.kubeconfig.chmod(0o600)
        self._run("etcd", programs["etcd"], self._etcd_flags())
        self._run("kube-apiserver", programs["kube-apiserver"], self._apiserver_flags())
        with Cluster(self) as cluster:
            self._wait("kube-apiserver", cluster.ready)
        self._run("kube-controller-manager", programs["kube-controller-manager"], self._manager_flags())
        self._wait("kube-controller-manager", self._manager_ready)

    def kubeconfig_content(self, **context: str) -> dict:
        """An administrator's kubeconfig; `context` adds to its context (a namespace)."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin", **context}}],
            "clusters": [
                {
                    "name": "test",
                    "cluster": {"server": self.server, "certificate-authority-data": self.pki.data("ca.crt")},
                }
            ],
            "users": [
                {
                    "name": "admin",
                    "user": {
                        "client-certificate-data": self.pki.data("admin.crt"),
                        "client-key-data": self.pki.data("admin.key"),
                    },
                }
            ],
        }

    def _run(self, name: str, program: Path, flags: dict[str, object]) -> None:
        words = [str(program), *(f"--{key}={value}" for key, value in flags.items())]
        with (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder
            )
        self._processes.append(process)
        self._note()

    def _note(self) -> None:
        note = {"owner": _identity(os.getpid()), "processes": [_identity(p.pid) for p in self._processes]}
        fresh = self.folder / f"{_NOTE}.new"
        fresh.write_text(json.dumps(note))
        fresh.rename(self.folder / _NOTE)

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            if self._processes[-1].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start:\n{self.log(name)}")
            time.sleep(0.1)

    def _manager_ready(self) -> bool:
        """Its own certificate is made by itself, and says nothing to anyone."""
        try:
            url = f"https://127.0.0.1:{self._manager}/healthz"
            return httpx.get(url, verify=False).status_code == 200
        except httpx.HTTPError:
            return False

    def _etcd_flags(self) -> dict[str, object]:
        client, peer = f"http://127.0.0.1:{self._etcd}", f"http://127.0.0.1:{self._peer}"
        return {
            "data-dir": self.folder / "etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }

    def _apiserver_flags(self) -> dict[str, object]:
        pki = self.pki.folder
        return {
            "etcd-servers": f"http://127.0.0.1:{self._etcd}",
            "bind-address": "127.0.0.1",
            "secure-port": self._api,
            "client-ca-file": pki / "ca.crt",
            "tls-cert-file": pki / "server.crt",
            "tls-private-key-file": pki / "server.key",
            "service-account-key-file": pki / "accounts.key",
            "service-account-signing-key-file": pki / "accounts.key",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-cluster-ip-range": "10.99.0.0/22",
            "authorization-mode": "RBAC",
            "allow-privileged": "true",
        }

    def _manager_flags(self) -> dict[str, object]:
        pki = self.pki.folder
        return {
            "kubeconfig": self.kubeconfig,
            "service-account-private-key-file": pki / "accounts.key",
            "root-ca-file": pki / "ca.crt",
            "leader-elect": "false",
            "bind-address": "127.0.0.1",
            "secure-port": self._manager,
            "cert-dir": pki,
        }
