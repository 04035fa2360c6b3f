"""Images of our own code, named by what they hold."""

from pathlib import Path

from local.images import recipe
from local.images.names import Image


def workload_image(checkout: Path) -> Image:
    """The image that this checkout's reference workloads run in; its tag changes with code and recipe."""
    key = recipe.key("workloads", "", checkout)
    return Image(name=f"seatrial/workloads:{key}", recipe="workloads", version="", context=checkout)
