"""Queues and footfall: what the queries of :mod:`tracker.analytics` say of them in a time, and in bins of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.analytics.asked import Asked
from tracker.analytics.bins import bin_edges
from tracker.analytics.visitors import COUNTS, PassageColumns, Visitors, counted
from tracker.analytics.waits import QueueFigures, lengths_in_bins, queue_figures
from tracker.dashboard.bin_series import bin_series
from tracker.dashboard.filters import Filter, chosen, member
from tracker.dashboard.history import kind_number
from tracker.dashboard.wait_columns import waits_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from tracker.analytics.waits import WaitColumns
    from tracker.dashboard.bin_series import BinSeries
    from tracker.dashboard.history import History
    from tracker.premises import Footfall
    from tracker.site import Doors, Site

__all__ = ["footfall_of", "queues_of"]

_PASSING = ("crossing", "group", "group_member", "passing")
_KNOWN = ("staff", "re_entry")


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
    found = waits_of(history, asked)
    found = found.where(found.utc == bins.utc)
    known = {key for key, _ in found.by_queue()}
    known |= {key for key in queues if not asked.places or key[1] in asked.places}
    limits = Asked(from_ms=asked.from_ms, to_ms=asked.to_ms, utc=bins.utc, deleted_ms=history.deleted_ms)
    told = {(one.stream, one.place): one for one in queue_figures(found, bins.spans, above=above, asked=limits)}
    columns, rows = dict(found.by_queue()), []
    for key in sorted(known):
        means, most = _length_bins(columns.get(key), bins, key[0], above)
        rows.append(
            _rounded(asdict(told.get(key, _none_waited(key, above))))
            | {"mean": bins.fill(key[0], means), "most": bins.fill(key[0], most)}
            | {"known": (key[0], bins.utc) in bins.spans}
        )
    return {"above": above, **bins.as_json(timezone), "queues": rows}


def _length_bins(
    own: WaitColumns | None, bins: BinSeries, stream: str, above: int
) -> tuple[dict[int, float], dict[int, int]]:
    """Mean and greatest length of a queue by the begins of bins."""
    span = bins.spans.get((stream, bins.utc))
    if own is None or span is None:
        return {}, {}
    edges = bin_edges(span[0], span[1] + 1, bins.bin_s, None)
    found, slots = lengths_in_bins(own, span, edges, above=above), edges[:-1].tolist()
    means = dict(zip(slots, found.mean.round(3).tolist(), strict=True))
    return means, dict(zip(slots, found.longest.tolist(), strict=True))


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
    history: History,
    asked: Filter,
    *,
    bin_s: int,
    timezone: str,
    sites: Mapping[str, Site],
    every_count: bool = False,
) -> dict[str, Any]:
    """Visitors, staff, groups and passers-by in a time, and in bins of it.

    Args:
        history: Of events.
        asked: Streams, footfalls and time.
        bin_s: Length of a bin.
        timezone: That the page shows.
        sites: By stream: which lines are doors, and before which people pass.
        every_count: All counts in bins, not only visitors and passers-by.
    """
    bins, rows = bin_series(history, asked, bin_s), []
    known = {stream: site for stream, site in sites.items() if site.footfall and (stream, bins.utc) in bins.spans}
    with history.lock:
        passages = _passages(history, asked, known, utc=bins.utc)
        for stream, site in sites.items():
            doors, found = {one.name: one for one in site.doors}, passages.get(stream)
            for rule in (rule for rule in site.footfall if not asked.places or rule.name in asked.places):
                of = None if found is None else _columns(history, found, rule, doors[rule.doors])
                rows.append(_visitors_row(stream, rule, of, bins, every_count=every_count))
    return {**bins.as_json(timezone), "footfall": rows}


def _passages(history: History, asked: Filter, sites: Mapping[str, Site], *, utc: bool) -> dict[str, NDArray[np.int64]]:
    """Rows of the time by stream and time, looked for once for all streams.

    Staff and re-entries are known by rows of any time. A line of one site that has the name of another's may be among
    the rows: what counts is told apart by the footfall's own lines.
    """
    if not sites:
        return {}
    lines: set[str] = set()
    for site in sites.values():
        doors = {one.name: one for one in site.doors}
        lines |= {line for rule in site.footfall for line in (*doors[rule.doors].lines, *rule.passing)}
    streams = tuple(sites)
    passed = chosen(history, replace(asked, streams=streams, kinds=_PASSING, places=tuple(lines)), utc=utc)
    known = chosen(history, Filter(streams=streams, kinds=_KNOWN), utc=utc)
    rows = np.concatenate([passed, known])
    of = history.events["stream"][rows]
    order = np.lexsort((history.events["at"][rows], of))
    rows, of = rows[order], of[order]
    numbers = [history.names.number(stream) for stream in streams]
    begins, ends = np.searchsorted(of, numbers), np.searchsorted(of, numbers, side="right")
    return {stream: rows[low:high] for stream, low, high in zip(streams, begins, ends, strict=True)}


def _columns(history: History, rows: NDArray[np.int64], rule: Footfall, doors: Doors) -> PassageColumns:
    events, numbers = history.events, history.names.numbers
    kind, place, identity = (events[name][rows] for name in ("kind", "place", "identity"))

    def flags(kinds: Sequence[str], among: Sequence[str]) -> NDArray[np.bool_]:
        return member(kind, [kind_number(one) for one in kinds]) & member(place, numbers(among))

    first, other = identity.astype(np.int64), events["other"][rows]
    members = kind == kind_number("group_member")
    first[members] = history.present_all(events["stream"][rows[members]], other[members])
    return PassageColumns(
        at_ms=events["at"][rows],
        identity=identity,
        first=first,
        place=place.astype(np.int64),
        passing=flags(("passing",), rule.passing),
        crossing=flags(("crossing",), doors.lines),
        staff=flags(("staff",), rule.staff_zones),
        re_entry=flags(("re_entry",), (doors.name,)),
        group=flags(("group", "group_member"), doors.lines),
        inwards=events["direction"][rows] == history.names.number(doors.entry),
    )


def _visitors_row(
    stream: str, rule: Footfall, of: PassageColumns | None, bins: BinSeries, *, every_count: bool
) -> dict[str, Any]:
    rows = {} if of is None else counted(of)
    low_ms, high_ms = bins.spans.get((stream, bins.utc), (0, -1))
    if of is not None:
        rows = {name: own[(of.at_ms[own] >= low_ms) & (of.at_ms[own] <= high_ms)] for name, own in rows.items()}
    whole: dict[str, int | None] = {name: len(rows.get(name, ())) for name in COUNTS}
    whole |= {} if rule.passing else {"passers_by": None}
    one = Visitors(stream=stream, place=rule.name, start_ms=None, utc=bins.utc, **whole)  # type: ignore[arg-type]
    slots = {name: {} if of is None else _by_bin(of.at_ms[rows[name]], bins.bin_s) for name in rows}
    came = Counter(slots.get("entries", {}))
    for name in ("staff", "re_entries"):
        came.subtract(slots.get(name, {}))
    passed = bins.fill(stream, slots.get("passers_by", {})) if rule.passing else None
    series: dict[str, Any] = {name: bins.fill(stream, slots.get(name, {})) for name in (COUNTS if every_count else ())}
    series |= {"visitors": bins.fill(stream, came), "passers_by": passed}
    return {"stream": stream, "place": rule.name, "known": of is not None, **_figures(one), "bins": series}


def _by_bin(at_ms: NDArray[np.int64], bin_s: int) -> dict[int, int]:
    """How many by the begins of bins."""
    slots = at_ms // (bin_s * 1000)
    first = int(slots.min()) if len(slots) else 0
    counts = np.bincount(slots - first)
    there = np.flatnonzero(counts)
    return dict(zip(((there + first) * bin_s * 1000).tolist(), counts[there].tolist(), strict=True))


def _figures(one: Visitors) -> dict[str, Any]:
    """All counts and both rates."""
    counts = ("visitors", "entries", "exits", "staff", "re_entries", "groups", "grouped", "parties", "passers_by")
    return _rounded({name: getattr(one, name) for name in (*counts, "capture_of_passing", "capture_of_all")})
