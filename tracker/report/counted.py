"""Counts of a period by place, direction and class in bins, with the week before; bins of an outage are not zeros."""

from __future__ import annotations

import bisect
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from tracker.report.period import Period
    from tracker.report.questions import Count, Span, Store
    from tracker.site import Site

__all__ = ["Counted", "PlaceCounts", "counts_of", "unknown_bins"]

LONGEST_MS = 8 * 86_400_000
"""Of a period that is compared with the week before; a longer one would be compared with itself."""
KINDS = ("crossing", "enter", "flow", "loitering")

Place = tuple[str, str, str]
"""Stream, kind and name of the line, zone or flow."""


@dataclass(slots=True, kw_only=True)
class PlaceCounts:
    """Counts of one line, zone or flow.

    Attributes:
        stream, kind, place: Of what.
        ways: ``(bins,)`` counts by direction and class; what was not seen is told by :attr:`out` and :attr:`unknown`.
        before: ``(bins,)`` sums over all classes of the week before by direction, NaN where it is not known; empty
            without one.
        out: ``(bins,)`` whether the camera was out for a part of the bin, so that its count is a lower limit, or there
            was no recording.
    """

    stream: str
    kind: str
    place: str
    ways: dict[str, dict[str, NDArray[np.int64]]] = field(default_factory=dict)
    before: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    out: NDArray[np.bool_]

    @property
    def total(self) -> int:
        """All of it."""
        return sum(int(values.sum()) for classes in self.ways.values() for values in classes.values())

    def sums(self, direction: str) -> NDArray[np.int64]:
        """``(bins,)`` counts over all classes."""
        zero = np.zeros(len(self.out), np.int64)
        return zero + np.sum(list(self.ways[direction].values()), axis=0, dtype=np.int64) if self.ways else zero

    def unknown(self, direction: str) -> NDArray[np.bool_]:
        """``(bins,)`` bins of which nothing is known: the camera was out, and nothing was counted."""
        return np.asarray(self.out & (self.sums(direction) == 0))

    def change(self) -> tuple[int, int] | None:
        """Sums of now and of the week before over those bins that both know; ``None`` where there are none."""
        now, before, known = 0, 0.0, 0
        for direction, earlier in self.before.items():
            both = ~self.out & ~np.isnan(earlier)
            known += int(both.sum())
            now += int(self.sums(direction)[both].sum())
            before += float(earlier[both].sum())
        return (now, round(before)) if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Everything that was counted in a period.

    Attributes:
        places: Lines, zones and flows, the busiest first within each kind.
        classes: All of them, the most frequent first.
        compared: Whether there is anything of the week before.
        outages: Stream, kind, begin and end.
        semantics: Versions of the rules.
    """

    places: Sequence[PlaceCounts]
    classes: Sequence[str]
    compared: bool
    outages: Sequence[tuple[str, str, int, int]]
    semantics: Sequence[int]

    def of(self, kind: str) -> list[PlaceCounts]:
        """Those of one kind."""
        return [place for place in self.places if place.kind == kind]


def counts_of(store: Store, period: Period, spans: Sequence[Span], sites: Sequence[tuple[str, Site]] = ()) -> Counted:
    """The counts of a period.

    Args:
        store: Of events.
        period: With its bins.
        spans: Of its streams, see :func:`unknown_bins`.
        sites: Stream and site, for lines that nothing crossed: they are zero, and not left out.

    Raises:
        ConfigError: Events follow rules of two versions.
    """
    outages = store.outages(utc=period.utc)
    sums, semantics = _sums(store, period)
    before = period.week_before() if period.utc and period.to_ms - period.from_ms <= LONGEST_MS else None
    earlier, older = _sums(store, before) if before is not None else ({}, set())
    if len(semantics) > 1:
        found = " and ".join(map(str, sorted(semantics)))
        problem = f"expected events that follow rules of one version, found semantics {found}"
        raise ConfigError("the ledger", problem, "shorten the period, or analyse the older recordings again")
    if older - semantics:
        earlier = {}
    places: dict[Place, PlaceCounts] = {}
    out: dict[str, NDArray[np.bool_]] = {}
    for stream, kind, name, direction, class_name in [*sums, *_named(sites)]:
        if stream not in out:
            out[stream] = unknown_bins(outages, spans, stream, period)
        place = places.setdefault(
            (stream, kind, name), PlaceCounts(stream=stream, kind=kind, place=name, out=out[stream])
        )
        classes = place.ways.setdefault(direction, {})
        if (values := sums.get((stream, kind, name, direction, class_name))) is not None:
            classes[class_name] = values
    compared = False
    if before is not None and earlier:
        known = {stream: ~unknown_bins(outages, spans, stream, before) for stream in out}
        for place in places.values():
            compared |= _compare(place, earlier, known[place.stream])
    totals: Counter[str] = Counter()
    for place in places.values():
        for classes in place.ways.values():
            totals.update({name: int(values.sum()) for name, values in classes.items()})
    ordered = sorted(places.values(), key=lambda one: (KINDS.index(one.kind), -one.total, one.stream, one.place))
    names = [name for name, _ in sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))]
    return Counted(
        places=ordered, classes=names, compared=compared, outages=_within(outages, period), semantics=sorted(semantics)
    )


Group = tuple[str, str, str, str, str]


def _sums(store: Store, period: Period) -> tuple[dict[Group, NDArray[np.int64]], set[int]]:
    """``(bins,)`` counts by stream, kind, place, direction and class."""
    width_ms = int(np.gcd.reduce(period.edges))  # the longest time of which all bins are made
    found: dict[Group, NDArray[np.int64]] = {}
    semantics: set[int] = set()
    rows: Iterable[Count] = store.counts(period, KINDS, width_ms=width_ms)
    edges = period.edges.tolist()
    for row in rows:
        # A width that the period begins in the midst of belongs to its first bin.
        slot = min(max(bisect.bisect_right(edges, row.at_ms) - 1, 0), period.bins - 1)
        key = row[:5]
        if key not in found:
            found[key] = np.zeros(period.bins, np.int64)
        found[key][slot] += row.passages
        semantics.add(row.semantics)
    return found, semantics


def _named(sites: Sequence[tuple[str, Site]]) -> list[Group]:
    """What sites count, without a class."""
    found: list[Group] = []
    for stream, site in sites:
        found += [(stream, "crossing", line.name, way, "") for line in site.lines for way in line.directions]
        found += [(stream, "enter", zone.name, "", "") for zone in site.zones]
        found += [(stream, "flow", flow.name, "", "") for flow in site.flows]
    return found


def _compare(place: PlaceCounts, earlier: dict[Group, NDArray[np.int64]], known: NDArray[np.bool_]) -> bool:
    """Add the week before to a place, where it is ``known``; whether it is anywhere."""
    if not known.any():
        return False
    for direction in place.ways:
        mine = [
            values
            for (stream, kind, name, way, _), values in earlier.items()
            if (stream, kind, name, way) == (place.stream, place.kind, place.place, direction)
        ]
        total = np.sum(mine, axis=0, dtype=np.float64) if mine else np.zeros(len(known))
        place.before[direction] = np.where(known, total, np.nan)
    return True


def unknown_bins(
    outages: Sequence[tuple[str, str, int, int]], spans: Sequence[Span], stream: str, period: Period
) -> NDArray[np.bool_]:
    """``(bins,)`` whether a stream was out for a part of a bin, or has no event from before its end to after its begin.

    Before its first event and after its last one nothing is known of a stream: there was no recording, or no camera.
    """
    found = np.ones(period.bins, np.bool_)
    for span in spans:
        if span.stream == stream:
            found[_touched(span.first_ms, span.last_ms, period)] = False
    for name, _, from_ms, to_ms in outages:
        if name == stream:
            found[_touched(from_ms, to_ms, period)] = True
    return found


def _touched(from_ms: int, to_ms: int, period: Period) -> slice:
    """Bins that a time touches."""
    if to_ms < period.edges[0] or from_ms >= period.edges[-1]:
        return slice(0)
    first = max(int(np.searchsorted(period.edges, from_ms, side="right")) - 1, 0)
    return slice(first, min(int(np.searchsorted(period.edges, to_ms, side="right")), period.bins))


def _within(outages: Sequence[tuple[str, str, int, int]], period: Period) -> list[tuple[str, str, int, int]]:
    """Outages cut to a period."""
    return [
        (stream, kind, max(low, period.from_ms), min(high, period.to_ms))
        for stream, kind, low, high in outages
        if high >= period.from_ms and low < period.to_ms
    ]
