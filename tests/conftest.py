"""Which tests run in one process when several run side by side."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ONE_BY_ONE = ("tests/apiserver/", "tests/cluster/", "tests/kills/", "tests/platform/")
"""Tests that hold ports, networks and clusters of the machine."""


class MachineApart(LoadScopeScheduling):
    """What needs the machine for itself goes to one process; the others run beside it, file by file."""

    def _split_scope(self, nodeid: str) -> str:
        return "machine" if nodeid.startswith(ONE_BY_ONE) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> MachineApart:
    return MachineApart(config, log)
