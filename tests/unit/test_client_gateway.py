"""Requests to a route go to the Gateway's port, by the route's host, and verify the certificate for it."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography import x509

from client import gateway
from infra import outputs
from infra.certificates import Authority, new_key, pem, private_pem


class Telling(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{self.headers['host']} {self.headers[outputs.GATEWAY_KEY_HEADER]}".encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Any]:
    """One whose Gateway is a server in this process, with a certificate for `delay` alone."""
    authority, key = Authority.make("ours"), new_key()
    signed = authority.sign("delay", key, [x509.DNSName(gateway.host("delay"))])
    both = tmp_path / "both.pem"
    both.write_text(pem(signed) + private_pem(key))
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(both)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Telling)
    server.socket = served.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    here = urlsplit(f"https://127.0.0.1:{server.server_address[1]}")
    access = {"GATEWAY_CA": pem(authority.certificate), "GATEWAY_API_KEY": "the-key"}
    yield SimpleNamespace(
        access=access,
        local=lambda _: here,
        secret=lambda namespace, name: {"trial": f"{namespace}/{name}"},
    )
    server.shutdown()
    server.server_close()


def test_a_request_is_for_the_routes_host_and_shows_the_key(platform: Any) -> None:
    with gateway.Gateway(platform, "delay") as here:
        assert here.get("/").text == "delay.platform.test the-key"
        assert str(here.base_url) == "https://delay.platform.test"
    with gateway.Gateway(platform, "delay", key="another") as here:
        assert here.get("/").text == "delay.platform.test another"


def test_the_certificate_is_verified_for_the_routes_host(platform: Any) -> None:
    with gateway.Gateway(platform, "other") as here, pytest.raises(httpx.ConnectError, match="not valid for"):
        here.get("/")


def test_another_authority_is_not_believed(platform: Any) -> None:
    platform.access["GATEWAY_CA"] = pem(Authority.make("theirs").certificate)
    with (
        gateway.Gateway(platform, "delay") as here,
        pytest.raises(httpx.ConnectError, match="verify failed"),
    ):
        here.get("/")


def test_a_tenants_key_is_in_its_own_secret(platform: Any) -> None:
    assert gateway.key_of(platform, "trial") == "platform-serving/gateway-key-trial"
