"""Follows an object, or objects, as they change: a watch whose events arrive in a queue."""

import queue
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import urllib3

from local.provider.errors import ApiError, ProviderError
from local.provider.http import Api

Event = tuple[str, dict[str, Any]]
"""ADDED, MODIFIED or DELETED, and the object."""


class Watch:
    """Events of everything under `path` that the query selects, beginning with what is there now.

    With a resource version the watch begins after it, without a list. What the server ends is begun again.
    Use it as a context manager: leaving ends the thread that reads.
    """

    def __init__(self, api: Api, path: str, query: Mapping[str, str], resource_version: str = "") -> None:
        self._api, self._path, self._query = api, path, dict(query)
        self._version = resource_version
        self._events: queue.SimpleQueue[Event | ProviderError] = queue.SimpleQueue()
        self._response: urllib3.BaseHTTPResponse | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> "Watch":
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._ended.set()
            if self._response is not None:
                _close(self._response)

    def next(self, seconds: float) -> Event | None:
        """The next event, or None when none came in that time."""
        try:
            event = self._events.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None
        if isinstance(event, ProviderError):
            raise event
        return event

    def _read(self) -> None:
        failures = 0
        while not self._ended.is_set():
            try:
                for event in self._once():
                    failures = 0
                    self._events.put(event)
            except ApiError as error:
                if error.code != 410:
                    return self._events.put(error)
                self._version = ""
            except (ProviderError, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                failures += 1
                if failures > 10 and not self._ended.is_set():
                    return self._events.put(ProviderError(f"the watch of {self._path} broke: {error}"))
            self._ended.wait(min(0.1 * 2**failures, 5.0) if failures else 0.05)
        return None

    def _once(self) -> Iterator[Event]:
        """One watch, until the server ends it."""
        query = {**self._query, "watch": "true", "allowWatchBookmarks": "true"}
        if self._version:
            query["resourceVersion"] = self._version
        response = self._api.stream(self._path, query)
        with self._lock:
            self._response = response
            if self._ended.is_set():
                _close(response)
                return
        try:
            yield from self._lines(response)
        finally:
            with self._lock:
                self._response = None
                response.close()

    def _lines(self, response: urllib3.BaseHTTPResponse) -> Iterator[Event]:
        rest = b""
        for chunk in response.read_chunked():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line and (event := self._event(orjson.loads(line))):
                    yield event

    def _event(self, message: dict[str, Any]) -> Event | None:
        kind, obj = message["type"], message["object"]
        if kind == "ERROR":
            raise ApiError(int(obj.get("code") or 500), obj, f"watch {self._path}")
        self._version = obj["metadata"]["resourceVersion"]
        return None if kind == "BOOKMARK" else (kind, obj)


def _close(response: urllib3.BaseHTTPResponse) -> None:
    """Wakes the thread that reads."""
    try:
        response.shutdown()
    except (ValueError, OSError, AttributeError):
        pass  # it has ended by itself
