"""Queues and footfall: what the queries of :mod:`tracker.analytics` say of them in a time, and in bins of it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.visitors import Visitors, visitors
from tracker.analytics.waits import QueueFigures, length_bins, queue_figures, waits
from tracker.dashboard.bin_series import bin_series
from tracker.dashboard.filters import Filter, chosen
from tracker.dashboard.findings import events_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from tracker.analytics.waits import Wait
    from tracker.dashboard.bin_series import BinSeries
    from tracker.dashboard.history import History
    from tracker.events import Event
    from tracker.premises import Footfall
    from tracker.site import Site

__all__ = ["footfall_of", "queues_of"]

LONGEST_MS = 12 * 3_600_000
"""Waits that began so long before a time do not last in it."""
_WAITING = ("queue_join", "queue_leave")
_PASSING = ("crossing", "group", "group_member", "passing")
_KNOWN = ("staff", "re_entry")
_LENGTHS = ("mean_length", "longest", "share_above")


def queues_of(
    history: History, asked: Filter, *, above: int, bin_s: int, timezone: str, queues: Collection[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Waits that began in a time, and how long the queues were in it.

    Args:
        history: Of events.
        asked: Streams, queues and time.
        above: Persons; a longer queue is too long.
        bin_s: Length of a bin.
        timezone: That the page shows.
        queues: Streams and queues of the sites, of which there is an answer though nothing stood in them.
    """
    bins = bin_series(history, asked, bin_s)
    found = [one for one in _waits(history, asked) if one.utc == bins.utc]
    known = {(one.stream, one.place) for one in found}
    known |= {key for key in queues if not asked.places or key[1] in asked.places}
    low = asked.from_ms if asked.from_ms is not None else -(2**62)
    high = asked.to_ms if asked.to_ms is not None else 2**62
    there = [one for one in found if one.joined_ms < high and one.left_ms >= low]
    begun = {(one.stream, one.place): one for one in queue_figures(_joined(there, low), bins.spans, above=above)}
    lengths = {(one.stream, one.place): one for one in queue_figures(there, bins.spans, above=above)}
    means: dict[tuple[str, str], dict[int, float]] = {key: {} for key in known}
    longest: dict[tuple[str, str], dict[int, float]] = {key: {} for key in known}
    for row in length_bins(there, bins.spans, bin_s=bin_s, above=above):
        means[row.stream, row.place][row.start_ms] = round(row.mean, 3)
        longest[row.stream, row.place][row.start_ms] = row.longest
    rows = []
    for key in sorted(known):
        figures = begun.get(key, _none_waited(key, above))
        if key in lengths:
            figures = replace(figures, **{name: getattr(lengths[key], name) for name in _LENGTHS})
        rows.append(
            _rounded(asdict(figures))
            | {"mean": bins.fill(key[0], means[key]), "most": bins.fill(key[0], longest[key])}
            | {"known": (key[0], bins.utc) in bins.spans}
        )
    return {"above": above, **bins.as_json(timezone), "queues": rows}


def _waits(history: History, asked: Filter) -> list[Wait]:
    """Waits that touch a time, and others; the ends of identities say how long those without an end lasted."""
    with history.lock:
        events = history.events
        rows = chosen(history, Filter(streams=asked.streams, kinds=_WAITING, places=asked.places))
        streams = np.unique(events["stream"][rows])
        ends = chosen(history, Filter(streams=asked.streams, kinds=("identity_end",)))
        if asked.from_ms is not None:
            rows = rows[events["at"][rows] >= asked.from_ms - LONGEST_MS]
            ends = ends[events["at"][ends] >= asked.from_ms - LONGEST_MS]
        if asked.to_ms is not None:
            joined = events["at"][rows] - np.nan_to_num(events["lasted_s"][rows]) * 1000
            rows = rows[joined < asked.to_ms]
        waited = np.isin(events["identity"][ends], events["identity"][rows]) & np.isin(events["stream"][ends], streams)
        spans = {
            (history.names.texts[stream], utc): span
            for stream in streams.tolist()
            for utc in (True, False)
            if (span := history.span(stream, utc=utc)) is not None
        }
        return waits(events_of(history, np.concatenate([rows, ends[waited]])), spans)


