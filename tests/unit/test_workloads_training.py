"""What of the trainings on images and text needs no PyTorch: formulas, tables, settings, texts, manifests."""

import sysconfig
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import pytest

import workloads
from workloads import gang, hardware, nvml, steps, tracking
from workloads.common import WorkloadError, digest
from workloads.settings import changed
from workloads.train_images import config as image_config
from workloads.train_images import flops as image_flops
from workloads.train_images import metrics
from workloads.train_text import config as text_config
from workloads.train_text import corpus
from workloads.train_text import flops as text_flops

IMAGE = "registry.example/seatrial/workloads:0123"
TRAININGS = ["train_images", "train_text"]


# --- FLOPs --------------------------------------------------------------------------------------------------

GPT2 = {"layers": 12, "width": 768, "vocabulary": 50257, "context": 1024}
GPT2_MEDIUM = {"layers": 24, "width": 1024, "vocabulary": 50257, "context": 1024}


def test_gpt2_has_the_parameters_that_its_checkpoints_have() -> None:
    assert text_flops.parameters(**GPT2) == 124_439_808
    assert text_flops.parameters(**GPT2_MEDIUM) == 354_823_168


def test_a_token_of_gpt2_takes_six_flops_a_parameter_and_twelve_of_attention() -> None:
    without_positions = 124_439_808 - 1024 * 768
    assert text_flops.of_a_token(**GPT2) == 6 * without_positions + 12 * 12 * 768 * 1024 == 855_166_464


def test_resnet50_has_the_parameters_and_the_flops_that_are_told_of_it() -> None:
    layers = image_flops.layers("resnet50", 224, 3, 1000)
    assert len(layers) == 54
    assert image_flops.parameters(layers) == 25_557_032
    assert image_flops.forward(layers) == 2 * 4_089_184_256
    assert image_flops.training(layers) == 6 * 4_089_184_256


def test_the_flops_of_the_small_network_are_those_counted_by_hand() -> None:
    layers = image_flops.layers("small", 8, 1, 10)
    multiply_adds = 8 * 8 * (9 * 32 + 9 * 32 * 64) + 4 * 4 * 9 * 64 * 64 + 1024 * 10
    assert image_flops.forward(layers) == 2 * multiply_adds
    assert image_flops.parameters(layers) == (288 + 32) + (18432 + 64) + (36864 + 64) + (10240 + 10)


def test_an_image_whose_side_is_odd_is_halved_upwards_as_padding_does() -> None:
    sides = [layer.side for layer in image_flops.layers("resnet50", 33, 3, 10)]
    assert sides[0] == 17
    assert (sides[1], sides[-2]) == (9, 2)


# --- peaks --------------------------------------------------------------------------------------------------


def test_a_known_device_has_its_dense_peak_and_its_source() -> None:
    assert hardware.peak_flops("NVIDIA H100 80GB HBM3", "bf16") == pytest.approx(989.4e12)
    assert hardware.peak_flops("NVIDIA H200", "bf16") == pytest.approx(989.5e12)
    assert all(peak.source for peak in hardware.PEAKS.values())
    assert all(peak.bf16 and peak.bf16 < 1000 for peak in hardware.PEAKS.values()), "that is a sparse peak"


