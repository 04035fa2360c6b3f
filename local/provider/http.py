"""Requests to the API server over pooled, kept-alive connections."""

import os
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import orjson
import urllib3

from local.provider.credentials import Credentials
from local.provider.errors import ApiError, Cancelled, Unreachable
from local.provider.kubeconfig import Access

CONNECT_SECONDS: Final = 10.0
REQUEST_SECONDS: Final = 60.0
_POOL: Final = 64
_TRIES: Final = 5
_STRING_LIMIT: Final = 300

APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"


class Limit:
    """A token bucket, for those who set a request rate; without one the API server's own fairness rules."""

    def __init__(self, qps: float, burst: int) -> None:
        self._qps, self._burst = qps, max(1, burst)
        self._tokens = float(self._burst)
        self._last = time.monotonic()
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._last) * self._qps) - 1
            self._last = now
            delay = -self._tokens / self._qps if self._tokens < 0 else 0.0
        if delay:
            time.sleep(delay)


class Api:
    """One API server. Thread-safe."""

    def __init__(
        self, access: Access, *, timeout: float = REQUEST_SECONDS, limit: Limit | None = None
    ) -> None:
        self._credentials = Credentials(access)
        self._limit = limit
        self._timeout = timeout
        self._pool, self._prefix = _pool(access)
        self.cancelled = threading.Event()
        self.requests = 0

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return self.request("GET", path, query=query)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        warn: Callable[[str], None] | None = None,
    ) -> dict[str, Any]:
        """The answer as a dictionary; an answer other than success is an `ApiError`."""
        payload = None if body is None else orjson.dumps(body)
        for attempt in range(1, _TRIES + 1):
            response = self._send(method, path, query, payload, content_type)
            if response.status in (429, 503) and attempt < _TRIES and "Retry-After" in response.headers:
                self._pause(float(response.headers["Retry-After"]))
                continue
            break
        if warn is not None:
            for header in response.headers.getlist("Warning"):
                warn(_warning_text(header))
        return _answer(response, f"{method} {path}")

    def text(self, path: str, **query: str) -> str:
        """An answer that is not JSON, for instance a log."""
        response = self._send("GET", path, query, None, "")
        if response.status >= 400:
            raise ApiError(response.status, {}, f"GET {path}")
        return response.data.decode(errors="replace")

    def stream(self, path: str, query: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """An answer that is read while it comes; whoever asked must release it."""
        response = self._send("GET", path, query, None, "", stream=True)
        if response.status >= 400:
            _answer(response, f"GET {path}")
        return response

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        payload: bytes | None,
        content_type: str,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        if self.cancelled.is_set():
            raise Cancelled("cancelled")
        if self._limit is not None:
            self._limit.wait()
        headers = {
            "Accept": "application/json",
            "User-Agent": "seatrial-provider",
            **self._credentials.headers(),
        }
        if payload is not None:
            headers["Content-Type"] = content_type
        url = f"{self._prefix}{path}" + (f"?{urlencode(query)}" if query else "")
        self.requests += 1
        try:
            return self._pool.urlopen(
                method,
                url,
                body=payload,
                headers=headers,
                retries=_retries(method),
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=None if stream else self._timeout),
                preload_content=not stream,
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"the API server {self._pool.host}:{self._pool.port} {_why(error)}") from None

    def _pause(self, seconds: float) -> None:
        if self.cancelled.wait(min(seconds, 10.0)):
            raise Cancelled("cancelled")


def _retries(method: str) -> urllib3.Retry:
    """Connecting may be tried again by anyone, reading only by who changes nothing."""
    reading = 2 if method == "GET" else 0
    return urllib3.Retry(total=2, connect=1, read=reading, redirect=0, status=0, other=0, backoff_factor=0.1)


def _pool(access: Access) -> tuple[urllib3.HTTPConnectionPool, str]:
    parts = urlsplit(access.server)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "http":
        return urllib3.HTTPConnectionPool(host, port or 80, maxsize=_POOL), parts.path
    pool = urllib3.HTTPSConnectionPool(
        host,
        port or 443,
        maxsize=_POOL,
        ssl_context=_tls(access),
        assert_hostname=False if access.insecure else (access.server_name or None),
        server_hostname=access.server_name or None,
        cert_reqs="CERT_NONE" if access.insecure else "CERT_REQUIRED",
    )
    return pool, parts.path


class _SharedContext(ssl.SSLContext):
    """A context that connections may use at the same time.

    urllib3 sets the protocols anew for each connection, which frees what another handshake is reading: the
    server then refuses it with "tlsv1 alert decode error". Without any, it is HTTP/1.1 all the same.
    """

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        pass


def _tls(access: Access) -> ssl.SSLContext:
    context = _SharedContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if access.ca:
            context.load_verify_locations(cadata=access.ca.decode())
        else:
            context.load_default_certs()
    except (ssl.SSLError, ValueError):
        raise Unreachable("the kubeconfig's certificate authority is not a PEM certificate") from None
    if access.insecure:
        urllib3.disable_warnings()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    # Kubernetes' own certificates often lack the extension that Python 3.13 began to ask for.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    if access.client_certificate:
        _load_pair(context, access)
    return context


def _load_pair(context: ssl.SSLContext, access: Access) -> None:
    """Python reads a key only from a file: one that is open to nobody else and gone again at once."""
    handle, path = tempfile.mkstemp(prefix="seatrial-")
    try:
        os.write(handle, access.client_certificate + b"\n" + access.client_key)
        context.load_cert_chain(path)
    except ssl.SSLError as error:
        raise Unreachable(f"the kubeconfig's client certificate is of no use: {error.reason}") from None
    finally:
        os.close(handle)
        os.unlink(path)  # noqa: PTH108


def _answer(response: urllib3.BaseHTTPResponse, what: str) -> dict[str, Any]:
    try:
        parsed = orjson.loads(response.data) if response.data else {}
    except orjson.JSONDecodeError:
        parsed = {"message": response.data.decode(errors="replace")[:_STRING_LIMIT]}
    body = parsed if isinstance(parsed, dict) else {}
    if response.status >= 400:
        raise ApiError(response.status, body, what)
    return body


def _warning_text(header: str) -> str:
    """The text of `299 - "text"`."""
    first, last = header.find('"'), header.rfind('"')
    return header[first + 1 : last].replace('\\"', '"') if 0 <= first < last else header


def _why(error: urllib3.exceptions.HTTPError) -> str:
    reason: BaseException = error
    if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
        reason = error.reason
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return f"does not answer: {reason.__cause__ or 'connection refused'}"
    if isinstance(reason, urllib3.exceptions.TimeoutError):
        return "does not answer in time"
    return f"cannot be talked to: {reason}"
