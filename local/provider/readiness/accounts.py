"""When quotas and token Secrets are ready: as soon as their controllers have filled them in."""

from local.provider.objects import Object, pluck
from local.provider.readiness.verdict import READY, Verdict, waiting

TOKEN_TYPE = "kubernetes.io/service-account-token"


def quota(obj: Object) -> Verdict:
    if pluck(obj, "spec", "hard") == pluck(obj, "status", "hard"):
        return READY
    return waiting("waiting for the quota to be counted")


def secret(obj: Object) -> Verdict:
    if obj.get("type") != TOKEN_TYPE or obj.get("data"):
        return READY
    return waiting("waiting for the token")
