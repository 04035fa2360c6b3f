"""Keeps secret what is secret: in outputs, and in the text of errors."""

import base64
import binascii
from typing import Any

from local.provider.values import Secret, any_leaf, has_secret, plain, unwrap

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def mark(outputs: dict[str, Any], inputs: dict[str, Any]) -> None:
    """Mark in `outputs`, in place, what is secret in `inputs`; the data of a Secret always is.

    A list is marked as a whole when one of its items is secret, because servers reorder lists.
    """
    if outputs.get("kind") == "Secret":
        _mark_secret_object(outputs)
    for key, value in inputs.items():
        if key not in outputs or isinstance(outputs[key], Secret):
            continue
        if isinstance(outputs[key], dict) and isinstance(value, dict):
            mark(outputs[key], value)
        elif has_secret(value):
            outputs[key] = Secret(outputs[key])


def _mark_secret_object(outputs: dict[str, Any]) -> None:
    for key in ("data", "stringData"):
        if key in outputs and not isinstance(outputs[key], Secret):
            outputs[key] = Secret(outputs[key])
    metadata = outputs.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    # `kubectl apply` leaves a copy of the whole Secret in this annotation.
    if isinstance(annotations, dict) and isinstance(annotations.get(_LAST_APPLIED), str):
        annotations[_LAST_APPLIED] = Secret(annotations[_LAST_APPLIED])


def redact(text: str, inputs: dict[str, Any]) -> str:
    """`text` without the secrets of `inputs`, plain or in base64: the server may quote what it refuses."""
    for value in sorted(_secret_strings(inputs), key=len, reverse=True):
        text = text.replace(value, "[secret]")
    return text


def _secret_strings(inputs: dict[str, Any]) -> set[str]:
    found: set[str] = set()

    def collect(leaf: Any) -> bool:
        if isinstance(leaf, Secret):
            _collect_strings(plain(leaf), found)
        return False

    any_leaf(inputs, collect)
    if unwrap(inputs.get("kind")) == "Secret":
        _collect_strings(plain(inputs.get("data")), found)
        _collect_strings(plain(inputs.get("stringData")), found)
    return found


def _collect_strings(value: Any, found: set[str]) -> None:
    if isinstance(value, dict):
        for item in value.values():
            _collect_strings(item, found)
    elif isinstance(value, list):
        for item in value:
            _collect_strings(item, found)
    # One or two letters would tear holes into every message and hide nothing.
    elif isinstance(value, str) and len(value) > 2:
        found.add(value)
        found.add(base64.b64encode(value.encode()).decode())
        decoded = _decoded(value)
        if decoded is not None and len(decoded) > 2:
            found.add(decoded)


def _decoded(value: str) -> str | None:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
