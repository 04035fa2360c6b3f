"""Where images are kept in the cache."""

from pathlib import Path

from local.paths import cache_dir


def root() -> Path:
    return cache_dir() / "images"


def registry() -> Path:
    """What the registries of clusters serve."""
    return cache_dir() / "registry"


def storage() -> Path:
    """buildah's images and layers."""
    return root() / "storage"


def run() -> Path:
    """buildah's running state, worthless once it ended."""
    return root() / "run"


def temporary() -> Path:
    """Of builds under way; removed by the next."""
    return root() / "tmp"


def parts() -> Path:
    """Programs built for images: kept, since building them is slow and they are small."""
    return root() / "parts"


def logs() -> Path:
    return root() / "logs"


def records() -> Path:
    """One small file an image in the registry: what it was built from."""
    return root() / "pushed"


def lock() -> Path:
    return root() / ".lock"


def queue() -> Path:
    """Held by the one process that is next to have the lock."""
    return root() / ".queue"
