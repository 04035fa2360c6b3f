"""How the command line reaches the platform of a stack, and in which image its workloads run there."""

import typer

from client import Platform
from infra import settings
from local.cluster import Cluster
from local.errors import LocalError
from local.images import plan, workload_image
from seatrial.context import CHECKOUT, LOCAL_STACK, cluster_name


def connect(stack: str) -> Platform:
    """The platform of `stack`: by the local cluster's kubeconfig, or by the context in the stack file.

    Raises:
        LocalError: the local cluster is not there.
        ClientError: the cluster does not answer.
    """
    if stack != LOCAL_STACK:
        return Platform.connect(context=settings.of_stack_file(stack).cluster.context, name=stack)
    kubeconfig = Cluster(cluster_name()).kubeconfig
    if not kubeconfig.exists():
        raise LocalError(
            f"there is no cluster {cluster_name()!r} on this machine", "bring it up with `seatrial up`"
        )
    return Platform.connect(kubeconfig=kubeconfig, name=stack)


def workloads_run_in(stack: str, image: str | None) -> str:
    """The image of the reference workloads: built here for the local stack, named by the caller elsewhere.

    Raises:
        LocalError: the one of the workloads as they are now was not built; pods would wait for it.
        typer.BadParameter: the stack is not local, and none is named.
    """
    if image:
        return image
    if stack != LOCAL_STACK:
        raise typer.BadParameter(
            f"stack {stack} takes images from your registry; name the one that `seatrial images push` made",
            param_hint="--image",
        )
    built = workload_image(CHECKOUT)
    if plan([built]):
        raise LocalError(
            f"the workloads have changed since they were built: image {built.name} is not there",
            "bring the platform up to date with `seatrial up`, or name another image with --image",
        )
    return built.name
