"""A whole platform of the tests' own, brought up once by the command line and taken down at the end."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SEATRIAL = str(Path(sys.executable).with_name("seatrial"))


@dataclass(frozen=True)
class Platform:
    """Calls the command line on one named cluster."""

    cluster: str

    @property
    def command(self) -> list[str]:
        return [SEATRIAL]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"SEATRIAL_CLUSTER": self.cluster}

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *words], cwd=ROOT, env=self.environment, text=True, capture_output=True
        )

    def ok(self, *words: str) -> str:
        done = self.call(*words)
        assert done.returncode == 0, (
            f"seatrial {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))

    def touched(self) -> list[dict[str, Any]]:
        """The objects that the last `up` that changed anything created, changed or deleted."""
        return json.loads((ROOT / "reports" / self.cluster / "provisioning.json").read_text())


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    ours = Platform("t-platform")
    ours.ok("down", "--yes")
    ours.ok("up", "--no-prove")
    yield ours
    ours.ok("down", "--yes")
