"""Unpacked Go modules, for the charts and manifests that some of them bring."""

import json
import subprocess
from pathlib import Path

from local.errors import LocalError
from local.progress import Silent
from local.toolchain import gocache, gohost
from local.toolchain.tools import required_version


def directory(module_dir: Path, module_path: str) -> Path:
    """The folder of `module_path` in the version that `module_dir/go.mod` requires, fetched when needed.

    The checksum is compared with go.sum. The folder is in Go's cache: copy what must outlive `gocache.drop`.
    """
    wanted = f"{module_path}@{required_version(module_dir, module_path)}"
    go = gohost.find(module_dir)
    with gocache.in_use(Silent()):
        fetched = subprocess.run(
            [go, "mod", "download", "-json", wanted],
            cwd=module_dir,
            env=gohost.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    answer = json.loads(fetched.stdout) if fetched.stdout.startswith("{") else {}
    if fetched.returncode != 0 or "Dir" not in answer:
        reason = answer.get("Error") or fetched.stderr.strip()
        raise LocalError(
            f"the Go module {wanted} could not be fetched: {reason}",
            "check the network and `go env GOPROXY`, then run again",
        )
    return Path(answer["Dir"])
