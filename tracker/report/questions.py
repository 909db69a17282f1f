"""Questions of a report to a store, in SQL: sums by time, stays, values, outages and what was seen when.

All of them are over the views of a ledger (:mod:`tracker.formats.event_store`), where corrections are applied. Answers
are sums, or rows one at a time: a store of any size is read in bounded memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tracker.formats.deleted import BINS, deleted_in
from tracker.formats.event_rows import event_of
from tracker.formats.event_store import COLUMNS
from tracker.formats.event_store import outages as outages_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from tracker.events import Event
    from tracker.report.period import Period

__all__ = ["Count", "Seen", "Span", "StayRow", "Store", "Valued"]

_AT_MS = "coalesce(utc_ms, CAST(round(time_s * 1000) AS INTEGER))"


class Count(NamedTuple):
    """How often something was counted within ``at_ms`` and the width of the question."""

    stream: str
    kind: str
    place: str
    direction: str
    class_name: str
    at_ms: int
    semantics: int
    passages: int


class StayRow(NamedTuple):
    """One stay; one that lasts is as long as its stream is known."""

    stream: str
    place: str
    class_name: str
    length_s: float
    hidden_s: float
    entered: bool
    closed: bool
    end: str | None


class Valued(NamedTuple):
    """One row of a kind that has a value."""

    stream: str
    place: str
    direction: str
    class_name: str
    value: float
    error: float | None


class Span(NamedTuple):
    """First and last event of a stream by one clock."""

    stream: str
    utc: bool
    first_ms: int
    last_ms: int
    rows: int


class Seen(NamedTuple):
    """What a stream's rows say about themselves in a period."""

    stream: str
    rows: int
    revisions: tuple[int, int]
    semantics: tuple[int, int]
    identities: int
    crossings: int
    bridged: int


