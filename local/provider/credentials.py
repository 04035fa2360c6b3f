"""The Authorization header: fixed, read from a file that rotates, or made by a credential plugin."""

import base64
import json
import os
import subprocess
import threading
import time
from datetime import datetime
from typing import Any

from local.provider.errors import Unreachable
from local.provider.kubeconfig import Access

_FILE_SECONDS = 60.0
"""Projected service account tokens rotate; the kubelet renews them long before they end."""


class Credentials:
    """Headers for the API server, renewed when they run out."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._token = access.token
        self._expires = 0.0

    def headers(self) -> dict[str, str]:
        access = self._access
        if access.exec is not None or access.token_file:
            return {"Authorization": f"Bearer {self._renewed()}"}
        if access.token:
            return {"Authorization": f"Bearer {access.token}"}
        if access.username:
            pair = base64.b64encode(f"{access.username}:{access.password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {}

    def _renewed(self) -> str:
        with self._lock:
            if time.time() >= self._expires:
                self._token, self._expires = self._fetch()
            return self._token

    def _fetch(self) -> tuple[str, float]:
        if self._access.exec is not None:
            return _run_plugin(dict(self._access.exec))
        with open(self._access.token_file) as file:  # noqa: PTH123 (the path is a string of the kubeconfig)
            return file.read().strip(), time.time() + _FILE_SECONDS


def _run_plugin(plugin: dict[str, Any]) -> tuple[str, float]:
    """Run the credential plugin that the kubeconfig names, as kubectl does (say, `aws eks get-token`)."""
    command = [str(plugin.get("command")), *map(str, plugin.get("args") or [])]
    version = str(plugin.get("apiVersion") or "client.authentication.k8s.io/v1")
    request = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    env = os.environ | {entry["name"]: entry["value"] for entry in plugin.get("env") or []}
    env["KUBERNETES_EXEC_INFO"] = json.dumps(request)
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
        status = json.loads(done.stdout)["status"]
        token = str(status["token"])
    except subprocess.CalledProcessError as error:
        raise Unreachable(
            f"the credential plugin {command[0]} failed: {error.stderr.strip()[:500]}"
        ) from None
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        raise Unreachable(
            f"the credential plugin {command[0]} gave no token: {type(error).__name__}"
        ) from None
    expiry = status.get("expirationTimestamp")
    expires = datetime.fromisoformat(expiry).timestamp() - 30 if expiry else time.time() + 600
    return token, expires
