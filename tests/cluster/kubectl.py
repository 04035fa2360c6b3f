"""kubectl bound to a cluster and a namespace, and the small pods that the tests run."""

import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

IMAGE = "docker.io/library/busybox:1.37.0"


@dataclass(frozen=True)
class Kubectl:
    """Calls kubectl; a failure shows what it said."""

    program: Path
    kubeconfig: Path
    space: str = "default"

    def __call__(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        call = [str(self.program), f"--kubeconfig={self.kubeconfig}", f"--namespace={self.space}", *words]
        done = subprocess.run(call, input=stdin, text=True, capture_output=True, check=False)
        assert done.returncode == 0 or not check, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "-o", "json"))

    def apply(self, *objects: dict[str, Any]) -> None:
        self("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def wait(self, thing: str, condition: str, seconds: int = 60) -> None:
        self("wait", thing, f"--for={condition}", f"--timeout={seconds}s")

    def run_to_end(self, pod: dict[str, Any]) -> str:
        """The log of a pod that ends well."""
        name = pod["metadata"]["name"]
        self.apply(pod)
        self.wait(f"pod/{name}", "jsonpath={.status.phase}=Succeeded")
        return self("logs", name)

    @contextmanager
    def namespace(self) -> Iterator["Kubectl"]:
        name = f"t-{uuid.uuid4().hex[:8]}"
        self("create", "namespace", name)
        # Pods are refused until the namespace has its service account.
        self("wait", "serviceaccount/default", "-n", name, "--for=create", "--timeout=30s")
        try:
            yield replace(self, space=name)
        finally:
            self("delete", "namespace", name, "--wait=false")


def pod(name: str, script: str, node: str = "work", **spec: Any) -> dict[str, Any]:
    """A pod that runs a shell script on one of the nodes."""
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script]}
    container |= spec.pop("container", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "nodeSelector": {"seatrial.dev/pool": node},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            **spec,
        },
    }


def service(name: str, port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": port}]},
    }
