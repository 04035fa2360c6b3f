"""Writes the pages of docs/reference that are made from the code: `make reference`."""

import ast
import dataclasses
import importlib
import inspect
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, TypeAdapter

import workloads
from infra import alerts, parts
from infra.settings import PlatformSettings
from infra.settings_base import Resources
from proofs import alarms, causes, outages
from proofs.subjects.monitoring_alerts import AT_MOST
from seatrial import detection
from seatrial.context import CHECKOUT
from workloads.settings import settable

FOLDER = CHECKOUT / "docs" / "reference"
LONGEST = 160
"""Characters of a default that a table has room for."""
OF_STACKS = """\
# Settings of a stack

What `stacks/Pulumi.<stack>.yaml` may say, one key a section: `seatrial:trino: { workers: 3 }`. What it leaves
out has the default. An unknown name is an error, with the nearest one that is known. Where `cpu` and `memory`
stand together, the first is what a container asks for, the second that and the most it may use.
"""
OF_WORKLOADS = """\
# Settings of the reference workloads

`seatrial deploy WORKLOAD --set NAME=VALUE` takes another value of a setting than that of its configuration
`reference`, which is shown here; `--config tiny` begins with those of a small run. Several whole numbers are
given as `1-5,8`."""

OF_ALERTS = """\
# Alerts

What `infra/components/*/alerts.yaml` and `workloads/*/alerts.yaml` say. An alert fires when its expression,
which looks back over the window, has held for as long as `for` says.
[How to add one](../how-to/add-an-alert.md)

## Of components

Those of a part are there where the part is; those of the object store, where it is not external.

| alert | severity | says | window | for | component | part |
| --- | --- | --- | --- | --- | --- | --- |"""
OF_ALERTS_OF_WORKLOADS = """
## Of workloads

They come with `seatrial deploy WORKLOAD`, which needs the part, and go with the workload. Under another name
it has alerts of its own.

| alert | severity | says | window | for | workload | part |
| --- | --- | --- | --- | --- | --- | --- |"""
OF_RECORDED = """
## Recorded values

What alerts and dashboards read instead of an expression of their own.

| value | window | component | of |
| --- | --- | --- | --- |"""
OF_CAUSES = """
## How each is seen to fire

Two proofs cause all alerts that are loaded and follow each to the receiver, and its end:
`monitoring.every_dead_server_is_told_of` and `monitoring.every_other_alert_is_told_of`, which fails where
nothing causes an alert. Those of the drift watch are caused by the proofs of `drift`.

What a machine for tests must not have, and what would take hours, is *reported*: an exporter of the proof's
own tells the figures under the labels of the real one. From the rule on all is as it would be; that the
real exporter tells just these figures is not shown by that.

| alert | caused by |
| --- | --- |"""


def pages() -> dict[str, str]:
    """The content of each page, by its file's name."""
    return {"settings.md": settings_page(), "workloads.md": workloads_page(), "alerts.md": alerts_page()}


def settings_page() -> str:
    """Everything that a stack file may say."""
    lines = [OF_STACKS]
    whole = PlatformSettings()
    sections = {name: each for name, each in whole if _is_section(each)}
    lines += _rows("default", (each for each in _settings_of(whole) if "." not in each[0]))
    for name, section in sections.items():
        lines += ["", f"## {name}", "", *_rows("default", _settings_of(section))]
    return "\n".join(lines) + "\n"


def _rows(column: str, settings: Iterable[tuple[str, Any, str | None]]) -> Iterator[str]:
    """A table of settings by name, value (in `column`) and what they mean."""
    yield f"| setting | {column} | |"
    yield "| --- | --- | --- |"
    for name, value, text in settings:
        yield f"| `{name}` | {_code(value)} | {_one_line(text)} |"


def _settings_of(section: BaseModel, above: str = "") -> Iterator[tuple[str, Any, str | None]]:
    """Its settings by their paths, those of its subsections included."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if _is_section(value):
            yield from _settings_of(value, f"{above}{name}.")
        else:
            yield above + name, value, field.description


def _is_section(value: Any) -> bool:
    return isinstance(value, BaseModel) and not isinstance(value, Resources)


def workloads_page() -> str:
    """What `seatrial deploy WORKLOAD` takes, and what `--set NAME=VALUE` may change."""
    lines = [OF_WORKLOADS]
    for name in workloads.names():
        lines += ["", f"## {name}", "", *_options(name), *_settings(name)]
    return "\n".join(lines) + "\n"


def _options(workload: str) -> Iterator[str]:
    found = sorted(workloads.options(workload) - {"arguments", "config", "namespace"})
    if found:
        yield f"Its objects take: {', '.join(f'`{option}`' for option in found)}."
        yield ""


def _settings(workload: str) -> Iterator[str]:
    """Of what the workload's `reference()` gives."""
    if not (Path(workloads.__file__).parent / workload / "config.py").is_file():
        yield f"It has no settings of its own; see [its README](../../workloads/{workload}/README.md)."
        return
    chosen = importlib.import_module(f"workloads.{workload}.config").reference()
    texts = _docstrings(type(chosen))
    fields = (field.name for field in dataclasses.fields(chosen))
    values = ((name, getattr(chosen, name)) for name in fields)
    yield from _rows("reference", ((name, value, _told(value, texts.get(name))) for name, value in values))


