"""What the trainings on images and on text share around their loops: the command line, the report, and where
it goes.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import torch

from workloads import common, hardware, ranks
from workloads.common import HopelessError, WorkloadError, log
from workloads.nvml import Sampler
from workloads.settings import changed
from workloads.steps import Stopwatch, exposed
from workloads.tracking import Run


@dataclass(frozen=True)
class Asked:
    """The command line."""

    config: str
    settings: Any
    bare: bool
    output: Path | None


def command(doc: str | None, config: ModuleType, arguments: Sequence[str] | None = None) -> Asked:
    """Read the command line of a workload with the configurations of `config`."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--config", choices=["reference", "tiny"], default="reference")
    parser.add_argument("--bare", action="store_true", help="There is no platform: nothing goes to MLflow")
    parser.add_argument("--output", type=Path, help="A file for the report, with the loss of each step")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="Another value of a setting"
    )
    given = parser.parse_args(arguments)
    if not given.bare and not os.environ.get("MLFLOW_TRACKING_URI"):
        raise HopelessError("MLFLOW_TRACKING_URI is not set; give --bare where there is no platform")
    settings = changed(getattr(config, given.config)(), given.set)
    if settings.steps <= settings.warmup_steps:
        raise HopelessError(
            f"{settings.steps} steps leave none to measure after {settings.warmup_steps} of warm-up"
        )
    return Asked(given.config, settings, given.bare, given.output)


def start(settings: Any) -> ranks.Place:
    """Take this process's place, with the same random numbers to come on every rank."""
    if settings.deterministic:
        # cuBLAS reads it when it starts.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(settings.deterministic)
    # Products of matrices are true FP32 by default, convolutions are not.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = not settings.deterministic
    place = ranks.take_place(settings.device, settings.batch)
    torch.manual_seed(settings.seed)
    return place


@dataclass
class Trial:
    """One training: its losses, its stopwatch and its run. Use it as a context, so that a failure is told."""

    folder: Path
    asked: Asked
    place: ranks.Place
    data: dict[str, Any]
    """What it learns from, with `sha256`."""
    losses: list[float] = field(default_factory=list)
    """The mean over the ranks, by step."""
    unread: list[torch.Tensor] = field(default_factory=list)
    """Losses that may still be on their way; reading them would make the host wait for the device."""
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.clock = hardware.clock_of(self.place.device)
        self.watch = Stopwatch(self.clock, self.asked.settings.warmup_steps)
        self.driver = Sampler(self.place.device)
        self.facts = hardware.facts(self.place.device)
        self.lineage = {
            "data_sha256": self.data["sha256"],
            "code_sha256": common.code_hash(self.folder),
            "image": os.environ.get("SEATRIAL_IMAGE", "unknown"),
        }

    def __enter__(self) -> "Trial":
        if not self.asked.bare:
            ranks.on_rank_0(self._open)
        return self

    def _open(self) -> None:
        tags = {**self.lineage, **{name: str(value) for name, value in self.facts.items()}}
        parameters = {**asdict(self.asked.settings), "ranks": self.place.ranks}
        self.runs.append(Run(self.asked.settings.experiment, tags, parameters))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.driver.stop()
        if kind is not None:
            for run in self.runs:
                run.fail(error)

    def begin(self) -> None:
        """A step begins."""
        self.watch.begin()
        if self.watch.counts:
            self.driver.start()

    def end(self, loss: torch.Tensor) -> None:
        """A step ended; every `log_every` of them the ranks share their losses."""
        self.unread.append(loss.detach())
        if len(self.unread) == self.asked.settings.log_every:
            self.share()

    def share(self) -> None:
        if self.unread:
            self.losses += ranks.mean(self.unread)
            self.unread.clear()
            if not math.isfinite(self.losses[-1]):
                raise HopelessError(f"after {len(self.losses)} steps the loss is {self.losses[-1]}")
            log("trained", step=len(self.losses), loss=round(self.losses[-1], 4))
            for run in self.runs:
                run.series("loss", self.losses)

    def speed(self, flops: float, work: dict[str, int]) -> dict[str, Any]:
        """Of the steps so far: times, rates of the `work` of a step (all ranks), and how much of the device
        they used, for the `flops` that the model needs for one (this rank's share).
        """
        self.share()
        times = self.watch.times()
        seconds, wall = times["step_ms"]["median"] / 1000, times["wall_s"]
        dtype = self.asked.settings.precision
        device = self.facts["device"]
        return {
            **times,
            **{f"{name}_per_s": round(count * times["steps"] / wall, 1) for name, count in work.items()},
            "flops_per_step": flops,
            "flops_per_s": flops / seconds,
            **hardware.utilisation(flops, seconds, device, dtype),
            "gpu": self.driver.stop(),
            "memory_bytes": _most_memory(self.place.device),
        }

    def communication(self, once: Callable[[bool], None]) -> dict[str, Any]:
        """What exchanging gradients adds to a step; see `steps.exposed`."""
        if self.place.ranks == 1:
            return {"exposed_ms": None, "reason": "one rank has nobody to exchange with"}
        with ranks.peers():
            return {"backend": self.place.backend, **exposed(self.clock, once)}

    def report(self, model: torch.nn.Module, **parts: Any) -> dict[str, Any]:
        """What this rank says at its end; rank 0 says all of it, to the platform and to a file too."""
        hashes = ranks.gather(ranks.weights_hash(model))
        log("weights", rank=self.place.rank, sha256=hashes[self.place.rank])
        if len(set(hashes)) > 1:
            raise WorkloadError(f"the ranks ended with different weights: {hashes}")
        whole: dict[str, Any] = ranks.on_rank_0(lambda: self._finish(hashes[0], parts))
        return whole if self.place.rank == 0 else {"rank": self.place.rank, "weights_sha256": hashes[0]}

    def _finish(self, weights: str, parts: dict[str, Any]) -> dict[str, Any]:
        settings = self.asked.settings
        report = {
            "workload": self.folder.name,
            "config": self.asked.config,
            "settings": asdict(settings),
            "ranks": self.place.ranks,
            "backend": self.place.backend,
            **self.lineage,
            "data": self.data,
            "hardware": self.facts,
            "rates": hardware.rates(self.place.device),
            "loss": {"first": self.losses[0], "last": self.losses[-1]},
            **parts,
            "weights_sha256": weights,
            "ended": hardware.now(),
            "seconds": round(time.monotonic() - self.began, 1),
        }
        for run in self.runs:
            run.report(report)
            report["run_id"] = run.id
        if self.asked.output:
            text = json.dumps({**report, "losses": self.losses}, indent=1)
            self.asked.output.write_text(text + "\n")
        return report


def _most_memory(device: torch.device) -> int | None:
    """The most bytes that tensors took on a GPU at once."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
