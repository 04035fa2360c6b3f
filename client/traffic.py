"""The traffic of a model: one HTTPRoute says how many of its requests go to which of its versions.

Whoever changes it replaces the whole object with the `resourceVersion` that was read, and begins again with a
new look when another was quicker. Server-side apply would not do: the API server treats the list of rules as
one value, so the promotion, the bandit and an experiment would each own all of it or none.
"""

import copy
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kubernetes import client as k8s

from client import gateway, models
from client.errors import ClientError
from client.jobs import FIELD_MANAGER, refusal
from client.objects import request
from client.platform import Platform
from client.removal import WORKLOAD_LABEL
from infra import outputs

API = "gateway.networking.k8s.io/v1"
ROLLOUT = "seatrial.dev/rollout"
"""Annotation: what a promotion has done so far (client/rollout_record.py)."""
STEERED = "seatrial.dev/steered"
"""Annotation: the Deployment that moves the weights, and what it knew when it last did."""
VARIANT_HEADER = "x-variant"
DEFAULT = "default"
"""Name of the rule that takes the requests of no variant. It is the last one."""
TOTAL = 1000
"""What the weights of the default rule add up to."""
PORT = 80
"""Of the Service of a version."""
PATHS = ("/v1/models", "/v2")
"""What a route publishes: the protocols. On the same port servers tell their metrics and their run."""
ATTEMPTS = 20
"""Of a change that others are always quicker than."""


@dataclass(frozen=True)
class Route:
    """The HTTPRoute of a model, as it was read or is to be written; changes give another one."""

    item: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.item["metadata"]["name"])

    @property
    def weights(self) -> dict[str, int]:
        """Of the default rule, by version."""
        return {
            version_of(self.name, backend["name"]): int(backend.get("weight", 1))
            for backend in self._default.get("backendRefs", [])
        }

    @property
    def shares(self) -> dict[str, float]:
        """Of the requests of the default rule, by version; they add up to 1."""
        weights = self.weights
        return {version: weight / (sum(weights.values()) or 1) for version, weight in weights.items()}

    @property
    def variants(self) -> dict[str, str]:
        """Version by variant, of the rules that match the header x-variant."""
        found = {}
        for rule in self.item["spec"]["rules"]:
            for match in rule.get("matches") or []:
                for header in match.get("headers") or []:
                    if header["name"].lower() == VARIANT_HEADER:
                        found[header["value"]] = version_of(self.name, rule["backendRefs"][0]["name"])
        return found

    @property
    def shadow(self) -> str | None:
        """The version that gets a copy of each request of the default rule."""
        for entry in self._default.get("filters") or []:
            if entry["type"] == "RequestMirror":
                return version_of(self.name, entry["requestMirror"]["backendRef"]["name"])
        return None

    @property
    def named(self) -> set[str]:
        """Every version that may get a request."""
        shadow = {self.shadow} if self.shadow else set()
        return {*self.weights, *self.variants.values(), *shadow}

    @property
    def _default(self) -> dict[str, Any]:
        last: dict[str, Any] = self.item["spec"]["rules"][-1]
        return last

    def note(self, annotation: str) -> dict[str, Any] | None:
        """What an annotation of ours holds."""
        text = (self.item["metadata"].get("annotations") or {}).get(annotation)
        return json.loads(text) if text else None

    # --- other routes made of this one ---------------------------------------------------------------------

    def weighed(self, weights: Mapping[str, int]) -> "Route":
        """With these weights in the default rule; a version of weight 0 is not named any more."""
        made = Route(copy.deepcopy(self.item))
        made._default["backendRefs"] = [
            backend(self.name, version, weight) for version, weight in weights.items() if weight
        ]
        return made._narrow()

    def shadowed(self, version: str | None) -> "Route":
        """With this version as the shadow, or with none."""
        made = Route(copy.deepcopy(self.item))
        kept = [entry for entry in self._default.get("filters") or [] if entry["type"] != "RequestMirror"]
        mirror = {"backendRef": backend(self.name, version)} if version else None
        kept += [{"type": "RequestMirror", "requestMirror": mirror}] if mirror else []
        made._default["filters"] = kept
        return made

    def divided(self, variants: Mapping[str, str]) -> "Route":
        """With a rule for each variant (variant → version) in front of the default rule, and no others."""
        made = Route(copy.deepcopy(self.item))
        rules = [
            {
                "name": f"variant-{variant}",
                "matches": [{"headers": [{"type": "Exact", "name": VARIANT_HEADER, "value": variant}]}],
                "backendRefs": [backend(self.name, version)],
            }
            for variant, version in variants.items()
        ]
        made.item["spec"]["rules"] = [*rules, made._default]
        return made._narrow()

    def noted(self, annotation: str, value: Mapping[str, Any] | None) -> "Route":
        """With the annotation, or without it."""
        made = Route(copy.deepcopy(self.item))
        annotations = made.item["metadata"].setdefault("annotations", {})
        if value is None:
            annotations.pop(annotation, None)
        else:
            annotations[annotation] = json.dumps(value, separators=(",", ":"))
        return made

    def _narrow(self) -> "Route":
        """Itself, of which no rule takes every path any more: older routes have such rules."""
        for rule in self.item["spec"]["rules"]:
            rule["matches"] = [
                {**match, "path": path}
                for match in rule.get("matches") or [{}]
                for path in _published(match.get("path"))
            ]
        return self


