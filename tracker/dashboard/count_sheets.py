"""Sheets of intervals that people count, in the dashboard's store, and the ledger's counts of the same times."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.dashboard.accounts import now_ms
from tracker.dashboard.filters import Filter, chosen, stream_numbers
from tracker.dashboard.history import ROLLED
from tracker.dashboard.problems import ApiError, no_such
from tracker.formats.event_store import BIN_MS
from tracker.measure.validation import agreements, weak_words
from tracker.measure.validation_sheet import Sheet, SheetRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.dashboard.accounts import AccountStore
    from tracker.dashboard.history import History
    from tracker.measure.validation import Clock, Interval

__all__ = ["CountSheets", "passages_of", "report_of"]

KINDS = ("crossing", "enter")
REPORT_SEED = 0
"""That of the command, so that both give the same intervals."""


class CountSheets:
    """Sheets by number.

    Args:
        store: Has them.
    """

    def __init__(self, store: AccountStore) -> None:
        self._store = store

    def add(
        self,
        stream: str,
        intervals: Sequence[Interval],
        asked: Sequence[tuple[str, str, str]],
        *,
        clock: Clock,
        utc_from_ms: int | None,
        seed: int,
        by: str,
    ) -> int:
        """Keep a new sheet; returns its number.

        Args:
            stream: Whose counts.
            intervals: To count in.
            asked: Place, direction and class of each count.
            clock: By which the intervals are.
            utc_from_ms: UTC at media time 0 of a recording.
            seed: With which they were drawn.
            by: Who drew.
        """
        values = (stream, clock, utc_from_ms, json.dumps(asked), seed, by, now_ms())
        with self._store.transaction() as connection:
            row = connection.execute(
                "INSERT INTO count_sheets (stream, clock, utc_from_ms, asked, seed, name, at_ms) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            number = int(row.lastrowid or 0)
            connection.executemany(
                "INSERT INTO count_intervals VALUES (?, ?, ?, ?, ?, NULL, 0, '', NULL)",
                [(number, one.number, one.from_ms, one.to_ms, one.stratum) for one in intervals],
            )
        return number

    def all(self, streams: Sequence[str]) -> list[dict[str, Any]]:
        """Sheets of some streams, the newest first, with how far each one is."""
        names = ("id", "stream", "clock", "seed", "by", "at_ms", "intervals", "counted", "from_ms", "to_ms")
        wanted = set(streams)
        rows = self._store.rows(
            "SELECT id, stream, clock, seed, s.name, s.at_ms, count(*), count(counts), min(from_ms), max(to_ms) "
            "FROM count_sheets s JOIN count_intervals ON sheet = id GROUP BY id ORDER BY id DESC"
        )
        return [dict(zip(names, row, strict=True)) for row in rows if row[1] in wanted]

    def one(self, number: int, streams: Sequence[str]) -> dict[str, Any]:
        """A sheet with its intervals, and what was counted so far.

        Raises:
            ApiError: There is none of these streams.
        """
        names = ("id", "stream", "clock", "utc_from_ms", "asked", "seed", "by", "at_ms")
        found = self._store.rows(
            "SELECT id, stream, clock, utc_from_ms, asked, seed, name, at_ms FROM count_sheets WHERE id = ?", (number,)
        )
        sheet = next((dict(zip(names, row, strict=True)) for row in found), None)
        if sheet is None or sheet["stream"] not in streams:
            raise no_such("sheet", number)
        sheet["asked"] = json.loads(sheet["asked"])
        # Media time 0 of intervals by the wall clock; of cameras nothing can be shown.
        zero_ms = 0 if sheet["clock"] == "media" else sheet["utc_from_ms"]
        names = ("number", "from_ms", "to_ms", "stratum", "counts", "revision", "by", "at_ms")
        sheet["intervals"] = []
        for row in self._store.rows(
            "SELECT number, from_ms, to_ms, stratum, counts, revision, name, at_ms FROM count_intervals "
            "WHERE sheet = ? ORDER BY number",
            (number,),
        ):
            one = dict(zip(names, row, strict=True))
            one["counts"] = None if one["counts"] is None else json.loads(one["counts"])
            one["media_s"] = None if zero_ms is None else (one["from_ms"] - zero_ms) / 1000
            sheet["intervals"].append(one)
        del sheet["utc_from_ms"]
        return sheet

    def count(self, sheet: dict[str, Any], number: int, revision: int, counts: list[int] | None, *, by: str) -> int:
        """Write what a person counted in an interval over the revision that was read; returns the new one.

        Args:
            sheet: As :meth:`one` gives it.
            number: Of the interval.
            revision: Of it, as it was read.
            counts: One for each of ``asked``; ``None`` = it is not counted any more.
            by: Who counted.

        Raises:
            ApiError: There is no such interval, the counts are not as many, or another revision stands there.
        """
        held = next((one for one in sheet["intervals"] if one["number"] == number), None)
        if held is None:
            raise no_such("interval", number)
        if counts is not None and len(counts) != len(sheet["asked"]):
            expected = f"{len(sheet['asked'])} counts, one for each that is asked"
            raise ApiError(422, "counts", expected, str(len(counts)), "send all of them, 0 too")
        text = None if counts is None else json.dumps(counts)
        with self._store.transaction() as connection:
            made = connection.execute(
                "UPDATE count_intervals SET counts = ?, revision = revision + 1, name = ?, at_ms = ? "
                "WHERE sheet = ? AND number = ? AND revision = ?",
                (text, by, now_ms(), sheet["id"], number, revision),
            )
            if made.rowcount == 1:
                return revision + 1
        present = next(one for one in self.one(sheet["id"], [sheet["stream"]])["intervals"] if one["number"] == number)
        found = f"revision {present['revision']}, counted by {present['by']} meanwhile"
        more = {"interval": present}
        raise ApiError(409, "interval", "the revision that was read", found, "look at both counts", more=more)

    def remove(self, number: int) -> None:
        """Forget a sheet with its counts."""
        with self._store.transaction() as connection:
            connection.execute("DELETE FROM count_sheets WHERE id = ?", (number,))


def as_sheet(sheet: dict[str, Any], without: frozenset[int] = frozenset()) -> Sheet:
    """A sheet as the command reads it; intervals ``without`` are as if nobody had counted them."""
    rows = [
        SheetRow(
            interval=one["number"],
            from_ms=one["from_ms"],
            to_ms=one["to_ms"],
            place=place,
            direction=direction,
            class_name=name,
            counted=None if one["counts"] is None or one["number"] in without else one["counts"][at],
        )
        for one in sheet["intervals"]
        for at, (place, direction, name) in enumerate(sheet["asked"])
    ]
    return Sheet(stream=sheet["stream"], clock=sheet["clock"], rows=rows)


def passages_of(
    history: History, stream: str, *, utc: bool, from_ms: int | None = None, to_ms: int | None = None
) -> dict[tuple[str, str, str], int]:
    """Crossings and entries of a stream by place, direction (``entered`` of zones) and class."""
    asked = Filter(streams=[stream], kinds=KINDS, from_ms=from_ms, to_ms=to_ms)
    with history.lock:
        events, texts = history.events, history.names.texts
        rows = chosen(history, asked, utc=utc)
        rows = rows[events["counts"][rows]]
        columns = np.stack([events[name][rows] for name in ("place", "direction", "class")])
        different, counts = np.unique(columns, axis=1, return_counts=True)
        named = [(texts[place], texts[way] or "entered", texts[name]) for place, way, name in different.T.tolist()]
    return dict(zip(named, counts.tolist(), strict=True))


def report_of(history: History, sheet: dict[str, Any]) -> dict[str, Any]:
    """How good the ledger's counts are beside a person's, as ``masktrail validate report`` says it.

    Args:
        history: Of the ledgers.
        sheet: As :meth:`CountSheets.one` gives it.
    """
    utc = sheet["clock"] == "utc"
    deleted = _deleted(history, as_sheet(sheet), utc=utc)
    filled = as_sheet(sheet, deleted)
    counts = {
        (number, *key): count
        for number, from_ms, to_ms in filled.spans
        for key, count in passages_of(history, sheet["stream"], utc=utc, from_ms=from_ms, to_ms=to_ms).items()
    }
    found = agreements(filled.beside(counts), rng=np.random.default_rng(REPORT_SEED))
    rows = [{("class" if key == "class_name" else key): _number(value) for key, value in asdict(one).items()}
            for one in found]  # fmt: skip
    return {
        "counted": len(filled.spans),
        "intervals": len(sheet["intervals"]),
        "deleted": len(deleted),
        "rows": rows,
        "words": weak_words(found),
    }


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _deleted(history: History, sheet: Sheet, *, utc: bool) -> frozenset[int]:
    """Counted intervals of which the ledger keeps bins only: what it had in them is not known any more."""
    with history.lock:
        events = history.events
        fits = np.isin(events["stream"], stream_numbers(history, [sheet.stream])) & (events["utc"] == utc)
        begins = events["at"][fits & (events["row"] == ROLLED)]
    return frozenset(
        number for number, from_ms, to_ms in sheet.spans if ((begins > from_ms - BIN_MS) & (begins < to_ms)).any()
    )