def _told(value: Any, text: str | None) -> str:
    """What a setting means, and whether `--set` can change it."""
    fixed = "" if settable(value) else "In `config.py` alone."
    return " ".join(each for each in (text, fixed) if each)


def _docstrings(of: type) -> dict[str, str]:
    """The string below each field of a class."""
    (made,) = ast.parse(inspect.getsource(of)).body
    assert isinstance(made, ast.ClassDef)
    return {
        ast.unparse(entry.target): str(below.value.value)
        for entry, below in itertools.pairwise(made.body)
        if isinstance(entry, ast.AnnAssign)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
    }


def alerts_page() -> str:
    """All alerts, with what they say and where to read on; all recorded values; how long alerts take, and how
    they are caused.
    """
    rules = list(_rules())
    windows = {rule["record"]: _windows(rule["expr"], {}) for _, rule in rules if "record" in rule}
    recorded = [
        f"| `{rule['record']}` | {windows[rule['record']]} | {component} | {_metrics(rule['expr'])} |"
        for component, rule in rules
        if "record" in rule
    ]
    lines = [
        OF_ALERTS,
        *(_alert(name, _part_of(name), rule, windows) for name, rule in rules if "alert" in rule),
        OF_ALERTS_OF_WORKLOADS,
        *(
            _alert(name, ", ".join(workloads.parts(name)), rule, windows)
            for name, rule in _rules_of_workloads()
        ),
        OF_RECORDED,
        *recorded,
        *detection.section(listed(), AT_MOST, alarms.HEARTBEAT),
        OF_CAUSES,
        *_causes(),
    ]
    return "\n".join(lines) + "\n"


def _causes() -> Iterator[str]:
    """For each alert what is done to see it."""
    dead = {
        alert: f"`{server.namespace}/{server.name}` has no pods" for alert, server in outages.DEAD.items()
    }
    dead[outages.WITHOUT_TARGETS] = "all of these servers have no pods, so their monitors have no targets"
    others = {alert: cause.how for alert, cause in causes.CAUSES.items()}
    drift = dict.fromkeys(causes.DRIFT, "the proofs of `drift`")
    always = {alarms.HEARTBEAT: "nothing: it always fires, and is missed when it does not arrive"}
    for alert, how in sorted((dead | others | drift | always).items()):
        yield f"| [{alert}](../runbooks/{alert}.md) | {how} |"


def listed() -> list[dict[str, Any]]:
    """The alerts of all components and workloads."""
    return [rule for _, rule in (*_rules(), *_rules_of_workloads()) if "alert" in rule]


def _rules() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each rule with its component."""
    for component, content in alerts.rules(parts.ALL).items():
        for group in content["groups"]:
            for rule in group["rules"]:
                yield component, rule


def _rules_of_workloads() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each alert with the workload that brings it."""
    for name in workloads.names():
        for each in workloads.manifest(name, detection.IMAGE):
            if each["kind"] == "PrometheusRule":
                for group in each["spec"]["groups"]:
                    yield from ((name, rule) for rule in group["rules"])


def _part_of(component: str) -> str:
    owners = [part for part in parts.ALL if component.replace("-", "_") in parts.COMPONENTS[part]]
    return owners[0] if owners else parts.CORE


def _alert(owner: str, part: str, rule: dict[str, Any], windows: Mapping[str, str]) -> str:
    cells = (
        f"[{rule['alert']}](../runbooks/{rule['alert']}.md)",
        rule["labels"]["severity"],
        _one_line(_readable(rule["annotations"]["summary"])),
        _windows(rule["expr"], windows),
        rule.get("for", "at once"),
        owner,
        part or parts.CORE,
    )
    return f"| {' | '.join(cells)} |"


def _readable(summary: str) -> str:
    """With the names of labels in the place of the template's code."""
    named = re.sub(r"\{\{ (?:or )?\$labels\.(\w+)[^}]*\}\}", r"*\1*", summary)
    return re.sub(r"\{\{ \$value[^}]*\}\}", "*value*", named)


def _windows(expression: str, recorded: Mapping[str, str]) -> str:
    """How far an expression looks back, by itself or by what was recorded; `now` where it does not."""
    own = re.findall(r"\[(\w+)\]", expression)
    through = [window for name, window in recorded.items() if name in expression]
    return ", ".join(dict.fromkeys([*own, *through])) or "now"


def _metrics(expression: str) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(re.findall(r"(\w+)(?=\{|\[)", expression)))


def _code(value: Any) -> str:
    """As a stack file would have it; what is too long for a table is left to the code."""
    found = TypeAdapter(Any).dump_python(value, mode="json")
    text = found if isinstance(found, str) else yaml.safe_dump(found, default_flow_style=True, width=10**6)
    text = text.removesuffix("\n").removesuffix("\n...")
    if found is None or found == "":
        return "none"
    return f"`{text}`" if len(text) <= LONGEST else "several, see the code"


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def main() -> None:
    for name, content in pages().items():
        (FOLDER / name).write_text(content)
        sys.stdout.write(f"docs/reference/{name}\n")


if __name__ == "__main__":
    main()
