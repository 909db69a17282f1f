"""Marks to draw, from the site of a camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.render.site_marks import LineMark, OccluderMark, SiteMarks, ZoneMark
from tracker.render.site_tally import SiteTally
from tracker.render.site_text import legend

if TYPE_CHECKING:
    from collections.abc import Collection

    from tracker.analytics.tally import Tally
    from tracker.render.site_text import LegendEntry
    from tracker.settings.choices import DrawnPart
    from tracker.site import Site

__all__ = ["marks_to_draw", "site_legend", "site_marks"]


def marks_to_draw(site: Site | None, parts: Collection[DrawnPart]) -> SiteMarks | None:
    """What the chosen parts show of a site; ``None`` = nothing, or there is no site.

    Args:
        site: Of the stream.
        parts: Those that are drawn; ``occluders`` alone leave out lines and zones.
    """
    if site is None or not {"site", "occluders"} & set(parts):
        return None
    marks = site_marks(site, occluders="occluders" in parts)
    return marks if "site" in parts else SiteMarks(occluders=marks.occluders)


def site_marks(site: Site, *, occluders: bool = False) -> SiteMarks:
    """What pictures show of a site.

    Args:
        site: Its lines and zones are always drawn.
        occluders: Draw the occluders too, hatched.
    """
    return SiteMarks(
        lines=tuple(
            LineMark(name=line.name, points=line.points, to_left=line.to_left, to_right=line.to_right)
            for line in site.lines
        ),
        zones=tuple(ZoneMark(name=zone.name, polygons=zone.polygons) for zone in site.zones),
        occluders=tuple(OccluderMark(name=part.name, polygon=part.polygon) for part in site.occluders if occluders),
    )


def site_legend(site: Site, tally: Tally) -> tuple[LegendEntry, ...]:
    """Final counts of a recording for its contact sheet.

    Args:
        site: Whose lines and zones these are.
        tally: Of the whole recording: ``Outcome.tally``, or ``Tally.of(site)`` that was given a ledger's events.
    """
    marks = site_marks(site)
    counts = SiteTally(marks)
    for (line, direction), by_class in tally.crossings.items():
        if line in counts.lines:
            counts.lines[line].by_direction[direction] = by_class.total()
    for name, zone in tally.zones.items():
        if name in counts.zones:
            counts.zones[name].entered = zone.entries.total() + zone.found_inside.total()
            counts.zones[name].dwells, counts.zones[name].dwell_s = zone.closed, zone.dwell_s
    return legend(marks, counts)
