"""What faults do to the drift watch and to its flights: each breaks on entering, mends on leaving. The watch
is the proofs' own, which is there only while they run.
"""

from contextlib import AbstractContextManager

from kubernetes import client as k8s

from client import Platform, outputs
from client.waiting import until
from proofs import drifted
from proofs.damage import again

OBJECTS = ("monitoring.coreos.com", "v1", outputs.NAMESPACE_WORKLOADS)
LABEL = "app.kubernetes.io/part-of"


def healed_shift(platform: Platform) -> AbstractContextManager[None]:
    """Flights that leave later leave as before again."""

    def heal() -> None:
        if drifted.shifted(platform):
            drifted.shift(platform, -drifted.MINUTES)

    return again(heal)


def healed_scores(platform: Platform) -> AbstractContextManager[None]:
    """Scores that were halved are as high as before again."""

    def heal() -> None:
        if drifted.halved(platform):
            drifted.weigh(platform, 2)

    return again(heal, 0.1)


def refilled_feed(platform: Platform) -> AbstractContextManager[None]:
    """Months that lost their flights have them again."""

    def refill() -> None:
        if drifted.rows(platform, drifted.CUT) == 0:
            drifted.refill(platform)

    return again(refill)


def muted(platform: Platform) -> AbstractContextManager[None]:
    """Somebody takes the alerts of the watch away. Prometheus has none of an earlier watch any more: for as
    long as its kubelet brings it nothing new, they would do for this one.
    """
    until(lambda: not drifted.loaded(platform), "earlier alerts to be forgotten", drifted.PATIENCE)
    custom = k8s.CustomObjectsApi(platform.api)
    return again(
        lambda: custom.delete_namespaced_custom_object(*OBJECTS, "prometheusrules", drifted.NAME), 0.2
    )


def wrong_label(platform: Platform) -> AbstractContextManager[None]:
    """The monitor of the watch lacks the label by which Prometheus finds it, which knows none of an earlier
    watch any more.
    """
    until(lambda: not drifted.scraped(platform), "an earlier monitor to be forgotten", drifted.PATIENCE)
    custom = k8s.CustomObjectsApi(platform.api)
    change = {"metadata": {"labels": {LABEL: "nobody"}}}
    return again(
        lambda: custom.patch_namespaced_custom_object(*OBJECTS, "podmonitors", drifted.NAME, change), 0.2
    )