def _joined(found: Sequence[Wait], low_ms: int) -> list[Wait]:
    return [one for one in found if one.joined_ms >= low_ms]


def _none_waited(key: tuple[str, str], above: int) -> QueueFigures:
    return QueueFigures(
        stream=key[0],
        place=key[1],
        served=0,
        abandoned=0,
        lost=0,
        waiting=0,
        found_waiting=0,
        partly_seen=0,
        mean_wait_s=None,
        median_wait_s=None,
        p90_wait_s=None,
        longest_wait_s=None,
        mean_length=0.0,
        longest=0,
        reach_m=None,
        above=above,
        share_above=0.0,
    )


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()}


def footfall_of(
    history: History, asked: Filter, *, bin_s: int, timezone: str, sites: Mapping[str, Site]
) -> dict[str, Any]:
    """Visitors, staff, groups and passers-by in a time, and in bins of it.

    Args:
        history: Of events.
        asked: Streams, footfalls and time.
        bin_s: Length of a bin.
        timezone: That the page shows.
        sites: By stream: which lines are doors, and before which people pass.
    """
    bins, rows = bin_series(history, asked, bin_s), []
    for stream, site in sites.items():
        rules = [rule for rule in site.footfall if not asked.places or rule.name in asked.places]
        if not rules:
            continue
        wanted = replace(site, footfall=tuple(rules))
        spans = {clock: span for clock, span in bins.spans.items() if clock == (stream, bins.utc)}
        events = _passages(history, replace(asked, streams=(stream,)), wanted, utc=bins.utc) if spans else []
        whole = {one.place: one for one in visitors(events, wanted, spans=spans)}
        slots = visitors(events, wanted, bin_s=bin_s, spans=spans)
        rows += [_visitors_row(stream, rule, whole.get(rule.name), slots, bins) for rule in rules]
    return {**bins.as_json(timezone), "footfall": rows}


def _passages(history: History, asked: Filter, site: Site, *, utc: bool) -> list[Event]:
    """Passages of the time; staff and re-entries are known by rows of any time."""
    doors = {one.name: one for one in site.doors}
    lines = {line for rule in site.footfall for line in (*doors[rule.doors].lines, *rule.passing)}
    with history.lock:
        passed = chosen(history, replace(asked, kinds=_PASSING, places=tuple(lines)), utc=utc)
        known = chosen(history, Filter(streams=asked.streams, kinds=_KNOWN), utc=utc)
        return events_of(history, np.concatenate([passed, known]))


def _visitors_row(
    stream: str, rule: Footfall, one: Visitors | None, slots: Sequence[Visitors], bins: BinSeries
) -> dict[str, Any]:
    mine = [slot for slot in slots if slot.place == rule.name]
    counted = {
        name: bins.fill(stream, {slot.start_ms or 0: getattr(slot, name) for slot in mine})
        for name in ("visitors", "passers_by")
    }
    figures = _figures(one or _no_visitors(stream, rule.name, utc=bins.utc), passing=bool(rule.passing))
    series = {"visitors": counted["visitors"], "passers_by": counted["passers_by"] if rule.passing else None}
    return {"stream": stream, "place": rule.name, "known": one is not None, **figures, "bins": series}


def _no_visitors(stream: str, place: str, *, utc: bool) -> Visitors:
    nothing = dict.fromkeys(("entries", "exits", "staff", "re_entries", "groups", "grouped", "passers_by"), 0)
    return Visitors(stream=stream, place=place, start_ms=None, utc=utc, **nothing)


def _figures(one: Visitors, *, passing: bool) -> dict[str, Any]:
    """All counts; what needs a line before the doors is ``None`` where there is none."""
    counts = ("visitors", "entries", "exits", "staff", "re_entries", "groups", "grouped", "parties")
    rates = ("capture_of_passing", "capture_of_all")
    found = {name: getattr(one, name) for name in counts}
    return found | _rounded({name: getattr(one, name) if passing else None for name in ("passers_by", *rates)})
