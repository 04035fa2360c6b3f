"""What an image is called: upstream's name in a manifest, and its place in the registry that nodes use."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Image:
    """An image that a manifest names, and the recipe that builds it here."""

    name: str
    """As the manifest has it, for example `docker.io/trinodb/trino:476`."""
    recipe: str
    """Folder in local/images/recipes."""
    version: str
    """Reaches the Containerfile as the build argument VERSION."""
    context: Path | None = None
    """The checkout whose code the recipe copies, for images of our own code."""

    @property
    def repository(self) -> str:
        """Path in a registry, as a node asks its mirror for it: without the upstream's host and the tag."""
        path = self.name.rpartition(":")[0]
        first, _, rest = path.partition("/")
        if not rest:
            return f"library/{path}"
        if first == "localhost" or "." in first or ":" in first:
            return rest if "/" in rest or first != "docker.io" else f"library/{rest}"
        return path

    @property
    def tag(self) -> str:
        return self.name.rpartition(":")[2]
