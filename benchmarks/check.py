"""Judges: reads what a run left and what is expected of it, and says a verdict for each metric. It measures
nothing, and computes everything anew from the raw samples.
"""

import math

import numpy as np

from benchmarks import statistics
from benchmarks.expectations import Bounds, Expectation, Expectations
from benchmarks.results import Comparison, Measured, Results, Verdict, counting
from benchmarks.statistics import Effect, Floats

GRAVITY = ("pass", "improvement", "inconclusive", "regression", "invalid")
"""Of two verdicts on one metric the later one in this list stands."""
FAILING = ("regression", "invalid")


def judge(results: Results, expectations: Expectations) -> Comparison:
    """A verdict for each metric that is expected, and for each gate that nobody expected."""
    alpha = statistics.ALPHAS[results.run.looks][results.run.look - 1]
    verdicts = [verdict(results, entry, alpha) for entry in expectations.metrics]
    verdicts += [
        unjudged(metric, "it is a gate, but nothing is expected of it")
        for metric in results.metrics
        if metric.role == "gate" and expectations.of(metric.key) is None
    ]
    return Comparison(alpha=alpha, verdicts=with_q_values(verdicts))


def ok(comparison: Comparison) -> bool:
    """No gate got worse and every one was judged; a run without a verdict is not good."""
    gates = [entry for entry in comparison.verdicts if entry.role == "gate"]
    return bool(gates) and not any(entry.verdict in FAILING for entry in gates)


def verdict(results: Results, expected: Expectation, alpha: float) -> Verdict:
    """Of one metric."""
    metric = results.metric(expected.metric)
    if metric is None:
        name, _, case = expected.metric.partition("/")
        return Verdict(
            id=name, case=case, role="gate", verdict="invalid", message="it is expected but was not measured"
        )
    if not results.valid:
        broken = [f"{c.id} is {c.value:g}, limit {c.limit:g}" for c in results.validity if not c.ok]
        why = f" ({results.run.reason})" if results.run.reason else ""
        return unjudged(metric, f"the run is invalid: {'; '.join(broken)}{why}")
    if metric.value is None:
        return unjudged(metric, f"it has no value: {metric.reason}")
    said = [
        *([judge_exact(results, metric, expected.exact)] if expected.exact is not None else []),
        *([judge_bounds(metric, expected.bounds)] if expected.bounds is not None else []),
        *([judge_ratio(results, metric, expected, alpha)] if expected.ratio is not None else []),
    ]
    worst = max(said, key=lambda entry: GRAVITY.index(entry.verdict))
    numbers = next((entry for entry in said if entry.ratio is not None), worst)
    return numbers.model_copy(update={"verdict": worst.verdict, "message": worst.message})


def unjudged(metric: Measured, message: str) -> Verdict:
    return Verdict(id=metric.id, case=metric.case, role=metric.role, verdict="invalid", message=message)


def said_of(metric: Measured, word: str, message: str) -> Verdict:
    parts = {"id": metric.id, "case": metric.case, "role": metric.role, "verdict": word, "message": message}
    return Verdict.model_validate(parts)


# --- limits -------------------------------------------------------------------------------------------------


def judge_exact(results: Results, metric: Measured, exact: float) -> Verdict:
    """Every sample of every pair, of both sides, is this number."""
    samples = np.concatenate([counting(results.pairs, lists)[2] for lists in metric.samples.values()])
    wrong = samples[samples != exact]
    if wrong.size:
        return said_of(
            metric, "regression", f"{wrong.size} of {samples.size} samples are not {exact:g}: {wrong[0]:g}"
        )
    return said_of(metric, "pass", f"all {samples.size} samples are {exact:g}")


def judge_bounds(metric: Measured, bounds: Bounds) -> Verdict:
    """Worse than can be is a regression; better than can be was not measured."""
    value = metric.value or 0.0
    given = f"{value:.4g} {metric.unit}, bounds {bounds.lower:g} to {bounds.upper:g}"
    if bounds.lower <= value <= bounds.upper:
        return said_of(metric, "pass", given)
    better = (value > bounds.upper) == (metric.better == "higher")
    word, told = ("invalid", "better than can be") if better else ("regression", "worse than may be")
    return said_of(metric, word, f"{told}: {given}, because {bounds.because}")


def judge_ratio(results: Results, metric: Measured, expected: Expectation, alpha: float) -> Verdict:
    """The candidate against its base, pair by pair, relative to the ratio that is expected."""
    wanted = expected.ratio or 1.0
    if metric.base is None or metric.tier == 0:
        return unjudged(metric, "a ratio is expected, but it has no noisy base to compare with")
    candidate, base, blocks = paired(results, metric)
    if not candidate.size:
        return unjudged(metric, "no pair that counts has both sides")
    if min(candidate.min(), base.min()) <= 0:
        return unjudged(metric, "a side measured nothing: a sample is not above 0")
    sign = 1 if metric.better == "lower" else -1
    found = statistics.effect(sign * np.log(candidate / base / wanted), blocks, alpha)
    word, note = statistics.verdict(found, statistics.SLACK[metric.tier]), ""
    if word == "regression" and not statistics.enough(found.pairs, alpha):
        word, note = "inconclusive", "; worse, but these are too few pairs to be sure"
    if word == "regression" and not expected.evidence:
        word, note = "inconclusive", f"; worse, but the limit has no evidence: {expected.no_evidence}"
    ratio, bounds = of_candidate(found, wanted, sign)
    message = (
        f"{metric.candidate} / {metric.base} is {ratio:.3f} ({bounds[0]:.3f} to {bounds[1]:.3f}) over "
        f"{found.pairs} pairs, expected {wanted:g}{note}"
    )
    return said_of(metric, word, message).model_copy(
        update={"ratio": ratio, "ci": bounds, "pairs": found.pairs, "p_value": found.p_worse}
    )


def paired(results: Results, metric: Measured) -> tuple[Floats, Floats, list[int]]:
    """The medians of both sides, and the block, of each pair that counts and has both."""
    sides = [metric.samples[metric.candidate], metric.samples[metric.base or ""]]
    used = [
        (np.median(one), np.median(other), pair.block)
        for pair, one, other in zip(results.pairs, *sides, strict=True)
        if one and other and not pair.discarded
    ]
    return (
        np.array([each[0] for each in used], dtype=np.float64),
        np.array([each[1] for each in used], dtype=np.float64),
        [each[2] for each in used],
    )


def of_candidate(found: Effect, wanted: float, sign: int) -> tuple[float, tuple[float, float]]:
    """The effect, which is above 1 when worse, as the ratio candidate / base."""
    ratio, one, other = (
        wanted * math.exp(sign * math.log(each)) for each in (found.ratio, found.lower, found.upper)
    )
    return ratio, (min(one, other), max(one, other))


def with_q_values(verdicts: list[Verdict]) -> list[Verdict]:
    """Each verdict with what its p-value is worth among all of them."""
    tested = [entry for entry in verdicts if entry.p_value is not None]
    if not tested:
        return verdicts
    q = iter(statistics.corrected([entry.p_value or 0.0 for entry in tested]))
    return [
        entry if entry.p_value is None else entry.model_copy(update={"q_value": next(q)})
        for entry in verdicts
    ]
