"""The Gateway: by which certificate it is known, and whose requests it lets through."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
from kubernetes import client as k8s

from client import Platform, gateway, outputs
from client.waiting import until
from proofs import echo
from proofs.run import Check, proof

GATEWAY_POLICIES = ("gateway.envoyproxy.io", "v1alpha1", outputs.NAMESPACE_SERVING)
CERTIFICATES = ("cert-manager.io", "v1", outputs.NAMESPACE_SERVING, "certificates")
SHORT = {"duration": "1h0m0s", "renewBefore": "59m15s"}
"""The shortest life that cert-manager allows, renewed when 45 seconds of it are over."""


class Served(NamedTuple):
    """What a server's certificate says."""

    serial: str
    begins: float
    ends: float

    @property
    def short(self) -> bool:
        """Whether it lasts for an hour, like those of the proof."""
        return self.ends - self.begins < 2 * 3600


def has_part(platform: Platform) -> bool:
    """Whether there is a Gateway."""
    return set(outputs.SECRET_ACCESS_OF["serving"]) <= set(platform.access)


def require_part(platform: Platform, check: Check) -> None:
    """Skip a proof where there is no Gateway."""
    if not has_part(platform):
        check.skip("the part serving is not provisioned (seatrial up --with serving)")


def served(platform: Platform, host: str, authority: str | None = None) -> Served:
    """The certificate that the Gateway shows to who asks for `host`.

    Raises:
        ssl.SSLError: it is not for that host, has ended, or is not signed by the authority (the platform's).
    """
    trusted = ssl.create_default_context(cadata=authority or platform.access["GATEWAY_CA"])
    here = platform.local("GATEWAY_URL")
    with (
        socket.create_connection((here.hostname or "", here.port or 0), timeout=30) as plain,
        trusted.wrap_socket(plain, server_hostname=host) as secured,
    ):
        seen: dict[str, Any] = secured.getpeercert() or {}
    begins, ends = (ssl.cert_time_to_seconds(seen[key]) for key in ("notBefore", "notAfter"))
    return Served(seen["serialNumber"], begins, ends)


@proof("serving")
def the_gateway_is_known_by_its_certificate(platform: Platform, check: Check) -> None:
    """Its certificate is for the hosts of routes and its address inside, and signed by our authority."""
    require_part(platform, check)
    inside = httpx.URL(platform.access["GATEWAY_URL"]).host
    for host in (gateway.host("anything"), inside):
        seen = served(platform, host)
        check(seen.begins < time.time() < seen.ends, f"it shows a certificate for {host}", seen=seen)
    check.refuses(
        lambda: served(platform, "example.com"), ("not valid for", "mismatch"), "none for other hosts"
    )
    other = platform.access["TRINO_CA"]
    check.refuses(
        lambda: served(platform, inside, other), ("verify failed",), "no other authority has signed it"
    )


@proof("serving")
def only_a_tenants_key_opens_the_gateway(platform: Platform, check: Check) -> None:
    """Who has no key is refused; of who has one the backend sees the name, and not the key."""
    require_part(platform, check)
    with echo.behind(platform, "probe-keys") as here:
        header, before = outputs.GATEWAY_KEY_HEADER, here.get("/").json()["asked"]
        without = {key: value for key, value in here.headers.items() if key != header}
        here.headers = httpx.Headers(without)
        check.equal(here.get("/").status_code, 401, "a request without a key is refused")
        wrong = here.get("/", headers={header: "not-the-key"})
        check.equal(wrong.status_code, 401, "a request with a wrong key is refused")
        sent = {
            header: platform.access["GATEWAY_API_KEY"],
            "x-tenant": "somebody-else",
            "x-request-id": "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
        }
        answer = here.get("/", headers=sent)
        check.equal(answer.status_code, 200, "a request with a key reaches the backend")
        seen = {key.lower(): value for key, value in answer.json()["headers"].items()}
        check.equal(seen.get("x-tenant"), "workloads", "the backend sees whose key it was")
        check(header not in seen, "the backend does not see the key", headers=sorted(seen))
        check.equal(seen["x-request-id"], sent["x-request-id"], "the request keeps its id")
        check.equal(answer.json()["asked"], before + 1, "the backend saw nothing of the others")


