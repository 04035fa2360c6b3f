"""What differs from cert-manager's chart, and why. The same in every stack."""

from infra.patching import expect
from infra.upstream import Manifest

_WEBHOOK = "cert-manager-webhook"
_SETTLED = 5
_INJECTED = {"pulumi.com/waitFor": "jsonpath={.webhooks[0].clientConfig.caBundle}"}


def count_as_available_when_reachable(objects: list[Manifest]) -> list[Manifest]:
    """The webhook is asked through its Service, whose proxies hear of a ready pod a moment later.

    The platform's own issuers are the first that ask it.
    """
    found = [each for each in objects if (each["kind"], each["metadata"]["name"]) == ("Deployment", _WEBHOOK)]
    expect(len(found) == 1, f"a Deployment {_WEBHOOK}")
    found[0]["spec"]["minReadySeconds"] = _SETTLED
    return objects


def await_authority(objects: list[Manifest]) -> list[Manifest]:
    """Before the injector has written the webhook's authority, the API server believes no answer of it."""
    found = [each for each in objects if each["kind"].endswith("WebhookConfiguration")]
    expect(len(found) == 2, "two webhook configurations")
    for each in found:
        expect(len(each["webhooks"]) == 1, "one webhook in each configuration")
        each["metadata"]["annotations"].update(_INJECTED)
    return objects
