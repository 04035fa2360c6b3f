"""How a run is judged: limits with evidence, a verdict for each metric, and what fails."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from benchmarks import check, expectations, report
from benchmarks.benchmark import Plan, Taken
from benchmarks.errors import BenchmarkError
from benchmarks.expectations import Expectations
from benchmarks.results import Comparison, Results, Verdict
from benchmarks.run import Order, measure
from tests.unit import made_up_benchmark as made_up

EVIDENCE = {
    "runs": ["20260101T000000Z-aaaa"], "pairs": 30, "median": 1.0, "ci": [0.98, 1.02], "date": "2026-01-01",
    "machine": "2 cores, EPYC",
}  # fmt: skip
SPEED = {"metric": "m.speed", "ratio": 1.0, "because": "both do the same", "evidence": [EVIDENCE]}
LOST = {"metric": "m.lost", "exact": 0, "because": "nothing may be lost"}


def expected(*entries: dict[str, Any]) -> Expectations:
    return Expectations.model_validate({"benchmark": "made_up", "metrics": list(entries)})


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Measure made-up pairs whose candidate is slower by a factor."""

    def measured(slower: float = 1.0, *, pairs: int = 30, looks: Any = 1, **changed: Any) -> Results:
        def body(_: Any, plan: Plan) -> Iterator[Taken]:
            for turn in plan.turns():
                wobble = 1 + 0.002 * (turn.number % 5)
                yield made_up.taken(turn, slower=slower * wobble, **changed)

        order = Order(stack="local", image="i", folder=tmp_path, pairs=pairs, looks=looks, seed=1)
        return measure(made_up.benchmark(body), made_up.platform(monkeypatch), order)

    return measured


def told(results: Results, *entries: dict[str, Any]) -> Verdict:
    return check.judge(results, expected(*entries)).verdicts[0]


# --- verdicts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slower", "word"), [(1.0, "pass"), (1.05, "pass"), (1.25, "regression"), (0.8, "improvement")]
)
def test_a_ratio_is_judged_pair_by_pair(run: Any, slower: float, word: str) -> None:
    verdict = told(run(slower), SPEED)
    assert verdict.verdict == word
    assert verdict.ratio == pytest.approx(1 / slower, rel=0.01)
    assert verdict.ci is not None
    assert verdict.ci[0] <= verdict.ratio <= verdict.ci[1]
    assert verdict.pairs == 30
    assert "ours / theirs is" in verdict.message


def test_a_ratio_is_judged_against_the_one_that_is_expected(run: Any) -> None:
    half = {**SPEED, "ratio": 0.5}
    assert told(run(2.0), half).verdict == "pass"
    assert told(run(2.5), half).verdict == "regression"
    assert told(run(1.0), half).verdict == "improvement"


def test_lower_is_better_where_the_metric_says_so(run: Any) -> None:
    dear = {side: {"m.cost/big": [8.0 if side == "ours" else 4.0]} for side in ("ours", "theirs")}
    cost = {**SPEED, "metric": "m.cost/big"}
    verdict = told(run(values=dear), cost)
    assert (verdict.verdict, verdict.ratio) == ("regression", pytest.approx(2.0))
    assert told(run(values=dear), {**cost, "ratio": 2.0}).verdict == "pass"


def test_too_few_pairs_of_a_noisy_metric_are_inconclusive(run: Any, tmp_path: Path) -> None:
    results = run(1.0, pairs=3)
    samples = {"ours": [[100.0], [60.0], [150.0]], "theirs": [[100.0], [100.0], [100.0]]}
    speed = results.metrics[0].model_copy(update={"samples": samples})
    noisy = results.model_copy(update={"metrics": [speed]})
    assert told(noisy, SPEED).verdict == "inconclusive"


def test_fewer_pairs_than_could_be_chance_do_not_fail(run: Any) -> None:
    verdict = told(run(1.5, pairs=6), SPEED)
    assert verdict.verdict == "inconclusive"
    assert verdict.message.endswith("; worse, but these are too few pairs to be sure")
    assert told(run(1.5, pairs=7), SPEED).verdict == "regression"
    assert told(run(1.5, pairs=8, looks=3), SPEED).verdict == "inconclusive", "the first look has 0.3 %"


def test_a_limit_without_evidence_warns_and_does_not_fail(run: Any) -> None:
    entry = {"metric": "m.speed", "ratio": 1.0, "because": "b", "no_evidence": "not run by us yet"}
    verdict = told(run(1.5), entry)
    assert verdict.verdict == "inconclusive"
    assert "worse, but the limit has no evidence: not run by us yet" in verdict.message


def test_what_has_no_noise_has_no_tolerance(run: Any) -> None:
    assert told(run(), LOST).verdict == "pass"
    lossy = {side: {**made_up.values(100.0), "m.lost": [0, 1]} for side in ("ours", "theirs")}
    verdict = told(run(values=lossy, pairs=4), LOST)
    assert (verdict.verdict, verdict.message) == ("regression", "4 of 8 samples are not 0: 1")


