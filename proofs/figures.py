"""Figures as inline SVG, drawn with the page's own colours, so that they follow its light and dark theme."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

WIDTH, HEIGHT = 340, 250
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 10, 42
SERIES = ("var(--one)", "var(--two)")


def lines(series: Mapping[str, Sequence[float]], across: str, up: str) -> Markup:
    """One line for each series, over its index."""
    longest = max(len(values) for values in series.values())
    highest = max(max(values) for values in series.values())
    lowest = min(min(values) for values in series.values())
    bottom, top = padded(lowest, highest)
    parts = axes(
        [(i, str(i + 1)) for i in range(longest)], ticks(bottom, top), (0, longest - 1), (bottom, top)
    )
    for place, (name, values) in enumerate(series.items()):
        points = [scale(i, value, (0, max(longest - 1, 1)), (bottom, top)) for i, value in enumerate(values)]
        parts.append(path(points, SERIES[place % 2]))
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{SERIES[place % 2]}"><title>{escape(name)} '
            f"{value:.4f}</title></circle>"
            for (x, y), value in zip(points, values, strict=True)
        ]
        label = escape(name.replace("_", " "))
        parts.append(
            f'<g transform="translate({WIDTH - RIGHT - 112},{TOP + 12 + 18 * place})">'
            f'<line x2="16" y1="-4" y2="-4" stroke="{SERIES[place % 2]}" stroke-width="2.5"/>'
            f'<text x="22">{label}</text></g>'
        )
    return svg([*parts, *titles(across, up)], f"{up} by {across}")


def roc(points: Sequence[Sequence[float]]) -> Markup:
    """True positives against false positives, with the line of chance."""
    marks = [(value, f"{value:g}") for value in (0, 0.25, 0.5, 0.75, 1)]
    parts = axes(marks, marks, (0, 1), (0, 1))
    chance = [scale(0, 0, (0, 1), (0, 1)), scale(1, 1, (0, 1), (0, 1))]
    parts.append(path(chance, "var(--faint)", dash=True))
    curve = [scale(x, y, (0, 1), (0, 1)) for x, y in points]
    corner = scale(1, 0, (0, 1), (0, 1))
    area = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*curve, corner])
    parts.append(f'<polygon points="{area}" fill="var(--one)" opacity="0.10"/>')
    parts.append(path(curve, "var(--one)"))
    return svg([*parts, *titles("false positive rate", "true positive rate")], "ROC curve")


def timeline(steps: Sequence[Mapping[str, Any]], most: int = 40) -> Markup:
    """A bar for each step; the longest ones, in the order in which they began."""
    kept = sorted(steps, key=lambda step: -float(step["seconds"]))[:most]
    kept.sort(key=lambda step: float(step["start"]))
    end = max(float(step["start"]) + float(step["seconds"]) for step in steps) or 1.0
    width, row, label = 940, 19, 330
    height = row * len(kept) + 34

    def x(second: float) -> float:
        return label + second / end * (width - label - 60)

    parts = []
    for value, text in ticks(0, end):
        parts.append(
            f'<line class="grid" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="4" y2="{height - 26}"/>'
            f'<text x="{x(value):.1f}" y="{height - 10}" text-anchor="middle">{text} s</text>'
        )
    for place, step in enumerate(kept):
        y, start, seconds = 6 + row * place, float(step["start"]), float(step["seconds"])
        wide = max(x(start + seconds) - x(start), 2)
        name = str(step["name"])
        shown = name if len(name) <= 46 else f"…{name[-45:]}"
        parts.append(
            f'<text x="{label - 10}" y="{y + 11}" text-anchor="end">{escape(shown)}</text>'
            f'<rect x="{x(start):.1f}" y="{y}" width="{wide:.1f}" height="{row - 6}" rx="2.5" '
            f'fill="var(--one)"><title>{escape(name)}: {seconds:.1f} s</title></rect>'
            f'<text x="{x(start) + wide + 6:.1f}" y="{y + 11}" class="faint">{seconds:.1f}</text>'
        )
    return svg(parts, "provisioning timeline", width, height)


def padded(low: float, high: float) -> tuple[float, float]:
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return low - room, high + room


def ticks(low: float, high: float, wanted: int = 5) -> list[tuple[float, str]]:
    """Round values between low and high."""
    raw = (high - low) / wanted
    magnitude = 10 ** len(str(int(raw))) / 10 if raw >= 1 else 1.0
    while magnitude > raw:
        magnitude /= 10
    step = next(size * magnitude for size in (1, 2, 5, 10) if size * magnitude >= raw)
    first = int(low / step) if low >= 0 else int(low / step) - 1
    values = [step * i for i in range(first, first + wanted * 3)]
    return [(value, f"{value:.10g}") for value in values if low <= value <= high]


def scale(x: float, y: float, across: tuple[float, float], up: tuple[float, float]) -> tuple[float, float]:
    """Where a point lies on the canvas."""
    fraction_x = (x - across[0]) / ((across[1] - across[0]) or 1)
    fraction_y = (y - up[0]) / ((up[1] - up[0]) or 1)
    return LEFT + fraction_x * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - fraction_y * (HEIGHT - TOP - BOTTOM)


def axes(
    bottom: Sequence[tuple[float, str]],
    left: Sequence[tuple[float, str]],
    across: tuple[float, float],
    up: tuple[float, float],
) -> list[str]:
    """Grid lines with their labels."""
    parts = []
    for value, text in left:
        _, y = scale(across[0], value, across, up)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
        )
    for value, text in bottom:
        x, _ = scale(value, up[0], across, up)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{text}</text>')
    return parts


def titles(across: str, up: str) -> list[str]:
    return [
        f'<text class="faint" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" '
        f'text-anchor="middle">{across}</text>',
        f'<text class="faint" transform="translate(11,{(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" '
        f'text-anchor="middle">{up}</text>',
    ]


def path(points: Sequence[tuple[float, float]], colour: str, dash: bool = False) -> str:
    where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = ' stroke-dasharray="4 4"' if dash else ""
    return f'<polyline points="{where}" fill="none" stroke="{colour}" stroke-width="2.2"{dashes}/>'


def svg(parts: Sequence[str], label: str, width: int = WIDTH, height: int = HEIGHT) -> Markup:
    """The parts as one picture that says what it shows."""
    inside = "".join(parts)
    # Every part above escapes what it was given.
    return Markup(
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">{inside}</svg>'
    )
