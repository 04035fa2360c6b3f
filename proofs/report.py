"""What came out, for people and for programs: a table, JSON, JUnit XML and one HTML page that needs nothing
else.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jinja2
import numpy as np
from rich.table import Table

from proofs import charts, drift_figures, figures, pages
from proofs.run import FAILED, NOT_RUN, PASSED, SKIPPED, Result, holds, ok

MARKS = {
    PASSED: ("✓", "green"),
    FAILED: ("✗", "bold red"),
    SKIPPED: ("–", "yellow"),
    NOT_RUN: ("·", "yellow"),
}


def left_out(results: Sequence[Result]) -> dict[str, list[Result]]:
    """By the reason what was skipped for one that others have too, such as a part that is not there."""
    found: dict[str, list[Result]] = {}
    for entry in results:
        if entry.result == SKIPPED and entry.cause:
            found.setdefault(entry.cause, []).append(entry)
    return {reason: entries for reason, entries in found.items() if len(entries) > 1}


def told_singly(results: Sequence[Result]) -> list[Result]:
    """What is not `left_out`."""
    shared = left_out(results)
    return [entry for entry in results if entry.result != SKIPPED or entry.cause not in shared]


def subjects(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results by subject, in their order."""
    found: dict[str, list[Result]] = {}
    for entry in results:
        found.setdefault(entry.subject, []).append(entry)
    return found


def table(results: Sequence[Result]) -> Table:
    """Proof, what was asserted, result, seconds; a line for all that is `left_out` for the same reason."""
    drawn = Table(box=None, pad_edge=False, header_style="dim")
    drawn.add_column("")
    drawn.add_column("proof", no_wrap=True, overflow="ignore")
    drawn.add_column("what was asserted", overflow="fold")
    drawn.add_column("assertions", justify="right")
    drawn.add_column("seconds", justify="right")
    for entry in told_singly(results):
        mark, style = MARKS[entry.result]
        about = entry.about if entry.result == PASSED else f"{entry.about}\n{entry.result}: {entry.cause}"
        drawn.add_row(
            f"[{style}]{mark}[/{style}]",
            entry.name,
            escape(about),
            str(entry.assertions),
            f"{entry.seconds:.1f}",
        )
    mark, style = MARKS[SKIPPED]
    for reason, entries in left_out(results).items():
        whose = ", ".join(subjects(entries))
        about = escape(f"{len(entries)} proofs of {whose}\n{SKIPPED}: {reason}")
        drawn.add_row(f"[{style}]{mark}[/{style}]", "", about, "", "")
    return drawn


def escape(text: str) -> str:
    """Square brackets are markup to rich."""
    return text.replace("[", "\\[")


def count(results: Sequence[Result]) -> dict[str, int]:
    counts = {name: sum(entry.result == name for entry in results) for name in MARKS}
    return {**counts, "assertions": sum(entry.assertions for entry in results)}


def summary(results: Sequence[Result]) -> str:
    """One line: how many proofs came out how."""
    found = count(results)
    parts = [f"{found[name]} {name}" for name in MARKS if found[name]]
    return f"{len(results)} proofs, {found['assertions']} assertions: {', '.join(parts) or 'none ran'}"


def red(results: Sequence[Result]) -> list[str]:
    """A line for each proof that makes the run fail: its name and the cause."""
    return [f"{entry.result}: {entry.name}: {entry.cause}" for entry in results if not holds(entry)]


