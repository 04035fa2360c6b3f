"""Which checkout, which cluster, and whether this machine can carry one at all."""

import os
import platform
from pathlib import Path

from local.cluster import check_name
from local.errors import LocalError

CHECKOUT = Path(__file__).resolve().parents[1]
"""The folder that Pulumi.yaml lies in."""

LOCAL_STACK = "local"


def cluster_name() -> str:
    """The local cluster that commands speak of: `$SEATRIAL_CLUSTER`, else `local`.

    Raises:
        LocalError: the name cannot name network namespaces and folders.
    """
    return check_name(os.environ.get("SEATRIAL_CLUSTER") or LOCAL_STACK)


def owner() -> int | None:
    """The process that the local cluster must not outlive: `$SEATRIAL_OWNER`, for tests and CI.

    Raises:
        LocalError: the variable is not a process id.
    """
    given = os.environ.get("SEATRIAL_OWNER")
    if given and not given.isdecimal():
        raise LocalError(
            f"SEATRIAL_OWNER is {given!r}, which is no process id", "unset it, or use for example $$"
        )
    return int(given) if given else None


def reports(stack: str) -> Path:
    """Where `up` and `prove` write: `reports`, or a folder in it for another stack or cluster."""
    folder = CHECKOUT / "reports"
    name = cluster_name() if stack == LOCAL_STACK else stack
    return folder if name == LOCAL_STACK else folder / name


def require_bare_machine(command: str) -> None:
    """Raise `LocalError` where `command` cannot work because it needs root on Linux."""
    system = platform.system()
    if system == "Linux" and os.geteuid() == 0:
        return
    met = f"{system}, not Linux" if system != "Linux" else f"user {os.geteuid()}, not root"
    raise LocalError(
        f"`seatrial {command}` starts network namespaces and containers, which needs root on Linux; "
        f"this is {met}",
        "run it as root on Linux. What works here without: `make check`, `pulumi preview|up -s dev` on a "
        "cluster that you have (docs/how-to/use-your-cluster.md), and `seatrial status|open|prove|deploy` "
        "on a stack other than local",
    )
