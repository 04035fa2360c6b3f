"""When Jobs and Pods are ready: a Job when it has completed, a Pod when it serves or has succeeded."""

from local.provider.objects import Object, condition, pluck
from local.provider.readiness.verdict import READY, Verdict, failed, waiting


def job(obj: Object) -> Verdict:
    complete, failure = condition(obj, "Complete"), condition(obj, "Failed")
    if failure.get("status") == "True":
        return failed(f"the Job failed: [{failure.get('reason')}] {failure.get('message')}")
    if complete.get("status") == "True":
        return READY
    if pluck(obj, "spec", "suspend"):
        return READY  # whoever suspends a Job does not want to wait for it
    status = obj.get("status") or {}
    counts = ", ".join(f"{status.get(key, 0)} {key}" for key in ("active", "succeeded", "failed"))
    return waiting(f"waiting for the Job to complete ({counts})")


def pod(obj: Object) -> Verdict:
    phase, ready = pluck(obj, "status", "phase"), condition(obj, "Ready")
    if phase == "Succeeded" or ready.get("status") == "True":
        return READY
    if phase == "Failed":
        status = obj.get("status") or {}
        return failed(
            f"the Pod failed: [{status.get('reason', 'Error')}] {status.get('message', '')}".rstrip()
        )
    return waiting(f"the Pod is {phase or 'new'}")
