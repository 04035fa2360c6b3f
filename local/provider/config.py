"""The provider's arguments: what they are, what is refused, and when a change means another cluster."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from local.provider import kubeconfig
from local.provider.errors import ProviderError
from local.provider.kubeconfig import Choice
from local.provider.protocol import provider as pb
from local.provider.values import UNKNOWN, plain

_FLAGS: Final = {
    "deleteUnreachable": "PULUMI_K8S_DELETE_UNREACHABLE",
    "enableConfigMapMutable": "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE",
    "enablePatchForce": "PULUMI_K8S_ENABLE_PATCH_FORCE",
    "enableSecretMutable": "PULUMI_K8S_ENABLE_SECRET_MUTABLE",
    "enableServerSideApply": "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY",
    "skipUpdateUnreachable": "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE",
    "suppressDeprecationWarnings": "PULUMI_K8S_SUPPRESS_DEPRECATION_WARNINGS",
    "suppressHelmHookWarnings": "PULUMI_K8S_SUPPRESS_HELM_HOOK_WARNINGS",
    "upsertExistingObjects": "PULUMI_K8S_UPSERT_EXISTING_OBJECTS",
}
"""Switches, and the environment variable that holds where the argument is not given."""

_TEXTS: Final = ("cluster", "clusterIdentifier", "context", "kubeconfig", "namespace")
_OTHERS: Final = ("kubeClientSettings", "version", "pluginDownloadURL", "strictMode")
_ONLY_VENDOR: Final = ("alwaysRender", "helmReleaseSettings", "renderYamlToDirectory")
_CONNECTION: Final = ("kubeconfig", "context", "cluster")

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class ClientSettings:
    """How hard the API server may be asked; None leaves it to the server."""

    qps: float | None = None
    burst: int | None = None
    timeout: float | None = None


@dataclass(frozen=True)
class Config:
    """The provider's arguments, with the environment's defaults."""

    kubeconfig: str
    choice: Choice
    namespace: str
    delete_unreachable: bool
    enable_config_map_mutable: bool
    enable_patch_force: bool
    enable_secret_mutable: bool
    enable_server_side_apply: bool
    skip_update_unreachable: bool
    suppress_deprecation_warnings: bool
    suppress_helm_hook_warnings: bool
    upsert_existing_objects: bool
    client: ClientSettings


def parse(args: Mapping[str, Any]) -> Config:
    """The configuration that these provider arguments (plain values) mean."""
    flags = {key: _flag(args, key, variable) for key, variable in _FLAGS.items()}
    return Config(
        kubeconfig=_kubeconfig_text(args.get("kubeconfig")),
        choice=Choice(context=_text(args, "context"), cluster=_text(args, "cluster")),
        namespace=_text(args, "namespace"),
        delete_unreachable=flags["deleteUnreachable"],
        enable_config_map_mutable=flags["enableConfigMapMutable"],
        enable_patch_force=flags["enablePatchForce"],
        enable_secret_mutable=flags["enableSecretMutable"],
        enable_server_side_apply=flags["enableServerSideApply"],
        skip_update_unreachable=flags["skipUpdateUnreachable"],
        suppress_deprecation_warnings=flags["suppressDeprecationWarnings"],
        suppress_helm_hook_warnings=flags["suppressHelmHookWarnings"],
        upsert_existing_objects=flags["upsertExistingObjects"],
        client=_client_settings(args.get("kubeClientSettings")),
    )


def check(args: Mapping[str, Any]) -> list[Any]:
    """What is wrong with the arguments, as the protocol's check failures."""
    failures = [
        pb.CheckFailure(
            property=key,
            reason=f"{key} needs the vendor's plugin; this stand-in manages plain objects in a cluster only",
        )
        for key in _ONLY_VENDOR
        if _given(args.get(key))
    ]
    known = {*_FLAGS, *_TEXTS, *_OTHERS, *_ONLY_VENDOR}
    failures += [
        pb.CheckFailure(property=key, reason=f"{key!r} is not an argument of the kubernetes provider")
        for key in args
        if key not in known and not key.startswith("__")
    ]
    for key in _FLAGS:
        if not _is_bool(args.get(key)):
            failures.append(
                pb.CheckFailure(property=key, reason=f"expected true or false, got {args[key]!r}")
            )
    if not failures and args.get("kubeClientSettings") is not UNKNOWN:
        failures += _check_client_settings(args)
    return failures