@proof("serving")
def a_tenant_cannot_send_more_than_its_share(platform: Platform, check: Check) -> None:
    """Who sends more than allowed is told so, while others go on."""
    require_part(platform, check)
    with echo.behind(platform, "probe-rate") as here:
        allowed = _limit_of(platform, outputs.TENANT_TRIAL)
        trial = {outputs.GATEWAY_KEY_HEADER: gateway.key_of(platform, outputs.TENANT_TRIAL)}
        answers = [here.get("/", headers=trial).status_code for _ in range(allowed)]
        check.equal(set(answers), {200}, f"{allowed} requests of the tenant are let through")
        # What was used up comes back little by little meanwhile.
        more: list[int] = []
        while 429 not in more and len(more) < 2 * allowed:
            more.append(here.get("/", headers=trial).status_code)
        check(429 in more, "of those that follow one is refused with 429", answers=more)
        check.equal(here.get("/").status_code, 200, "another tenant goes on")


def _limit_of(platform: Platform, tenant: str) -> int:
    """How many requests the tenant may send at once."""
    rules = policy(platform, "backendtrafficpolicies")["spec"]["rateLimit"]["local"]["rules"]
    found = [rule for rule in rules if rule["clientSelectors"][0]["headers"][0]["value"] == tenant]
    return int(found[0]["limit"]["requests"])


def policy(platform: Platform, plural: str) -> dict[str, Any]:
    """The platform's policy of a kind."""
    found: dict[str, Any] = k8s.CustomObjectsApi(platform.api).get_namespaced_custom_object(
        *GATEWAY_POLICIES, plural, outputs.GATEWAY
    )
    return found


@proof("serving")
def a_request_that_is_too_large_is_refused(platform: Platform, check: Check) -> None:
    """A request above the limit is answered with 413 and never reaches the backend; one below does. So it is
    on a route with a policy of its own, by which requests may be sent again.
    """
    require_part(platform, check)
    limit = policy(platform, "backendtrafficpolicies")["spec"]["requestBuffer"]["limit"]
    size = int(limit[:-2]) * {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[limit[-2:]]
    with echo.behind(platform, "probe-size", repeatable=True) as here:
        before = here.get("/").json()["asked"]
        large = here.post("/", content=b"x" * (size + 2**16))
        check.equal(large.status_code, 413, f"more than {limit} are refused with 413")
        fits = here.post("/", content=b"x" * (size // 2))
        check.equal(fits.json().get("size"), size // 2, "half of that reaches the backend whole")
        check.equal(fits.json()["asked"], before + 1, "the backend saw nothing of the other")


@proof("serving")
def a_certificate_is_renewed_before_its_end(platform: Platform, check: Check) -> None:
    """The Gateway's certificate, made to last an hour, is renewed in time, and the proxies serve the new one
    without refusing anyone.
    """
    require_part(platform, check)
    host = gateway.host("anything")
    _next(platform, host, lambda seen: not seen.short, "its usual certificate")
    with short_lived(platform):
        first = _next(platform, host, lambda seen: seen.short, "an hour's certificate")
        check(True, "the certificate lasts for an hour")
        second = _next(
            platform, host, lambda seen: seen.short and seen.serial != first.serial, "the next certificate"
        )
        check(time.time() < first.ends, "the next was served before the first had ended", first=first)
        check(second.ends > first.ends, "the next lasts longer", first=first, second=second)
    _next(platform, host, lambda seen: not seen.short, "its usual certificate")
    check(True, "every handshake meanwhile was with a certificate that could be verified")


@contextmanager
def short_lived(platform: Platform) -> Iterator[None]:
    """The Gateway's Certificate lasts for an hour, meanwhile."""
    custom = k8s.CustomObjectsApi(platform.api)
    place = (*CERTIFICATES, outputs.SECRET_GATEWAY_TLS)
    before = custom.get_namespaced_custom_object(*place)["spec"]
    custom.patch_namespaced_custom_object(*place, {"spec": SHORT})
    try:
        yield
    finally:
        # A merge patch removes what is null.
        custom.patch_namespaced_custom_object(*place, {"spec": {key: before.get(key) for key in SHORT}})


def _next(
    platform: Platform, host: str, fits: Callable[[Served], bool], what: str, patience: float = 150
) -> Served:
    """The first certificate that fits, of those that the Gateway shows one after another.

    Raises:
        ssl.SSLError: one of them could not be verified.
        ClientError: none fits in time.
    """
    seen: list[Served] = []

    def fitting() -> bool:
        seen.append(served(platform, host))
        return fits(seen[-1])

    until(fitting, lambda: f"the Gateway to serve {what}; it serves {seen[-1]}", patience)
    return seen[-1]
