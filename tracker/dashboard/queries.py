"""Counts in bins, stays, flows and presence: questions of the pages to the history, by the streams that may be seen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from tracker.analytics.bins import shifted
from tracker.analytics.occupancy import Balance, last_reset, running_balance
from tracker.dashboard.bins import edges_of
from tracker.dashboard.filters import chosen, stream_numbers, texts_in
from tracker.dashboard.history import KINDS
from tracker.dashboard.problems import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tracker.dashboard.filters import Filter
    from tracker.dashboard.history import History
    from tracker.site import Site

__all__ = [
    "BY",
    "COUNTED",
    "MOST_CELLS",
    "CountQuery",
    "balances",
    "counts",
    "flows",
    "grouped",
    "other_clock",
    "outage_now",
    "outages_in",
    "places",
    "present",
    "spans",
    "today",
]

BY = ("stream", "kind", "place", "direction", "class")
COUNTED = ("crossing", "enter", "leave", "loitering", "flow")
MOST_CELLS = 500_000
"""Bins times groups of one answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountQuery:
    """A question for counts in bins.

    Attributes:
        asked: Which events; a time that is left out is that of which the ledgers know.
        by: Columns among :data:`BY` that are counted apart.
        bin_s: Length of a bin; whole days are days of the zone.
        zone: Time zone of days.
        utc: Which clock; ``None`` = UTC where any event has it.
        compare_s: Also the same bins so much earlier.
        looking: Cameras that see now, and UTC in milliseconds until when what they have not told did not happen.
    """

    asked: Filter
    by: Sequence[str] = ("place", "direction")
    bin_s: int = 900
    zone: ZoneInfo
    utc: bool | None = None
    compare_s: int | None = None
    looking: Mapping[str, int] = field(default_factory=dict)


def counts(history: History, query: CountQuery) -> dict[str, Any]:
    """Counts in bins; without a count a bin is 0 where the camera was looking, else ``None``.

    It was not while it was out, and before the first and after the last event of a stream nothing is known of it. Where
    streams are not counted apart a bin is 0 where any of them was looking. So counts the command. Of a camera that sees
    now it is known until now. ``left_out`` names the streams that have times of the other clock alone, where no limits
    of the time leave them out.

    Raises:
        ApiError: There would be too many cells, or events follow rules of two versions.
    """
    with history.lock:
        asked = query.asked
        known = spans(history, asked.streams)
        utc = query.utc if query.utc is not None else (True in known or not known)
        first, last = known.get(utc, (0, -1))
        from_ms = first if asked.from_ms is None else asked.from_ms
        to_ms = last + 1 if asked.to_ms is None else asked.to_ms
        zone = query.zone if utc else None
        edges = edges_of(from_ms, max(to_ms, from_ms), query.bin_s, zone)
        # As the command counts: with limits exactly those, else whole bins.
        limits = (from_ms, to_ms) if asked.is_limited else (int(edges[0]), int(edges[-1]))
        rows = _counted(history, asked, utc=utc, limits=limits)
        now = _series(history, rows, edges, query, asked.streams, utc=utc)
        earlier = None
        if query.compare_s:
            before = shifted(edges, query.compare_s, zone)
            moved = shifted(np.array(limits, np.int64), query.compare_s, zone).tolist() if asked.is_limited else None
            limits = (moved[0], moved[1]) if moved else (int(before[0]), int(before[-1]))
            old = _counted(history, asked, utc=utc, limits=limits)
            earlier = _series(history, old, before, query, asked.streams, utc=utc)["series"]
        out = [one for one in outages_in(history, asked.streams, utc=utc) if one[3] >= edges[0] and one[2] < edges[-1]]
    return {
        "bin_s": query.bin_s,
        "utc": utc,
        "starts_ms": edges[:-1].tolist(),
        **now,
        "compared": earlier,
        "outages": [{"stream": s, "kind": kind, "from_ms": begun, "to_ms": end} for s, kind, begun, end in out],
        "timezone": query.zone.key,
        "left_out": other_clock(history, asked, utc=utc),
    }


def _counted(history: History, asked: Filter, *, utc: bool, limits: tuple[int, int]) -> NDArray[np.int64]:
    rows = chosen(history, replace(asked, from_ms=limits[0], to_ms=limits[1]), utc=utc, rolled=True)
    rows = rows[history.events["counts"][rows]]
    versions = np.unique(history.events["semantics"][rows])
    if len(versions) > 1:
        found = " and ".join(map(str, versions.tolist()))
        remedy = "narrow the time or the streams, or analyse the older recordings again"
        raise ApiError(409, "events", "rules of one version", f"semantics {found}", remedy)
    return np.asarray(rows)


