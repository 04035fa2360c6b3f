"""The reference pages are made from the code and are as the code is now."""

import subprocess
import sys
from pathlib import Path

import pytest

from seatrial import reference

ROOT = Path(__file__).parents[2]


def test_the_reference_of_commands_is_fresh(tmp_path: Path) -> None:
    made = tmp_path / "commands.md"
    command = [sys.executable, "-m", "typer", "seatrial.cli", "utils", "docs", "--name", "seatrial"]
    subprocess.run([*command, "--output", made], cwd=ROOT, check=True, capture_output=True)
    assert (ROOT / "docs/reference/commands.md").read_text() == made.read_text(), "run `make reference`"


@pytest.mark.parametrize("name", ["settings.md", "workloads.md"])
def test_the_reference_of_settings_is_fresh(name: str) -> None:
    made = reference.pages()[name]
    assert (ROOT / "docs/reference" / name).read_text() == made, "run `make reference`"


def test_every_setting_is_listed_with_its_default() -> None:
    page = reference.settings_page()
    assert "## trino" in page
    assert "| `coordinator.heap_mib` | `8192` |" in page
    assert "| `prometheus.resources` | `{cpu: 50m, memory: 600Mi}` |" in page
    assert "| `learning_rate` | `0.002` |" in reference.workloads_page()
