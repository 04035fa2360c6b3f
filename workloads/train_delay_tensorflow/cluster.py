"""Which workers there are, and where: what TensorFlow takes from TF_CONFIG."""

import json
import os
import socket
import time
from typing import Any

from workloads.common import WorkloadError

MEETING_S = 180
"""How long workers wait for each other's addresses."""
PORT = 2222


def tf_config() -> dict[str, Any]:
    """What TensorFlow wants to find in TF_CONFIG: every worker's address, and which of them this is.

    Where nobody has set it, it is made of the variables that the runtime `tensorflow` gives: how many nodes
    there are, which of them this is, and the name of the first, which ends in -0 before its first dot.
    """
    if given := os.environ.get("TF_CONFIG"):
        return dict(json.loads(given))
    nodes = int(os.environ.get("PET_NNODES", "1"))
    if nodes == 1:
        return {}
    first, _, domain = os.environ["PET_MASTER_ADDR"].partition(".")
    stem = first.removesuffix("-0")
    workers = [f"{stem}-{index}.{domain}:{PORT}" for index in range(nodes)]
    task = {"type": "worker", "index": int(os.environ["PET_NODE_RANK"])}
    return {"cluster": {"worker": workers}, "task": task}


def find(addresses: list[str]) -> None:
    """Wait until each worker has an address: a pod's name comes with the pod, TensorFlow would not wait."""
    deadline = time.monotonic() + MEETING_S
    for address in addresses:
        host, _, port = address.rpartition(":")
        while True:
            try:
                socket.getaddrinfo(host, int(port))
                break
            except socket.gaierror as error:
                if time.monotonic() > deadline:
                    raise WorkloadError(
                        f"worker {host} has no address after {MEETING_S} s: {error}"
                    ) from error
                time.sleep(0.5)
