"""What differs from Kueue's chart, and why. The same in every stack."""

from infra.patching import Patch, expect
from infra.upstream import Manifest

_ROLES_FOR_USERS = ("-editor-role", "-viewer-role", "-batch-admin-role", "-batch-user-role")
_OWN_GROUP = "kueue.x-k8s.io"


def leave_out_visibility(objects: list[Manifest]) -> list[Manifest]:
    """An aggregated API that lists who waits: it is switched off by a feature gate.

    While its server is away, no namespace can be deleted; it wants a role in kube-system, where nothing else
    of ours is; and what it tells is in the Workloads' conditions too.
    """
    kept = [each for each in objects if "visibility" not in each["metadata"]["name"]]
    kinds = {each["kind"] for each in objects} - {each["kind"] for each in kept}
    expect("APIService" in kinds, "an APIService")
    expect(all(each["metadata"].get("namespace") != "kube-system" for each in kept), "nothing in kube-system")
    return kept


def leave_out_roles_for_users(objects: list[Manifest]) -> list[Manifest]:
    """Forty roles bound to nobody, most for kinds that are not here; rights.py extends Kubernetes' own."""
    kept = [each for each in objects if not _is_for_users(each)]
    expect(len(objects) - len(kept) > 20, "roles for users")
    return kept


def _is_for_users(each: Manifest) -> bool:
    name: str = each["metadata"]["name"]
    return each["kind"] == "ClusterRole" and name.endswith(_ROLES_FOR_USERS)


def ask_only_about(kinds: frozenset[str]) -> Patch:
    """The chart's webhooks see every Pod and Deployment of the namespace too, for integrations that are off.

    `kinds`: plurals of what is queued. Each one more would have to wait for Kueue, for nothing.
    """

    def patch(objects: list[Manifest]) -> list[Manifest]:
        changed = 0
        for each in objects:
            if each["kind"] in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
                kept = [hook for hook in each["webhooks"] if _asks_about(hook, kinds)]
                changed += len(each["webhooks"]) - len(kept)
                each["webhooks"] = kept
                # A namespace makes no sense there, and the API server refuses an address with one.
                each["metadata"].pop("namespace", None)
        expect(changed > 0, "webhooks for other kinds")
        return objects

    return patch


def _asks_about(hook: Manifest, kinds: frozenset[str]) -> bool:
    rules = hook["rules"]
    return any(_OWN_GROUP in rule["apiGroups"] or not kinds.isdisjoint(rule["resources"]) for rule in rules)
