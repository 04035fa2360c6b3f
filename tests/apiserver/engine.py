"""The real Pulumi engine with the provider's plugin, driven by the Automation API with inline programs."""

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pulumi import automation

from local import engine, toolchain
from tests.apiserver.plugin import ROOT, command

_PATH = "PATH"


class Stack:
    """A stack of its own in a folder of its own; `program` may be exchanged between operations."""

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        home, state = folder / "home", folder / "state"
        for path in (home, state):
            path.mkdir(parents=True)
        self.program: Callable[[], Any] = lambda: None
        self._env = {
            "KUBECONFIG": str(kubeconfig),
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "trial",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_HOME": str(home),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        self._install(home)
        self.state = state
        # `pulumi import` looks for a language host beside itself, which nobody else may have put there yet.
        prepared = engine.environment("t-engine", ROOT, toolchain.ensure(["pulumi"]))
        self._env |= {name: prepared[name] for name in (_PATH, "SEATRIAL_CHECKOUT")}
        self._env["SEATRIAL_PYTHON"] = sys.executable
        # The API looks for the command on this process's PATH.
        before, os.environ[_PATH] = os.environ[_PATH], self._env[_PATH]
        try:
            pulumi = automation.PulumiCommand(skip_version_check=True)
        finally:
            os.environ[_PATH] = before
        options = automation.LocalWorkspaceOptions(
            env_vars=self._env, pulumi_home=str(home), work_dir=str(folder), pulumi_command=pulumi
        )
        self.stack = automation.create_or_select_stack(
            "trial", project_name="provider", program=lambda: self.program(), opts=options
        )

    def _install(self, home: Path) -> None:
        launcher = home / "plugins" / "resource-kubernetes-v4.34.2" / "pulumi-resource-kubernetes"
        launcher.parent.mkdir(parents=True)
        words = " ".join(shlex.quote(word) for word in command())
        launcher.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {words} "$@"\n')
        launcher.chmod(0o755)

    def up(self, program: Callable[[], Any] | None = None, **options: Any) -> dict[str, int]:
        """What changed: the number of resources by operation."""
        if program is not None:
            self.program = program
        return self.stack.up(**options).summary.resource_changes or {}

    def kept(self) -> str:
        """The whole stored state, as text."""
        return "\n".join(path.read_text() for path in self.state.rglob("*.json"))
