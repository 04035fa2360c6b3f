"""The list of decisions names each of them by its title."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "adr"


def test_every_decision_is_listed_in_order() -> None:
    listed = re.findall(r"^\* \[(\d{4}) (.+)\]\((.+)\)$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    headings = {
        file.name: re.fullmatch(r"# (\d+)\.? (.+)", file.read_text().splitlines()[0])
        for file in sorted(FOLDER.glob("0*.md"))
    }
    assert listed == [
        (found[1].zfill(4), found[2], name) for name, found in headings.items() if found is not None
    ]
    assert all(name.startswith(number) for number, _, name in listed)
    assert len(listed) == len(headings)
