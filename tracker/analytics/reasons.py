"""Near misses in words: what each reason means, and one sentence per near miss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.site import Line

if TYPE_CHECKING:
    from tracker.analytics.near_misses import NearMiss, Reason
    from tracker.site import Zone

__all__ = ["MEANINGS", "TITLES", "sentence"]

AT_ONCE_S = 0.5
"""An identity that began or ended within this time of a near miss did so there."""

TITLES: dict[Reason, str] = {
    "hidden": "Contact hidden",
    "unsettled": "Not settled",
    "too_short": "Too short",
    "beyond_end": "Past the end",
    "unconfirmed": "Never confirmed",
    "class_not_counted": "Class not counted",
    "not_reached": "Came close",
}
"""Short names, those to look at first before the others."""

MEANINGS: dict[Reason, str] = {
    "hidden": "Would be counted if hidden and predicted ground contacts were believed. An occluder, a neighbour or the "
    "picture's edge is in the way: move the line to where feet and wheels are seen.",
    "unsettled": "Touched or crossed the line and did not stay beyond its dead band long enough.",
    "too_short": "In the zone, or known on one side of the line, for a shorter time than the site asks for.",
    "beyond_end": "Passed beside the line's end. Draw the line longer if these should count.",
    "unconfirmed": "Detected in some frames, but never often or surely enough to become an identity.",
    "class_not_counted": "Passed as a class that is not counted here.",
    "not_reached": "Came close and was not counted; no single rule of the site kept it from it.",
}


def sentence(miss: NearMiss, place: Line | Zone) -> str:
    """Why it was not counted, with the figures of this place.

    Args:
        miss: What was not counted.
        place: The line or zone that did not count it.
    """
    words = (_at_line(miss, place) if isinstance(place, Line) else _at_zone(miss, place))[miss.reason]
    if miss.identity:
        if miss.time_s - miss.from_s <= AT_ONCE_S:
            words += " It was first seen here."
        if miss.to_s - miss.time_s <= AT_ONCE_S:
            words += " It was lost here."
    return words


def _at_line(miss: NearMiss, line: Line) -> dict[Reason, str]:
    way = f"Crossed towards {miss.direction}" if miss.direction else "Came to the line"
    band = f"Came into the dead band, {_share(line.dead_band)} on either side of the line or more, and went back."
    back = f"{way} and was back before it had been beyond the dead band for {line.settle_s:g} s."
    return {
        "class_not_counted": f"{way} as {miss.class_name}; this line counts only {', '.join(line.classes)}.",
        "hidden": f"{way} while its ground contact was hidden or predicted.",
        "unsettled": back if miss.direction else band,
        "too_short": f"{way}, but was known for less than {line.settle_s:g} s on one side of it.",
        "beyond_end": f"Passed {_share(miss.distance)} beyond the end of the line, towards {miss.direction}.",
        "unconfirmed": f"{way}, detected in some frames only, and never became an identity.",
        "not_reached": f"Came within {_share(miss.distance)} of the line and did not cross it.",
    }


def _at_zone(miss: NearMiss, zone: Zone) -> dict[Reason, str]:
    return {
        "class_not_counted": f"Was inside as {miss.class_name}; this zone counts only {', '.join(zone.classes)}.",
        "hidden": "Went in while its ground contact was hidden or predicted.",
        "too_short": f"Was inside for less than {zone.enter_s:g} s.",
        "unconfirmed": "Went in, detected in some frames only, and never became an identity.",
        "not_reached": f"Came within {_share(miss.distance)} of the zone and did not go in.",
    }


def _share(distance: float) -> str:
    """A distance in words.

    >>> _share(0.0147)
    "1.5 % of the picture's height"
    """
    return f"{100 * distance:.1f} % of the picture's height"
