"""What autoscalers may ask for: of each pod, its requests a second."""

from typing import Any


def of_pods(metric: str, counter: str, always: str, window: str) -> dict[str, Any]:
    """One metric: how fast a pod's `counter` grows.

    A counter with labels has no series before it counts. `always` is a gauge that a pod has from its start:
    it tells which pods there are, and one without requests has 0. Of one that has nothing an autoscaler
    believes that it is at its target, and leaves it.
    """
    grows = f"sum by (<<.GroupBy>>) (rate({counter}{{<<.LabelMatchers>>}}[{window}]))"
    nothing = f"sum by (<<.GroupBy>>) (0 * {always}{{<<.LabelMatchers>>}})"
    return {
        "seriesQuery": f'{always}{{namespace!="",pod!=""}}',
        "resources": {
            "overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}},
        },
        "name": {"matches": f"^{always}$", "as": metric},
        "metricsQuery": f"{grows} or {nothing}",
    }
