"""Alert rules that workloads bring: on a stack that hastens its alerts they are hastened too."""

import json
import re
from typing import Any

from kubernetes import client as k8s

from client.objects import request
from client.platform import Platform
from infra import outputs

KIND = "PrometheusRule"
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
PROMETHEUS = (
    f"/apis/monitoring.coreos.com/v1/namespaces/{outputs.NAMESPACE_MONITORING}"
    f"/prometheuses/{outputs.PROMETHEUS}"
)


def longest_for(platform: Platform) -> str | None:
    """The stack's setting; None where it has none, or where we may not read it."""
    try:
        found = json.loads(request(platform.api, "GET", PROMETHEUS))
    except k8s.ApiException as error:
        if error.status not in (403, 404):
            raise
        return None
    longest: str | None = found["metadata"].get("annotations", {}).get(outputs.ANNOTATION_LONGEST_FOR)
    return longest


def hasten(item: dict[str, Any], longest: str | None) -> None:
    """No alert of this PrometheusRule has to hold for longer than so before it fires."""
    for rule in (rule for group in item["spec"]["groups"] for rule in group["rules"]):
        if longest and "for" in rule:
            rule["for"] = min(rule["for"], longest, key=seconds)


def seconds(duration: str) -> float:
    """Of a span of time as Prometheus writes it, such as `90s` or `1h30m`."""
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))
