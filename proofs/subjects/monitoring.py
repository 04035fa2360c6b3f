"""What is watched can be seen: the dashboards of the platform's parts show something."""

import time

from client import Platform, dashboards
from proofs import pages, panels
from proofs.run import Check, proof

SPAN = 1800.0
"""Seconds that are looked at: what was asked a while ago still shows."""
PATIENCE = 150.0
"""Seconds for which a panel is waited for: a part that has just started has too few samples for a rate."""


@proof("monitoring")
def every_panel_has_data(platform: Platform, check: Check) -> None:
    """Each panel of each dashboard shows at least one line, or is on the list of those that may be empty; no
    query is refused by Prometheus.
    """
    found = dashboards.read(platform)
    deadline = time.monotonic() + PATIENCE
    while True:
        shown = look(platform, found)
        if not missing(platform, shown) or time.monotonic() > deadline:
            break
        time.sleep(10)
    lacking = missing(platform, shown)
    for page in shown:
        for panel in page.panels:
            name = f"{page.title}: {panel.title}"
            check(not panel.errors, f"Prometheus takes the queries of {name}", said=panel.errors)
            excuse = "" if panel.series else reason(platform, page, panel)
            check(name not in lacking, f"{name} {f'is empty: {excuse}' if excuse else 'shows something'}")


def look(platform: Platform, found: list[dict[str, object]]) -> list[dashboards.Dashboard]:
    """All pages with what they show of the last half hour."""
    now = time.time()
    when = dashboards.span(platform, now - SPAN, now)
    return [dashboards.show(platform, each, when) for each in found]


def reason(platform: Platform, page: dashboards.Dashboard, panel: dashboards.Panel) -> str:
    """Why the panel may be empty, or nothing."""
    return panels.reason(page.uid, panel.title, external_store=pages.external_store(platform))


def missing(platform: Platform, shown: list[dashboards.Dashboard]) -> list[str]:
    """The panels that show nothing, and must."""
    return [
        f"{page.title}: {panel.title}"
        for page in shown
        for panel in page.panels
        if not panel.series and not reason(platform, page, panel)
    ]
