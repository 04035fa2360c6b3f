"""The proof that Secrets are enciphered goes red on an API server that writes them in the clear."""

from client import Platform, outputs
from proofs.run import FAILED, discover, prove
from tests.apiserver.cluster import Cluster
from tests.apiserver.controlplane import ControlPlane

PROOF = "platform.secrets_are_encrypted_at_rest"


def test_secrets_in_the_clear_are_named(plane: ControlPlane, cluster: Cluster) -> None:
    namespace = {"metadata": {"name": outputs.NAMESPACE_WORKLOADS}}
    cluster.create("/api/v1/namespaces", namespace)
    try:
        with Platform.connect(kubeconfig=plane.kubeconfig, name="local") as platform:
            (result,) = prove(platform, only=[PROOF], proofs=discover())
    finally:
        cluster.delete(f"/api/v1/namespaces/{outputs.NAMESPACE_WORKLOADS}")
    assert result.result == FAILED
    assert "a new Secret is written through a cipher" in result.cause