def _series(
    history: History,
    rows: NDArray[np.int64],
    edges: NDArray[np.int64],
    query: CountQuery,
    streams: Sequence[str],
    *,
    utc: bool,
) -> dict[str, Any]:
    """One row of counts per group, and which bins an outage touches."""
    events, texts, bins = history.events, history.names.texts, len(edges) - 1
    groups, codes = grouped(history, rows, query.by)
    if bins * max(len(groups), 1) > MOST_CELLS:
        found = f"{bins} bins of {len(groups)} groups"
        raise ApiError(422, "by", f"at most {MOST_CELLS:,} counts", found, "take longer bins or fewer groups")
    slots = np.searchsorted(edges, events["booked"][rows], side="right") - 1
    cells = counted_by(history, rows, codes * bins + slots, len(groups) * bins).reshape(len(groups), bins)
    out = _slots_out(history, edges, streams, utc=utc)
    nowhere = np.zeros(bins, np.bool_)
    anywhere = np.any(list(out.values()), axis=0) if out else nowhere
    beyond: dict[str | None, NDArray[np.bool_]] = {}
    series: list[dict[str, Any]] = []
    for group, counted in zip(groups, cells, strict=True):
        named = {
            name: (KINDS[number] if name == "kind" else texts[number])
            for name, number in zip(query.by, group, strict=True)
        }
        stream = named.get("stream")
        if stream not in beyond:
            beyond[stream] = _slots_beyond(
                history, edges, streams if stream is None else [stream], query.looking if utc else {}, utc=utc
            )
        mine = anywhere if stream is None else out.get(stream, nowhere)
        unknown = (mine | beyond[stream]) & (counted == 0)
        values: list[int | None] = counted.tolist()
        for slot in np.flatnonzero(unknown).tolist():
            values[slot] = None
        series.append({"group": named, "counts": values, "total": int(counted.sum())})
    series.sort(key=lambda one: tuple(one["group"].values()))
    return {"series": series, "outage_bins": anywhere.tolist()}


