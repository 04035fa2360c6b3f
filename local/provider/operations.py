"""Create, update, delete and read of one resource, as the engine asks for them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from local.provider import managers, objects, secrets
from local.provider.deletion import delete_object
from local.provider.discovery import NoSuchKind
from local.provider.drift import drifted
from local.provider.errors import ApiError, NotReady, ProviderError, Unreachable
from local.provider.kinds import Resource
from local.provider.objects import Object
from local.provider.readiness import await_ready, point_in_time
from local.provider.session import Session
from local.provider.values import has_unknown, plain
from local.provider.write import Writer

_DEFAULT_SECONDS = 600.0
_ALREADY_THERE = (
    "\n  what to do: take it over with `pulumi import`, change only some of its fields with a Patch resource,"
    " or set upsertExistingObjects on the provider; after a rename in the program, an alias keeps the object"
)
_TRIES = 10
_GONE = "the object is not in the cluster any more; `pulumi refresh` brings the state up to date"


def timeout_of(seconds: float, inputs: Object) -> float:
    """The resource option first, then the annotation, then ten minutes."""
    if seconds:
        return seconds
    given = objects.annotation(inputs, objects.TIMEOUT)
    return float(given) if given.isdigit() else _DEFAULT_SECONDS


def create(
    session: Session, resource: Resource, inputs: Object, seconds: float, preview: bool
) -> tuple[str, Object]:
    """The new object's id and state; a preview that cannot ask the server returns the inputs."""
    server_side = session.config.enable_server_side_apply
    if preview and (not _can_dry_run(session, inputs) or resource.patch or not server_side):
        return "", inputs
    deadline = time.monotonic() + timeout_of(seconds, plain(inputs))
    manager = managers.manager_of(inputs, {}, server_side=server_side)
    writer = Writer(session, resource, manager, deadline, dry_run=preview)
    body = objects.body(inputs)
    with _explained(inputs, f"{objects.title(body)} was not created"):
        try:
            live = writer.create(body)
        except ApiError as error:
            if preview and _no_verdict(error):
                return "", inputs
            if error.already_exists:
                raise ProviderError(f"{objects.title(body)} exists already{_ALREADY_THERE}") from None
            raise
    if preview:
        outputs = objects.preview_outputs(inputs, live)
        return "", objects.checkpoint(inputs, outputs, manager, body["apiVersion"])
    return _settle(session, resource, inputs, live, manager, deadline)


def _can_dry_run(session: Session, inputs: Object) -> bool:
    if not session.reachable or has_unknown(inputs):
        return False
    return session.discovery.exists(objects.kind_of(inputs))


def _no_verdict(error: ApiError) -> bool:
    """A refused dry run that says nothing about the real one: an object to replace, a namespace to come."""
    unsupported = error.code == 400 and "dry run" in error.message
    return error.already_exists or error.namespace_missing or error.code == 403 or unsupported


def _settle(
    session: Session, resource: Resource, inputs: Object, live: Object, manager: str, deadline: float
) -> tuple[str, Object]:
    """Wait until the object is as it should be. Whatever happens now, it exists: the state keeps it."""
    api_version = objects.text(inputs.get("apiVersion"))
    try:
        live = await_ready(session, resource.urn, plain(inputs), live, deadline)
    except NotReady as error:
        error.live = objects.checkpoint(inputs, error.live or live, manager, api_version)
        raise
    except ProviderError as error:
        raise NotReady(str(error), objects.checkpoint(inputs, live, manager, api_version)) from None
    return objects.identifier(live), objects.checkpoint(inputs, live, manager, api_version)


def update(
    session: Session,
    resource: Resource,
    state: Object,
    inputs: Object,
    seconds: float,
    ignored: list[str],
    preview: bool,
) -> Object:
    """The state after the update; a refusal names the field and leaves the object as it was."""
    if preview and not _can_dry_run(session, inputs):
        return inputs
    deadline = time.monotonic() + timeout_of(seconds, plain(inputs))
    old_inputs, old_live = objects.parse_checkpoint(state)
    server_side = session.config.enable_server_side_apply
    manager = managers.manager_of(inputs, state, server_side=server_side)
    before = managers.manager_of(old_inputs, state, server_side=server_side)
    writer = Writer(session, resource, manager, deadline, dry_run=preview)
    body = objects.body(inputs)
    if objects.name(old_live):
        body["metadata"]["name"] = objects.name(old_live)
    with _explained(inputs, f"{objects.title(body)} was not updated"):
        try:
            live = _write(
                session, resource, writer, body, objects.body(old_inputs), ignored, manager, preview
            )
        except ApiError as error:
            if preview and error.code == 403:
                return inputs
            raise
        if server_side and not preview and before != manager:
            managers.relinquish(session.api, writer.path(body), live, before)
    if preview:
        return objects.checkpoint(inputs, objects.preview_update(live), manager, body["apiVersion"])
    return _settle(session, resource, inputs, live, manager, deadline)[1]


