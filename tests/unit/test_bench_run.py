"""How pairs are ordered, kept, discarded and written, on a benchmark of made-up numbers."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import benchmark as benchmarks
from benchmarks import environment
from benchmarks.benchmark import Plan, Seen, Taken, Turn
from benchmarks.errors import BenchmarkError
from benchmarks.results import Results
from benchmarks.run import Order, measure
from tests.unit import made_up_benchmark as made_up


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Any:
    return made_up.platform(monkeypatch)


def order(folder: Path, **changed: Any) -> Order:
    parts: dict[str, Any] = {
        "stack": "local",
        "image": "workloads:1",
        "folder": folder,
        "pairs": 4,
        "seed": 1,
    }
    return Order(**{**parts, **changed})


def plan(**changed: Any) -> Plan:
    return Plan(("a", "b"), **{"image": "i", "pairs": 6, "seed": 5, **changed})


# --- the plan -----------------------------------------------------------------------------------------------


def test_a_coin_that_the_seed_decides_orders_each_pair() -> None:
    orders = [turn.order for turn in plan(pairs=200).turns()]
    assert orders == [turn.order for turn in plan(pairs=200).turns()]
    assert orders != [turn.order for turn in plan(pairs=200, seed=6).turns()]
    assert 70 < orders.count(("a", "b")) < 130


def test_a_run_taken_further_goes_on_with_the_same_coin() -> None:
    whole = list(plan().turns())
    rest = list(plan(first=4, block=4).turns())
    assert rest == whole[4:]


def test_pairs_of_one_launch_are_a_block() -> None:
    blocks = list(plan(pairs=5).blocks(2))
    assert [[turn.number for turn in block] for block in blocks] == [[0, 1], [2, 3], [4]]
    assert [{turn.block for turn in block} for block in blocks] == [{0}, {1}, {2}]


def test_no_pair_begins_once_the_time_is_up() -> None:
    late = plan(budget=0)
    assert list(late.turns()) == []
    assert late.out_of_time
    free = plan(budget=3600)
    assert len(list(free.turns())) == 6
    assert not free.out_of_time


# --- the run ------------------------------------------------------------------------------------------------


def test_a_run_leaves_every_pair_with_its_order_and_samples(platform: Any, tmp_path: Path) -> None:
    results = measure(made_up.benchmark(), platform, order(tmp_path))
    assert results == Results.read(tmp_path / "made_up.json")
    assert (results.run.ended, results.run.complete, results.valid) == ("done", True, True)
    assert [pair.number for pair in results.pairs] == [0, 1, 2, 3]
    assert {tuple(sorted(pair.order)) for pair in results.pairs} == {("ours", "theirs")}
    cost = results.metric("m.cost/small")
    assert cost is not None
    assert cost.samples == {"ours": [[1.0, 2.0, 3.0]] * 4, "theirs": [[1.0, 2.0, 3.0]] * 4}
    assert (cost.value, cost.summary["ours"].pairs, cost.summary["ours"].n) == (2.0, 4, 12)
    assert (cost.summary["ours"].quantiles["0.5"], cost.summary["ours"].quantiles["0.9"]) == (2.0, None)
    assert cost.summary["ours"].n_required["0.9"] == 64


def test_a_metric_that_stands_alone_has_one_side(platform: Any, tmp_path: Path) -> None:
    lost = measure(made_up.benchmark(), platform, order(tmp_path)).metric("m.lost")
    assert lost is not None
    assert (lost.base, list(lost.samples)) == (None, ["ours"])


def test_what_the_pods_printed_lies_beside_the_results(platform: Any, tmp_path: Path) -> None:
    results = measure(made_up.benchmark(), platform, order(tmp_path))
    (attached,) = results.attachments
    text = (tmp_path / attached.path).read_text()
    assert text.count("=== pair ") == 4
    assert "pair 3 printed this" in text


def test_the_environment_is_the_nodes_that_measured(platform: Any, tmp_path: Path) -> None:
    env = measure(made_up.benchmark(), platform, order(tmp_path)).env
    assert (env.machine, env.kubernetes, env.load1) == ("2 cores, EPYC", "v1.36.3", 1.0)
    assert [(m.node, m.memory_gib, m.kernel) for m in env.machines] == [("work", 24.0, "6.8.0")]
    one, other = (environment.environment(env.machines, version, [made_up.QUIET]) for version in ("1", "2"))
    assert one.fingerprint != other.fingerprint
    renamed = [env.machines[0].model_copy(update={"node": "another"})]
    assert environment.environment(renamed, "1", [made_up.QUIET]).fingerprint == one.fingerprint


@pytest.mark.parametrize(("text", "number"), [("2", 2), ("1930m", 1.93), ("4Gi", 2**32), ("1000", 1000)])
def test_quantities_of_kubernetes_are_read(text: str, number: float) -> None:
    assert environment.quantity(text) == number


@pytest.mark.parametrize("how", [KeyboardInterrupt(), RuntimeError("the pod was evicted")])
def test_an_ended_run_keeps_what_was_measured_and_says_so(
    how: BaseException, platform: Any, tmp_path: Path
) -> None:
    def two_then_none(_: Any, plan: Plan) -> Iterator[Taken]:
        for turn in plan.turns():
            if turn.number == 2:
                raise how
            yield made_up.taken(turn)

    results = measure(made_up.benchmark(two_then_none), platform, order(tmp_path))
    assert len(results.pairs) == 2
    assert not results.run.complete
    expected = ("interrupted", "Ctrl-C") if isinstance(how, KeyboardInterrupt) else (
        "failed", "RuntimeError: the pod was evicted")  # fmt: skip
    assert (results.run.ended, results.run.reason) == expected
    assert results.valid == (results.run.ended == "interrupted")
    assert Results.read(tmp_path / "made_up.json") == results


def test_even_a_killed_run_leaves_a_file(platform: Any, tmp_path: Path) -> None:
    seen: list[Results] = []

    def looking(_: Any, plan: Plan) -> Iterator[Taken]:
        for turn in plan.turns():
            if turn.number:
                seen.append(Results.read(tmp_path / "made_up.json"))
            yield made_up.taken(turn)

    measure(made_up.benchmark(looking), platform, order(tmp_path))
    assert [(len(each.pairs), each.run.ended) for each in seen] == [(n, "interrupted") for n in (1, 2, 3)]


def test_a_budget_ends_a_run_that_is_then_not_complete(platform: Any, tmp_path: Path) -> None:
    results = measure(made_up.benchmark(), platform, order(tmp_path, budget=0))
    assert (results.run.ended, results.run.reason) == ("budget", "the time budget of 0 s was used up")
    speed = results.metric("m.speed")
    assert speed is not None
    assert (speed.value, speed.reason) == (None, "none of 0 pairs has a sample that counts")


def test_a_metric_that_is_not_declared_ends_the_run(platform: Any, tmp_path: Path) -> None:
    def undeclared(_: Any, plan: Plan) -> Iterator[Taken]:
        yield from (made_up.taken(turn, values={"ours": {"m.sped": [1.0]}}) for turn in plan.turns())

    results = measure(made_up.benchmark(undeclared), platform, order(tmp_path))
    assert results.run.ended == "failed"
    assert "made_up measured m.sped, which it does not declare" in results.run.reason


# --- what does not count ------------------------------------------------------------------------------------


def seen(**changed: Any) -> Seen:
    return dataclasses.replace(made_up.QUIET, **changed)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"seen": [seen(), seen(steal_percent=5.1)]}, "5.1 % of the processor's time on work was stolen"),
        ({"seen": [seen(swapped_pages=3)]}, "work swapped 3 pages out"),
        ({"seen": [seen(), seen(cpu="Xeon")]}, "its sides ran on different processors: EPYC, Xeon"),
        ({"unfit": "the weights differ"}, "the weights differ"),
        ({"seen": [seen(steal_percent=5.0)]}, ""),
    ],
)
def test_a_disturbed_pair_is_discarded_whole(changed: Any, told: str) -> None:
    assert environment.disturbance(made_up.taken(Turn(0, 0, ("ours", "theirs")), **changed)) == told


@pytest.mark.parametrize(("bad", "valid"), [({1}, True), ({1, 2}, False)])
def test_a_run_that_discards_more_than_a_fifth_is_invalid(
    bad: set[int], valid: bool, platform: Any, tmp_path: Path
) -> None:
    def disturbed(_: Any, plan: Plan) -> Iterator[Taken]:
        for turn in plan.turns():
            stolen = 9.0 if turn.number in bad else 0.0
            yield made_up.taken(turn, slower=1 + turn.number, seen=[seen(steal_percent=stolen)])

    results = measure(made_up.benchmark(disturbed), platform, order(tmp_path, pairs=5))
    assert results.valid == valid
    assert [bool(pair.discarded) for pair in results.pairs] == [n in bad for n in range(5)]
    speed = results.metric("m.speed")
    assert speed is not None
    assert len(speed.samples["ours"]) == 5, "what was discarded is kept too"
    assert speed.summary["ours"].pairs == 5 - len(bad)


# --- further looks ------------------------------------------------------------------------------------------


def test_a_run_is_taken_to_its_next_look(platform: Any, tmp_path: Path) -> None:
    wanted = order(tmp_path, looks=3)
    first = measure(made_up.benchmark(), platform, wanted)
    second = measure(made_up.benchmark(), platform, wanted, earlier=first)
    third = measure(made_up.benchmark(), platform, wanted, earlier=second)
    assert [(len(each.pairs), each.run.look) for each in (first, second, third)] == [(4, 1), (8, 2), (16, 3)]
    assert third.pairs[:4] == first.pairs
    assert [pair.block for pair in third.pairs] == list(range(16))
    assert (tmp_path / "made_up.log").read_text().count("=== pair") == 16


def test_a_run_is_not_taken_further_elsewhere(platform: Any, tmp_path: Path) -> None:
    first = measure(made_up.benchmark(), platform, order(tmp_path, looks=3))
    elsewhere = dataclasses.replace(made_up.benchmark(), config={"rounds": 4})
    with pytest.raises(BenchmarkError, match=r"cannot be taken further: config: .*3.* then, .*4.* now"):
        measure(elsewhere, platform, order(tmp_path, looks=3), earlier=first)
    assert Results.read(tmp_path / "made_up.json") == first


# --- finding them -------------------------------------------------------------------------------------------


def test_benchmarks_are_chosen_by_name_or_pattern_and_a_typo_is_refused() -> None:
    known = [dataclasses.replace(made_up.benchmark(), name=name) for name in ("ab", "ac", "b")]
    assert [entry.name for entry in benchmarks.choose(known, ["a*"])] == ["ab", "ac"]
    assert benchmarks.choose(known, None) == known
    with pytest.raises(ValueError, match="no benchmark is called 'x'; there are: ab, ac, b"):
        benchmarks.choose(known, ["x"])


def test_what_a_platform_lacks_is_named(platform: Any) -> None:
    needy = dataclasses.replace(made_up.benchmark(), needs=("data", "tuning"))
    assert benchmarks.lacking(needy, platform) == ["data"]
