"""Refuses a TrainJob that could never start: Trainer would admit it and leave it without a condition."""

import json
from collections.abc import Iterable
from typing import Any

from infra import kube

_API = "admissionregistration.k8s.io/v1"
_NAME = "trainjob-names-its-image.seatrial.dev"


def policy(runtimes: Iterable[str]) -> list[kube.Manifest]:
    """A rule in the API server itself, for TrainJobs that name one of these runtimes, and its binding.

    Our runtimes have no image. Without one no Job is made, and only JobSet's log says so.
    """
    names = sorted(runtimes)
    runtime = "object.spec.runtimeRef"
    ours = f"{runtime}.kind == 'ClusterTrainingRuntime' && {runtime}.name in {json.dumps(names)}"
    named = "has(object.spec.trainer) && has(object.spec.trainer.image)"
    rule = {
        "apiGroups": ["trainer.kubeflow.org"],
        "apiVersions": ["*"],
        "resources": ["trainjobs"],
        "operations": ["CREATE"],
    }
    said = f"spec.trainer.image is missing: {' and '.join(names)} have none; name the image to train in"
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": f"!({ours}) || ({named})", "message": said, "reason": "Invalid"}],
    }
    bound = {"policyName": _NAME, "validationActions": ["Deny"]}
    return [_object("ValidatingAdmissionPolicy", spec), _object("ValidatingAdmissionPolicyBinding", bound)]


def _object(kind: str, spec: dict[str, Any]) -> kube.Manifest:
    return kube.object_of(_API, kind, kube.metadata(_NAME, component="training"), spec)
