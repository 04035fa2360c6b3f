"""What is told of GPUs: under DCGM's names, what the driver said, and nothing that it did not say."""

import json
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest

import workloads
from workloads.common import HopelessError
from workloads.watch_gpus import config, fields, main, manifest
from workloads.watch_gpus.config import WatchGpus

IMAGE = "registry.example/seatrial/workloads:0123"
DEFAULT_COUNTERS = {
    "SM_CLOCK", "MEM_CLOCK", "MEMORY_TEMP", "GPU_TEMP", "POWER_USAGE", "TOTAL_ENERGY_CONSUMPTION",
    "PCIE_REPLAY_COUNTER", "GPU_UTIL", "MEM_COPY_UTIL", "ENC_UTIL", "DEC_UTIL", "XID_ERRORS", "FB_FREE",
    "FB_USED", "FB_RESERVED", "NVLINK_BANDWIDTH_TOTAL", "VGPU_LICENSE_STATUS", "UNCORRECTABLE_REMAPPED_ROWS",
    "CORRECTABLE_REMAPPED_ROWS", "ROW_REMAP_FAILURE",
}  # fmt: skip
"""DCGM_FI_DEV_… that dcgm-exporter 4.8.2 tells of unless it is told otherwise."""
COUNTED = {
    "TOTAL_ENERGY_CONSUMPTION",
    "PCIE_REPLAY_COUNTER",
    "UNCORRECTABLE_REMAPPED_ROWS",
    "CORRECTABLE_REMAPPED_ROWS",
}


class NVMLError(Exception):
    pass


class NotSupported(NVMLError):
    pass


