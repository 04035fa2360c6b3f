"""What the suite reads from what its programs really printed.

The logs in data/benchmarks/ were recorded on a busy two-core machine: the two with ranks in the files of the
workloads' image, the one of Horovod in a pod, the one of tuning with Optuna 5.0.0 and PostgreSQL 15, the one
of serving against two echoes in the place of a model, which take 6 and 4 ms, the one of drift outside a pod.
"""

import json
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import pytest

from benchmarks import all_reduce, benchmark, pods
from benchmarks.benchmark import Benchmark, Plan, Taken, Turn
from benchmarks.errors import BenchmarkError
from benchmarks.pods import Launch, Printed
from benchmarks.suite import (
    collectives,
    drift,
    goodput,
    horovod,
    scaling,
    serving,
    training_throughput,
    tuning_storage,
)

DATA = Path(__file__).parent / "data" / "benchmarks"
TURNS = [
    Turn(0, 0, ("postgresql", "memory")),
    Turn(1, 0, ("memory", "postgresql")),
    Turn(2, 0, ("memory", "postgresql")),
]
SERVING_TURNS = [
    Turn(0, 0, ("platform", "bare")),
    Turn(1, 0, ("bare", "platform")),
    Turn(2, 0, ("platform", "bare")),
]
DRIFT_TURNS = [Turn(0, 0, ("seatrial", "others")), Turn(1, 0, ("others", "seatrial"))]
READERS: dict[str, Any] = {
    "collectives": collectives.read,
    "drift": lambda text: drift.read(text, DRIFT_TURNS),
    "goodput": goodput.read,
    "horovod": horovod.read,
    "scaling": scaling.read,
    "serving": lambda text: serving.read(text, SERVING_TURNS),
    "training_throughput": training_throughput.read,
    "tuning_storage": lambda text: tuning_storage.read(text, TURNS),
}
KNOWN = benchmark.discover()


def log(name: str) -> str:
    return (DATA / f"{name}.log").read_text()


def without(text: str, words: str) -> str:
    return "\n".join(line for line in text.splitlines() if words not in line)


# --- every benchmark ----------------------------------------------------------------------------------------


def test_every_benchmark_has_a_reader_here() -> None:
    assert set(READERS) == {entry.name for entry in KNOWN}


@pytest.mark.parametrize("name", READERS)
def test_no_output_is_refused(name: str) -> None:
    with pytest.raises(BenchmarkError, match=r"printed no result\n.*see what it printed: nothing"):
        READERS[name]("")
    with pytest.raises(BenchmarkError, match=r"printed no result\n.*Killed"):
        READERS[name]("Killed\n")


