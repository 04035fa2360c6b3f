"""Samples what the GPU's driver says of it while something runs: load, power, memory, temperature, clock."""

import threading
from collections.abc import Callable
from typing import Any

from workloads.steps import spread

EVERY_S = 0.2


class Sampler:
    """Between `start` and `stop` a thread asks the driver; `stop` gives median and p90 of each value.

    Without a GPU, nvidia-ml-py or a driver it gives None and the reason.
    """

    def __init__(self, device: Any) -> None:
        self.samples: dict[str, list[float]] = {}
        self.refused: dict[str, str] = {}
        self.over = threading.Event()
        self.thread: threading.Thread | None = None
        self.reason: str | None = None
        self.questions: dict[str, Callable[[], float]] = {}
        try:
            self.questions = _questions(device)
        except Exception as error:
            self.reason = f"{type(error).__name__}: {error}"

    def start(self) -> None:
        if self.questions and self.thread is None:
            self.thread = threading.Thread(target=self._run, name="nvml", daemon=True)
            self.thread.start()

    def _run(self) -> None:
        while not self.over.wait(EVERY_S):
            for name, ask in self.questions.items():
                try:
                    self.samples.setdefault(name, []).append(ask())
                except Exception as error:
                    # A part of a GPU (MIG), or an older one, does not know everything.
                    self.refused[name] = str(error)

    def stop(self) -> dict[str, Any]:
        self.over.set()
        if self.thread is not None:
            self.thread.join()
        if self.reason or not self.samples:
            return {"samples": None, "reason": self.reason or f"shorter than {EVERY_S} s"}
        found: dict[str, Any] = {name: spread(values) for name, values in self.samples.items()}
        return {
            "every_s": EVERY_S,
            "samples": max(map(len, self.samples.values())),
            **found,
            **self.refused,
        }


def _questions(device: Any) -> dict[str, Callable[[], float]]:
    if device.type != "cuda":
        raise LookupError("no GPU is used")
    import pynvml
    import torch

    pynvml.nvmlInit()
    # CUDA numbers those that it may use, NVML all of them.
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    gpu = pynvml.nvmlDeviceGetHandleByUUID(uuid)
    return {
        "utilisation_percent": lambda: pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
        "power_w": lambda: pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
        "memory_used_bytes": lambda: pynvml.nvmlDeviceGetMemoryInfo(gpu).used,
        "temperature_c": lambda: pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU),
        "sm_clock_mhz": lambda: pynvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_SM),
    }
