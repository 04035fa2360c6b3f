"""The command line as a person calls it, on one named cluster of the tests' own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SEATRIAL = str(Path(sys.executable).with_name("seatrial"))
_TAIL = 40


@dataclass(frozen=True)
class Platform:
    """Calls the command line on one named cluster."""

    cluster: str

    @property
    def command(self) -> list[str]:
        return [SEATRIAL]

    @property
    def environment(self) -> dict[str, str]:
        # Whoever tests next may end what a killed run of tests leaves.
        return os.environ | {"SEATRIAL_CLUSTER": self.cluster, "SEATRIAL_OWNER": str(os.getpid())}

    def call(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *words],
            cwd=ROOT, env=self.environment | environment, text=True, capture_output=True,
        )  # fmt: skip

    def ok(self, *words: str, **environment: str) -> str:
        done = self.call(*words, **environment)
        assert done.returncode == 0, (
            f"seatrial {' '.join(words)}: exit {done.returncode}; the ends of its output and of its errors:\n"
            f"{_end(done.stdout)}\n--\n{_end(done.stderr)}"
        )
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))

    def reported(self, name: str) -> list[dict[str, Any]]:
        """What `up` wrote last: its `proofs`, or of `provisioning` what was created, changed or deleted."""
        told = ROOT / "reports" / self.cluster / f"{name}.json"
        entries: list[dict[str, Any]] = json.loads(told.read_text())
        return entries


def _end(output: str) -> str:
    return "\n".join(output.splitlines()[-_TAIL:])
