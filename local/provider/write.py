"""The three ways to write an object: create it, apply it on the server's side, or patch it from here."""

import time
from typing import Any, Final

from local.provider import managers, objects
from local.provider.discovery import NoSuchKind, Place
from local.provider.errors import ApiError, Cancelled, ProviderError
from local.provider.http import APPLY, MERGE
from local.provider.kinds import Resource
from local.provider.objects import Object
from local.provider.session import Session

_PATIENCE: Final = 31.0
"""Seconds that a create waits for a namespace or a definition that is just being made."""
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0


class Writer:
    """Writes one resource's object, for real or as a dry run."""

    def __init__(
        self, session: Session, resource: Resource, manager: str, deadline: float, *, dry_run: bool
    ) -> None:
        self._session, self._resource = session, resource
        self._manager, self._deadline, self._dry_run = manager, deadline, dry_run

    def create(self, body: Object) -> Object:
        """Create the object, waiting for a namespace or kind that is to come; a dry run does not wait."""
        patience = time.monotonic() + (0 if self._dry_run else _PATIENCE)
        deadline = min(self._deadline, patience)
        pause = _FIRST_PAUSE
        while True:
            try:
                return self._create_once(body)
            except (ApiError, NoSuchKind) as error:
                if not _may_come(error) or time.monotonic() + pause > deadline:
                    raise
                self._session.engine.status(self._resource.urn, f"waiting: {error}")
            if self._session.cancelled.wait(pause):
                raise Cancelled(f"cancelled before {objects.title(body)} could be created")
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _create_once(self, body: Object) -> Object:
        place = self._place(body)
        config = self._session.config
        # A dry run takes nothing over: what is there may be what a replacement is going to delete first.
        upsert = config.upsert_existing_objects and config.enable_server_side_apply and not self._dry_run
        if upsert or self._resource.patch:
            return self.apply(body, force=self._force(body) or self._dry_run)
        return self._request(
            "POST", place.collection(objects.namespace(body)), body, fieldManager=managers.CREATOR
        )

    def apply(self, body: Object, *, force: bool | None = None) -> Object:
        """Server-side apply. A conflict is an error that names the owners and the fields."""
        force = self._force(body) if force is None else force
        query = {"fieldManager": self._manager, "force": "true" if force else "false"}
        try:
            return self._request("PATCH", self.path(body), body, APPLY, **query)
        except ApiError as error:
            if not error.conflict:
                raise
            if self._dry_run and managers.only_ours_conflict(error):
                return self.apply(body, force=True)
            raise ProviderError(managers.explain_conflict(error, body, self._manager)) from None

    def replace(self, body: Object, live: Object) -> Object:
        """Put the object in the place of the live one, if that is still what it was."""
        version = live["metadata"]["resourceVersion"]
        body = {**body, "metadata": {**body["metadata"], "resourceVersion": version}}
        return self._request("PUT", self.path(body), body, fieldManager=self._manager)

    def merge(self, body: Object, old: Object) -> Object:
        """Without server-side apply: send what changed, and null for what is gone."""
        patch = merge_patch(old, body)
        return self._request("PATCH", self.path(body), patch, MERGE, fieldManager=self._manager)

    def live(self, body: Object) -> Object:
        return self._session.api.get(self.path(body))

    def path(self, body: Object) -> str:
        return self._place(body).object(objects.namespace(body), objects.name(body))

    def _place(self, body: Object) -> Place:
        place = self._session.place(objects.kind_of(body))
        if not place.namespaced:
            objects.set_namespace(body, "")
        return place

    def _force(self, body: Object) -> bool:
        return self._session.config.enable_patch_force or objects.is_true(body, objects.PATCH_FORCE)

    def _request(
        self, method: str, path: str, body: Any, content_type: str = "application/json", **query: str
    ) -> Object:
        if self._dry_run:
            query["dryRun"] = "All"
        return self._session.api.request(
            method, path, query=query, body=body, content_type=content_type, warn=self._warn
        )

    def _warn(self, text: str) -> None:
        if "deprecated" in text and self._session.config.suppress_deprecation_warnings:
            return
        self._session.engine.warn(self._resource.urn, text)


def _may_come(error: ProviderError) -> bool:
    """Whether waiting may help: a namespace, a kind or a namespace's service account may be to come."""
    if isinstance(error, NoSuchKind):
        return True
    assert isinstance(error, ApiError)
    if error.not_found:
        return error.namespace_missing or not error.details.get("name")
    return error.code == 403 and "error looking up service account" in error.message


def merge_patch(old: Object, new: Object) -> Object:
    """The JSON merge patch from one to the other."""
    patch: Object = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            if inner := merge_patch(before, value):
                patch[key] = inner
        elif value != before:
            patch[key] = value
    return patch
