"""Which images the local stack needs: of the cluster's add-ons, the platform and our workloads."""

from collections.abc import Collection

from infra import releases
from infra.parts import ALL, Part
from local.cluster.bootstrap import images as cluster_images
from local.errors import LocalError
from local.images import Image, workload_images
from seatrial.context import CHECKOUT

OF_PART: dict[str, Part] = {
    "model-server": "serving",
    "watch-drift": "serving",
    "react": "serving",
    "workloads-horovod": "training",
    "workloads-tensorflow": "training",
}
"""Images of workloads that run only where a part is."""


def addon_images() -> list[Image]:
    """Images without which the cluster itself does not become ready."""
    return [
        Image(name=name, recipe=recipe, version=name.rpartition(":")[2].removeprefix("v"))
        for name, recipe in cluster_images().items()
    ]


def platform_images(parts: Collection[Part] = ALL) -> list[Image]:
    """Images that the program names, from infra/releases.toml, and those that hold our workloads."""
    ours = workload_images(CHECKOUT)
    fitting = [image for image in ours if image.recipe not in OF_PART or OF_PART[image.recipe] in parts]
    return [*(Image(*each) for each in releases.local_images(parts)), *fitting]


def choose(names: list[str] | None) -> list[Image]:
    """The images called `names` (image or recipe), or all of them.

    Raises:
        LocalError: a name is neither.
    """
    every = [*addon_images(), *platform_images()]
    if not names:
        return every
    known = {key for image in every for key in (image.name, image.recipe)}
    if unknown := sorted(set(names) - known):
        raise LocalError(
            f"no image or recipe is called {', '.join(unknown)}",
            f"choose from {', '.join(sorted({image.recipe for image in every}))} "
            "(`seatrial images list` shows all)",
        )
    return [image for image in every if image.name in names or image.recipe in names]
