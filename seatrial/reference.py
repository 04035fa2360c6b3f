"""Writes the pages of docs/reference that are made from the code: `make reference`."""

import ast
import dataclasses
import importlib
import inspect
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, TypeAdapter

import workloads
from infra.settings import PlatformSettings
from infra.settings_base import Resources
from seatrial.context import CHECKOUT

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
`reference`, which is shown here; `--config tiny` begins with those of a small run."""


def pages() -> dict[str, str]:
    """The content of each page, by its file's name."""
    return {"settings.md": settings_page(), "workloads.md": workloads_page()}


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
    yield from _rows("reference", ((name, getattr(chosen, name), texts.get(name)) for name in fields))


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
