"""A list that is kept as the API server has it: read once, then changed by what a watch tells.

The rules are those of the API: a list has a version; a watch from that version tells all that happened since,
its bookmarks and events move the version on, and where the API server has forgotten a version (410 Gone) the
list is read again, which also takes out what was deleted meanwhile.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx

from workloads.common import log
from workloads.watch_objects.config import WatchObjects
from workloads.watch_objects.families import Object, Sample

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
GONE = 410


class Gone(Exception):
    """The API server no longer knows what happened since the version that was asked from."""


class Refused(Exception):
    """It answered, and not with what was asked for."""


class Kept:
    """What is told of the objects of one resource, as far as they are known."""

    def __init__(self, resource: str, tell: Callable[[Object], Iterator[Sample]]) -> None:
        self.resource, self._tell = resource, tell
        self._lock = threading.Lock()
        self._samples: dict[str, list[Sample]] = {}
        self.listed = False
        """Whether the list was read once."""
        self.heard = float("-inf")
        """When the API server last said something, by the monotonic clock."""

    def replace(self, items: Iterable[Object]) -> None:
        """All that there is now."""
        made = {item["metadata"]["uid"]: list(self._tell(item)) for item in items}
        with self._lock:
            self._samples = made
        self.listed = True

    def put(self, item: Object) -> None:
        made = list(self._tell(item))
        with self._lock:
            self._samples[item["metadata"]["uid"]] = made

    def drop(self, item: Object) -> None:
        with self._lock:
            self._samples.pop(item["metadata"]["uid"], None)

    def samples(self) -> list[Sample]:
        with self._lock:
            return [sample for each in self._samples.values() for sample in each]

    def fresh(self, stale: float) -> bool:
        """Whether the API server was heard of within `stale` seconds."""
        return self.listed and time.monotonic() - self.heard <= stale


class Watcher:
    """Keeps one resource, in a thread of its own, until `leaving` is set."""

    def __init__(
        self, kept: Kept, path: str, http: httpx.Client, settings: WatchObjects, leaving: threading.Event
    ) -> None:
        self.kept, self._path, self._http = kept, path, http
        self._settings, self._leaving = settings, leaving
        self.version: str | None = None
        """Up to which what happened is known; none before the list was read."""
        self.failures = 0
        """Tries in a row that failed."""
        self.broken: Exception | None = None
        """What ended it: a defect, since all else is tried again."""

    def run(self) -> None:
        try:
            self._run()
        except Exception as defect:
            self.broken = defect
            self._leaving.set()
            raise

    def _run(self) -> None:
        while not self._leaving.is_set():
            try:
                self._list() if self.version is None else self._watch(self.version)
                self.failures = 0
            except Gone:
                log("the version is gone; listing anew", resource=self.kept.resource, version=self.version)
                self.version = None
            except (httpx.HTTPError, OSError, Refused) as error:
                # What happened meanwhile is told when the watch is taken up again.
                self.failures += 1
                cause = next(iter(str(error).splitlines()), "")
                log(f"{type(error).__name__}: {cause}", resource=self.kept.resource, tries=self.failures)
                self._leaving.wait(self._pause())

    def _pause(self) -> float:
        """Seconds, not the same for all watches that broke at once."""
        grown: float = self._settings.pause * 2.0 ** min(self.failures - 1, 10)
        return min(grown, self._settings.longest_pause) * random.uniform(0.5, 1)

    def _watch(self, version: str) -> None:
        """One watch to its end."""
        for event in self._events(version):
            self.version = self._take(event)
            if self._leaving.is_set():
                break

    def _list(self) -> None:
        """Read the whole list, page by page.

        Raises:
            Gone: it took so long that the next page is not known any more.
        """
        items: list[Object] = []
        query = {"limit": str(self._settings.page)}
        while True:
            answer = self._http.get(
                self._path, params=query, headers=_authorization(), timeout=self._settings.answers
            )
            _check(answer.status_code, answer.text)
            page = answer.json()
            items += page["items"]
            self.kept.heard = time.monotonic()
            if not page["metadata"].get("continue"):
                break
            query["continue"] = page["metadata"]["continue"]
        self.kept.replace(items)
        self.version = str(page["metadata"]["resourceVersion"])

    def _events(self, version: str) -> Iterator[dict[str, Any]]:
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(self._settings.watch),
        }
        # A connection that broke without a word is noticed when the watch should have ended.
        timeout = httpx.Timeout(self._settings.answers, read=self._settings.watch + self._settings.answers)
        with self._http.stream(
            "GET", self._path, params=query, headers=_authorization(), timeout=timeout
        ) as answer:
            if answer.status_code != httpx.codes.OK:
                _check(answer.status_code, answer.read().decode(errors="replace"))
            self.kept.heard = time.monotonic()
            for line in answer.iter_lines():
                yield _event(line)
            self.kept.heard = time.monotonic()

    def _take(self, event: dict[str, Any]) -> str:
        """Take over one event; the version after it."""
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            _check(item.get("code", 0), item.get("message", ""))
        self.kept.heard = time.monotonic()
        if kind in ("ADDED", "MODIFIED"):
            self.kept.put(item)
        elif kind == "DELETED":
            self.kept.drop(item)
        return str(item["metadata"]["resourceVersion"])


def _event(line: str) -> dict[str, Any]:
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        raise Refused(f"half a line of a watch: {line[-80:]!r}") from None
    return event


def _check(status: int, said: str) -> None:
    """Raise unless `status` is that of an answer."""
    if status == GONE:
        raise Gone
    if status != httpx.codes.OK:
        raise Refused(f"{status} {said[:200]}")


def _authorization() -> dict[str, str]:
    """The token is read each time: it is replaced in its file before it expires."""
    return {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"}
