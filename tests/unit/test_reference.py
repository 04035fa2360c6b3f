"""The reference pages are made from the code and are as the code is now."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_reference_of_commands_is_fresh(tmp_path: Path) -> None:
    made = tmp_path / "commands.md"
    command = [sys.executable, "-m", "typer", "seatrial.cli", "utils", "docs", "--name", "seatrial"]
    subprocess.run([*command, "--output", made], cwd=ROOT, check=True, capture_output=True)
    assert (ROOT / "docs/reference/commands.md").read_text() == made.read_text(), "run `make reference`"
