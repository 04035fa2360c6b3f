"""On a machine that goes out through a proxy, what runs on the machine itself is reached without it."""

import http.server
import subprocess
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
from kubernetes import client as k8s
from kubernetes.client.rest import should_bypass_proxies

from client.platform import Platform, _no_proxy_here
from local import engine
from local.cluster.daemons import Daemon, _command
from local.images import registry

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, NOWHERE)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_daemon_gets_no_variable_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_NAME", "other")
    daemon = Daemon("it", ("/usr/bin/env",), "netns", env={"TMPDIR": "/run/tmp"})
    said = subprocess.run(_command(daemon), capture_output=True, text=True, check=True).stdout
    assert {line.partition("=")[0] for line in said.splitlines()} == {"PATH", "HOME", "TMPDIR"}
    own_path = Daemon("it", ("/usr/bin/env",), "netns", env={"PATH": "/shims:/bin"})
    assert "PATH=/shims:/bin" in _command(own_path)
    assert sum(word.startswith("PATH=") for word in _command(own_path)) == 1


def test_the_registry_on_loopback_is_asked_directly(address: str) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        try:
            registry._await(address, process)
        finally:
            process.kill()


def test_local_addresses_join_those_that_the_user_excepts() -> None:
    found = engine.without_proxy({"NO_PROXY": "a.example, b.example", "no_proxy": "b.example,localhost"})
    assert found["NO_PROXY"] == found["no_proxy"] == "a.example,b.example,localhost,127.0.0.1,10.201.0.0/16"
    assert engine.without_proxy(found) == found
    assert should_bypass_proxies("https://10.201.7.1:6443", engine.without_proxy({})["no_proxy"])


def test_the_object_store_is_reached_directly(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    platform = Platform(k8s.ApiClient(), "test")
    platform._access = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    monkeypatch.setattr(platform, "local", lambda _: urlsplit(f"http://{address}"))
    assert platform.s3().head_bucket(Bucket="any")["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_what_reads_the_environment_is_told_too(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "a.example")
    for name, value in _no_proxy_here().items():
        assert value == "a.example,127.0.0.1"
        monkeypatch.setenv(name, value)
    assert requests.get(f"http://{address}/", timeout=5).status_code == 200
