"""Alert rules of sites as the page edits them: the rules, what can be watched, and at which places of the site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracker.alert_rules import INSTANTS, WATCHED, places_of
from tracker.dashboard.problems import ApiError
from tracker.dashboard.sites import problem_of, site_json
from tracker.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracker.dashboard.sites import Sites

__all__ = ["rules_of", "site_rules", "with_rules"]


def rules_of(sites: Sites, streams: Iterable[str]) -> list[dict[str, Any]]:
    """Rules of every camera that has a site file, in the order of the streams."""
    found = []
    for stream in streams:
        if not sites.of_camera(stream):
            continue
        try:
            found.append(site_rules(stream, sites.load(stream)))
        except ApiError as failure:  # its file cannot be read: the others are listed all the same
            found.append(site_rules(stream, Site()) | {"problem": problem_of(failure)["message"]})
    return found


def site_rules(stream: str, site: Site) -> dict[str, Any]:
    """Rules of one site, and for everything that can be watched the places to choose from."""
    watches = []
    for watch in WATCHED:
        places, needs_place = places_of(watch, site.alert_places)
        one = {"watch": watch, "places": places, "needs_place": needs_place, "is_instant": watch in INSTANTS}
        watches.append(one)
    return {
        "stream": stream,
        "revision": site.revision,
        "timezone": site.timezone,
        "rules": site_json(site)["alerts"],
        "watches": watches,
        "problem": None,
    }


def with_rules(site: Site, rules: list[dict[str, Any]]) -> dict[str, Any]:
    """A site as JSON with other rules."""
    return site_json(site) | {"alerts": rules}
