"""Whether a window has changed, column by column, with what made it so.

Changed is what is more than chance (Holm's correction over the whole window), large enough to matter (a
floor), and larger than what the reference's own periods differ by.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from workloads.watch_drift.distributions import is_number
from workloads.watch_drift.measures import Measured, measure
from workloads.watch_drift.multiple import holm
from workloads.watch_drift.reference import Reference

NAMED = 20
"""Unknown categories that are named, at most; the others are counted."""


@dataclass(frozen=True)
class Limits:
    """When a difference is one."""

    level: float = 0.01
    """Chance that an unchanged window has one significant difference or more."""
    ks: float = 0.08
    """What a normal distribution has that is moved by 0.2 of its deviation: 2 Φ(0.1) - 1."""
    wasserstein: float = 0.2
    """Deviations that the mass is moved by in the mean: Cohen's small effect."""
    psi: float = 0.1
    """The usual limit of a small change (Siddiqi 2006)."""
    unknown: float = 0.01
    """Share of rows with categories that the reference has not."""
    nulls: float = 0.05
    """Difference of the shares of missing values."""
    auc: float = 0.6
    """Of a classifier that tells rows of the window from those of the reference; a half is by lot. A normal
    distribution that is moved by 0.36 of its deviation has it: Φ(0.36 / √2)."""
    season: float = 1.25
    """Times the most that one of the reference's own periods differs by: another one may exceed it a bit."""

    def of(self, reference: Reference, name: str, effect: str) -> float:
        """The floor, or what periods like the reference's own may reach where that is more."""
        reached = reference.seasons.get(name, {}).get(effect, 0.0)
        return max(float(getattr(self, effect)), self.season * reached)

    def of_auc(self, reached: float) -> float:
        """The same of a classifier, which has a half where nothing differs."""
        return max(self.auc, 0.5 + self.season * (reached - 0.5))

    def calm(self, reference: Reference) -> list[str]:
        """The features whose periods all stay within the floors: they have no season."""
        return [
            name
            for name, effects in reference.seasons.items()
            if reference.kind(name) == "feature"
            and all(size <= getattr(self, effect) for effect, size in effects.items())
        ]


@dataclass(frozen=True)
class Verdict:
    """What one look at one thing of a window came to."""

    window: str
    kind: str
    """`feature`, `prediction`, `stream`, `classifier`, `schema` or `feed`."""
    subject: str
    """A column; of a feed `rows`, of a stream what happened, of a classifier `columns`."""
    about: str
    """`values`, `nulls`; `missing`, `type`, `extra`; `starved`, `few`; `days by` a detector; `together`."""
    changed: bool
    says: str
    p: float = 1.0
    """After Holm's correction."""
    effects: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    """Beyond which each effect is a change."""

    @property
    def of(self) -> tuple[str, str, str]:
        """What it is on, in any window."""
        return self.kind, self.subject, self.about


def judge(
    reference: Reference, window: str, rows: pd.DataFrame, limits: Limits = Limits(), least_rows: int = 200
) -> list[Verdict]:
    """The verdicts on one window. One with fewer than `least_rows` is judged by its schema alone."""
    schema = schema_verdicts(reference, window, rows)
    unfit = {verdict.subject for verdict in schema if verdict.about != "extra"}
    if len(rows) < least_rows:
        says = f"{len(rows)} rows are too few to judge; {least_rows} are asked for"
        return [*schema, Verdict(window, "feed", "rows", "few", False, says)]
    names = [name for name in reference.columns if name not in unfit]
    measured = {name: measure(reference.columns[name], rows[name]) for name in names}
    adjusted = holm([p for each in measured.values() for p in (each.p, each.p_nulls)])
    found = list(schema)
    for place, (name, each) in enumerate(measured.items()):
        found.append(_values(reference, window, name, each, adjusted[2 * place], limits))
        found.append(_nulls(reference, window, name, each, adjusted[2 * place + 1], limits))
    return found


def _values(
    reference: Reference, window: str, name: str, each: Measured, p: float, limits: Limits
) -> Verdict:
    bounds = {effect: limits.of(reference, name, effect) for effect in each.effects}
    beyond = [effect for effect, size in each.effects.items() if size > bounds[effect]]
    changed = p < limits.level and bool(beyond)
    if changed:
        says = ", ".join(f"{effect} {each.effects[effect]:.3g} > {bounds[effect]:.3g}" for effect in beyond)
    elif beyond:
        says = "not more than chance"
    else:
        says = "as the reference" if p >= limits.level else "differs less than is usual or than matters"
    if each.unknown:
        more = f" and {len(each.unknown) - NAMED} more" if len(each.unknown) > NAMED else ""
        says += f"; unknown: {', '.join(each.unknown[:NAMED])}{more}"
    return Verdict(window, reference.kind(name), name, "values", changed, says, p, dict(each.effects), bounds)


def _nulls(reference: Reference, window: str, name: str, each: Measured, p: float, limits: Limits) -> Verdict:
    bound = limits.of(reference, name, "nulls")
    changed = p < limits.level and abs(each.nulls) > bound
    says = f"{abs(each.nulls):.1%} {'more' if each.nulls > 0 else 'fewer'} missing than in the reference"
    return Verdict(
        window, reference.kind(name), name, "nulls", changed, says if each.nulls else "as the reference", p,
        {"nulls": each.nulls}, {"nulls": bound},
    )  # fmt: skip


def schema_verdicts(reference: Reference, window: str, rows: pd.DataFrame) -> list[Verdict]:
    """One for each column that is missing, of another type, or not in the reference; none when all fits."""

    def verdict(subject: str, about: str, says: str) -> Verdict:
        return Verdict(window, "schema", subject, about, True, says)

    found = []
    for name in reference.columns:
        if name not in rows:
            found.append(verdict(name, "missing", "the window has no such column"))
        elif rows[name].notna().any() and is_number(rows[name]) != (reference.type_of(name) == "number"):
            found.append(
                verdict(name, "type", f"is {rows[name].dtype}, in the reference a {reference.type_of(name)}")
            )
    extra = [str(name) for name in rows if name not in reference.columns]
    return found + [verdict(name, "extra", "the reference has no such column") for name in extra]


def starved(window: str, rows: Sequence[int], windows: int = 2) -> Verdict:
    """Whether the last `windows` windows brought nothing; `rows` has the rows of each up to this one.

    What brings nothing changes nothing, so a watch that is silent for this reason looks like one where all
    is well.
    """
    last = list(rows)[-windows:]
    is_so = not any(last) and len(last) == windows
    says = f"no rows in {windows} windows" if is_so else f"{sum(last)} rows in the last {len(last)} windows"
    return Verdict(window, "feed", "rows", "starved", is_so, says)