def write(
    results: Sequence[Result],
    folder: Path,
    *,
    stack: str = "local",
    timeline: Path | None = None,
    seen: Mapping[str, Any] | None = None,
) -> dict[str, Path]:
    """Write `proofs.json`, `proofs.xml` and `report.html` into `folder`; returns their paths.

    `timeline` is a JSON file with `[{"name", "start", "seconds"}]`, seconds since the begin of `pulumi up`;
    `seen` is what `pages.look` found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    files = {
        "json": (
            folder / "proofs.json",
            json.dumps([asdict(entry) for entry in results], indent=2, default=str),
        ),
        "junit": (folder / "proofs.xml", junit(results)),
        "html": (
            folder / "report.html",
            html(results, stack=stack, made=now, steps=read_timeline(timeline), seen=seen),
        ),
    }
    for path, text in files.values():
        unfinished = path.with_suffix(path.suffix + ".part")
        unfinished.write_text(text)
        unfinished.replace(path)
    return {name: path for name, (path, _) in files.items()}


def junit(results: Sequence[Result]) -> str:
    """JUnit XML, one suite a subject; what was not run is an error, because it was asked for."""
    suites = ElementTree.Element("testsuites")
    for subject, own in subjects(results).items():
        found = count(own)
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            name=subject,
            tests=str(len(own)),
            failures=str(found[FAILED]),
            errors=str(found[NOT_RUN]),
            skipped=str(found[SKIPPED]),
            time=f"{sum(entry.seconds for entry in own):.2f}",
        )
        for entry in own:
            case = ElementTree.SubElement(
                suite, "testcase", classname=subject, name=entry.name, time=f"{entry.seconds:.2f}"
            )
            kind = {FAILED: "failure", SKIPPED: "skipped", NOT_RUN: "error"}.get(entry.result)
            if kind:
                ElementTree.SubElement(case, kind, message=printable(entry.cause))
            ElementTree.SubElement(case, "system-out").text = printable("\n".join(entry.asserted))
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def printable(text: str) -> str:
    """Without the control characters that XML forbids."""
    return "".join(letter for letter in text if letter >= " " or letter in "\n\t")


def read_timeline(path: Path | None) -> list[dict[str, Any]]:
    """The provisioning steps; none when they were not recorded."""
    if path is None or not path.is_file():
        return []
    try:
        steps: list[dict[str, Any]] = json.loads(path.read_text())
    except ValueError:
        return []
    return sorted(steps, key=lambda step: float(step["start"]))


def html(
    results: Sequence[Result],
    *,
    stack: str,
    made: str,
    steps: Sequence[dict[str, Any]] = (),
    seen: Mapping[str, Any] | None = None,
) -> str:
    """The whole page; figures appear for what was attached."""
    attached: dict[str, Any] = {}
    for entry in results:
        attached.update(entry.attached)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    evaluation, losses = attached.get("evaluation"), attached.get("losses")
    return environment.get_template("report.html.j2").render(
        stack=stack,
        made=made,
        good=ok(results),
        counts=count(results),
        seconds=sum(entry.seconds for entry in results),
        subjects=subjects(told_singly(results)),
        left_out=left_out(results),
        marks={name: mark for name, (mark, _) in MARKS.items()},
        evaluation=evaluation,
        data=attached.get("data"),
        loss=figures.lines(losses, "epoch", "loss") if losses else None,
        roc=figures.roc(evaluation["roc"]) if evaluation else None,
        drift=drift(attached.get("drift")),
        arrivals=arrivals(results),
        timeline=figures.timeline(steps) if steps else None,
        **observed(seen),
        provisioning=max((float(s["start"]) + float(s["seconds"]) for s in steps), default=0),
    )


def arrivals(results: Sequence[Result]) -> dict[str, Any] | None:
    """How long each alert took that proofs caused, the slowest first; none where none was caused."""
    ways = [way for entry in results for way in entry.attached.get("alerts", [])]
    if not ways:
        return None
    slowest = sorted(ways, key=lambda way: float(way["took"]), reverse=True)
    return {"ways": slowest, "p95": float(np.quantile([way["took"] for way in ways], 0.95))}


def drift(attached: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The figures of a shift that the drift watch was to see; none where it was not proven."""
    if attached is None:
        return None
    across = f"minutes of {attached['column']}"
    return {
        **{name: attached[name] for name in ("column", "minutes", "window")},
        "limits": drift_figures.limits(attached["sizes"]),
        "distribution": drift_figures.distribution(attached["before"], attached["after"], across),
    }


def observed(seen: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the template shows of dashboards and alerts; nothing where nobody looked."""
    if seen is None:
        return {"pages": [], "alerts": None, "blind": ""}
    if "error" in seen:
        return {"pages": [], "alerts": None, "blind": seen["error"]}
    quiet = "No alert was pending or firing in this time."
    drawn = charts.alert_timeline(seen["alerts"], seen) if seen["alerts"] else quiet
    return {"pages": pages.pages(seen), "alerts": drawn, "blind": "", "span": span(seen)}


def span(seen: Mapping[str, Any]) -> str:
    """`14:05 to 14:20 UTC`."""
    begin, end = (datetime.fromtimestamp(seen[key], UTC).strftime("%H:%M") for key in ("start", "end"))
    return f"{begin} to {end} UTC"
