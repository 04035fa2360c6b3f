"""The annotation `pulumi.com/waitFor`: conditions and JSONPath expressions, one or a JSON list of them."""

import json
from typing import Final

from local.provider import objects
from local.provider.errors import ProviderError
from local.provider.objects import Object
from local.provider.readiness.jsonpath import JsonPath
from local.provider.readiness.verdict import READY, Check, Verdict, waiting

_CONDITION: Final = "condition="
_JSONPATH: Final = "jsonpath="


def custom(annotation: str) -> Check:
    """The check that the annotation asks for; all of a list must hold."""
    checks = [_one(expression) for expression in _expressions(annotation)]

    def check(obj: Object) -> Verdict:
        for part in checks:
            verdict = part(obj)
            if not verdict.ready:
                return verdict
        return READY

    return check


def validate(annotation: str) -> None:
    """Raise for an annotation that could never be understood."""
    custom(annotation)


def _expressions(annotation: str) -> list[str]:
    try:
        parsed = json.loads(annotation)
    except ValueError:
        return [annotation]
    if not isinstance(parsed, list) or not parsed or not all(isinstance(item, str) for item in parsed):
        raise ProviderError(
            f"{objects.WAIT_FOR}: expected a non-empty list of expressions, got {annotation!r}"
        )
    return parsed


def _one(expression: str) -> Check:
    if expression.startswith(_CONDITION):
        return _condition(expression)
    if expression.startswith(_JSONPATH):
        return _jsonpath(expression)
    raise ProviderError(
        f"{objects.WAIT_FOR}: {expression!r} is neither condition=Type[=Status] nor"
        f" jsonpath={{.path}}[=value]"
    )


def _condition(expression: str) -> Check:
    kind, _, status = expression.removeprefix(_CONDITION).partition("=")
    wanted = status or "True"
    if not kind:
        raise ProviderError(f"{objects.WAIT_FOR}: {expression!r} names no condition")

    def check(obj: Object) -> Verdict:
        found = objects.condition(obj, kind)
        stale = int(found.get("observedGeneration") or 0) < int(obj["metadata"].get("generation") or 0)
        if "observedGeneration" in found and stale:
            return waiting(f"waiting for condition {kind} to be judged anew")
        if str(found.get("status", "")).lower() == wanted.lower():
            return READY
        told = f" [{found.get('reason')}] {found.get('message')}" if found.get("message") else ""
        return waiting(
            f"waiting for condition {kind}={wanted}, it is {found.get('status') or 'not set'}{told}"
        )

    return check


def _jsonpath(expression: str) -> Check:
    text = expression.removeprefix(_JSONPATH)
    end = text.rfind("}")
    if not text.startswith("{") or end < 0:
        raise ProviderError(
            f"{objects.WAIT_FOR}: {expression!r} needs its path in braces, for instance {{.status.phase}}"
        )
    path, wanted = JsonPath(text[1:end]), text[end + 1 :]
    if wanted and (not wanted.startswith("=") or wanted == "="):
        raise ProviderError(f"{objects.WAIT_FOR}: {expression!r}: expected =value after the path")

    def check(obj: Object) -> Verdict:
        found = path.find(obj)
        if found and (not wanted or _text(found[0]) == wanted[1:]):
            return READY
        return waiting(f"waiting for {text}, it is {_text(found[0]) if found else 'not there'}")

    return check


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"))
