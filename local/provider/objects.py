"""Small questions to Kubernetes objects, and the form in which the engine's state keeps them."""

import copy
from typing import Any, Final

from local.provider import secrets
from local.provider.kinds import Kind
from local.provider.values import UNKNOWN, plain, unwrap

INPUTS: Final = "__inputs"
API_VERSION: Final = "__initialApiVersion"
FIELD_MANAGER: Final = "__fieldManager"
"""The keys that the official plugin uses as well, so that a state can move between the two."""

AUTONAMED: Final = "pulumi.com/autonamed"
SKIP_AWAIT: Final = "pulumi.com/skipAwait"
WAIT_FOR: Final = "pulumi.com/waitFor"
TIMEOUT: Final = "pulumi.com/timeoutSeconds"
REPLACE_UNREADY: Final = "pulumi.com/replaceUnready"
PATCH_FORCE: Final = "pulumi.com/patchForce"
PATCH_MANAGER: Final = "pulumi.com/patchFieldManager"
PROPAGATION: Final = "pulumi.com/deletionPropagationPolicy"

_SERVER_METADATA: Final = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)
_SCHEMA_KEYS: Final = (
    "embedded-resource",
    "int-or-string",
    "list-map-keys",
    "list-type",
    "map-type",
    "preserve-unknown-fields",
    "validations",
)
_TO_DASH: Final = {f"x_kubernetes_{key.replace('-', '_')}": f"x-kubernetes-{key}" for key in _SCHEMA_KEYS}
_TO_UNDERSCORE: Final = {dashed: underscored for underscored, dashed in _TO_DASH.items()}

Object = dict[str, Any]


def metadata(obj: Object) -> Object:
    found = unwrap(obj.get("metadata"))
    return found if isinstance(found, dict) else {}


def text(value: Any) -> str:
    """The value where it is a known string, else nothing."""
    value = unwrap(value)
    return value if isinstance(value, str) else ""


def name(obj: Object) -> str:
    return text(metadata(obj).get("name"))


def namespace(obj: Object) -> str:
    return text(metadata(obj).get("namespace"))


def annotation(obj: Object, key: str) -> str:
    annotations = unwrap(metadata(obj).get("annotations"))
    return text(annotations.get(key)) if isinstance(annotations, dict) else ""


def is_true(obj: Object, key: str) -> bool:
    return annotation(obj, key) == "true"


def kind_of(obj: Object) -> Kind:
    return Kind.of(text(obj.get("apiVersion")), text(obj.get("kind")))


def identifier(obj: Object) -> str:
    return f"{namespace(obj)}/{name(obj)}" if namespace(obj) else name(obj)


def title(obj: Object) -> str:
    """How messages name an object: `apps/v1 Deployment shop/web`."""
    return f"{kind_of(obj)} {identifier(obj)}"


def pluck(obj: Any, *path: str) -> Any:
    """The value at the path, or None where something on the way is missing."""
    for key in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(key)
    return obj


def condition(obj: Object, kind: str) -> Object:
    """The status condition of that type, or an empty one."""
    for entry in pluck(obj, "status", "conditions") or []:
        if isinstance(entry, dict) and entry.get("type") == kind:
            return entry
    return {}


def set_namespace(obj: Object, value: str) -> None:
    if not isinstance(obj.get("metadata"), dict):
        return
    if value:
        obj["metadata"]["namespace"] = value
    else:
        obj["metadata"].pop("namespace", None)


def body(inputs: Object) -> Object:
    """The inputs as they go to the API server: no wrappers, and the schema keys that no SDK can spell."""
    renamed = _rename(plain(inputs), _TO_DASH)
    assert isinstance(renamed, dict)
    return without_server_fields(renamed)


def without_server_fields(obj: Object) -> Object:
    if isinstance(obj.get("metadata"), dict):
        for key in _SERVER_METADATA:
            obj["metadata"].pop(key, None)
    return obj


def checkpoint(inputs: Object, live: Object, manager: str, api_version: str) -> Object:
    """What the engine stores: the live object, the inputs that made it and who owns its fields."""
    state = _rename(copy.deepcopy(live), _TO_UNDERSCORE)
    assert isinstance(state, dict)
    secrets.mark(state, inputs)
    kept = copy.deepcopy(inputs)
    secrets.mark(kept, inputs)
    state |= {INPUTS: kept, API_VERSION: api_version, FIELD_MANAGER: manager}
    return state


def parse_checkpoint(state: Object) -> tuple[Object, Object]:
    """The inputs (with their wrappers) and the live object (plain) of a stored state."""
    inputs = unwrap(state.get(INPUTS)) or {}
    live = {key: value for key, value in state.items() if key not in (INPUTS, API_VERSION, FIELD_MANAGER)}
    live_plain = _rename(plain(live), _TO_DASH)
    assert isinstance(live_plain, dict)
    return inputs, live_plain


def to_inputs(live: Object) -> Object:
    """A live value in the spelling of the program's inputs."""
    renamed = _rename(copy.deepcopy(live), _TO_UNDERSCORE)
    assert isinstance(renamed, dict)
    return renamed


def preview_outputs(inputs: Object, live: Object) -> Object:
    """The result of a dry run, with everything unknown that the real run will draw anew."""
    result = copy.deepcopy(live)
    result.pop("status", None)
    meta = result.get("metadata", {})
    meta.pop("managedFields", None)
    for key in ("uid", "resourceVersion", "creationTimestamp"):
        if key in meta:
            meta[key] = UNKNOWN
    spec = result.get("spec")
    if result.get("kind") == "Service" and isinstance(spec, dict):
        for key in ("clusterIP", "clusterIPs"):
            if key in spec and pluck(plain(inputs), "spec", key) is None:
                spec[key] = UNKNOWN
    return result


def preview_update(live: Object) -> Object:
    """The result of an update's dry run; the status and the version will be others."""
    result = copy.deepcopy(live)
    result.get("metadata", {})["resourceVersion"] = UNKNOWN
    return result


def _rename(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): _rename(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_rename(item, names) for item in value]
    return value
