"""What Prometheus answered, drawn: a chart for each panel, and when which alert was pending or fired."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from proofs import units
from proofs.figures import padded, svg, ticks

WIDTH, HEIGHT = 340, 168
LEFT, RIGHT, TOP, BOTTOM = 72, 10, 12, 24
MOST_LINES = 8
"""In one chart, as many as there are colours; those that reach highest are drawn."""
MOMENTS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 172800, 604800)
"""Seconds between two marks of the time axis."""
STATES = {"pending": "var(--doubt)", "firing": "var(--bad)"}

Frame = tuple[float, float, float, float]
"""First and last moment, lowest and highest value."""


def colour(place: int) -> str:
    """Of the line at a place, as the page defines it."""
    return f"var(--line-{place % MOST_LINES + 1})"


def drawn(panel: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The series of a panel that have room in its chart, in the panel's order."""
    highest = sorted(panel["series"], key=lambda each: -max(value for _, value in each["points"]))
    kept = [id(each) for each in highest[:MOST_LINES]]
    return [each for each in panel["series"] if id(each) in kept]


def panel(content: Mapping[str, Any], seen: Mapping[str, Any], alerts: Sequence[Mapping[str, Any]]) -> Markup:
    """The chart of one panel; `seen` has `start`, `end` and `step` in seconds."""
    series = drawn(content)
    values = [value for each in series for _, value in each["points"]]
    scale = units.scale(content["unit"], max(abs(value) for value in values))
    low, high = _bounds(values, content["least"], content["most"])
    frame = (float(seen["start"]), float(seen["end"]), low, high)
    parts = [_mark(each, frame) for each in alerts]
    parts += _left(frame, scale) + _bottom(frame[0], frame[1], WIDTH, HEIGHT, LEFT, RIGHT)
    for place, each in enumerate(series):
        parts += _line(each, frame, float(seen["step"]), colour(place), scale)
    return svg(parts, f"{content['title']} over time", WIDTH, HEIGHT)


def alert_timeline(alerts: Sequence[Mapping[str, Any]], seen: Mapping[str, Any]) -> Markup:
    """A row for each alert by its name, a bar for each time that it was pending or firing."""
    names = list(dict.fromkeys(each["name"] for each in alerts))
    width, row, label = 940, 24, 240
    height = row * len(names) + 36
    start, end = float(seen["start"]), float(seen["end"])
    parts = _bottom(start, end, width, height, label, 14)
    for place, name in enumerate(names):
        y = 8 + row * place
        parts.append(f'<text x="{label - 12}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        # What fired is drawn last: another of the same name that is pending must not hide it.
        for state in STATES:
            for each in alerts:
                if (each["name"], each["state"]) == (name, state):
                    parts.append(_bar(each, (start, end), label, width - 14, y, row - 8))
    return svg(parts, "alerts over time", width, height)


def _bounds(values: Sequence[float], least: float | None, most: float | None) -> tuple[float, float]:
    low, high = padded(min(values), max(values))
    if least is not None:
        low = min(least, min(values))
    if most is not None:
        high = max(most, max(values))
    return low, high


def _place(moment: float, value: float, frame: Frame) -> tuple[float, float]:
    start, end, low, high = frame
    across, up = (moment - start) / ((end - start) or 1), (value - low) / ((high - low) or 1)
    return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def _left(frame: Frame, scale: units.Scale) -> list[str]:
    parts = []
    for value, text in ticks(frame[2] / scale.factor, frame[3] / scale.factor, 3):
        _, y = _place(frame[0], value * scale.factor, frame)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{escape(f"{text}{scale.word}")}</text>'
        )
    return parts


def _bottom(start: float, end: float, width: int, height: int, left: int, right: int) -> list[str]:
    """The time axis, in UTC."""
    every = next((each for each in MOMENTS if (end - start) / each <= 5), MOMENTS[-1])
    form = "%H:%M" if every < 86400 else "%d %b"
    parts, moment = [], (int(start) // every + 1) * every
    while moment < end:
        x = left + (moment - start) / (end - start) * (width - left - right)
        text = datetime.fromtimestamp(moment, UTC).strftime(form)
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - BOTTOM}"/>'
            f'<text class="faint" x="{x:.1f}" y="{height - 7}" text-anchor="middle">{text}</text>'
        )
        moment += every
    return parts


def _line(series: Mapping[str, Any], frame: Frame, step: float, stroke: str, scale: units.Scale) -> list[str]:
    """One line, broken where there was no value; a value alone is a point."""
    parts = []
    points = series["points"]
    about = escape(f"{series['name']}: {scale.shown(points[-1][1])} at the end")
    for piece in _pieces(points, 2.5 * step):
        places = [_place(moment, value, frame) for moment, value in piece]
        if len(places) == 1:
            (x, y) = places[0]
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{stroke}"><title>{about}</title></circle>'
            )
            continue
        where = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(
            f'<polyline points="{where}" fill="none" stroke="{stroke}" stroke-width="1.6" '
            f'stroke-linejoin="round"><title>{about}</title></polyline>'
        )
    return parts


def _pieces(points: Sequence[Sequence[float]], pause: float) -> list[list[Sequence[float]]]:
    pieces: list[list[Sequence[float]]] = []
    for point in points:
        if pieces and point[0] - pieces[-1][-1][0] <= pause:
            pieces[-1].append(point)
        else:
            pieces.append([point])
    return pieces


def _mark(alert: Mapping[str, Any], frame: Frame) -> str:
    """The time in which an alert fired, behind the lines."""
    left, _ = _place(max(alert["start"], frame[0]), frame[2], frame)
    right, _ = _place(min(alert["end"], frame[1]), frame[2], frame)
    return (
        f'<g class="fired"><title>{_told(alert)}</title>'
        f'<rect x="{left:.1f}" y="{TOP}" width="{max(right - left, 1):.1f}" height="{HEIGHT - TOP - BOTTOM}" '
        f'fill="{STATES["firing"]}" opacity="0.12"/>'
        f'<path d="M{left:.1f} {TOP} l-4 -8 h8 z" fill="{STATES["firing"]}"/></g>'
    )


def _bar(
    alert: Mapping[str, Any], span: tuple[float, float], left: int, right: int, y: int, height: int
) -> str:
    def x(moment: float) -> float:
        inside = min(max(moment, span[0]), span[1])
        return left + (inside - span[0]) / ((span[1] - span[0]) or 1) * (right - left)

    begin, wide = x(alert["start"]), max(x(alert["end"]) - x(alert["start"]), 2)
    return (
        f'<rect x="{begin:.1f}" y="{y}" width="{wide:.1f}" height="{height}" rx="2.5" '
        f'fill="{STATES[alert["state"]]}"><title>{_told(alert)}</title></rect>'
    )


def _told(alert: Mapping[str, Any]) -> Markup:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(alert["labels"].items()))
    begin, end = (datetime.fromtimestamp(alert[key], UTC).strftime("%H:%M:%S") for key in ("start", "end"))
    return escape(f"{alert['name']} {alert['state']} {begin} to {end} UTC ({labels})")