def grouped(
    history: History, rows: NDArray[np.int64], by: Sequence[str]
) -> tuple[list[tuple[int, ...]], NDArray[np.int64]]:
    """Different values of some columns, and which of them each row has."""
    codes = np.zeros(len(rows), np.int64)
    groups: list[tuple[int, ...]] = [()]
    for name in by:
        values = history.events[name][rows].astype(np.int64)
        width = int(values.max(initial=0)) + 1
        codes = codes * width + values
        if codes.max(initial=0) < 4 * len(codes) + 1000:  # a table: searching for each row takes five times as long
            there = np.bincount(codes, minlength=1) > 0
            different, codes = np.flatnonzero(there), (np.cumsum(there) - 1)[codes]
        else:
            different, codes = np.unique(codes, return_inverse=True)
        groups = [(*groups[code // width], code % width) for code in different.tolist()]
    return (groups if by else [()]), codes


def counted_by(history: History, rows: NDArray[np.int64], codes: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """How many events each code stands for, ``(length,)``; bins of deleted events as often as they were."""
    weights = history.events["weight"][rows]
    return np.bincount(codes, weights=weights, minlength=length).astype(np.int64)


def outages_in(history: History, streams: Sequence[str], *, utc: bool) -> list[tuple[str, str, int, int]]:
    """Times at which cameras saw nothing that counts: stream, kind, from and to in milliseconds of one clock."""
    texts = history.names.texts
    numbers = stream_numbers(history, streams).tolist()
    return [(texts[one], kind, begun, end) for one, kind, begun, end, clock in history.outages(numbers) if clock == utc]


def _slots_out(
    history: History, edges: NDArray[np.int64], streams: Sequence[str], *, utc: bool
) -> dict[str, NDArray[np.bool_]]:
    """Bins that outages touch, by stream."""
    found: dict[str, NDArray[np.bool_]] = {}
    for stream, _, from_ms, to_ms in outages_in(history, streams, utc=utc):
        touched = found.setdefault(stream, np.zeros(len(edges) - 1, np.bool_))
        first = max(int(np.searchsorted(edges, from_ms, side="right")) - 1, 0)
        beyond = int(np.searchsorted(edges, to_ms, side="right"))
        touched[first:beyond] |= to_ms >= edges[0]
    return found


def _slots_beyond(
    history: History, edges: NDArray[np.int64], streams: Sequence[str], looking: Mapping[str, int], *, utc: bool
) -> NDArray[np.bool_]:
    """Bins of which nothing is known: outside of the times of all of the streams.

    The time of a stream is from its first event until its last, or until what is seen of it.
    """
    found = np.ones(len(edges) - 1, np.bool_)
    for stream in streams:
        if (span := spans(history, [stream]).get(utc)) is not None:
            ends = span[0], max(span[1], looking.get(stream, span[1]))
            first, last = (np.searchsorted(edges, ends, side="right") - 1).tolist()
            found[max(first, 0) : max(last + 1, 0)] = False
    return found


def spans(history: History, streams: Sequence[str]) -> dict[bool, tuple[int, int]]:
    """First and last millisecond of each clock (true: UTC) at which events of some streams count."""
    found: dict[bool, tuple[int, int]] = {}
    with history.lock:
        for number in history.names.numbers(streams):
            for utc in (True, False):
                if (span := history.span(number, utc=utc)) is not None:
                    first, last = found.get(utc, span)
                    found[utc] = min(first, span[0]), max(last, span[1])
    return found


def other_clock(history: History, asked: Filter, *, utc: bool) -> list[str]:
    """Streams that an answer by one clock leaves out, since they have events by the other alone.

    None where limits of the time leave them out.
    """
    if asked.is_limited:
        return []
    with history.lock:
        return [stream for stream in asked.streams if set(spans(history, [stream])) == {not utc}]


def today(history: History, since_ms: Mapping[str, int | None]) -> dict[str, list[dict[str, Any]]]:
    """Crossings and entries of streams by place and direction.

    Args:
        history: Of events.
        since_ms: From when on, by stream; ``None`` = of all time.
    """
    from tracker.dashboard.filters import Filter

    found: dict[str, list[dict[str, Any]]] = {stream: [] for stream in since_ms}
    with history.lock:
        begins = [value for value in since_ms.values() if value is not None]
        least = min(begins) if len(begins) == len(since_ms) and begins else None
        rows = chosen(history, Filter(streams=list(since_ms), kinds=("crossing", "enter"), from_ms=least), rolled=True)
        events, texts = history.events, history.names.texts
        since = np.full(len(texts), np.iinfo(np.int64).min)
        for stream, begin in since_ms.items():
            if begin is not None and (number := history.names.number(stream)) >= 0:
                since[number] = begin
        rows = rows[events["counts"][rows] & (events["booked"][rows] >= since[events["stream"][rows]])]
        groups, codes = grouped(history, rows, ("stream", "place", "direction"))
        counted = counted_by(history, rows, codes, len(groups)).tolist()
    for (stream_number, place, direction), count in zip(groups, counted, strict=True):
        if count:
            entry = {"place": texts[place], "direction": texts[direction], "count": count}
            found[texts[stream_number]].append(entry)
    return {stream: sorted(rows, key=lambda one: (one["place"], one["direction"])) for stream, rows in found.items()}


def flows(history: History, asked: Filter) -> list[dict[str, Any]]:
    """Flows by stream and name with how many identities took them."""
    with history.lock:
        rows = chosen(history, replace(asked, kinds=("flow",)), rolled=True)
        groups, codes = grouped(history, rows, ("stream", "place"))
        found, texts = counted_by(history, rows, codes, len(groups)), history.names.texts
        return [
            {"stream": texts[stream], "name": texts[place], "count": count}
            for (stream, place), count in zip(groups, found.tolist(), strict=True)
            if count
        ]


def present(history: History, streams: Sequence[str]) -> list[dict[str, Any]]:
    """Stays that have no end yet, by stream, zone and class."""
    with history.lock:
        stays, events = history.stay_rows, history.events
        rows = history.stays[~stays["leave"][history.stays]]
        event = stays["event"][rows]
        event = event[np.isin(events["stream"][event], stream_numbers(history, streams))]
        groups, codes = grouped(history, event, ("stream", "place", "class"))
        found, texts = np.bincount(codes, minlength=len(groups)), history.names.texts
        return [
            {"stream": texts[stream], "place": texts[place], "class": texts[name], "present": count}
            for (stream, place, name), count in zip(groups, found.tolist(), strict=True)
            if count
        ]


def places(history: History, asked: Filter) -> dict[str, list[str]]:
    """What the filters of a page can be set to: kinds, places, directions and classes of some streams."""
    with history.lock:
        rows = chosen(history, asked, rolled=True)
        kinds = sorted(KINDS[number] for number in np.unique(history.events["kind"][rows]).tolist())
        return {"kinds": kinds} | {
            plural: [text for text in texts_in(history, name, rows) if text]
            for plural, name in (("places", "place"), ("directions", "direction"), ("classes", "class"))
        }


def outage_now(history: History, stream: str) -> str | None:
    """Why a camera sees nothing now, by the last state of which the ledger has no end."""
    number = history.names.number(stream)
    return None if number < 0 else history.state_now(number)


def balances(history: History, stream: str, site: Site) -> dict[str, Balance]:
    """Entries less exits of each set of doors, as :class:`tracker.analytics.occupancy.Balances` counts them now."""
    from tracker.dashboard.filters import Filter

    found = {}
    with history.lock:
        events, names = history.events, history.names
        lines = [line for doors in site.doors for line in doors.lines]
        rows = chosen(history, Filter(streams=[stream], kinds=("crossing",), places=lines))
        rows = rows[np.argsort(events["at"][rows], kind="stable")]
        at = events["at"][rows[events["utc"][rows]]]
        for doors in site.doors:
            kept = rows
            if doors.reset_at and len(at):
                first, last = (last_reset(doors.reset_at, ZoneInfo(site.timezone), int(one)) for one in at[[0, -1]])
                kept = rows[events["utc"][rows] & (events["at"][rows] >= last)] if first < last else rows
            kept = kept[np.isin(events["place"][kept], names.numbers(doors.lines))]
            entry = events["direction"][kept] == names.number(doors.entry)
            balance, drift = running_balance(entry)
            entries = int(np.count_nonzero(entry))
            ends = {"balance": int(balance[-1]), "drift": int(drift[-1])} if len(kept) else {}
            found[doors.name] = Balance(entries=entries, exits=len(kept) - entries, **ends)
    return found
