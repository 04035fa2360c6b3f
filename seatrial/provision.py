"""Runs the real `pulumi up` through the Automation API and keeps what each resource took."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pulumi import automation
from pulumi.automation.events import EngineEvent, StepEventMetadata

from local import engine
from seatrial.console import ConsoleProgress, duration
from seatrial.context import CHECKOUT


class ProvisionError(Exception):
    """Pulumi could not bring the platform up; carries Pulumi's own words."""


@dataclass
class Timeline:
    """When the engine began and ended each resource, in seconds since the start of the update."""

    began: float = field(default_factory=time.monotonic)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def event(self, event: EngineEvent) -> None:
        now = time.monotonic() - self.began
        if (pre := event.resource_pre_event) and touches_cluster(pre.metadata):
            kind, name = pre.metadata.type.rsplit(":", 1)[-1], pre.metadata.urn.rsplit("::", 1)[-1]
            entry: dict[str, Any] = {
                "name": f"{kind} {name}",
                "type": pre.metadata.type,
                "op": pre.metadata.op.value,
                "start": round(now, 3),
            }
            self.resources.setdefault(pre.metadata.urn, entry)
        done = event.res_outputs_event or event.res_op_failed_event
        if done and done.metadata.urn in self.resources:
            entry = self.resources[done.metadata.urn]
            entry["seconds"] = round(now - entry["start"], 3)
        if (said := event.diagnostic_event) and said.severity == "error":
            self.errors.append(said.message)

    def as_list(self) -> list[dict[str, Any]]:
        """Finished resources that were touched, in the order in which they began."""
        return sorted(
            (entry for entry in self.resources.values() if "seconds" in entry),
            key=lambda entry: float(entry["start"]),
        )


def keep(resources: list[dict[str, Any]], report: Path) -> None:
    """A run that touched nothing leaves the account of the last that did."""
    if resources:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps(resources, indent=1))


def touches_cluster(step: StepEventMetadata) -> bool:
    """Whether this is work on an object, not on a component, the stack or the provider."""
    return step.type.startswith("kubernetes:") and step.op.value != "same"


def up(stack: str, variables: Mapping[str, str], progress: ConsoleProgress, report: Path) -> dict[str, int]:
    """`pulumi up` of `stack`; writes the timeline to `report` and counts the operations.

    Raises:
        ProvisionError: with what Pulumi and the provider said.
    """
    os.environ.update(variables)
    engine.init_stack(stack, CHECKOUT, variables)
    workspace = automation.LocalWorkspace(work_dir=str(CHECKOUT), env_vars=dict(variables))
    selected = automation.Stack.select(stack, workspace)
    timeline = Timeline()
    label = f"pulumi up -s {stack}"
    progress.begin(label, EXPECTED_SECONDS)
    try:
        result = selected.up(on_event=timeline.event, suppress_progress=True, color="never")
    except automation.CommandError as failed:
        raise ProvisionError("\n".join(timeline.errors) or str(failed)) from None
    finally:
        keep(timeline.as_list(), report)
    changes = {str(op): count for op, count in (result.summary.resource_changes or {}).items()}
    slowest = max(timeline.as_list(), key=lambda entry: float(entry["seconds"]), default=None)
    note = ", ".join(f"{count} {op}" for op, count in changes.items())
    if slowest and "create" in changes:
        note += f"; slowest {slowest['name']} {duration(slowest['seconds'])}"
    progress.end(label, note)
    return changes


EXPECTED_SECONDS = 120.0
"""Measured on 2 cores with all images built, from nothing."""
