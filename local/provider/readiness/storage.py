"""When volumes and claims are ready."""

from local.provider.errors import ApiError
from local.provider.objects import Object, pluck
from local.provider.readiness.verdict import READY, Check, Verdict, failed, waiting
from local.provider.session import Session


def volume(obj: Object) -> Verdict:
    phase = pluck(obj, "status", "phase")
    if phase in ("Available", "Bound"):
        return READY
    if phase == "Failed":
        return failed(f"the volume failed: {pluck(obj, 'status', 'message')}")
    return waiting(f"the volume is {phase or 'new'}")


def claim(session: Session) -> Check:
    """A claim is ready when it is bound, or waits for the pod that is to use it."""
    modes: dict[str, str] = {}

    def check(obj: Object) -> Verdict:
        phase = pluck(obj, "status", "phase")
        if phase == "Bound":
            return READY
        if phase == "Lost":
            return failed("the claim has lost its volume")
        name = pluck(obj, "spec", "storageClassName")
        if name and name not in modes:
            modes[name] = _binding_mode(session, name)
        if phase == "Pending" and modes.get(name) == "WaitForFirstConsumer":
            return READY
        why = f" (storage class {name!r}{' does not exist' if modes.get(name) == '' else ''})" if name else ""
        return waiting(f"the claim is {phase or 'new'}{why}")

    return check


def _binding_mode(session: Session, name: str) -> str:
    try:
        found = session.api.get(f"/apis/storage.k8s.io/v1/storageclasses/{name}")
    except ApiError:
        return ""
    return str(found.get("volumeBindingMode", "Immediate"))
