"""Train a small GPT on text that comes with Python, and measure how well the hardware was used.

One process trains alone. Several (`torchrun`) share the rows of each step, and keep the weights in shards
(FSDP2). With `--bare` nothing of a platform is needed, only PyTorch:

    python -m workloads.train_text.main --config reference --bare --output report.json
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.optim.lr_scheduler import OneCycleLR

from workloads import common, ranks, trial
from workloads.common import WorkloadError
from workloads.train_text import config, corpus, flops
from workloads.train_text.config import TrainText
from workloads.train_text.model import VOCABULARY, Gpt

HERE = Path(__file__).parent


# --- the data -----------------------------------------------------------------------------------------------


def as_tensor(text: bytes, settings: TrainText, device: torch.device) -> torch.Tensor:
    if len(text) <= settings.context + 1:
        raise WorkloadError(f"a part of the text has {len(text)} bytes, fewer than a window needs")
    return torch.frombuffer(bytearray(text), dtype=torch.uint8).to(device)


def windows(text: torch.Tensor, starts: torch.Tensor, context: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The bytes of each window and, for each of them, the byte that follows: (windows, context) both."""
    rows = text[starts[:, None] + torch.arange(context + 1, device=text.device)].long()
    return rows[:, :-1], rows[:, 1:]


# --- the model ----------------------------------------------------------------------------------------------


def build(settings: TrainText, place: ranks.Place) -> Gpt:
    """The same weights on each rank, whole or in shards; each block compiled by itself."""
    model = Gpt(settings).to(place.device)
    counted = sum(weight.numel() for weight in model.parameters())
    if counted != flops.parameters(*_shape(settings)):
        raise WorkloadError(f"the model has {counted} parameters; flops.py counts other ones")
    if settings.compile:
        for block in model.blocks:
            block.compile()
    if place.ranks > 1:
        bf16 = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        policy = bf16 if settings.precision == "bf16" else MixedPrecisionPolicy()
        mesh = init_device_mesh(place.device.type, (place.ranks,))
        for part in [*model.blocks, model]:
            fully_shard(part, mesh=mesh, mp_policy=policy)
    return model


def _shape(settings: TrainText) -> tuple[int, int, int, int]:
    return settings.layers, settings.width, VOCABULARY, settings.context


def precision(settings: TrainText, place: ranks.Place) -> AbstractContextManager[Any]:
    """FSDP casts what it gathers; a whole model computes under autocast."""
    if settings.precision == "bf16" and place.ranks == 1:
        return torch.autocast(place.device.type, torch.bfloat16)
    return nullcontext()


def loss_of(model: Gpt, tokens: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood of the bytes that follow, in nats."""
    logits = model(tokens)
    return F.cross_entropy(logits.float().flatten(0, 1), following.flatten())


def optimizer_of(model: Gpt, settings: TrainText) -> torch.optim.AdamW:
    """Matrices decay, biases and norms do not."""
    matrices = [weight for weight in model.parameters() if weight.dim() >= 2]
    others = [weight for weight in model.parameters() if weight.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95), fused=True)


# --- training -----------------------------------------------------------------------------------------------


def train(settings: TrainText, model: Gpt, text: torch.Tensor, running: trial.Trial) -> None:
    """Every rank draws the windows of the whole step and takes its share of them."""
    place = running.place
    optimizer = optimizer_of(model, settings)
    rate = OneCycleLR(optimizer, settings.learning_rate, settings.steps, pct_start=0.1, cycle_momentum=False)
    drawn = torch.Generator(device=place.device).manual_seed(settings.seed)
    model.train()
    for _ in range(settings.steps):
        running.begin()
        starts = torch.randint(
            len(text) - settings.context, (settings.batch,), generator=drawn, device=place.device
        )
        tokens, following = windows(text, place.share(starts), settings.context)
        running.watch.mark("data")
        with precision(settings, place):
            loss = loss_of(model, tokens, following)
        running.watch.mark("forward")
        loss.backward()
        running.watch.mark("backward")
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad()
        rate.step()
        running.watch.mark("optimizer")
        running.end(loss)


@torch.no_grad()
def evaluate(settings: TrainText, model: Gpt, text: torch.Tensor, place: ranks.Place) -> dict[str, Any]:
    """Loss and share of bytes guessed right over windows spread evenly over the held-out text.

    Each rank looks at all of them, in parts as large as its share of a step.
    """
    model.eval()
    last = len(text) - settings.context - 1
    starts = torch.linspace(0, last, settings.evaluated, dtype=torch.float64).long().to(place.device)
    loss, right = 0.0, 0
    for part in starts.split(settings.batch // place.ranks):
        tokens, following = windows(text, part, settings.context)
        with precision(settings, place):
            logits = model(tokens).float()
        loss += F.cross_entropy(logits.flatten(0, 1), following.flatten(), reduction="sum").item()
        right += int((logits.argmax(-1) == following).sum())
    count = settings.evaluated * settings.context
    return {
        "loss": loss / count,
        "accuracy": right / count,
        "perplexity": float(torch.tensor(loss / count).exp()),
        "bytes": count,
    }


def probe(settings: TrainText, model: Gpt, text: torch.Tensor, running: trial.Trial) -> dict[str, Any]:
    """What reducing the gradients adds to a step. Gathering the shards is in both of what is compared."""
    place = running.place
    starts = torch.arange(settings.batch // place.ranks, device=place.device)
    tokens, following = windows(text, starts, settings.context)

    def once(exchange: bool) -> None:
        model.set_requires_gradient_sync(exchange)
        with precision(settings, place):
            loss = loss_of(model, tokens, following)
        loss.backward()
        model.zero_grad()

    return running.communication(once)


def work(asked: trial.Asked) -> dict[str, Any]:
    """What each rank does from start to end."""
    settings: TrainText = asked.settings
    place = trial.start(settings)
    source = corpus.read(settings.corpus)
    data = {
        "origin": source.origin,
        "train_bytes": len(source.train),
        "held_out_bytes": len(source.held_out),
        "sha256": source.sha256,
    }
    with trial.Trial(HERE, asked, place, data) as running, ranks.peers():
        train_text = as_tensor(source.train, settings, place.device)
        held_out = as_tensor(source.held_out, settings, place.device)
        model = build(settings, place)
        train(settings, model, train_text, running)
        tokens = settings.batch * settings.context
        needed = flops.of_a_token(*_shape(settings)) * tokens / place.ranks
        speed = running.speed(needed, {"tokens": tokens})
        quality = evaluate(settings, model, held_out, place)
        speed["communication"] = probe(settings, model, train_text, running)
        report = running.report(model, quality=quality, speed=speed)
    ranks.leave()
    return report


if __name__ == "__main__":
    common.run(lambda: work(trial.command(__doc__, config)))
