"""Where images come from: handwritten digits of scikit-learn, or patterns under noise made on the device."""

import hashlib
from collections.abc import Iterator
from typing import Any, Protocol

import torch
import torch.nn.functional as F

from workloads.common import HopelessError, digest
from workloads.ranks import Place
from workloads.train_images.config import TrainImages

Batch = tuple[torch.Tensor, torch.Tensor]
"""Images (batch, channels, side, side) and the class of each."""


class Images(Protocol):
    facts: dict[str, Any]
    """What they are, with `sha256`."""

    def step(self, number: int) -> Batch:
        """This rank's share of a step's images."""
        ...

    def held_out(self, part: str) -> Iterator[Batch]:
        """Images of `validation` or `test`, all of them for each rank."""
        ...


def images(settings: TrainImages, place: Place) -> Images:
    """Those that the settings ask for."""
    if settings.data == "digits":
        return Digits(settings, place)
    if settings.data == "generated":
        return Generated(settings, place)
    raise HopelessError(f"there are no images '{settings.data}'; there are: digits, generated")


DIGITS = {"train": slice(0, 1257), "validation": slice(1257, 1437), "test": slice(1437, 1797)}
DIGITS_ORIGIN = "sklearn digits in file order: 1257 train, 180 validation, 360 test"


class Digits:
    """1,797 digits of 8 x 8 pixels, the test set of UCI's "Optical Recognition of Handwritten Digits".

    The split follows the order of the file: neighbours may be by one writer, and a shuffled split would show
    each writer before the test.
    """

    def __init__(self, settings: TrainImages, place: Place) -> None:
        from sklearn.datasets import load_digits

        pixels, classes = load_digits(return_X_y=True)
        whole = hashlib.sha256(pixels.astype("<f4").tobytes() + classes.astype("<i8").tobytes())
        self.facts = {"origin": DIGITS_ORIGIN, "sha256": whole.hexdigest()}
        self.settings, self.place = settings, place
        shown = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8) / 16
        self.shown, self.classes = shown.to(place.device), torch.tensor(classes).to(place.device)
        if (settings.side, settings.channels, settings.classes) != (8, 1, 10):
            raise HopelessError("digits have side=8, channels=1 and classes=10")

    def step(self, number: int) -> Batch:
        """Every epoch goes over all but the last few in an order of its own, the same on every rank."""
        count, batch = DIGITS["train"].stop, self.settings.batch
        epoch, first = divmod(number * batch, count // batch * batch)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(self.settings.seed + epoch))
        chosen = self.place.share(order[first : first + batch]).to(self.place.device)
        return self.shown[chosen], self.classes[chosen]

    def held_out(self, part: str) -> Iterator[Batch]:
        yield self.shown[DIGITS[part]], self.classes[DIGITS[part]]


class Generated:
    """Each class is a coarse pattern of its own; an image is that under as much noise.

    No image is ever shown twice, and none comes over a bus: this measures the device, not its data.
    """

    HELD_OUT_STEPS = 10

    def __init__(self, settings: TrainImages, place: Place) -> None:
        self.settings, self.place = settings, place
        drawn = torch.Generator(device=place.device).manual_seed(settings.seed)
        self.patterns = torch.randn(
            settings.classes, settings.channels, 7, 7, generator=drawn, device=place.device
        )
        self.drawn = torch.Generator(device=place.device).manual_seed(settings.seed + 1 + place.rank)
        origin = (
            f"patterns 7 x 7 under noise, {settings.classes} classes, {settings.channels} x {settings.side} "
            f"x {settings.side}, seed {settings.seed}, drawn on {place.device.type}"
        )
        # There is no file; this names what the images are made of.
        self.facts = {"origin": origin, "sha256": digest(origin.encode())}

    def step(self, number: int) -> Batch:
        return self._make(self.settings.batch // self.place.ranks, self.drawn)

    def held_out(self, part: str) -> Iterator[Batch]:
        """The same ones for each rank."""
        seed = self.settings.seed + (1 << 20 if part == "test" else 1 << 21)
        drawn = torch.Generator(device=self.place.device).manual_seed(seed)
        for _ in range(self.HELD_OUT_STEPS):
            yield self._make(self.settings.batch // self.place.ranks, drawn)

    def _make(self, count: int, drawn: torch.Generator) -> Batch:
        device, side = self.place.device, self.settings.side
        classes = torch.randint(self.settings.classes, (count,), generator=drawn, device=device)
        large = F.interpolate(self.patterns[classes], size=(side, side), mode="nearest")
        return large + torch.randn(large.shape, generator=drawn, device=device), classes