@dataclass(frozen=True, slots=True)
class Store:
    """Questions to one store.

    Attributes:
        connection: To it.
        streams: Those that are asked for; empty = all.
        together: Name of the camera that all of them are parts of; empty = each is one of its own.
    """

    connection: sqlite3.Connection
    streams: tuple[str, ...] = ()
    together: str = ""

    def spans(self, *, apart: bool = False) -> list[Span]:
        """First and last event of every stream and clock, bins of deleted ones among them.

        Args:
            apart: Under the streams' own names, also where they are parts of one camera.
        """
        query = f"""SELECT stream, utc, min(first), max(last), sum(rows) FROM (
              SELECT stream, utc_ms IS NOT NULL AS utc, min({_AT_MS}) AS first, max({_AT_MS}) AS last, count(*) AS rows
              FROM events WHERE 1 {self._only()} GROUP BY 1, 2
              UNION ALL
              SELECT stream, 1, min(bin_ms), max(bin_ms), 0 FROM bins WHERE 1 {self._only()} GROUP BY 1)
            GROUP BY 1, 2 ORDER BY 1, 2"""  # noqa: S608 - own names
        rows = self.connection.execute(query, self.streams * 2)
        return [Span(stream if apart else self._shown(stream), bool(utc), *rest) for stream, utc, *rest in rows]

    def counts(self, period: Period, kinds: Sequence[str], *, width_ms: int) -> Iterator[Count]:
        """Sums by stream, kind, place, direction, class and width.

        Args:
            period: In which they are counted.
            kinds: What is counted.
            width_ms: Of the times that are summed up.
        """
        marks = ", ".join("?" * len(kinds))
        query = f"""SELECT stream, kind, place, direction, class, at_ms / ? * ?, semantics, sum(count) FROM (
              SELECT stream, kind, place, direction, class, at_ms, semantics, 1 AS count FROM counted
              WHERE kind IN ({marks}) AND counts AND utc = ? AND at_ms >= ? AND at_ms < ? {self._only()}
              UNION ALL
              SELECT stream, kind, place, direction, class, bin_ms, semantics, count FROM bins
              WHERE kind IN ({marks}) AND ? AND bin_ms >= ? AND bin_ms < ? {self._only()})
            GROUP BY 1, 2, 3, 4, 5, 6, 7"""  # noqa: S608 - own names
        limits = (period.utc, period.from_ms, period.to_ms)
        given = (width_ms, width_ms, *(*kinds, *limits, *self.streams) * 2)
        for stream, *rest in self.connection.execute(query, given):
            yield Count(self._shown(stream), *rest)

    def stays(self, period: Period) -> Iterator[StayRow]:
        """Stays that began in a period, in no order; without those of a time of which others were deleted."""
        entered = "coalesce(entered_ms, CAST(round(entered_s * 1000) AS INTEGER))"
        query = f"""SELECT stream, place, class, {entered} AS began_ms, dwell_s, coalesce(hidden_s, 0),
              began = 'entered', closed, "end"
            FROM stays WHERE (entered_ms IS NOT NULL) = ? AND began_ms >= ? AND began_ms < ? {self._only()}"""  # noqa: S608
        last = f"SELECT stream, max({_AT_MS}) FROM events WHERE (utc_ms IS NOT NULL) = ? GROUP BY 1"  # noqa: S608
        last_ms = dict(self.connection.execute(last, (period.utc,)).fetchall())
        given = (period.utc, period.from_ms, period.to_ms, *self.streams)
        deleted_ms = self.deleted_ms() if period.utc else {}
        for stream, place, name, began_ms, dwell_s, *rest in self.connection.execute(query, given):
            if began_ms < deleted_ms.get(stream, began_ms):
                continue
            length_s = max(last_ms[stream] - began_ms, 0) / 1000 if dwell_s is None else dwell_s
            yield StayRow(self._shown(stream), place, name, length_s, *rest)

    def values(self, period: Period, kind: str) -> Iterator[Valued]:
        """Rows of a kind with a value, under their final classes."""
        query = f"""SELECT stream, place, direction, class, value, error FROM counted
            WHERE kind = ? AND utc = ? AND at_ms >= ? AND at_ms < ? AND value IS NOT NULL {self._only()}"""  # noqa: S608
        limits = (kind, period.utc, period.from_ms, period.to_ms, *self.streams)
        for stream, *rest in self.connection.execute(query, limits):
            yield Valued(self._shown(stream), *rest)

    def events(self, period: Period, kinds: Sequence[str]) -> list[Event]:
        """Whole rows of some kinds in a period, and all corrections; for kinds of which there are few.

        Streams have their own names, also where they are parts of one camera: each has identities of its own.
        """
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        marks = ", ".join("?" * len(kinds))
        query = f"""SELECT {names} FROM events WHERE (kind IN ('rekeyed', 'reclassified')
              OR (kind IN ({marks}) AND (utc_ms IS NOT NULL) = ? AND {_AT_MS} >= ? AND {_AT_MS} < ?)) {self._only()}
            ORDER BY row"""  # noqa: S608 - own names
        given = (*kinds, period.utc, period.from_ms, period.to_ms, *self.streams)
        return [event_of(dict(zip(COLUMNS, row, strict=True))) for row in self.connection.execute(query, given)]

    def kinds(self, period: Period) -> dict[str, int]:
        """How many rows of each kind a period has."""
        query = f"""SELECT kind, count(*) FROM events WHERE (utc_ms IS NOT NULL) = ? AND {_AT_MS} >= ? AND {_AT_MS} < ?
            {self._only()} GROUP BY 1"""  # noqa: S608 - own names
        limits = (period.utc, period.from_ms, period.to_ms, *self.streams)
        return dict(self.connection.execute(query, limits).fetchall())

    def seen(self, period: Period) -> list[Seen]:
        """Revisions, semantics and identities of every stream in a period."""
        query = f"""SELECT stream, count(*), min(revision), max(revision), min(semantics), max(semantics),
              sum(kind = 'identity_start'), sum(kind = 'crossing'), sum(kind = 'crossing' AND bridged)
            FROM events WHERE (utc_ms IS NOT NULL) = ? AND {_AT_MS} >= ? AND {_AT_MS} < ? {self._only()}
            GROUP BY 1 ORDER BY 1"""  # noqa: S608 - own names
        found = self.connection.execute(query, (period.utc, period.from_ms, period.to_ms, *self.streams))
        return [Seen(row[0], row[1], (row[2], row[3]), (row[4], row[5]), *row[6:]) for row in found]

    def outages(self, *, utc: bool) -> list[tuple[str, str, int, int]]:
        """Stream, kind, begin and end of the times in which a camera saw nothing that counts."""
        found = outages_of(self.connection)
        wanted = set(self.streams)
        return [(self._shown(row[0]), *row[1:4]) for row in found if row[4] == utc and (not wanted or row[0] in wanted)]

    def deleted_ms(self, *, counts: bool = False) -> dict[str, int]:
        """Up to when events of each stream were deleted by age, by the streams' own names.

        Args:
            counts: Up to when what they had counted was deleted too.
        """
        found: dict[str, int] = {}
        for one in deleted_in(self.connection):
            if (one.kind == BINS) == counts and (not self.streams or one.stream in self.streams):
                found[one.stream] = max(one.before_ms, found.get(one.stream, one.before_ms))
        return found

    def _shown(self, stream: str) -> str:
        return self.together or stream

    def _only(self, column: str = "stream") -> str:
        return f"AND {column} IN ({', '.join('?' * len(self.streams))})" if self.streams else ""
