"""What faults do to scaling: each breaks on entering, mends on leaving."""

from collections.abc import Iterator
from contextlib import contextmanager

from kubernetes import client as k8s

from client import Platform, outputs, scaling
from client.waiting import until
from proofs import booking, scaled
from proofs.damage import meanwhile, without_pods


@contextmanager
def blind_adapter(platform: Platform) -> Iterator[None]:
    """Nobody answers for the metrics of pods."""
    booking.booked(platform)
    try:
        with without_pods(platform, "prometheus-adapter", outputs.NAMESPACE_SERVING):
            yield
    finally:
        until(lambda: _answers(platform), "the metrics of pods to be answered for")


def _answers(platform: Platform) -> bool:
    """The API server takes a while to send requests there again."""
    try:
        return bool(scaling.figures(platform, outputs.METRIC_BOOKING, booking.SELECTOR))
    except k8s.ApiException as error:
        if error.status not in (404, 500, 503):
            raise
        return False


@contextmanager
def held_number(platform: Platform) -> Iterator[None]:
    """There may be one server of the proof's model at the most, as soon as it is scaled."""
    autoscalers = k8s.AutoscalingV2Api(platform.api)
    namespace = outputs.NAMESPACE_WORKLOADS

    def hold() -> None:
        for each in autoscalers.list_namespaced_horizontal_pod_autoscaler(namespace).items:
            if each.metadata.name.startswith(f"{scaled.MODEL}-v") and each.spec.max_replicas > 1:
                autoscalers.patch_namespaced_horizontal_pod_autoscaler(
                    each.metadata.name, namespace, {"spec": {"maxReplicas": 1}}
                )

    with meanwhile(hold, 0.5):
        yield