@pytest.mark.parametrize(
    ("bounds", "word"), [((90, 110), "pass"), ((110, 200), "regression"), ((10, 90), "invalid")]
)
def test_a_value_has_a_lower_and_an_upper_bound(run: Any, bounds: tuple[float, float], word: str) -> None:
    entry = {**SPEED, "bounds": {"lower": bounds[0], "upper": bounds[1], "because": "of physics"}}
    verdict = told(run(), entry)
    assert verdict.verdict == word
    assert verdict.ratio == pytest.approx(1.0, rel=0.01), "the ratio is told all the same"
    assert ("of physics" in verdict.message) == (word != "pass")


def test_discarded_pairs_do_not_count(run: Any) -> None:
    results = run(1.0, pairs=10)
    spoilt = [
        pair.model_copy(update={"discarded": "stolen" if pair.number < 2 else ""}) for pair in results.pairs
    ]
    assert told(results.model_copy(update={"pairs": spoilt}), SPEED).pairs == 8


def test_a_later_look_uses_its_own_share_of_wrong_alarms(run: Any) -> None:
    alphas = []
    for look in (1, 2, 3):
        results = run(looks=3, pairs=4)
        at = results.model_copy(update={"run": results.run.model_copy(update={"look": look})})
        alphas.append(check.judge(at, expected(SPEED)).alpha)
    assert alphas == [0.003, 0.003, 0.004]
    assert check.judge(run(pairs=4), expected(SPEED)).alpha == 0.01


def test_a_verdict_among_many_is_corrected(run: Any) -> None:
    cost = {**SPEED, "metric": "m.cost/big"}
    speed, other, lost = check.judge(run(1.25), expected(SPEED, cost, LOST)).verdicts
    assert speed.p_value is not None
    assert speed.q_value == pytest.approx(min(1, 2 * speed.p_value), rel=0.01)
    assert other.q_value is not None
    assert (lost.p_value, lost.q_value) == (None, None)


# --- what cannot be judged ----------------------------------------------------------------------------------


def test_an_expected_metric_that_is_missing_fails(run: Any) -> None:
    comparison = check.judge(run(), expected({**SPEED, "metric": "m.gone/big"}, SPEED, LOST))
    verdict = comparison.verdicts[0]
    assert (verdict.key, verdict.verdict) == ("m.gone/big", "invalid")
    assert verdict.message == "it is expected but was not measured"
    assert not check.ok(comparison)


def test_a_gate_that_nobody_expected_fails_and_a_trend_does_not(run: Any) -> None:
    comparison = check.judge(run(), expected(SPEED))
    assert [(entry.key, entry.verdict) for entry in comparison.verdicts[1:]] == [("m.lost", "invalid")]
    assert not check.ok(comparison)
    assert check.ok(check.judge(run(), expected(SPEED, LOST)))


def test_a_metric_without_a_value_is_invalid_with_the_reason(run: Any) -> None:
    verdict = told(run(values={"ours": {}, "theirs": {}}), SPEED)
    assert (verdict.verdict, verdict.message) == (
        "invalid", "it has no value: none of 30 pairs has a sample that counts")  # fmt: skip


def test_a_side_that_measured_nothing_is_invalid(run: Any) -> None:
    zero = {"ours": {"m.speed": [0.0]}, "theirs": {"m.speed": [1.0]}}
    assert told(run(values=zero), SPEED).message == "a side measured nothing: a sample is not above 0"
    alone = {"ours": {"m.speed": [1.0]}, "theirs": {}}
    assert told(run(values=alone), SPEED).message == "no pair that counts has both sides"


def test_an_invalid_run_is_not_judged(run: Any) -> None:
    comparison = check.judge(run(unfit="the weights differ"), expected(SPEED, LOST))
    assert {entry.verdict for entry in comparison.verdicts} == {"invalid"}
    assert comparison.verdicts[0].message == "the run is invalid: pairs.discarded is 1, limit 0.2"
    assert not check.ok(comparison)


@pytest.mark.parametrize(
    ("role", "word", "good"),
    [
        ("gate", "pass", True), ("gate", "improvement", True), ("gate", "inconclusive", True),
        ("gate", "regression", False), ("gate", "invalid", False), ("trend", "regression", False),
    ],
)  # fmt: skip
def test_only_gates_decide_and_there_must_be_one(role: Any, word: Any, good: bool) -> None:
    assert check.ok(Comparison(alpha=0.01, verdicts=[made(word, role)])) == good
    assert check.ok(Comparison(alpha=0.01, verdicts=[made("pass"), made("regression", "trend")]))
    assert not check.ok(Comparison(alpha=0.01, verdicts=[]))


def made(word: Any, role: Any = "gate") -> Verdict:
    return Verdict(id=f"m.{word}", role=role, verdict=word, message=f"[x] is {word}")


# --- the file of expectations -------------------------------------------------------------------------------


