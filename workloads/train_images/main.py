"""Train a convolutional network on images, and measure how well the hardware was used.

One process trains alone. Several (`torchrun`) share the images of each step and average their gradients
(DDP). With `--bare` nothing of a platform is needed, only PyTorch (and scikit-learn for `tiny`'s digits):

    python -m workloads.train_images.main --config reference --bare --output report.json
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import OneCycleLR

from workloads import common, ranks, trial
from workloads.common import WorkloadError
from workloads.train_images import config, flops, metrics
from workloads.train_images.config import TrainImages
from workloads.train_images.images import Batch, Images, images
from workloads.train_images.model import network

HERE = Path(__file__).parent


# --- the model ----------------------------------------------------------------------------------------------


def build(settings: TrainImages, place: ranks.Place) -> tuple[nn.Module, nn.Module]:
    """The network, and what is trained: the network compiled, and joined with those of other ranks."""
    net = network(settings).to(place.device)
    if settings.channels_last:
        net = net.to(memory_format=torch.channels_last)
    counted = sum(weight.numel() for weight in net.parameters())
    if counted != flops.parameters(layers(settings)):
        raise WorkloadError(f"the network has {counted} parameters; flops.py counts other ones")
    model: nn.Module = net
    if place.ranks > 1:
        model = DistributedDataParallel(net, device_ids=_own(place), gradient_as_bucket_view=True)
    if settings.compile:
        model.compile()
    return net, model


def _own(place: ranks.Place) -> list[int] | None:
    return [place.device.index] if place.device.type == "cuda" else None


def layers(settings: TrainImages) -> list[flops.Layer]:
    return flops.layers(settings.net, settings.side, settings.channels, settings.classes)


def precision(settings: TrainImages, place: ranks.Place) -> AbstractContextManager[Any]:
    if settings.precision == "bf16":
        return torch.autocast(place.device.type, torch.bfloat16)
    return nullcontext()


def laid_out(batch: Batch, settings: TrainImages) -> Batch:
    """The pixel's channels next to each other, where the network wants them so."""
    if not settings.channels_last:
        return batch
    return batch[0].to(memory_format=torch.channels_last), batch[1]


# --- training -----------------------------------------------------------------------------------------------


def train(settings: TrainImages, model: nn.Module, source: Images, running: trial.Trial) -> None:
    """SGD with Nesterov's momentum; the rate rises over a tenth of the steps, then falls."""
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=True,
        fused=True,
    )
    rate = OneCycleLR(optimizer, settings.learning_rate, settings.steps, pct_start=0.1, cycle_momentum=False)
    model.train()
    for number in range(settings.steps):
        running.begin()
        shown, classes = laid_out(source.step(number), settings)
        running.watch.mark("data")
        with precision(settings, running.place):
            loss = F.cross_entropy(model(shown), classes)
        running.watch.mark("forward")
        loss.backward()
        running.watch.mark("backward")
        optimizer.step()
        optimizer.zero_grad()
        rate.step()
        running.watch.mark("optimizer")
        running.end(loss)


@torch.no_grad()
def evaluate(
    settings: TrainImages, net: nn.Module, source: Images, part: str, place: ranks.Place
) -> dict[str, Any]:
    """Each rank looks at all images of the part."""
    net.eval()
    truth: list[int] = []
    said: list[int] = []
    for batch in source.held_out(part):
        shown, classes = laid_out(batch, settings)
        with precision(settings, place):
            said += net(shown).argmax(1).tolist()
        truth += classes.tolist()
    return metrics.summary(metrics.confusion(truth, said, settings.classes))


def probe(settings: TrainImages, model: nn.Module, source: Images, running: trial.Trial) -> dict[str, Any]:
    """What averaging the gradients adds to a step, beyond what goes on during the backward pass."""
    batch = laid_out(source.step(0), settings)
    model.train()

    def once(exchange: bool) -> None:
        alone = isinstance(model, DistributedDataParallel) and not exchange
        with model.no_sync() if alone else nullcontext():
            with precision(settings, running.place):
                loss = F.cross_entropy(model(batch[0]), batch[1])
            loss.backward()
        model.zero_grad()

    return running.communication(once)


def work(asked: trial.Asked) -> dict[str, Any]:
    """What each rank does from start to end."""
    settings: TrainImages = asked.settings
    place = trial.start(settings)
    source = images(settings, place)
    with trial.Trial(HERE, asked, place, source.facts) as running, ranks.peers():
        net, model = build(settings, place)
        train(settings, model, source, running)
        needed = flops.training(layers(settings)) * settings.batch / place.ranks
        speed = running.speed(needed, {"images": settings.batch})
        quality = evaluate(settings, net, source, "test", place)
        validation = evaluate(settings, net, source, "validation", place)["accuracy"]
        speed["communication"] = probe(settings, model, source, running)
        report = running.report(net, quality=quality, validation_accuracy=validation, speed=speed)
    ranks.leave()
    return report


if __name__ == "__main__":
    common.run(lambda: work(trial.command(__doc__, config)))
