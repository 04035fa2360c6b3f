"""What was measured and judged, for people and for programs: tables, JUnit XML, and evidence to keep."""

from collections.abc import Sequence
from xml.etree import ElementTree

import yaml
from rich.table import Table

from benchmarks.check import FAILING
from benchmarks.results import Comparison, Measured, Results, Verdict

MARKS = {
    "pass": ("✓", "green"),
    "improvement": ("↑", "green"),
    "inconclusive": ("?", "yellow"),
    "regression": ("✗", "bold red"),
    "invalid": ("!", "bold red"),
}


def measured(results: Results) -> Table:
    """Metric, both sides' medians with intervals, unit."""
    drawn = columns("metric", "", "median", "95 % interval", "p99 at most", "unit", "pairs")
    for metric in results.metrics:
        if metric.value is None:
            drawn.add_row(metric.key, metric.candidate, "none", "", "", escape(metric.reason), "0")
        for side, summary in metric.summary.items():
            if summary.median is None:
                continue
            interval = f"{summary.ci95[0]:.4g} to {summary.ci95[1]:.4g}" if summary.ci95 else ""
            tail = summary.quantile_bound99.get("0.99")
            bound = f"{tail:.4g}" if tail is not None else ""
            median = f"{summary.median:.4g}"
            drawn.add_row(metric.key, side, median, interval, bound, metric.unit, str(summary.pairs))
    return drawn


def verdicts(comparison: Comparison) -> Table:
    """Metric, role, verdict and why."""
    drawn = columns("", "metric", "role", "verdict", "why", "q")
    for entry in comparison.verdicts:
        mark, style = MARKS[entry.verdict]
        q = f"{entry.q_value:.3f}" if entry.q_value is not None else ""
        drawn.add_row(
            f"[{style}]{mark}[/{style}]", entry.key, entry.role, entry.verdict, escape(entry.message), q
        )
    return drawn


def columns(*names: str) -> Table:
    drawn = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        drawn.add_column(name, overflow="fold")
    return drawn


def escape(text: str) -> str:
    """Square brackets are markup to rich."""
    return text.replace("[", "\\[")


def summary(results: Results, comparison: Comparison) -> str:
    """One line: the run, and how many verdicts of each kind."""
    said = [entry.verdict for entry in comparison.verdicts]
    parts = [f"{said.count(word)} {word}" for word in MARKS if word in said]
    cut = "" if results.run.complete else f", not complete ({results.run.ended}: {results.run.reason})"
    return (
        f"{results.run.benchmark}, run {results.run.id}, {len(results.pairs)} pairs{cut}: "
        f"{', '.join(parts) or 'no verdict'}"
    )


def junit(judged: Sequence[tuple[Results, Comparison]]) -> str:
    """JUnit XML, one suite a benchmark: a regression is a failure, what could not be judged an error, and an
    inconclusive verdict is skipped. A trend never fails.
    """
    suites = ElementTree.Element("testsuites")
    for results, comparison in judged:
        suite = ElementTree.SubElement(suites, "testsuite", name=results.run.benchmark)
        kinds = [element(entry) for entry in comparison.verdicts]
        for kind in ("failure", "error", "skipped"):
            count = str(kinds.count(kind))
            suite.set({"failure": "failures", "error": "errors"}.get(kind, kind), count)
        suite.set("tests", str(len(kinds)))
        suite.set("time", f"{results.run.seconds:.2f}")
        for entry, kind in zip(comparison.verdicts, kinds, strict=True):
            case = ElementTree.SubElement(suite, "testcase", classname=results.run.benchmark, name=entry.key)
            if kind:
                ElementTree.SubElement(case, kind, message=entry.message)
            ElementTree.SubElement(case, "system-out").text = f"{entry.verdict}: {entry.message}"
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def element(entry: Verdict) -> str:
    """The element that a test case of this verdict holds; empty for one that passed."""
    if entry.verdict in FAILING and entry.role == "trend":
        return "skipped"
    return {"regression": "failure", "invalid": "error", "inconclusive": "skipped"}.get(entry.verdict, "")


def evidence(results: Results, comparison: Comparison) -> str:
    """YAML to put under `evidence:` of the expectations, by metric."""
    found = {}
    for entry in comparison.verdicts:
        metric = results.metric(entry.key)
        if metric is not None and (told := one_evidence(results, entry, metric)):
            found[entry.key] = [told]
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True)


def one_evidence(results: Results, entry: Verdict, metric: Measured) -> dict[str, object] | None:
    """What this run says of one metric; None where it says nothing."""
    own = metric.summary.get(metric.candidate)
    ratio, ci, pairs = entry.ratio, entry.ci, entry.pairs
    if ratio is None and own is not None:
        ratio, ci, pairs = own.median, own.ci95, own.pairs
    if ratio is None or ci is None:
        return None
    return {
        "runs": [results.run.id],
        "pairs": pairs,
        "median": float(f"{ratio:.4g}"),
        "ci": [float(f"{each:.4g}") for each in ci],
        "date": results.run.started.date(),
        "machine": results.env.machine,
    }