@pytest.mark.parametrize("name", READERS)
def test_output_that_is_cut_off_is_refused(name: str) -> None:
    whole = log(name)
    with pytest.raises(BenchmarkError, match="was not done when its output ended"):
        READERS[name](without(whole, '"done"'))
    with pytest.raises(BenchmarkError, match="is torn"):
        READERS[name](whole[: whole.index("}", len(whole) // 2)])


@pytest.mark.parametrize("name", READERS)
def test_what_the_nodes_were_doing_must_be_there(name: str) -> None:
    with pytest.raises(BenchmarkError, match="printed 0 lines of 'seen'"):
        READERS[name](without(log(name), '"seen"'))


@pytest.mark.parametrize("name", READERS)
def test_other_lines_do_not_matter(name: str) -> None:
    whole = log(name)
    noisy = "[W1126 ProcessGroupGloo.cpp:528] Warning: x\n" + whole.replace("\n", "\nnoise\n", 1)
    assert READERS[name](noisy) == READERS[name](whole)


# --- each of them -------------------------------------------------------------------------------------------


def test_collectives_are_read_by_size() -> None:
    reading = collectives.read(log("collectives"))
    declared = set(collectives.BENCHMARK.keys)
    assert set(reading.values) == declared
    assert reading.values["coll.wrong"] == [0] * 8
    assert {key: len(reading.values[f"coll.busbw/{key}"]) for key in ("4KiB", "256KiB", "1MiB", "64MiB")} == {
        "4KiB": 100, "256KiB": 100, "1MiB": 10, "64MiB": 10}  # fmt: skip
    assert [node.node for node in reading.seen] == ["work", "system"]


def test_drift_is_read_by_turn_and_side() -> None:
    by_turn = drift.read(log("drift"), DRIFT_TURNS)
    assert sorted(by_turn) == [0, 1]
    for sides, nodes in by_turn.values():
        assert [node.node for node in nodes] == ["work"]
        for values in sides.values():
            assert set(values) == set(drift.BENCHMARK.keys)
        ours, theirs = sides["seatrial"], sides["others"]
        assert ours["drift.agreement"] == theirs["drift.agreement"] == [1.0]
        assert ours["drift.missed"] == ours["drift.false_alarms"] == [0.0]
        assert len(ours["drift.delay"]) == 10
        assert ours["drift.cells_per_cpu_second/ks"] > theirs["drift.cells_per_cpu_second/ks"]
    cells = by_turn[0][0]["others"]
    assert cells["drift.cells_per_cpu_second/ks"] == cells["drift.cells_per_cpu_second/all"], "one report"


def test_kappa_is_what_lies_beyond_chance() -> None:
    both = [True] * 20 + [False] * 15
    assert drift.kappa([*both, *[True] * 5, *[False] * 10], [*both, *[False] * 5, *[True] * 10]) == (
        pytest.approx(0.4)
    )
    assert drift.kappa([False, False], [False, False]) == 1
    assert drift.kappa([True, False], [False, True]) == -1


def test_drift_runs_in_the_image_of_the_watch() -> None:
    assert drift.image_of("r.example/seatrial/workloads:7", drift.IMAGE) == "r.example/seatrial/watch-drift:7"


def test_collectives_use_the_slowest_rank_and_the_factor_of_nccl_tests() -> None:
    text = log("collectives")
    record = next(
        entry for entry in pods.records(text) if entry["bench"] == "all_reduce" and entry["bytes"] == 16 << 20
    )
    slowest = max(ranks[0] for ranks in record["seconds"])
    values = collectives.read(text).values
    assert values["coll.algbw/16MiB"][0] == pytest.approx(16 * 2**20 / slowest / 1e9)
    assert values["coll.busbw/16MiB"] == pytest.approx(values["coll.algbw/16MiB"]), "2 (n - 1) / n is 1 for 2"
    assert [all_reduce.bus_factor(n) for n in (1, 2, 4)] == [0, 1, 1.5]
    fastest = max(values["coll.memcpy"])
    assert values["coll.efficiency/16MiB"][0] == pytest.approx(values["coll.busbw/16MiB"][0] / fastest)
    assert min(values["coll.latency"]) > 10, "microseconds"


def test_one_rank_has_no_bus() -> None:
    alone = log("collectives").replace('"world": 2', '"world": 1')
    values = collectives.read(alone).values
    assert not [key for key in values if key.startswith(("coll.busbw", "coll.efficiency"))]
    assert "coll.algbw/16MiB" in values


def test_a_size_that_is_missing_is_noticed() -> None:
    with pytest.raises(BenchmarkError, match="printed 7 lines of 'all_reduce', not 8"):
        collectives.read(without(log("collectives"), '"bytes": 16384,'))


def test_horovod_is_read_as_the_collectives_are() -> None:
    reading = horovod.read(log("horovod"))
    assert set(reading.values) == set(horovod.BENCHMARK.keys)
    assert reading.values["coll.wrong"] == [0] * 8
    assert 900 < sorted(reading.values["coll.latency"])[50] < 1300, "one cycle of Horovod, in microseconds"
    assert len(reading.seen) == 2


def test_throughput_is_all_rows_over_the_time_after_the_warm_up() -> None:
    reading = training_throughput.read(log("training_throughput"))
    (throughput,) = reading.values["train.throughput"]
    steps = reading.values["train.step"]
    assert 200 <= len(steps) <= 380
    assert throughput == pytest.approx(2 * 1024 * len(steps) / (sum(steps) / 1000))
    assert len(reading.weights) == 64
    (cpu,) = reading.values["train.cpu"]
    assert 0.5 < cpu < 100, "milliseconds a step"


def test_ranks_with_different_weights_did_not_train_one_network() -> None:
    text = log("training_throughput")
    spoilt = text.replace(training_throughput.read(text).weights, "0" * 64, 1)
    with pytest.raises(BenchmarkError, match=r"the ranks ended with different weights: 0{64}, "):
        training_throughput.read(spoilt)


def test_a_rank_that_is_missing_is_noticed() -> None:
    lines = log("training_throughput").splitlines()
    with pytest.raises(BenchmarkError, match="printed 1 lines of 'steps', not 2"):
        training_throughput.read("\n".join(lines[1:]))


def test_a_rank_has_all_its_rows_or_its_share_of_them() -> None:
    values = scaling.read(log("scaling")).values
    assert set(values) == set(scaling.BENCHMARK.keys)
    for case, rows in (("weak", 4096), ("strong", 2048)):
        steps = values[f"scale.step/{case}"]
        assert values[f"scale.per_rank/{case}"] == [pytest.approx(1000 * rows * len(steps) / sum(steps))]
    with pytest.raises(BenchmarkError, match="printed 0 lines of 'steps', not 2"):
        scaling.read(without(log("scaling"), '"rows": 2048'))


def test_a_rank_alone_has_the_same_rows_in_both_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    launches, _ = measured(scaling.BENCHMARK, monkeypatch, 1)
    told = {wanted.pods: wanted.config["rows"] for wanted in launches}
    assert told == {1: "4096", 2: "4096 2048"}
    assert scaling.rows_of(1) == {"weak": 4096, "strong": 4096}


def test_trials_are_read_by_pair_side_and_sampler() -> None:
    by_turn = tuning_storage.read(log("tuning_storage"), TURNS)
    assert list(by_turn) == [0, 1, 2]
    sides, nodes = by_turn[0]
    assert sides["postgresql"]["tune.per_second/random"] == [pytest.approx(50 / 6.0012813529992854)]
    assert sides["memory"]["tune.per_cpu_second/tpe"] == [pytest.approx(150 / 0.13386470000000017)]
    assert sides["memory"]["tune.lost"] == [0, 0]
    assert set(sides["memory"]) == set(tuning_storage.BENCHMARK.keys)
    assert [node.load1 for node in nodes] == [9.5]


def test_a_trial_that_the_storage_lost_is_counted() -> None:
    lossy = log("tuning_storage").replace('"asked": 50, "complete": 50', '"asked": 50, "complete": 48', 1)
    sides, _ = tuning_storage.read(lossy, TURNS)[0]
    assert sides["postgresql"]["tune.lost"] == [2, 0]


def test_a_pair_that_is_missing_is_noticed() -> None:
    with pytest.raises(BenchmarkError, match="printed 0 lines of 'trials', not 4"):
        tuning_storage.read(log("tuning_storage"), [*TURNS, Turn(3, 0, ("memory", "postgresql"))])


def test_answers_are_read_by_pair_and_side() -> None:
    by_turn = serving.read(log("serving"), SERVING_TURNS)
    assert list(by_turn) == [0, 1, 2]
    values = by_turn[1].values
    for side, takes in (("platform", 6), ("bare", 4)):
        assert len(values[side]["serve.latency"]) > 662
        assert min(values[side]["serve.latency"]) > takes
        (tail,) = values[side]["serve.p99"]
        longest = sorted(values[side]["serve.latency"], reverse=True)
        assert tail == pytest.approx(longest[len(longest) // 100], rel=0.2)
    assert values["platform"]["serve.failed"] == [0, 0]
    assert len(values["platform"]["serve.lag"]) == 3
    assert set(values["platform"]) == set(serving.BENCHMARK.keys)


def test_a_request_that_failed_on_either_side_is_counted() -> None:
    recorded = log("serving")
    failing = recorded.replace('"failed": 0', '"failed": 2', 2)
    values = serving.read(failing, SERVING_TURNS)[0].values
    assert values["platform"]["serve.failed"] == [2, 2]


def test_a_pair_in_which_the_generator_was_late_does_not_count() -> None:
    recorded = log("serving").replace('"valid": false', '"valid": true')
    assert serving.read(recorded, SERVING_TURNS)[0].unfit == ""
    late = serving.read(recorded.replace('"valid": true', '"valid": false', 1), SERVING_TURNS)
    assert late[0].unfit.startswith("the generator did not keep its times: it was late by ")
    assert late[0].unfit.endswith("against platform (p99)")
    assert late[1].unfit == ""


def test_sides_that_asked_different_versions_are_no_pair() -> None:
    other = log("serving").replace('"answered_by": {"":', '"answered_by": {"3":', 1)
    with pytest.raises(BenchmarkError, match="through the platform version 3 answered, in the pod "):
        serving.read(other, SERVING_TURNS)


def test_both_sides_ask_the_one_pod_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.models.example", lambda _, name, version: {"asked": f"{name} {version}"})
    pod = Some(
        metadata=Some(name="delay-v3-0", labels={"seatrial.dev/version": "3"}), status=Some(pod_ip="10.1.2.3")
    )

    def platform(*pods: Any) -> Any:
        return Some(core=Some(list_namespaced_pod=lambda *_, **__: Some(items=list(pods))))

    found = serving.targets(platform(pod))
    assert found["body"] == {"asked": "delay 3"}
    assert found["targets"] == {
        "platform": {
            "url": "https://delay.platform.test/v2/models/delay/infer",
            "connect": "gateway.platform-serving.svc.cluster.local:443",
        },
        "bare": {"url": "http://10.1.2.3:8080/v2/models/delay/infer"},
    }
    for several in ([], [pod, pod]):
        with pytest.raises(BenchmarkError, match="there is not one pod that serves model delay"):
            serving.targets(platform(*several))


# --- from the launch to the pair ----------------------------------------------------------------------------


def measured(
    entry: Benchmark, monkeypatch: pytest.MonkeyPatch, pairs: int
) -> tuple[list[Launch], list[Taken]]:
    """What a benchmark makes of pods that print the recorded log."""
    launches: list[Launch] = []

    def printing(_: Any, wanted: Launch) -> Printed:
        launches.append(wanted)
        return Printed(log(entry.name), {wanted.image: "sha256:aa"}, 7.0)

    module = f"benchmarks.suite.{entry.name}"
    monkeypatch.setattr(f"{module}.launch", printing)
    monkeypatch.setattr(serving, "targets", lambda _: {"targets": {}})
    removed: list[str] = []
    monkeypatch.setattr("client.delete_workloads", lambda _, name: removed.append(name))
    plans = (Plan(entry.sides, image="r/workloads:1", pairs=pairs, seed=seed) for seed in range(1000))
    found = list(entry.measure(Some(), next(plan for plan in plans if fits(plan))))
    program = {"scaling": "training_throughput", "horovod": "collectives"}.get(entry.name, entry.name)
    assert removed == [f"bench-{program.replace('_', '-')}"]
    return launches, found


def fits(plan: Plan) -> bool:
    """Whether the coin falls as when the logs were recorded."""
    recorded = {"postgresql": TURNS, "platform": SERVING_TURNS, "seatrial": DRIFT_TURNS}.get(
        plan.sides[0], []
    )
    return not recorded or [turn.order for turn in plan.turns()] == [turn.order for turn in recorded]


@pytest.mark.parametrize("entry", KNOWN, ids=lambda entry: entry.name)
def test_every_pair_has_every_declared_metric(entry: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = {"drift": len(DRIFT_TURNS)}.get(entry.name, 3)
    _, found = measured(entry, monkeypatch, pairs)
    assert len(found) == pairs
    for taken in found:
        for metric in entry.metrics:
            for side in entry.sides if metric.compared else entry.sides[:1]:
                assert set(metric.keys) <= set(taken.values[side]), (metric.id, side)
        image = {"horovod": "workloads-horovod", "drift": "watch-drift"}.get(entry.name, "workloads")
        assert taken.images == {f"r/{image}:1": "sha256:aa"}
        assert taken.seen
        assert taken.log


def test_sides_are_launched_in_the_order_of_the_coin(monkeypatch: pytest.MonkeyPatch) -> None:
    launches, found = measured(collectives.BENCHMARK, monkeypatch, 8)
    shapes = ["pods" if wanted.pods == 2 else "one_pod" for wanted in launches]
    assert shapes == [side for taken in found for side in taken.turn.order]
    assert {taken.turn.order for taken in found} == {("pods", "one_pod"), ("one_pod", "pods")}


def test_both_libraries_sum_in_one_pod_of_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    launches, found = measured(horovod.BENCHMARK, monkeypatch, 4)
    sides = [side for taken in found for side in taken.turn.order]
    assert {(wanted.image, wanted.pods, wanted.processes) for wanted in launches} == {
        ("r/workloads-horovod:1", 1, 2)
    }
    means = {"horovod": ("mpirun", "ranks_horovod"), "ddp": ("torchrun", "ranks")}
    assert [(w.starter, w.config["ranks"]) for w in launches] == [means[side] for side in sides]
    for one, other in zip(launches[::2], launches[1::2], strict=True):
        assert {**one.config, "ranks": ""} == {**other.config, "ranks": ""}, "sizes come in one order"


def test_pairs_of_tuning_share_a_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    launches, found = measured(tuning_storage.BENCHMARK, monkeypatch, 3)
    assert [wanted.config["orders"] for wanted in launches] == [
        {str(turn.number): " ".join(turn.order) for turn in TURNS}
    ]
    assert {taken.turn.block for taken in found} == {0}


def test_pairs_of_serving_share_a_launch_beside_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    launches, found = measured(serving.BENCHMARK, monkeypatch, 3)
    (wanted,) = launches
    assert wanted.config["orders"] == {str(turn.number): " ".join(turn.order) for turn in SERVING_TURNS}
    affinity = job(wanted)["spec"]["template"]["spec"]["affinity"]
    (term,) = affinity["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["labelSelector"] == {"matchLabels": {"seatrial.dev/model": "delay"}}
    assert {taken.turn.block for taken in found} == {0}


# --- what is put on the platform ----------------------------------------------------------------------------


def job(wanted: Launch) -> dict[str, Any]:
    return next(item for item in pods.manifests(wanted) if item["kind"] == "Job")


def test_two_pods_never_share_a_node_and_find_the_first() -> None:
    spec = job(Launch("collectives", "w:1", {"turn": 1}, pods=2))["spec"]
    (main,) = spec["template"]["spec"]["containers"]
    env = {entry["name"]: entry.get("value") for entry in main["env"]}
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (2, 2, 0)
    assert env["MASTER_ADDR"] == "bench-collectives-0.bench-collectives.workloads.svc.cluster.local"
    assert (env["WORLD_SIZE"], json.loads(env["BENCHMARK_CONFIG"] or "")) == ("2", {"turn": 1})
    assert main["command"] == ["python3", "/bench/collectives.py"]
    assert "podAntiAffinity" in spec["template"]["spec"]["affinity"]


def test_two_processes_are_started_by_torchrun_in_one_pod_with_as_much_processor() -> None:
    spec = job(Launch("collectives", "w:1", {}, processes=2))["spec"]
    (main,) = spec["template"]["spec"]["containers"]
    assert (spec["completions"], main["resources"]["limits"]["cpu"]) == (1, "4")
    assert main["command"][0] == "torchrun"
    assert main["command"][-3:] == ["--nproc-per-node", "2", "/bench/collectives.py"]
    assert "MASTER_ADDR" not in {entry["name"] for entry in main["env"]}


def test_two_processes_of_horovod_are_started_by_mpirun_on_as_many_slots() -> None:
    spec = job(Launch("collectives", "w:1", {}, processes=2, starter="mpirun"))["spec"]
    (main,) = spec["template"]["spec"]["containers"]
    assert (spec["completions"], main["resources"]["limits"]["cpu"]) == (1, "4")
    assert main["command"][:5] == ["mpirun", "-np", "2", "--host", "localhost:2"]
    assert main["command"][-2:] == ["python3", "/bench/collectives.py"]


def test_the_program_and_what_it_imports_travel_together() -> None:
    files = next(item for item in pods.manifests(Launch("collectives", "w:1", {})) if "data" in item)
    assert set(files["data"]) == {"watch.py", "ranks.py", "ranks_horovod.py", "collectives.py"}
    assert "def main" in files["data"]["collectives.py"]


def test_a_launch_brings_back_what_its_first_pod_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    deployed: list[str] = []

    def deploy(_: Any, name: str, items: list[dict[str, Any]], **__: Any) -> None:
        deployed.extend(f"{name}: {item['kind']}" for item in items)

    def pod(index: int) -> Any:
        status = Some(image_id=f"registry/workloads@sha256:{index}")
        return Some(
            metadata=Some(name=f"p-{index}", namespace="workloads"), status=Some(container_statuses=[status])
        )

    monkeypatch.setattr("client.deploy", deploy)
    monkeypatch.setattr("client.pods.Watched.look", lambda _: [pod(0), pod(1)])
    monkeypatch.setattr(
        "client.pods.request", lambda _, method, path, accept, **__: f"{method} {path} as {accept}"
    )
    printed = pods.launch(Some(api=None), Launch("collectives", "w:1", {}, pods=2))
    assert deployed == [f"bench-collectives: {kind}" for kind in ("ConfigMap", "Service", "Job")]
    assert printed.text == "GET /api/v1/namespaces/workloads/pods/p-0/log as */*"
    assert printed.images == {"w:1": "sha256:0"}
