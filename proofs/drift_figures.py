"""What the drift watch found, drawn: how near each column came to its limit, and the one that was shifted."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from markupsafe import Markup, escape

from proofs.figures import BOTTOM, HEIGHT, LEFT, RIGHT, SERIES, TOP, WIDTH, svg, ticks, titles

ROW, LABEL, WIDE = 8, 150, 940
"""Height of a bar, room for the names of columns, and the width of the picture."""
MOST = 2.5
"""Times its limit that is drawn; a bar that reaches further is cut off, and its number says how far."""


def limits(sizes: Sequence[Mapping[str, Any]]) -> Markup:
    """For each column a bar a window: its largest effect as a part of that effect's limit."""
    largest = _largest(sizes)
    columns = list(dict.fromkeys(column for column, _ in largest))
    windows = sorted({window for _, window in largest}, key=int)
    group = ROW * len(windows) + 8
    height = group * len(columns) + 40

    def x(part: float) -> float:
        return LABEL + min(part, MOST) / MOST * (WIDE - LABEL - 60)

    parts = []
    for value, text in ticks(0, MOST):
        parts.append(
            f'<line class="grid" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="4" y2="{height - 32}"/>'
            f'<text class="faint" x="{x(value):.1f}" y="{height - 16}" text-anchor="middle">{text}</text>'
        )
    for row, column in enumerate(columns):
        y = 6 + group * row
        middle = y + (group - 8) / 2 + 4
        parts.append(f'<text x="{LABEL - 10}" y="{middle:.1f}" text-anchor="end">{escape(column)}</text>')
        for place, window in enumerate(windows):
            if (column, window) in largest:
                parts += _bar(largest[column, window], x, y + ROW * place)
    parts.append(
        f'<line x1="{x(1):.1f}" x2="{x(1):.1f}" y1="4" y2="{height - 32}" stroke="var(--bad)" '
        'stroke-width="1.6" stroke-dasharray="5 4"/>'
        f'<text class="faint" x="{(LABEL + WIDE - 60) / 2}" y="{height - 2}" text-anchor="middle">'
        "times its limit</text>"
    )
    return svg(parts, "effects and their limits", WIDE, height)


def _largest(sizes: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Of each column and window the effect that comes nearest to its limit, or goes farthest beyond."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for each in sizes:
        key = each["subject"], each["window"]
        if key not in found or _part(each) > _part(found[key]):
            found[key] = each
    return found


def _part(each: Mapping[str, Any]) -> float:
    return float(each["size"]) / float(each["limit"])


def _bar(each: Mapping[str, Any], x: Any, y: float) -> list[str]:
    part, begin = _part(each), x(0)
    colour = SERIES[1] if each["changed"] else SERIES[0]
    about = f"{each['subject']}, month {each['window']}: {each['effect']} {each['size']:.3g}"
    bar = (
        f'<rect x="{begin:.1f}" y="{y:.1f}" width="{max(x(part) - begin, 1):.1f}" height="{ROW - 2}" '
        f'rx="1.5" fill="{colour}"><title>{escape(about)}, limit {each["limit"]:.3g}</title></rect>'
    )
    if part <= MOST:
        return [bar]
    return [bar, f'<text x="{x(MOST) + 6:.1f}" y="{y + ROW:.1f}">{part:.3g} ×</text>']


def distribution(before: Sequence[Sequence[float]], after: Sequence[Sequence[float]], across: str) -> Markup:
    """The share of flights in each bin, as two stepped lines; bins are `[begin, flights]`."""
    sides = [_shares(each) for each in (before, after)]
    begins = sorted({place for side in sides for place in side})
    wide = min(b - a for a, b in pairwise(begins))
    low, high = begins[0], begins[-1] + wide
    top = max(max(side.values()) for side in sides) * 1.08

    def at(value: float, share: float) -> tuple[float, float]:
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        return LEFT + (value - low) / (high - low) * (right - LEFT), bottom - share / top * (bottom - TOP)

    parts = []
    for value, text in ticks(0, top * 100):
        _, y = at(low, value / 100)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text} %</text>'
        )
    for value, text in ticks(low, high, 8):
        x, _ = at(value, 0)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{text}</text>')
    for place, (side, name) in enumerate(zip(sides, ("before", "after"), strict=True)):
        points = [at(low, 0)]
        for begin in [low + wide * step for step in range(round((high - low) / wide))]:
            share = side.get(begin, 0.0)
            points += [at(begin, share), at(begin + wide, share)]
        where = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*points, at(high, 0)])
        parts.append(
            f'<polygon points="{where}" fill="{SERIES[place]}" fill-opacity="0.14" stroke="{SERIES[place]}" '
            f'stroke-width="2"/><g transform="translate({WIDTH - RIGHT - 80},{TOP + 12 + 18 * place})">'
            f'<line x2="16" y1="-4" y2="-4" stroke="{SERIES[place]}" stroke-width="2.5"/>'
            f'<text x="22">{name}</text></g>'
        )
    return svg([*parts, *titles(escape(across), "flights")], f"{across} before and after")


def _shares(bins: Sequence[Sequence[float]]) -> dict[float, float]:
    whole = sum(count for _, count in bins)
    return {place: count / whole for place, count in bins}
