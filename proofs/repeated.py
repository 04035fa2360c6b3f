"""How many requests the Gateway has sent again, by the count of its proxies."""

from client import Platform, outputs
from client.waiting import until
from proofs.subjects.serving import figure

PROXIES = f'namespace="{outputs.NAMESPACE_SERVING}",job="{outputs.NAMESPACE_SERVING}/gateway"'
AGAIN = "envoy_cluster_upstream_rq_retry"


def repeated(platform: Platform, route: str) -> int:
    """On the rules of a route, of all that were asked for before this call.

    Raises:
        ClientError: Prometheus does not read the proxies.
    """
    began = figure(platform, "vector(time())")
    until(
        lambda: figure(platform, f"min(timestamp(up{{{PROXIES}}}))") > began,
        "Prometheus to read the counts of the Gateway's proxies",
        120,
    )
    rules = f"httproute/{outputs.NAMESPACE_WORKLOADS}/{route}/rule/.+"
    return round(figure(platform, f'sum({AGAIN}{{envoy_cluster_name=~"{rules}"}})'))
