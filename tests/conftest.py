"""Which tests run in one process when several run side by side, and on how many threads."""

import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# As in the workloads' pods. More threads than free cores wait for each other by spinning, which takes up to
# eight times as long; read when the first of NumPy, scikit-learn or PyTorch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ONE_BY_ONE = {
    "machine": ("tests/cluster/", "tests/kills/", "tests/platform/"),
    "apiserver": ("tests/apiserver/",),
    "stacks": tuple(f"tests/unit/test_{what}" for what in ("component_", "dashboards", "infra_", "katib")),
}
"""Tests that stay together: those that hold networks and clusters of the machine, those that share a control
plane, and those that look at the stacks, each of which takes seconds to build."""


class MachineApart(LoadScopeScheduling):
    """What stays together goes to one process; the others run beside it, file by file."""

    def _split_scope(self, nodeid: str) -> str:
        together = (scope for scope, folders in ONE_BY_ONE.items() if nodeid.startswith(folders))
        return next(together, nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> MachineApart:
    return MachineApart(config, log)