class Nvml(ModuleType):
    """pynvml as far as it is asked, on a machine with two GPUs; what is in `refused` is not answered."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU, NVML_FI_DEV_MEMORY_TEMP = 1, 2, 0, 82
    NVML_SUCCESS, NVML_VALUE_TYPE_UNSIGNED_INT, nvmlMemory_v2 = 0, 1, 0x02000028
    NVMLError = NVMLError

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.gpus, self.refused, self.begun, self.over = 2, set[str](), 0, 0
        self.broken: NVMLError | None = None
        self.used = 10 * 2**30 + 2**19
        self.field = SimpleNamespace(nvmlReturn=0, valueType=1, value=SimpleNamespace(uiVal=55))

    def __getattribute__(self, name: str) -> Any:
        if name in object.__getattribute__(self, "refused"):
            raise NotSupported("Not Supported")
        return super().__getattribute__(name)

    def nvmlInit(self) -> None:
        self.begun += 1

    def nvmlShutdown(self) -> None:
        self.over += 1

    def nvmlDeviceGetCount(self) -> int:
        if self.broken:
            raise self.broken
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        return number

    def nvmlDeviceGetUUID(self, gpu: int) -> bytes:
        return f"GPU-{gpu}".encode()

    def nvmlDeviceGetName(self, gpu: int) -> str:
        return "NVIDIA H100 80GB HBM3"

    def nvmlDeviceGetPciInfo(self, gpu: int) -> Any:
        return SimpleNamespace(busId=f"00000000:{gpu}B:00.0")

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.82.07"

    def nvmlDeviceGetClockInfo(self, gpu: int, of: int) -> int:
        return {1: 1980, 2: 2619}[of]

    def nvmlDeviceGetTemperature(self, gpu: int, sensor: int) -> int:
        return 41 + gpu

    def nvmlDeviceGetFieldValues(self, gpu: int, asked: list[int]) -> list[Any]:
        assert asked == [82]
        return [self.field]

    def nvmlDeviceGetPowerUsage(self, gpu: int) -> int:
        return 693_500

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: int) -> int:
        return 123_456_789

    def nvmlDeviceGetPcieReplayCounter(self, gpu: int) -> int:
        return 0

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> Any:
        return SimpleNamespace(gpu=97, memory=31)

    def nvmlDeviceGetEncoderUtilization(self, gpu: int) -> list[int]:
        return [3, 167000]

    def nvmlDeviceGetDecoderUtilization(self, gpu: int) -> list[int]:
        return [4, 167000]

    def nvmlDeviceGetMemoryInfo(self, gpu: int, version: int | None = None) -> Any:
        assert version == self.nvmlMemory_v2, "in the first version what is reserved counts as used"
        return SimpleNamespace(free=68 * 2**30, used=self.used, reserved=600 * 2**20)

    def nvmlDeviceGetRemappedRows(self, gpu: int) -> tuple[int, int, int, int]:
        return 5, 6, 1, 0


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    made = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", made)
    return made


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    server = main.serve(config.tiny(), main.Driver("node-a"))
    yield httpx.Client(base_url=f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    server.server_close()


def values(http: httpx.Client, gpu: int = 0) -> dict[str, float]:
    """The figures of one GPU, without DCGM_FI_DEV_."""
    answer = http.get("/metrics")
    assert answer.status_code == 200, answer.text
    found = {}
    for line in answer.text.splitlines():
        if line.startswith("DCGM_FI_DEV_") and f'gpu="{gpu}"' in line:
            found[line.partition("{")[0].removeprefix("DCGM_FI_DEV_")] = float(line.rpartition(" ")[2])
    return found


def untold(http: httpx.Client) -> set[str]:
    lines = [line for line in http.get("/metrics").text.splitlines() if line.startswith("watch_gpus_untold{")]
    return {line.partition('field="DCGM_FI_DEV_')[2].partition('"')[0] for line in lines}


def test_each_figure_has_dcgms_name_and_unit(nvml: Nvml, http: httpx.Client) -> None:
    assert values(http) == {
        "SM_CLOCK": 1980, "MEM_CLOCK": 2619, "GPU_TEMP": 41, "MEMORY_TEMP": 55, "POWER_USAGE": 693.5,
        "TOTAL_ENERGY_CONSUMPTION": 123_456_789, "PCIE_REPLAY_COUNTER": 0, "GPU_UTIL": 97,
        "MEM_COPY_UTIL": 31, "ENC_UTIL": 3, "DEC_UTIL": 4, "FB_FREE": 69632, "FB_USED": 10240,
        "FB_RESERVED": 600, "CORRECTABLE_REMAPPED_ROWS": 5, "UNCORRECTABLE_REMAPPED_ROWS": 6,
        "ROW_REMAP_FAILURE": 0,
    }  # fmt: skip
    assert values(http, gpu=1)["GPU_TEMP"] == 42
    assert untold(http) == set()


def test_only_names_are_used_that_dcgm_exporter_uses_too() -> None:
    names = {name.removeprefix("DCGM_FI_DEV_") for name in fields.FIELDS}
    assert names < DEFAULT_COUNTERS
    counted = {name for name in names if fields.FIELDS[f"DCGM_FI_DEV_{name}"].kind == "counter"}
    assert counted == COUNTED


def test_a_gpu_is_named_as_dcgm_exporter_names_it(nvml: Nvml, http: httpx.Client) -> None:
    lines = [
        line for line in http.get("/metrics").text.splitlines() if line.startswith("DCGM_FI_DEV_GPU_UTIL{")
    ]
    assert lines[1] == (
        'DCGM_FI_DEV_GPU_UTIL{DCGM_FI_DRIVER_VERSION="580.82.07",UUID="GPU-1",device="nvidia1",gpu="1",'
        'hostname="node-a",modelName="NVIDIA H100 80GB HBM3",pci_bus_id="00000000:1B:00.0"} 97.0'
    )


def test_what_a_gpu_does_not_tell_is_absent_with_the_reason(nvml: Nvml, http: httpx.Client) -> None:
    """As a GPU that is divided (MIG) has no utilisation."""
    nvml.refused |= {"nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPowerUsage"}
    assert not {"GPU_UTIL", "MEM_COPY_UTIL", "POWER_USAGE"} & set(values(http))
    assert values(http)["SM_CLOCK"] == 1980
    assert untold(http) == {"GPU_UTIL", "MEM_COPY_UTIL", "POWER_USAGE"}
    assert 'reason="Not Supported"' in http.get("/metrics").text


@pytest.mark.parametrize("number", [2**64 - 1, 2**32 - 1])
def test_a_number_that_means_that_there_is_none_is_not_told(
    nvml: Nvml, http: httpx.Client, number: int
) -> None:
    nvml.used = number
    assert "FB_USED" not in values(http)
    assert untold(http) == {"FB_USED"}


@pytest.mark.parametrize("change", [{"nvmlReturn": 3}, {"valueType": 0}])
def test_a_field_that_was_not_read_is_not_told(
    nvml: Nvml, http: httpx.Client, change: dict[str, int]
) -> None:
    vars(nvml.field).update(change)
    assert "MEMORY_TEMP" not in values(http)
    assert untold(http) == {"MEMORY_TEMP"}


def test_without_a_gpu_nothing_is_told_and_the_reason_is_said(nvml: Nvml, http: httpx.Client) -> None:
    nvml.gpus = 0
    for path in ("/metrics", "/readyz"):
        answer = http.get(path)
        assert (answer.status_code, answer.text) == (503, "the driver knows no GPU")
    assert http.get("/livez").status_code == 200
    assert http.get("/other").status_code == 404


def test_after_a_failure_the_driver_is_begun_anew(nvml: Nvml, http: httpx.Client) -> None:
    assert values(http)
    assert values(http)
    assert (nvml.begun, nvml.over) == (1, 0)
    nvml.broken = NVMLError("GPU is lost")
    assert http.get("/metrics").text == "NVMLError: GPU is lost"
    assert (nvml.begun, nvml.over) == (1, 1)
    nvml.broken = None
    assert values(http)
    assert nvml.begun == 2


def test_without_the_library_nothing_is_told(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    answer = http.get("/metrics")
    assert answer.status_code == 503
    assert "nvidia-ml-py is missing" in answer.text


def test_bare_a_machine_without_a_gpu_is_an_error_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workloads.watch_gpus.main", "--bare", "--port", "0"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        pytest.skip("this machine has a GPU")
    assert done.returncode == 3
    assert "no GPU can be asked" in json.loads(done.stdout.splitlines()[-1])["error"]


def test_what_is_asked_is_in_the_real_library() -> None:
    real = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed here")
    for name in (name for name in vars(Nvml) if name.startswith(("nvml", "NVML"))):
        assert hasattr(real, name), name
    assert (real.nvmlMemory_v2, real.NVML_FI_DEV_MEMORY_TEMP) == (Nvml.nvmlMemory_v2, 82)


def test_the_pods_run_where_gpus_are_see_all_and_take_none() -> None:
    daemons, monitor = workloads.manifest("watch_gpus", IMAGE)
    spec = daemons["spec"]["template"]["spec"]
    assert daemons["kind"] == "DaemonSet"
    assert spec["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert [each["key"] for each in spec["tolerations"]] == ["nvidia.com/gpu"]
    [container] = spec["containers"]
    assert container["image"] == "registry.example/seatrial/booking-api:0123"
    assert "nvidia.com/gpu" not in json.dumps(container["resources"])
    assert {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"} in container["env"]
    assert "envFrom" not in container
    labels = daemons["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == container["ports"][0]["name"]
    assert {"targetLabel": "job", "replacement": "dcgm-exporter"} in endpoint["relabelings"]
    assert monitor["metadata"]["labels"]["app.kubernetes.io/part-of"] == "seatrial"
    assert monitor["metadata"]["namespace"] == daemons["metadata"]["namespace"] == manifest.NAMESPACE


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(HopelessError, match="port must be from 0"):
        WatchGpus(port=70000)
    with pytest.raises(ValueError, match="port must be from 0"):
        workloads.manifest("watch_gpus", IMAGE, arguments=["--set", "port=70000"])