def _check_client_settings(args: Mapping[str, Any]) -> list[Any]:
    try:
        _client_settings(args.get("kubeClientSettings"))
    except ProviderError as error:
        return [pb.CheckFailure(property="kubeClientSettings", reason=str(error))]
    return []


def _given(value: Any) -> bool:
    return value not in (None, "", False, "false", {})


def _is_bool(value: Any) -> bool:
    return value is None or value is UNKNOWN or value in (True, False, "true", "false", "")


def _flag(args: Mapping[str, Any], key: str, variable: str) -> bool:
    value = args.get(key)
    if value in (None, ""):
        default = "true" if key == "enableServerSideApply" else "false"
        value = os.environ.get(variable, default)
    return value in (True, "true")


def _text(args: Mapping[str, Any], key: str) -> str:
    value = args.get(key)
    return value if isinstance(value, str) else ""


def _kubeconfig_text(value: Any) -> str:
    """A kubeconfig may be given as an object as well."""
    return json.dumps(value) if isinstance(value, dict) else value if isinstance(value, str) else ""


def _client_settings(value: Any) -> ClientSettings:
    settings = _decoded(value)
    return ClientSettings(
        qps=_number(settings, "qps", "PULUMI_K8S_CLIENT_QPS", float),
        burst=_number(settings, "burst", "PULUMI_K8S_CLIENT_BURST", int),
        timeout=_number(settings, "timeout", "PULUMI_K8S_CLIENT_TIMEOUT", float),
    )


def _decoded(value: Any) -> Mapping[str, Any]:
    """Objects reach a provider as JSON in a string."""
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except ValueError:
            raise ProviderError("expected an object with qps, burst and timeout") from None
    return value if isinstance(value, dict) else {}


def _number(settings: Mapping[str, Any], key: str, variable: str, kind: Callable[[Any], N]) -> N | None:
    value = settings.get(key, os.environ.get(variable) or None)
    if value is None:
        return None
    try:
        number = kind(value)
    except (TypeError, ValueError):
        raise ProviderError(f"{key} must be a number above 0, got {value!r}") from None
    if number <= 0:
        raise ProviderError(f"{key} must be a number above 0, got {value!r}")
    return number


def diff(olds: Mapping[str, Any], news: Mapping[str, Any]) -> Any:
    """Which arguments changed, and whether that makes it another cluster, with all objects to be made anew.

    A cluster has no identity of its own. With an unchanged `clusterIdentifier` it is the same one, whatever
    else changes; otherwise it is judged by the kubeconfig's active cluster entry.
    """
    changed = sorted(key for key in {*olds, *news} if plain(olds.get(key)) != plain(news.get(key)))
    if not changed:
        return pb.DiffResponse(changes=pb.DiffResponse.DIFF_NONE)
    return pb.DiffResponse(
        changes=pb.DiffResponse.DIFF_SOME,
        diffs=changed,
        replaces=_replaces(plain(olds), plain(news), changed),
    )


def _replaces(olds: Mapping[str, Any], news: Mapping[str, Any], changed: list[str]) -> list[str]:
    identifier = "clusterIdentifier"
    if news.get(identifier) and identifier not in changed:
        return []
    replaces = [identifier] if identifier in changed and olds.get(identifier) and news.get(identifier) else []
    unknown = [key for key in _CONNECTION if news.get(key) is UNKNOWN]
    if unknown:
        return [*replaces, unknown[0]]
    before, after = _active(olds), _active(news)
    if before is not None and after is not None and before != after:
        replaces += [key for key in _CONNECTION if key in changed]
    return replaces


def _active(args: Mapping[str, Any]) -> Mapping[str, Any] | None:
    source = _kubeconfig_text(args.get("kubeconfig"))
    if not source:
        return None
    choice = Choice(context=_text(args, "context"), cluster=_text(args, "cluster"))
    return kubeconfig.active_cluster(kubeconfig.load(source), choice)