def new(model: str, version: str) -> Route:
    """A route on which this version gets everything, at `<model>.platform.test`."""
    metadata = {
        "name": model,
        "namespace": outputs.NAMESPACE_WORKLOADS,
        "labels": {
            outputs.MODEL_LABEL: model,
            WORKLOAD_LABEL: model,
            # A prediction changes nothing: who asks twice gets the same answer twice.
            outputs.REPEATABLE_LABEL: "true",
        },
    }
    rule = {"name": DEFAULT, "backendRefs": [backend(model, version, TOTAL)]}
    spec = {"parentRefs": [gateway.parent()], "hostnames": [gateway.host(model)], "rules": [rule]}
    return Route({"apiVersion": API, "kind": "HTTPRoute", "metadata": metadata, "spec": spec})._narrow()


def _published(path: dict[str, Any] | None) -> list[dict[str, Any]]:
    """In place of every path, which the API server writes where a rule says none, those of the protocols."""
    every = {"type": "PathPrefix", "value": "/"}
    return [path] if path and path != every else [{"type": "PathPrefix", "value": each} for each in PATHS]


def backend(model: str, version: str, weight: int | None = None) -> dict[str, Any]:
    named = {"name": models.predictor(model, version), "port": PORT}
    return named if weight is None else {**named, "weight": weight}


def version_of(model: str, service: str) -> str:
    """`3` of `delay-v3-predictor`.

    Raises:
        ClientError: the Service is of no version of the model.
    """
    match = re.fullmatch(rf"{re.escape(model)}-v(.+)-predictor", service)
    if match is None:
        raise ClientError(
            f"HTTPRoute {outputs.NAMESPACE_WORKLOADS}/{model} names Service '{service}', which is of no "
            f"version of {model}",
            f"let it name Services like {models.predictor(model, '1')}, or delete it and promote a version "
            "anew",
        )
    return match[1]


def apportioned(shares: Mapping[str, float], total: int = TOTAL) -> dict[str, int]:
    """Whole weights that add up to `total`, as near to the shares as can be (largest remainders)."""
    scale = total / (sum(shares.values()) or 1)
    exact = {version: share * scale for version, share in shares.items()}
    weights = {version: int(value) for version, value in exact.items()}
    by_rest = sorted(exact, key=lambda version: weights[version] - exact[version])
    for version in by_rest[: total - sum(weights.values())]:
        weights[version] += 1
    return weights


def with_share(weights: Mapping[str, int], version: str, percent: float) -> dict[str, int]:
    """The version gets `percent` of the requests; the others keep their proportions in the rest."""
    others = {name: float(weight) for name, weight in weights.items() if name != version and weight}
    rest = sum(others.values())
    if not others:
        return {version: TOTAL}
    shares = {name: weight / rest * (100 - percent) for name, weight in others.items()}
    return apportioned({**shares, version: percent})


# --- the API server -----------------------------------------------------------------------------------------


def read(platform: Platform, model: str) -> Route | None:
    """The model's route; None where it has none, or the platform no routes."""
    try:
        return Route(json.loads(request(platform.api, "GET", _path(model))))
    except k8s.ApiException as error:
        if error.status != 404:
            raise
        return None


