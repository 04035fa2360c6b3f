"""Requests to a route of the platform's Gateway, from here."""

import ssl
from typing import Any

import httpx

from client.platform import Platform
from infra import outputs


class Gateway(httpx.Client):
    """A client of the route `<name>.platform.test`: `Gateway(platform, "delay").post("/v2/…", json=…)`.

    Each request goes to the Gateway through a port-forward, whatever the host of its address; the host picks
    the route, and the certificate is verified for it. `key` is the tenant's, by default that of workloads.
    """

    def __init__(self, platform: Platform, name: str, *, key: str | None = None) -> None:
        access = platform.access
        trusted = ssl.create_default_context(cadata=access["GATEWAY_CA"])
        super().__init__(
            base_url=f"https://{host(name)}",
            headers={outputs.GATEWAY_KEY_HEADER: access["GATEWAY_API_KEY"] if key is None else key},
            transport=_Forwarded(platform.local("GATEWAY_URL").port or 0, verify=trusted),
            timeout=30,
        )


class _Forwarded(httpx.HTTPTransport):
    """Connects to a port on loopback instead of a request's own host."""

    def __init__(self, port: int, **options: Any) -> None:
        super().__init__(**options)
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "sni_hostname": request.url.host}
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return super().handle_request(request)


def host(name: str) -> str:
    """Of the route `name`."""
    return f"{name}.{outputs.DOMAIN}"


def key_of(platform: Platform, tenant: str) -> str:
    """A tenant's key.

    Raises:
        ClientError: there is no such tenant.
    """
    secret = outputs.SECRET_GATEWAY_KEY.format(tenant=tenant)
    return platform.secret(outputs.NAMESPACE_SERVING, secret)[tenant]


def parent() -> dict[str, str]:
    """What a route names as its parent."""
    return {
        "name": outputs.GATEWAY,
        "namespace": outputs.NAMESPACE_SERVING,
        "sectionName": outputs.GATEWAY_LISTENER,
    }
