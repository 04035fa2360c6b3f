"""What differs from Envoy Gateway's chart, and why. The same in every stack."""

from infra.patching import expect
from infra.upstream import Manifest

_HOOK = "helm.sh/hook"


def leave_out_certgen(objects: list[Manifest]) -> list[Manifest]:
    """A Job before each installation that makes certificates which nobody renews: cert-manager makes them."""
    kept = [each for each in objects if _HOOK not in each["metadata"].get("annotations", {})]
    kinds = {each["kind"] for each in objects if each not in kept}
    expect(kinds == {"ServiceAccount", "Role", "RoleBinding", "Job"}, "a Job that makes certificates")
    return kept
