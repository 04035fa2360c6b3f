"""The questions to NVML whose answers mean what DCGM's fields mean, and how a GPU is named.

NVML is what DCGM asks too. A field that DCGM measures by itself, or tells in a way of its own, is not here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

MIB = 2**20
UNKNOWN = (2**64 - 1, 2**32 - 1)
"""What NVML writes where a number is not available."""


class Untold(Exception):
    """The device does not tell this."""


@dataclass(frozen=True)
class Field:
    """One figure of a GPU."""

    kind: str
    """gauge or counter, as dcgm-exporter has it."""
    about: str
    """As dcgm-exporter says it."""
    ask: Callable[[Any, Any], float]
    """Takes the module pynvml and a handle."""


def memory(nvml: Any, gpu: Any) -> Any:
    """In the second version what the driver keeps for itself is apart; in the first it counts as used."""
    return nvml.nvmlDeviceGetMemoryInfo(gpu, version=nvml.nvmlMemory_v2)


def memory_temperature(nvml: Any, gpu: Any) -> float:
    [value] = nvml.nvmlDeviceGetFieldValues(gpu, [nvml.NVML_FI_DEV_MEMORY_TEMP])
    if value.nvmlReturn != nvml.NVML_SUCCESS:
        raise nvml.NVMLError(value.nvmlReturn)
    if value.valueType != nvml.NVML_VALUE_TYPE_UNSIGNED_INT:
        raise Untold(f"a value of type {value.valueType}")
    return float(value.value.uiVal)


FIELDS: dict[str, Field] = {
    "DCGM_FI_DEV_SM_CLOCK": Field(
        "gauge", "SM clock frequency (in MHz).",
        lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
    ),
    "DCGM_FI_DEV_MEM_CLOCK": Field(
        "gauge", "Memory clock frequency (in MHz).",
        lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM),
    ),
    "DCGM_FI_DEV_GPU_TEMP": Field(
        "gauge", "GPU temperature (in C).",
        lambda nvml, gpu: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
    ),
    "DCGM_FI_DEV_MEMORY_TEMP": Field("gauge", "Memory temperature (in C).", memory_temperature),
    "DCGM_FI_DEV_POWER_USAGE": Field(
        "gauge", "Power draw (in W).", lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000
    ),
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": Field(
        "counter", "Total energy consumption since boot (in mJ).",
        lambda nvml, gpu: nvml.nvmlDeviceGetTotalEnergyConsumption(gpu),
    ),
    "DCGM_FI_DEV_PCIE_REPLAY_COUNTER": Field(
        "counter", "Total number of PCIe retries.",
        lambda nvml, gpu: nvml.nvmlDeviceGetPcieReplayCounter(gpu),
    ),
    "DCGM_FI_DEV_GPU_UTIL": Field(
        "gauge", "GPU utilization (in %).", lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu
    ),
    "DCGM_FI_DEV_MEM_COPY_UTIL": Field(
        "gauge", "Memory utilization (in %).",
        lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).memory,
    ),
    "DCGM_FI_DEV_ENC_UTIL": Field(
        "gauge", "Encoder utilization (in %).",
        lambda nvml, gpu: nvml.nvmlDeviceGetEncoderUtilization(gpu)[0],
    ),
    "DCGM_FI_DEV_DEC_UTIL": Field(
        "gauge", "Decoder utilization (in %).",
        lambda nvml, gpu: nvml.nvmlDeviceGetDecoderUtilization(gpu)[0],
    ),
    "DCGM_FI_DEV_FB_FREE": Field(
        "gauge", "Framebuffer memory free (in MiB).", lambda nvml, gpu: known(memory(nvml, gpu).free) // MIB
    ),
    "DCGM_FI_DEV_FB_USED": Field(
        "gauge", "Framebuffer memory used (in MiB).", lambda nvml, gpu: known(memory(nvml, gpu).used) // MIB
    ),
    "DCGM_FI_DEV_FB_RESERVED": Field(
        "gauge", "Framebuffer memory reserved (in MiB).",
        lambda nvml, gpu: known(memory(nvml, gpu).reserved) // MIB,
    ),
    "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS": Field(
        "counter", "Number of remapped rows for correctable errors",
        lambda nvml, gpu: nvml.nvmlDeviceGetRemappedRows(gpu)[0],
    ),
    "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": Field(
        "counter", "Number of remapped rows for uncorrectable errors",
        lambda nvml, gpu: nvml.nvmlDeviceGetRemappedRows(gpu)[1],
    ),
    "DCGM_FI_DEV_ROW_REMAP_FAILURE": Field(
        "gauge", "Whether remapping of rows has failed",
        lambda nvml, gpu: nvml.nvmlDeviceGetRemappedRows(gpu)[3],
    ),
}  # fmt: skip


def known(value: Any) -> Any:
    """The value, a number, itself.

    Raises:
        Untold: it is what NVML writes where it knows none.
    """
    if value in UNKNOWN:
        raise Untold("not available")
    return value


def told(nvml: Any, gpu: Any) -> Iterator[tuple[str, float | str]]:
    """For each field its value, or the driver's reason for telling none."""
    for name, field in FIELDS.items():
        try:
            yield name, float(known(field.ask(nvml, gpu)))
        except (nvml.NVMLError, Untold) as refused:
            yield name, str(refused)


def labels(nvml: Any, gpu: Any, number: int, hostname: str) -> dict[str, str]:
    """A GPU's names, as dcgm-exporter writes them; `number` is that which NVML counts it by."""
    return {
        "gpu": str(number),
        "UUID": _text(nvml.nvmlDeviceGetUUID(gpu)),
        "pci_bus_id": _text(nvml.nvmlDeviceGetPciInfo(gpu).busId),
        "device": f"nvidia{number}",
        "modelName": _text(nvml.nvmlDeviceGetName(gpu)),
        "hostname": hostname,
        "DCGM_FI_DRIVER_VERSION": _text(nvml.nvmlSystemGetDriverVersion()),
    }


def _text(value: Any) -> str:
    """Older releases of nvidia-ml-py have bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
