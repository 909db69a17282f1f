"""Audit of a recording as plain values, for the dashboard's page of near misses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tracker.analytics.reasons import TITLES, sentence

if TYPE_CHECKING:
    from tracker.analytics.audit_trail import AuditTrail
    from tracker.site import Line, Zone

__all__ = ["FORM", "audit_values"]

FORM = "masktrail audit 1"
"""At the head of the file: another form has another number."""


def audit_values(trail: AuditTrail) -> dict[str, Any]:
    """What was counted per place, what was not by reason, and the near misses of the samples one by one.

    Args:
        trail: The evidence.
    """
    site = trail.site
    both: list[Line | Zone] = [*site.lines, *site.zones]
    places = {place.name: place for place in both}
    rows = [
        {
            "at_ms": round(miss.time_s * 1000) if miss.utc_ms is None else miss.utc_ms,
            "utc": miss.utc_ms is not None,
            "place": name,
            "identity": miss.identity,
            "class": miss.class_name,
            "reason": reason,
            "sentence": sentence(miss, places[name]),
            "point": [round(value, 4) for value in miss.point],
        }
        for name, evidence in trail.places.items()
        for reason, sample in evidence.missed.items()
        for miss in sample.rows(lambda one: one.time_s)
    ]
    return {
        "form": FORM,
        "stream": trail.stream,
        "ran_ms": time.time_ns() // 1_000_000,
        "site_revision": site.revision,
        "titles": dict(TITLES),
        "places": [
            {
                "place": name,
                "counted": evidence.sums.total(),
                "reasons": [
                    {"reason": reason, "count": evidence.missed[reason].total}
                    for reason in TITLES
                    if reason in evidence.missed
                ],
            }
            for name, evidence in trail.places.items()
        ],
        "near_misses": sorted(rows, key=lambda row: row["at_ms"]),
    }
