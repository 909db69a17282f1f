"""Sums of ledgers that a command is given: of one store or database by SQL, else event by event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tracker.analytics.counts import Outage, Sums
    from tracker.app.times import Limits
    from tracker.events import EventKind
    from tracker.formats.deleted import Deleted

__all__ = ["check_whole", "sums_of_ledgers"]

EVER_MS = -(10**15)
"""Before anything: when the first of deleted rows was is not known."""


def sums_of_ledgers(
    ledgers: Sequence[str | Path], kinds: Sequence[EventKind], by: Sequence[str], bin_s: int, limits: Limits
) -> Sums:
    """Counts of ledgers in bins, see :func:`tracker.analytics.counts.sums_of`; deleted ones as far as they are known.

    Raises:
        ConfigError: Events of one of several ledgers were deleted by age.
        SourceError: A ledger cannot be read.
    """
    from tracker.analytics.corrections import Corrections
    from tracker.analytics.counts import sums_of
    from tracker.formats.deleted import stores_of
    from tracker.formats.ledger import read_events
    from tracker.formats.postgres import is_postgres

    if len(ledgers) == 1 and is_postgres(ledgers[0]):
        return _sums_of_database(str(ledgers[0]), kinds, by, bin_s, limits)
    stores = stores_of(ledgers)
    if len(ledgers) == len(stores) == 1:
        return _sums_of_store(stores[0], kinds, by, bin_s, limits)
    check_whole(ledgers)
    start_ms, end_ms = limits
    corrections = Corrections.of(read_events(*ledgers))
    events = read_events(*ledgers)
    return sums_of(events, corrections=corrections, kinds=kinds, by=by, bin_s=bin_s, start_ms=start_ms, end_ms=end_ms)


def check_whole(ledgers: Sequence[str | Path]) -> None:
    """Refuse a store of which events were deleted beside other ledgers: its bins are counted of one store only.

    Raises:
        ConfigError: There is one.
    """
    from tracker.formats.deleted import deleted_of, stores_of

    for path in stores_of(ledgers) if len(ledgers) > 1 else ():
        if found := sum(one.rows for one in deleted_of([path])):
            problem = f"expected a store with all of its events beside other ledgers, found {found:,} deleted by age"
            raise ConfigError(path, problem, "count it alone")


def _sums_of_store(path: Path, kinds: Sequence[EventKind], by: Sequence[str], bin_s: int, limits: Limits) -> Sums:
    import sqlite3

    from tracker.errors import SourceError
    from tracker.formats.deleted import deleted_in
    from tracker.formats.event_store import grouped, open_store, outages, spans

    with open_store(path) as connection:
        try:
            found = grouped(connection, kinds=kinds, by=by, bin_ms=bin_s * 1000, start_ms=limits[0], end_ms=limits[1])
            sums = _summed(bin_s, found, spans(connection), outages(connection))
            sums.outages += _gone(deleted_in(connection), kinds, bin_s * 1000, limits)
        except sqlite3.Error as failure:
            raise SourceError(path, f"expected a SQLite ledger, found: {failure}", "check the file") from failure
    return sums


def _gone(deleted: Sequence[Deleted], kinds: Sequence[EventKind], bin_ms: int, limits: Limits) -> Iterator[Outage]:
    """Times of which the counts are not known any more.

    The counts of deleted events are known by quarters of an hour: not in shorter bins, and not at limits within one.
    """
    from tracker.analytics.counts import Outage
    from tracker.formats.deleted import BINS
    from tracker.formats.event_store import BIN_MS

    for one in deleted:
        times = []
        if one.kind == BINS or (one.kind in kinds and bin_ms % BIN_MS):
            times.append((EVER_MS, one.before_ms - 1))
        elif one.kind in kinds:
            cut = [at_ms for at_ms in limits if at_ms is not None and at_ms % BIN_MS and at_ms < one.before_ms]
            times += [(at_ms // BIN_MS * BIN_MS, at_ms // BIN_MS * BIN_MS + BIN_MS - 1) for at_ms in cut]
        for from_ms, to_ms in times:
            yield Outage(stream=one.stream, kind="deleted", from_ms=from_ms, to_ms=to_ms, utc=True)


def _sums_of_database(address: str, kinds: Sequence[EventKind], by: Sequence[str], bin_s: int, limits: Limits) -> Sums:
    from tracker.formats.postgres_ledger import grouped, open_postgres, outages, spans

    with open_postgres(address) as connection:
        found = grouped(connection, kinds=kinds, by=by, bin_ms=bin_s * 1000, start_ms=limits[0], end_ms=limits[1])
        return _summed(bin_s, found, spans(connection), outages(connection))


def _summed(
    bin_s: int,
    found: Sequence[tuple[bool, int, int, tuple[str, ...], int]],
    streams: dict[tuple[str, bool], tuple[int, int]],
    outages: Sequence[tuple[str, EventKind, int, int, bool]],
) -> Sums:
    from tracker.analytics.counts import Outage, Sums

    sums = Sums(bin_s=bin_s, streams=streams)
    sums.outages = [
        Outage(stream=stream, kind=why, from_ms=from_ms, to_ms=to_ms, utc=utc)
        for stream, why, from_ms, to_ms, utc in outages
    ]
    for utc, slot, semantics, group, count in found:
        sums.counts[utc, slot, group] += count
        sums.semantics.add(semantics)
    return sums
