"""Builds container images on this machine and fills the registry that the nodes use.

`ensure` and `plan` are for `up` and `setup`; the rest is what `seatrial images` does.
"""

from local.images.build import ensure, plan
from local.images.digests import pin, write_digests
from local.images.housekeeping import Row, clean, listing, prune, push
from local.images.names import Image
from local.images.ours import workload_image, workload_images
from local.images.recipe import known, recipes_for

__all__ = [
    "Image",
    "Row",
    "clean",
    "ensure",
    "known",
    "listing",
    "pin",
    "plan",
    "prune",
    "push",
    "recipes_for",
    "workload_image",
    "workload_images",
    "write_digests",
]
