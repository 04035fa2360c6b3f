"""Check: fills in what the program left out (kind, name, namespace) and refuses what cannot work."""

import copy
import hashlib
import secrets as random
from typing import Any, Final

from local.provider import objects, secrets
from local.provider.errors import ProviderError
from local.provider.kinds import Resource, is_list
from local.provider.objects import Object
from local.provider.protocol import provider as pb
from local.provider.session import Session
from local.provider.values import UNKNOWN, Secret, unwrap

_SUFFIX_DIGITS: Final = 8
_HELM_HOOK: Final = "helm.sh/hook"


def check(session: Session, resource: Resource, olds: Object, news: Object, request: Any) -> Object:
    """The inputs that the engine is to keep."""
    if not session.reachable and session.config.skip_update_unreachable and olds:
        session.engine.warn(
            resource.urn, "the cluster is unreachable and skipUpdateUnreachable is set: left as it is"
        )
        return olds
    if is_list(resource):
        raise ProviderError(f"a {resource.kind.kind} cannot be created; register the objects that it lists")
    if resource.patch and not session.config.enable_server_side_apply:
        raise ProviderError("a Patch resource needs server-side apply (the provider's enableServerSideApply)")
    inputs = copy.deepcopy(news)
    inputs.setdefault("apiVersion", resource.kind.api_version)
    inputs.setdefault("kind", resource.kind.kind)
    _writable_metadata(inputs)
    _refuse_nulls_in_name(inputs)
    _warn_of_hooks(session, resource, inputs)
    _name(resource, inputs, olds, request)
    _default_namespace(session, inputs)
    if objects.kind_of(inputs).kind == "CustomResourceDefinition":
        session.discovery.learn(inputs)
    secrets.mark(inputs, news)
    return inputs


def _writable_metadata(inputs: Object) -> None:
    """Metadata as a dictionary that can be added to; what the server writes is not an input."""
    meta = inputs.get("metadata")
    if isinstance(meta, Secret):
        # A secret as a whole would hide the name by which the engine must know the object.
        meta = {
            key: Secret(value) if key not in ("name", "namespace") else value
            for key, value in meta.value.items()
        }
    if meta is None:
        meta = {}
    inputs["metadata"] = meta
    objects.without_server_fields(inputs)


def _refuse_nulls_in_name(inputs: Object) -> None:
    meta = inputs["metadata"]
    if isinstance(meta, dict):
        for key in ("name", "namespace"):
            if meta.get(key, "") is None:
                del meta[key]


def _warn_of_hooks(session: Session, resource: Resource, inputs: Object) -> None:
    annotations = unwrap(objects.metadata(inputs).get("annotations"))
    if not isinstance(annotations, dict) or session.config.suppress_helm_hook_warnings:
        return
    if _HELM_HOOK in annotations:
        session.engine.warn(
            resource.urn,
            "this object is a Helm hook: it is created like any other object and not run as a hook",
        )


def _named(inputs: Object) -> bool:
    meta = inputs["metadata"]
    return meta is UNKNOWN or bool(unwrap(meta.get("name")))


def _name(resource: Resource, inputs: Object, olds: Object, request: Any) -> None:
    if _named(inputs):
        return
    if resource.patch:
        raise ProviderError("a Patch resource must say in metadata.name which object it patches")
    if inputs["metadata"].get("generateName"):
        raise ProviderError(
            "metadata.generateName does not go with server-side apply; leave it out to be auto-named"
        )
    if olds and objects.is_true(olds, objects.AUTONAMED):
        name = objects.name(olds)
    else:
        name = _auto_name(resource, request)
    inputs["metadata"]["name"] = name
    annotations = unwrap(inputs["metadata"].setdefault("annotations", {}))
    if isinstance(annotations, dict):
        annotations[objects.AUTONAMED] = "true"


def _auto_name(resource: Resource, request: Any) -> str:
    options = pb.CheckRequest.AutonamingOptions
    if request.HasField("autonaming"):
        if request.autonaming.mode == options.DISABLE:
            raise ProviderError("auto-naming is disabled (pulumi:autonaming): set metadata.name")
        return str(request.autonaming.proposed_name)
    if request.randomSeed:
        suffix = hashlib.sha256(request.randomSeed).hexdigest()[:_SUFFIX_DIGITS]
    else:
        suffix = random.token_hex(_SUFFIX_DIGITS // 2)
    return f"{resource.name}-{suffix}"


def _default_namespace(session: Session, inputs: Object) -> None:
    meta = inputs["metadata"]
    if meta is UNKNOWN or meta.get("namespace"):
        return
    if session.discovery.namespaced(objects.kind_of(inputs)):
        meta["namespace"] = session.namespace
