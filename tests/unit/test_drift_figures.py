"""What is drawn of drift: the effect that comes nearest to its limit, and shares before and after."""

import re
from typing import Any

from proofs import drift_figures, figures, report
from proofs.run import Result


def size(subject: str, window: str, effect: str, size: float, limit: float, changed: bool = False) -> Any:
    return {"subject": subject, "window": window, "about": "values", "effect": effect, "size": size,
            "limit": limit, "changed": changed}  # fmt: skip


SIZES = [
    size("dep_delay", "5", "ks", 0.02, 0.08), size("dep_delay", "5", "psi", 0.01, 0.1),
    size("dep_delay", "6", "ks", 0.76, 0.08, True), size("dep_delay", "6", "psi", 6.1, 0.1, True),
    size("carrier", "5", "psi", 0.05, 0.1), size("carrier", "6", "psi", 0.1, 0.1),
]  # fmt: skip
BEFORE, AFTER = [[-10, 60], [0, 30], [10, 10]], [[20, 6], [30, 3], [40, 1]]


def bars(drawn: str) -> dict[str, tuple[float, str]]:
    """Width and colour of each bar, by what it says of itself."""
    found = re.findall(r'<rect [^>]*width="([\d.]+)"[^>]*fill="([^"]+)"><title>([^<]*)</title>', drawn)
    return {about: (float(wide), colour) for wide, colour, about in found}


def test_of_each_column_and_month_the_effect_nearest_to_its_limit_is_drawn_to_scale() -> None:
    drawn = drift_figures.limits(SIZES)
    found = bars(drawn)
    assert set(found) == {
        "dep_delay, month 5: ks 0.02, limit 0.08", "dep_delay, month 6: psi 6.1, limit 0.1",
        "carrier, month 5: psi 0.05, limit 0.1", "carrier, month 6: psi 0.1, limit 0.1",
    }  # fmt: skip
    quarter, half, whole, far = sorted(found.values())
    assert (half[0] / quarter[0], whole[0] / half[0]) == (2.0, 2.0)
    assert far == (whole[0] * drift_figures.MOST, "var(--two)"), (
        "what was called changed has a colour of its own"
    )
    assert {colour for _, colour in (quarter, half, whole)} == {"var(--one)"}
    (limit,) = re.findall(r'<line x1="([\d.]+)"[^>]*stroke="var\(--bad\)"', drawn)
    assert float(limit) == drift_figures.LABEL + whole[0], "a bar that reaches its limit ends at the line"
    assert ">61 ×</text>" in drawn, "a bar that is cut off says how far it goes"


def test_distributions_are_shares_whatever_the_number_of_flights() -> None:
    drawn = drift_figures.distribution(BEFORE, AFTER, "minutes")
    before, after = (
        [tuple(map(float, each.split(","))) for each in points.split()]
        for points in re.findall(r'<polygon points="([^"]+)"', drawn)
    )
    assert min(y for _, y in before) == min(y for _, y in after), "60 of 100 is as much as 6 of 10"
    highest = [min(points, key=lambda point: point[1])[0] for points in (before, after)]
    bin_width = (figures.WIDTH - figures.LEFT - figures.RIGHT) / 6
    assert abs(highest[1] - highest[0] - 3 * bin_width) < 0.2, "three bins later"


def test_the_report_has_them_where_a_shift_was_proven() -> None:
    attached = {"drift": {"sizes": SIZES, "column": "dep_delay", "minutes": 30, "window": "6",
                          "before": BEFORE, "after": AFTER}}  # fmt: skip
    proven = Result("drift.x", "drift", 1, "passed", "", 1.0, "It holds.", ["x"], attached)
    page = report.html([proven], stack="local", made="today")
    assert "30 minutes were added to <code>dep_delay</code> of month 6" in page
    assert page.count("<svg") == 2
    proven.attached = {}
    assert "<svg" not in report.html([proven], stack="local", made="today")
