"""What a workload computes on: the device, its peak, and what it really does of it.

Nothing here is guessed. A device that the table does not know has no peak, so that nobody divides by that of
another one; what cannot be measured is None, with the reason.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workloads import steps

# --- peaks ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peak:
    """TFLOP/s (1e12) by type of number, dense: datasheets like to tell twice as much, for sparse matrices."""

    source: str
    bf16: float | None = None
    """Accumulated in FP32."""
    tf32: float | None = None
    fp32: float | None = None
    """Without tensor cores."""


_A100 = "NVIDIA A100 Tensor Core GPU datasheet, June 2021"
_H100 = "NVIDIA H100 Tensor Core GPU Architecture whitepaper, table of dense rates"
PEAKS = {
    "NVIDIA A100-SXM4-40GB": Peak(_A100, bf16=312, tf32=156, fp32=19.5),
    "NVIDIA A100-SXM4-80GB": Peak(_A100, bf16=312, tf32=156, fp32=19.5),
    "NVIDIA A100-PCIE-40GB": Peak(_A100, bf16=312, tf32=156, fp32=19.5),
    "NVIDIA A100 80GB PCIe": Peak(_A100, bf16=312, tf32=156, fp32=19.5),
    "NVIDIA H100 80GB HBM3": Peak(f"{_H100} (SXM5)", bf16=989.4, tf32=494.7, fp32=66.9),
    "NVIDIA H100 PCIe": Peak(f"{_H100} (PCIe)", bf16=756, tf32=378, fp32=51.2),
    "NVIDIA H100 NVL": Peak("NVIDIA H100 datasheet (NVL), halved as it is sparse", bf16=835.5, tf32=417.5),
    "NVIDIA H200": Peak(
        "NVIDIA H200 datasheet (SXM), halved as it is sparse", bf16=989.5, tf32=494.5, fp32=67
    ),
    "NVIDIA L4": Peak("NVIDIA L4 datasheet, halved as it is sparse", bf16=121, tf32=60, fp32=30.3),
    "NVIDIA L40S": Peak("NVIDIA L40S datasheet, dense column", bf16=362.05, tf32=183, fp32=91.6),
}
"""By the name that CUDA gives. Compared whole: a part of a GPU (MIG) has another name, and no peak."""


def peak_flops(device: str, dtype: str) -> float | None:
    """FLOP/s of a device by its name and `bf16`, `tf32` or `fp32`; None where the table does not say."""
    known = PEAKS.get(device)
    tera: float | None = getattr(known, dtype) if known else None
    return tera * 1e12 if tera else None


def utilisation(flops: float, seconds: float, device: str, dtype: str) -> dict[str, Any]:
    """MFU: the FLOPs that the model needs in a step / (seconds of the step x peak of the device)."""
    peak = peak_flops(device, dtype)
    if peak is None:
        return {"mfu": None, "mfu_reason": f"no {dtype} peak is known for '{device}'"}
    share = flops / (seconds * peak)
    if share > 1:
        return {"mfu": None, "mfu_reason": f"{share:.2f} is not possible: the FLOPs or the peak are wrong"}
    return {"mfu": round(share, 4), "peak_flops_per_s": peak, "peak_source": PEAKS[device].source}


# --- the device -------------------------------------------------------------------------------------------


def facts(device: Any) -> dict[str, Any]:
    """What there is: the CPU, the GPU if `device` (a torch.device) is one, and the versions."""
    import torch

    found = {
        "device": cpu_name(),
        "cpu": cpu_name(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "device": properties.name,
            "memory_bytes": properties.total_memory,
            "multiprocessors": properties.multi_processor_count,
            "compute_capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
            "nccl": ".".join(map(str, torch.cuda.nccl.version())),
        }
    return found


def cpu_name() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


# --- what it does -----------------------------------------------------------------------------------------

MATMUL_SIDE = {"cuda": 8192, "cpu": 1024}
COPIED_BYTES = {"cuda": 1 << 30, "cpu": 1 << 28}
"""Far more than any cache holds."""


def rates(device: Any) -> dict[str, Any]:
    """The rate of a large matrix product and that of a large copy, as this device does them now."""
    return {"matmul": matmul_rate(device), "copy": copy_rate(device)}


def matmul_rate(device: Any, repeats: int = 20) -> dict[str, Any]:
    """FLOP/s of a product of square matrices: 2 side^3 / median time; BF16 on a GPU, FP32 on a CPU."""
    import torch

    side = MATMUL_SIDE[device.type]
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(left)
    seconds = _median_seconds(device, lambda: torch.mm(left, right, out=out), repeats)
    return {
        "flops_per_s": 2 * side**3 / seconds,
        "side": side,
        "dtype": "bf16" if device.type == "cuda" else "fp32",
        "repeats": repeats,
    }


def copy_rate(device: Any, repeats: int = 20) -> dict[str, Any]:
    """Bytes/s between a device and its memory: (bytes read + bytes written) / median time of a copy."""
    import torch

    size = COPIED_BYTES[device.type]
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    seconds = _median_seconds(device, lambda: target.copy_(source), repeats)
    return {"bytes_per_s": 2 * size / seconds, "bytes": size, "repeats": repeats}


def _median_seconds(device: Any, work: Callable[[], Any], repeats: int, warmup: int = 5) -> float:
    clock = clock_of(device)
    marks = []
    for turn in range(warmup + repeats):
        first = clock.mark()
        work()
        if turn >= warmup:
            marks.append((first, clock.mark()))
    clock.settle()
    return statistics.median(clock.between(*pair) for pair in marks) / 1000


def clock_of(device: Any) -> steps.Clock:
    return steps.cuda() if device.type == "cuda" else steps.CPU


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
