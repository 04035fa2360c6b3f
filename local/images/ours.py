"""Images of our own code, named by what they hold."""

import hashlib
from pathlib import Path

from local.images import recipe
from local.images.names import Image

WORKLOADS = "workloads"


def workload_images(checkout: Path) -> list[Image]:
    """The images that this checkout's reference workloads run in: one for each recipe that copies code.

    They share their tag, which changes with the code and with each recipe: who knows the name of one knows
    all of them.
    """
    recipes = [name for name in recipe.known() if recipe.load(name).code]
    keys = "".join(recipe.key(name, "", checkout) for name in recipes)
    tag = hashlib.sha256(keys.encode()).hexdigest()[:16]
    return [
        Image(name=f"seatrial/{name}:{tag}", recipe=name, version="", context=checkout) for name in recipes
    ]


def workload_image(checkout: Path) -> Image:
    """The one that most of them run in."""
    return next(image for image in workload_images(checkout) if image.recipe == WORKLOADS)
