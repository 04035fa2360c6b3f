"""A whole platform of the tests' own, brought up once by the command line and taken down at the end.

It lives for the tests of this folder alone: a small machine does not hold two.
"""

from collections.abc import Iterator

import pytest

from tests.commandline import Platform


@pytest.fixture(scope="package")
def platform() -> Iterator[Platform]:
    ours = Platform("t-platform")
    ours.ok("down", "--yes")
    ours.ok("up", "--parts", "core")
    yield ours
    ours.ok("down", "--yes")