def require(platform: Platform, model: str) -> Route:
    """The model's route.

    Raises:
        ClientError: it has none.
    """
    found = read(platform, model)
    if found is None:
        raise ClientError(
            f"model '{model}' has no traffic: there is no HTTPRoute {outputs.NAMESPACE_WORKLOADS}/{model}",
            f"give it to a first version: seatrial model promote {model} VERSION --to stable",
        )
    return found


def create(platform: Platform, route: Route) -> Route:
    """Make the route, which is not there yet.

    Raises:
        ClientError: another one has its host, it is refused, or the cluster has no routes.
    """
    try:
        _require_free(platform, route)
        text = request(platform.api, "POST", _path(), body=route.item, fieldManager=FIELD_MANAGER)
    except k8s.ApiException as error:
        if error.status == 404:
            raise ClientError(
                "the cluster does not serve HTTPRoutes",
                "provision the part of the platform that brings them: seatrial up --with serving",
            ) from error
        raise _refused(route.name, error) from error
    return Route(json.loads(text))


def _require_free(platform: Platform, route: Route) -> None:
    """Refuse a host that another route has: the Gateway would give each of them some of its requests."""
    host = gateway.host(route.name)
    for item in json.loads(request(platform.api, "GET", _path()))["items"]:
        name = item["metadata"]["name"]
        if name != route.name and host in (item["spec"].get("hostnames") or []):
            raise ClientError(
                f"HTTPRoute {outputs.NAMESPACE_WORKLOADS}/{name} has the host {host} already",
                f"serve the model under another name: seatrial model serve NAME --from {route.name}",
            )


def change(platform: Platform, model: str, make: Callable[[Route], Route]) -> Route:
    """Replace the route by what `make` makes of it.

    When another has changed it in between, `make` is asked again with what that one left: a decision is never
    written over one that it has not seen. `make` may raise to give up.
    """
    for attempt in range(ATTEMPTS):
        wanted = make(require(platform, model))
        try:
            text = request(platform.api, "PUT", _path(model), body=wanted.item, fieldManager=FIELD_MANAGER)
            return Route(json.loads(text))
        except k8s.ApiException as error:
            if error.status != 409:
                raise _refused(model, error) from error
            time.sleep(0.05 * attempt)
    raise ClientError(
        f"HTTPRoute {outputs.NAMESPACE_WORKLOADS}/{model} was changed by others {ATTEMPTS} times in a row",
        f"see who writes to it: kubectl -n {outputs.NAMESPACE_WORKLOADS} get httproute {model} -o yaml "
        "--show-managed-fields",
    )


def in_force(platform: Platform, route: Route, deadline: float = 60) -> None:
    """Wait until the Gateway has taken what was written.

    Raises:
        ClientError: it refuses it, or does not look at it.
    """
    generation, until = route.item["metadata"].get("generation", 0), time.monotonic() + deadline
    while True:
        refused = obstacle(require(platform, route.name), generation)
        if not refused:
            return
        if time.monotonic() > until:
            raise ClientError(
                f"the Gateway does not take HTTPRoute {outputs.NAMESPACE_WORKLOADS}/{route.name}: {refused}",
                f"kubectl -n {outputs.NAMESPACE_WORKLOADS} describe httproute {route.name}",
            )
        time.sleep(0.2)


def obstacle(route: Route, generation: int) -> str:
    """Why the route of that generation is not in force; empty when it is."""
    parents = route.item.get("status", {}).get("parents") or []
    if not parents:
        return "no Gateway has looked at it"
    held = {
        entry["type"]: entry for parent in parents for entry in parent.get("conditions") or []
        if entry.get("observedGeneration", 0) >= generation
    }  # fmt: skip
    for wanted in ("Accepted", "ResolvedRefs"):
        if wanted not in held:
            return "the Gateway has not looked at the last change"
        if held[wanted]["status"] != "True":
            return f"{wanted} is {held[wanted]['status']}: {held[wanted].get('message', '')}"
    return ""


def _path(model: str = "") -> str:
    path = f"/apis/{API}/namespaces/{outputs.NAMESPACE_WORKLOADS}/httproutes"
    return f"{path}/{model}" if model else path


def _refused(model: str, error: Exception) -> ClientError:
    return ClientError(
        f"HTTPRoute {outputs.NAMESPACE_WORKLOADS}/{model} was refused: {refusal(error)}",
        f"see it: kubectl -n {outputs.NAMESPACE_WORKLOADS} get httproute {model} -o yaml",
    )