def test_expectations_are_read_with_their_evidence(tmp_path: Path) -> None:
    text = yaml.safe_dump({"benchmark": "made_up", "metrics": [SPEED, LOST]})
    (tmp_path / "made_up.yaml").write_text(text)
    found = expectations.read("made_up", tmp_path)
    assert found == expected(SPEED, LOST)
    assert found.metrics[0].evidence[0].machine == "2 cores, EPYC"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"limit": 2}, r"metrics.0.limit: Extra inputs are not permitted \(got 2\)"),
        ({"ratio": None}, "one of ratio, exact and bounds is needed"),
        ({"evidence": []}, "a ratio has either evidence, or no_evidence with the reason"),
        ({"no_evidence": "x"}, "a ratio has either evidence, or no_evidence with the reason"),
        ({"ratio": 0}, "metrics.0.ratio: Input should be greater than 0"),
        ({"bounds": {"lower": 2, "upper": 1, "because": "x"}}, "lower .2.0. is not below upper"),
        ({"evidence": [{**EVIDENCE, "runs": []}]}, "metrics.0.evidence.0.runs"),
    ],
)
def test_a_wrong_expectation_is_refused(changed: dict[str, Any], told: str, tmp_path: Path) -> None:
    entry = {key: value for key, value in {**SPEED, **changed}.items() if value is not None}
    (tmp_path / "made_up.yaml").write_text(yaml.safe_dump({"benchmark": "made_up", "metrics": [entry]}))
    with pytest.raises(BenchmarkError, match=told):
        expectations.read("made_up", tmp_path)


def test_a_file_of_expectations_is_for_one_benchmark(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="there are no expectations of other"):
        expectations.read("other", tmp_path)
    (tmp_path / "other.yaml").write_text(yaml.safe_dump({"benchmark": "made_up", "metrics": [SPEED]}))
    with pytest.raises(BenchmarkError, match=r"other\.yaml is for 'made_up'"):
        expectations.read("other", tmp_path)
    (tmp_path / "other.yaml").write_text(yaml.safe_dump({"benchmark": "other", "metrics": [SPEED, SPEED]}))
    with pytest.raises(BenchmarkError, match=r"expected twice: m\.speed"):
        expectations.read("other", tmp_path)
    (tmp_path / "other.yaml").write_text("{")
    with pytest.raises(BenchmarkError, match=r"other\.yaml is no YAML"):
        expectations.read("other", tmp_path)


# --- the report ---------------------------------------------------------------------------------------------


def shown(table: Any) -> str:
    from rich.console import Console

    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_junit_says_what_the_verdicts_say(run: Any) -> None:
    words = ("pass", "improvement", "inconclusive", "regression", "invalid")
    comparison = Comparison(
        alpha=0.01, verdicts=[*(made(word) for word in words), made("regression", "trend")]
    )
    (suite,) = ElementTree.fromstring(report.junit([(run(pairs=2), comparison)]))
    counts = {key: suite.get(key) for key in ("name", "tests", "failures", "errors", "skipped")}
    assert counts == {"name": "made_up", "tests": "6", "failures": "1", "errors": "1", "skipped": "2"}
    kinds = [[child.tag for child in case if child.tag != "system-out"] for case in suite]
    assert kinds == [[], [], ["skipped"], ["failure"], ["error"], ["skipped"]]
    assert suite[3].get("classname") == "made_up"


def test_tables_show_medians_and_reasons_as_they_are(run: Any) -> None:
    text = shown(report.measured(run(2.0, pairs=4)))
    assert [line.split()[:3] for line in text.splitlines()[1:3]] == [
        ["m.speed", "ours", "49.85"], ["m.speed", "theirs", "100"]]  # fmt: skip
    text = shown(report.verdicts(Comparison(alpha=0.01, verdicts=[made("regression")])))
    assert "[x] is regression" in text
    assert "none of 4 pairs" in shown(report.measured(run(pairs=4, values={})))


def test_the_summary_says_when_a_run_was_cut_off(run: Any) -> None:
    results = run(pairs=2)
    comparison = check.judge(results, expected(SPEED, LOST))
    assert report.summary(results, comparison).endswith("2 pairs: 2 pass")
    cut = results.run.model_copy(update={"ended": "interrupted", "reason": "Ctrl-C", "complete": False})
    text = report.summary(results.model_copy(update={"run": cut}), comparison)
    assert "2 pairs, not complete (interrupted: Ctrl-C): 2 pass" in text


def test_evidence_of_a_run_can_be_put_into_expectations(run: Any) -> None:
    results = run(1.1)
    comparison = check.judge(results, expected(SPEED, LOST))
    kept = yaml.safe_load(report.evidence(results, comparison))
    again = {**SPEED, "evidence": json.loads(json.dumps(kept["m.speed"], default=str))}
    (evidence,) = expected(again).metrics[0].evidence
    assert evidence.runs == [results.run.id]
    assert (evidence.pairs, evidence.machine) == (30, "2 cores, EPYC")
    assert evidence.median == pytest.approx(1 / 1.1, rel=0.01)