@pytest.mark.parametrize("device", ["AMD EPYC 9654", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA H1000", ""])
def test_an_unknown_device_has_no_peak_and_no_utilisation(device: str) -> None:
    assert hardware.peak_flops(device, "bf16") is None
    found = hardware.utilisation(1e12, 1.0, device, "bf16")
    assert found == {"mfu": None, "mfu_reason": f"no bf16 peak is known for '{device}'"}


def test_a_type_of_number_that_the_source_does_not_tell_has_no_peak() -> None:
    assert hardware.peak_flops("NVIDIA H100 NVL", "fp32") is None


def test_utilisation_is_what_the_model_needs_of_what_the_device_could() -> None:
    found = hardware.utilisation(312e12, 2.0, "NVIDIA A100-SXM4-80GB", "bf16")
    assert found["mfu"] == 0.5
    assert found["peak_flops_per_s"] == 312e12


def test_more_than_the_peak_is_refused() -> None:
    found = hardware.utilisation(700e12, 2.0, "NVIDIA A100-SXM4-80GB", "bf16")
    assert found == {"mfu": None, "mfu_reason": "1.12 is not possible: the FLOPs or the peak are wrong"}


def test_the_driver_of_a_gpu_that_is_not_there_says_why() -> None:
    sampler = nvml.Sampler(Some(type="cpu"))
    sampler.start()
    assert sampler.stop() == {"samples": None, "reason": "LookupError: no GPU is used"}


def test_what_a_driver_does_not_know_does_not_hide_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> float:
        raise RuntimeError("Not Supported")

    monkeypatch.setattr(nvml, "EVERY_S", 0.01)
    monkeypatch.setattr(nvml, "_questions", lambda _: {"load": refuse, "power_w": lambda: 350.0})
    sampler = nvml.Sampler(Some(type="cuda"))
    sampler.start()
    deadline = time.monotonic() + 10
    while len(sampler.samples.get("power_w", [])) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    found = sampler.stop()
    assert found["power_w"] == {"median": 350.0, "p90": 350.0}
    assert found["load"] == "Not Supported"
    assert found["samples"] >= 3


# --- times --------------------------------------------------------------------------------------------------


class Ticks:
    """A clock that is told how long each phase takes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.settled = 0

    def clock(self) -> steps.Clock:
        return steps.Clock(lambda: self.now, lambda first, last: last - first, self.settle)

    def settle(self) -> None:
        self.settled += 1


def test_phases_add_up_to_the_step_and_warm_up_does_not_count() -> None:
    ticks = Ticks()
    watch = steps.Stopwatch(ticks.clock(), warmup=2)
    for number in range(12):
        slow = 100 if number < 2 else 1
        watch.begin()
        for phase, milliseconds in (("forward", 3), ("backward", 5)):
            ticks.now += milliseconds * slow
            watch.mark(phase)
        ticks.now += 1000  # between steps
    found = watch.times()
    assert (found["warmup_steps"], found["steps"]) == (2, 10)
    assert found["phases_ms"] == {"forward": {"median": 3, "p90": 3}, "backward": {"median": 5, "p90": 5}}
    assert found["step_ms"] == {"median": 8, "p90": 8}
    assert found["wall_s"] >= 0
    assert ticks.settled == 2, "the device is waited for when counting begins and when it ends, never between"


def test_a_spread_is_the_median_and_the_nearest_ninetieth_percentile() -> None:
    assert steps.spread([float(value) for value in range(1, 11)]) == {"median": 5.5, "p90": 9.0}
    assert steps.spread([4.0]) == {"median": 4.0, "p90": 4.0}
    assert steps.spread([]) is None


def test_exposed_communication_is_the_difference_that_exchanging_makes() -> None:
    turns = []

    def once(exchange: bool) -> None:
        turns.append(exchange)
        time.sleep(0.02 if exchange else 0.005)

    found = steps.exposed(steps.CPU, once, repeats=3)
    assert turns == [True, False] * 5
    assert found["exposed_ms"] == pytest.approx(found["with_ms"] - found["without_ms"], abs=1e-3)
    assert found["exposed_ms"] > 5


# --- answers ------------------------------------------------------------------------------------------------


def test_precision_and_recall_are_means_over_the_classes() -> None:
    counts = metrics.confusion([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 1], classes=3)
    assert counts == [[2, 1, 0], [1, 1, 0], [0, 1, 0]]
    found = metrics.summary(counts)
    assert found["accuracy"] == pytest.approx(3 / 6)
    assert found["precision"] == pytest.approx((2 / 3 + 1 / 3 + 0) / 3)
    assert found["recall"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert found["confusion"] == counts


def test_the_counts_of_a_thousand_classes_are_not_told() -> None:
    found = metrics.summary(metrics.confusion([5], [5], classes=1000))
    assert set(found) == {"accuracy", "precision", "recall", "images"}


# --- text ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["topics", "stdlib"])
def test_a_text_is_the_same_each_time_and_its_last_tenth_is_held_out(name: str) -> None:
    text = corpus.read(name)
    assert text == corpus.read(name)
    assert text.sha256 == digest(text.train + text.held_out)
    whole = len(text.train) + len(text.held_out)
    assert len(text.held_out) == whole // 10
    assert whole > 300_000
    assert "Python 3." in text.origin


def test_the_topics_are_those_that_help_tells() -> None:
    text = corpus.read("topics")
    assert text.train.lstrip().startswith(b'The "assert" statement')
    assert text.origin.startswith("pydoc_data.topics of Python 3.")


def test_the_library_is_without_its_tests_and_without_installed_packages() -> None:
    files = list(corpus._sources(Path(sysconfig.get_paths()["stdlib"])))
    assert any(path.name == "argparse.py" for path in files)
    assert any(path.parts[-2:] == ("email", "message.py") for path in files)
    assert not [path for path in files if {"test", "tests", "site-packages"} & set(path.parts)]
    assert len(files) == len(set(files))


def test_an_unknown_text_is_refused() -> None:
    with pytest.raises(WorkloadError, match="there is no corpus 'bible'; there are: topics, stdlib"):
        corpus.read("bible")


# --- settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [image_config, text_config])
def test_the_reference_is_for_gpus_and_tiny_repeats_itself_anywhere(config: Any) -> None:
    reference, tiny = config.reference(), config.tiny()
    assert (reference.device, reference.precision, reference.compile) == ("cuda", "bf16", True)
    assert (tiny.device, tiny.precision, tiny.deterministic) == ("auto", "fp32", True)
    for settings in (reference, tiny):
        assert settings.steps > settings.warmup_steps
        assert settings.batch % 8 == 0, "eight ranks share a step"


def test_the_reference_text_has_the_body_of_gpt2() -> None:
    settings = text_config.reference()
    assert (settings.layers, settings.heads, settings.width, settings.context) == (12, 12, 768, 1024)
    assert settings.width % settings.heads == 0
    assert changed(settings, ["compile=false", "device=cpu"]) == replace(
        settings, compile=False, device="cpu"
    )


# --- what is told -------------------------------------------------------------------------------------------


def test_the_numbers_of_a_report_become_metrics_by_their_path() -> None:
    report = {
        "ranks": 2,
        "backend": "gloo",
        "speed": {"mfu": None, "step_ms": {"median": 1.5}, "compiled": True},
        "quality": {"accuracy": 0.5, "confusion": [[1, 2]]},
    }
    assert tracking.numbers(report) == {"ranks": 2, "speed.step_ms.median": 1.5, "quality.accuracy": 0.5}


# --- manifests ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize("gpus", [0, 8])
def test_a_pod_has_a_process_for_each_of_its_gpus(name: str, gpus: int) -> None:
    (train_job,) = workloads.manifest(name, IMAGE, form="TrainJob", ranks=2, gpus=gpus)
    service, job = workloads.manifest(name, IMAGE, form="Job", ranks=2, gpus=gpus)
    trainer = train_job["spec"]["trainer"]
    spec = job["spec"]["template"]["spec"]
    main = spec["containers"][0]
    env = {entry["name"]: entry.get("value") for entry in main["env"]}
    assert trainer["numNodes"] == job["spec"]["completions"] == 2
    assert trainer["numProcPerNode"] == int(env["PET_NPROC_PER_NODE"] or 0) == max(gpus, 1)
    assert trainer["resourcesPerNode"] == main["resources"]
    assert main["resources"]["limits"].get(gang.GPU) == (str(gpus) if gpus else None)
    assert main["resources"]["requests"].get(gang.GPU) == (str(gpus) if gpus else None)
    assert train_job["spec"]["runtimeRef"]["name"] == ("torch-gpu" if gpus else "torch")
    assert [entry["key"] for entry in spec.get("tolerations", [])] == ([gang.GPU] if gpus else [])
    assert service["metadata"]["name"] == spec["subdomain"]


@pytest.mark.parametrize("name", TRAININGS)
def test_what_is_deployed_without_being_told_more_fits_any_cluster(name: str) -> None:
    (train_job,) = workloads.manifest(name, IMAGE)
    command = train_job["spec"]["trainer"]["command"]
    assert command[1:] == ["-m", "workloads.torchrun", "-m", f"workloads.{name}.main", "--config", "tiny"]
    (other,) = workloads.manifest(name, IMAGE, config="reference", arguments=["--set", "batch=64"])
    assert other["spec"]["trainer"]["command"][-4:] == ["--config", "reference", "--set", "batch=64"]