def _write(
    session: Session,
    resource: Resource,
    writer: Writer,
    body: Object,
    old: Object,
    ignored: list[str],
    manager: str,
    preview: bool,
) -> Object:
    """Write the object over what is there now, again if a controller was quicker."""
    for attempt in range(1, _TRIES + 1):
        try:
            current = writer.live(body)
            if objects.kind_of(body).kind == "CustomResourceDefinition":
                return writer.replace(body, current)
            if not session.config.enable_server_side_apply:
                return writer.merge(body, old)
            if not preview and not resource.patch:
                managers.take_over(session.api, writer.path(body), current, manager)
            managers.leave_ignored(body, current, ignored, manager)
            return writer.apply(body)
        except ApiError as error:
            if error.not_found:
                raise ProviderError(_GONE) from None
            if not error.outdated or attempt == _TRIES:
                raise
    raise AssertionError("the last try returns or raises")


def delete(session: Session, resource: Resource, state: Object, identifier: str, seconds: float) -> None:
    """Delete the object and wait until it is gone."""
    inputs, live = objects.parse_checkpoint(state)
    if not session.reachable:
        if session.config.delete_unreachable:
            session.engine.warn(
                resource.urn, "the cluster is unreachable and deleteUnreachable is set: forgotten"
            )
            return
        raise Unreachable(_forget_hint(session))
    obj = live if objects.text(live.get("kind")) else _reference(resource, identifier)
    try:
        path = session.place(objects.kind_of(obj)).object(*_place_and_name(identifier))
    except NoSuchKind:
        return  # with its definition went the object
    if resource.patch:
        manager = managers.manager_of(inputs, state, server_side=True)
        managers.relinquish(session.api, path, obj, manager)
        return
    plain_inputs = plain(inputs)
    deadline = time.monotonic() + timeout_of(seconds, plain_inputs)
    delete_object(session, resource.urn, path, plain_inputs or obj, deadline)


def _forget_hint(session: Session) -> str:
    return (
        f"the Kubernetes cluster is unreachable: {session.unreachable}\n  what to do: if the cluster is gone"
        " for good, PULUMI_K8S_DELETE_UNREACHABLE=true makes the state forget the object"
    )


def _place_and_name(identifier: str) -> tuple[str, str]:
    namespace, _, name = identifier.rpartition("/")
    return namespace, name


def _reference(resource: Resource, identifier: str) -> Object:
    namespace, name = _place_and_name(identifier)
    meta = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": resource.kind.api_version, "kind": resource.kind.kind, "metadata": meta}


def read(
    session: Session, resource: Resource, identifier: str, state: Object, inputs: Object
) -> tuple[Object, Object] | None:
    """The live state and the inputs that it amounts to; None when the object is gone."""
    if not session.reachable:
        return _read_unreachable(session, resource, state, inputs)
    obj = inputs if objects.text(inputs.get("kind")) else _reference(resource, identifier)
    try:
        live = session.api.get(session.place(objects.kind_of(obj)).object(*_place_and_name(identifier)))
    except NoSuchKind:
        return None
    except ApiError as error:
        if error.not_found:
            return None
        raise
    _, recorded = objects.parse_checkpoint(state)
    imported = not objects.text(inputs.get("kind"))
    found = _imported(live) if imported else _refreshed(inputs, recorded, live)
    manager = managers.manager_of(found, state, server_side=session.config.enable_server_side_apply)
    outputs = objects.checkpoint(found, live, manager, live["apiVersion"])
    if not imported:
        _fail_if_unready(session, plain(found), live, outputs, found)
    return outputs, found


def _read_unreachable(
    session: Session, resource: Resource, state: Object, inputs: Object
) -> tuple[Object, Object] | None:
    if session.config.delete_unreachable:
        session.engine.warn(
            resource.urn, "the cluster is unreachable and deleteUnreachable is set: forgotten"
        )
        return None
    if session.config.skip_update_unreachable:
        session.engine.warn(
            resource.urn, "the cluster is unreachable and skipUpdateUnreachable is set: not refreshed"
        )
        return state, inputs
    raise Unreachable(_forget_hint(session))


def _imported(live: Object) -> Object:
    """All that could have been given: everything but the status and what the server keeps for itself."""
    inputs = objects.without_server_fields({**objects.to_inputs(live)})
    inputs.pop("status", None)
    annotations = inputs["metadata"].get("annotations") or {}
    for key in ("deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration"):
        annotations.pop(key, None)
    if not annotations:
        inputs["metadata"].pop("annotations", None)
    secrets.mark(inputs, {})
    return inputs


def _refreshed(inputs: Object, recorded: Object, live: Object) -> Object:
    now, before = objects.to_inputs(live), objects.to_inputs(recorded)
    found = drifted(plain(inputs), before, now)
    secrets.mark(found, inputs)
    return found


def _fail_if_unready(
    session: Session, plain_inputs: Object, live: Object, outputs: Object, found: Object
) -> None:
    problem = point_in_time(session, plain_inputs, live)
    if problem is not None:
        raise NotReady(problem[0], outputs, problem[1], inputs=found)


@contextmanager
def _explained(inputs: Object, what: str) -> Iterator[None]:
    """Say what did not happen, and never a secret that the API server may have quoted."""
    try:
        yield
    except NotReady:
        raise
    except ProviderError as error:
        raise ProviderError(secrets.redact(f"{what}: {error}", inputs)) from None


def identifier_of(state: Object) -> str:
    """The id that an object's state belongs to."""
    return objects.identifier(plain({"metadata": state.get("metadata")}))
