"""Where things are kept on this machine (XDG base directories).

The cache may be deleted at any time and is rebuilt; a cluster's state is removed with the cluster.
"""

import os
from pathlib import Path


def cache_dir() -> Path:
    """Built tools, images and packages: `$XDG_CACHE_HOME/seatrial`, survives `down`, removed by `purge`."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def state_dir() -> Path:
    """One folder a cluster, with its volumes and its stack's state: `$XDG_STATE_HOME/seatrial`."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def run_dir() -> Path:
    """Sockets, whose paths must be short."""
    return Path("/run/seatrial")


def _xdg(variable: str, default: str) -> Path:
    base = os.environ.get(variable)
    return (Path(base) if base else Path.home() / default) / "seatrial"
