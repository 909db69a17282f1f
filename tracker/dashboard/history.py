"""Events of all ledgers in columns in memory, under their present numbers and final classes: what every page asks.

The ledgers stay the truth; this is their index, made anew at each start (docs/experiments/dashboard.md has its time and
size). The meaning of every column is that of the views of a ledger (:mod:`tracker.formats.event_store`), and a test
compares the two.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from tracker.dashboard.columns import Columns, Names
from tracker.events import OUTAGE_KINDS, EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["ENDS", "KINDS", "ROLLED", "ROW", "History", "kind_number"]

KINDS: tuple[str, ...] = get_args(EventKind)
ENDS = ("left", "lost", "restart", "open")
ROLLED = -1
"""Number of row of a bin of deleted events."""
LONGEST_CHAIN = 64
"""Numbers that follow each other, as in the views of a ledger."""

ROW = (
    *("row", "kind", "stream", "time_s", "utc_ms", "place", "direction", "identity", "class", "since_s"),
    *("stay_entered_s", "stay_left_s", "stay_hidden_s", "stay_began", "stay_end", "was_identity", "semantics"),
    *("value", "error", "other_identity"),
)
"""Columns of a ledger that are read, in this order."""

_EVENT_TYPES = {
    "source": np.int32,
    "row": np.int64,
    "at": np.int64,
    "booked": np.int64,
    "utc": np.bool_,
    "counts": np.bool_,
    "kind": np.int8,
    "stream": np.int32,
    "place": np.int32,
    "direction": np.int32,
    "class": np.int32,
    "class_was": np.int32,
    "identity": np.int64,
    "identity_was": np.int64,
    "semantics": np.int16,
    "weight": np.int32,
    "value": np.float64,
    "error": np.float32,
    "other": np.int64,
    "lasted_s": np.float64,
    "already": np.bool_,
}
_STAY_TYPES = {
    "event": np.int64,
    "entered_ms": np.int64,
    "dwell_s": np.float64,
    "hidden_s": np.float32,
    "entered": np.bool_,
    "end": np.int8,
    "leave": np.bool_,
}
_NUMBER = {kind: number for number, kind in enumerate(KINDS)}
_END = {end: number for number, end in enumerate(ENDS)}


def kind_number(kind: str) -> int:
    """The number of a kind of event in the column ``kind``."""
    return _NUMBER[kind]


class History:
    """Events of many streams; every method holds :attr:`lock`, which callers hold over several of them.

    Attributes:
        lock: For what is read in more than one step.
        events: One row per event, and one per bin of events that were deleted, with :data:`ROLLED` as its ``row`` and
            their number as its ``weight``: ``source`` and ``row`` say where its ledger has it; ``at`` is its time in
            milliseconds, ``booked`` that at which it is counted, ``utc`` which clock; texts are numbers of
            :attr:`names`; ``class_was``, ``identity_was`` and ``other`` are as the event's own row has them; ``value``
            and ``error`` are NaN where there is none, ``lasted_s`` where nothing began before; ``already``: the stay
            had begun before it was seen.
        stay_rows: One row per enter or leave.
        stays: ``(S,)`` rows of ``stay_rows``, one per stay: the row that says most about its end.
        names: Texts.
        version: Rises with every change.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.events = Columns(_EVENT_TYPES)
        self.stay_rows = Columns(_STAY_TYPES)
        self.stays = np.empty(0, np.int64)
        self.names = Names([""])
        self.version = 0
        self._numbers: dict[int, dict[int, int]] = defaultdict(dict)
        self._renames: dict[int, dict[int, int]] = defaultdict(dict)
        self._named: dict[int, dict[int, tuple[int, int]]] = defaultdict(dict)
        self._classes: dict[int, dict[int, int]] = defaultdict(dict)
        self._corrections = 0
        self._states: dict[int, list[tuple[str, int, int | None, bool]]] = defaultdict(list)
        self._last: dict[tuple[int, bool], int] = {}
        self._spans: dict[tuple[int, bool], tuple[int, int]] = {}
        self.deleted_ms: dict[str, int] = {}

    def present(self, stream: str, identity: int) -> int:
        """The number under which an identity of a stream goes now."""
        if not identity:
            return 0
        with self.lock:
            return self._numbers.get(self.names.number(stream), {}).get(identity, identity)

    def present_all(self, streams: NDArray[np.int32], identities: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers under which identities go now, by the numbers of their streams."""
        found = identities.copy()
        with self.lock:
            for stream in np.unique(streams).tolist():
                numbers, mine = self._numbers.get(stream), streams == stream
                if numbers:
                    found[mine] = [numbers.get(one, one) for one in found[mine].tolist()]
        return found

    # ---- adding ---------------------------------------------------------------------------------------------------

    def add(self, source: int, rows: Sequence[tuple[Any, ...]]) -> None:
        """Take rows of a ledger in their order.

        Args:
            source: Number of the ledger.
            rows: Values of :data:`ROW`.
        """
        if not rows:
            return
        values = dict(zip(ROW, zip(*rows, strict=True), strict=True))
        with self.lock:
            where = self.events.append(self._event_columns(source, values))
            self._add_stays(where, values)
            changed = self._note_corrections(values)
            self._note_states(where, values)
            touched = self._correct(where, changed)
            self._settle_stays(touched)
            self.version += 1

    def add_bins(self, source: int, rows: Sequence[tuple[str, str, str, str, str, int, int, int]]) -> None:
        """Take bins of deleted events.

        Args:
            source: Number of the ledger.
            rows: Stream, kind, place, direction, class, semantics, begin in milliseconds of UTC, count.
        """
        if not rows:
            return
        stream, kind, place, direction, class_name, semantics, begin, count = zip(*rows, strict=True)
        values: dict[str, Sequence[Any]] = dict.fromkeys(ROW, [None] * len(rows))
        values |= {"stream": stream, "kind": kind, "place": place, "direction": direction, "class": class_name}
        values |= {"semantics": semantics, "utc_ms": begin}
        values |= {"row": [ROLLED] * len(rows), "time_s": [0.0] * len(rows), "identity": [0] * len(rows)}
        with self.lock:
            columns = self._event_columns(source, values)
            columns |= {"counts": np.ones(len(rows), np.bool_), "weight": np.array(count, np.int32)}
            self._note_states(self.events.append(columns), values)
            self.version += 1

    def _event_columns(self, source: int, values: Mapping[str, Sequence[Any]]) -> dict[str, NDArray[Any]]:
        count, add = len(values["row"]), self.names.add
        utc_ms = values["utc_ms"]
        utc = np.fromiter((value is not None for value in utc_ms), np.bool_, count)
        time_s = np.array(values["time_s"], np.float64)
        media = _rounded(time_s * 1000)
        known = np.fromiter((value or 0 for value in utc_ms), np.int64, count)
        at = np.where(utc, known, media)
        kind = np.fromiter((_NUMBER[value] for value in values["kind"]), np.int8, count)
        since = _floats(values["since_s"])
        flow = (kind == _NUMBER["flow"]) & ~np.isnan(since)
        ago = _rounded(np.where(flow, (time_s - np.where(flow, since, 0)) * 1000, 0))
        began, end = np.array(values["stay_began"], object), np.array(values["stay_end"], object)
        counts = np.isin(kind, [_NUMBER["crossing"], _NUMBER["flow"]])
        counts |= (kind == _NUMBER["enter"]) & (began == "entered")
        counts |= (kind == _NUMBER["leave"]) & (end == "left")
        counts |= (kind == _NUMBER["loitering"]) & np.isnan(since)
        classes = np.fromiter(map(add, values["class"]), np.int32, count)
        identities = np.fromiter(values["identity"], np.int64, count)
        return {
            "source": np.full(count, source, np.int32),
            "row": np.fromiter(values["row"], np.int64, count),
            "at": at,
            "booked": at - ago,
            "utc": utc,
            "counts": counts.astype(np.bool_),
            "kind": kind,
            "stream": np.fromiter(map(add, values["stream"]), np.int32, count),
            "place": np.fromiter(map(add, values["place"]), np.int32, count),
            "direction": np.fromiter(map(add, values["direction"]), np.int32, count),
            "class": classes,
            "class_was": classes,
            "identity": identities,
            "identity_was": identities,
            "semantics": np.fromiter(values["semantics"], np.int16, count),
            "weight": np.ones(count, np.int32),
            "value": _floats(values["value"]),
            "error": _floats(values["error"]),
            "other": np.fromiter((value or 0 for value in values["other_identity"]), np.int64, count),
            "lasted_s": time_s - since,
            "already": np.asarray(began == "already_inside", np.bool_),
        }

    def _add_stays(self, where: slice, values: Mapping[str, Sequence[Any]]) -> None:
        kind = self.events["kind"][where]
        rows = np.flatnonzero((kind == _NUMBER["enter"]) | (kind == _NUMBER["leave"]))
        if not len(rows):
            return
        chosen = {name: [values[name][row] for row in rows.tolist()] for name in ROW[10:15]}
        time_s = np.array([values["time_s"][row] for row in rows.tolist()], np.float64)
        entered = _floats(chosen["stay_entered_s"])
        entered = np.where(np.isnan(entered), time_s, entered)
        left = _floats(chosen["stay_left_s"])
        end = np.array([_END.get(value, _END["open"]) for value in chosen["stay_end"]], np.int8)
        self.stay_rows.append(
            {
                "event": rows + where.start,
                "entered_ms": self.events["at"][where][rows] - _rounded((time_s - entered) * 1000),
                "dwell_s": left - entered,
                "hidden_s": np.nan_to_num(_floats(chosen["stay_hidden_s"])),
                "entered": np.array([value != "already_inside" for value in chosen["stay_began"]], np.bool_),
                "end": end,
                "leave": kind[rows] == _NUMBER["leave"],
            }
        )

    # ---- corrections ----------------------------------------------------------------------------------------------

    def _note_corrections(self, values: Mapping[str, Sequence[Any]]) -> dict[int, set[int]]:
        """Take what rows say about other rows; returns the numbers concerned by stream, as their rows have them."""
        changed: dict[int, set[int]] = defaultdict(set)
        renamed: set[int] = set()
        columns = (values[name] for name in ("kind", "stream", "identity", "class", "was_identity"))
        for kind, stream_name, identity, class_name, was in zip(*columns, strict=True):
            if kind not in {"reclassified", "rekeyed"}:
                continue
            stream = self.names.add(stream_name)
            self._corrections += 1
            if kind == "rekeyed":
                self._renames[stream][was] = identity
                renamed.add(stream)
            self._named[stream][identity] = self._corrections, self.names.add(class_name)
            changed[stream].add(identity)
        for stream in renamed:
            before = self._numbers[stream]
            renames = self._renames[stream]
            after = self._numbers[stream] = {was: _followed(renames, was) for was in renames}
            changed[stream] |= {was for was, now in after.items() if before.get(was) != now}
        for stream, numbers in changed.items():
            self._class_again(stream, numbers, everything=stream in renamed)
        return changed

    def _class_again(self, stream: int, changed: set[int], *, everything: bool) -> None:
        """Final classes of a stream's identities, by the numbers that they go by."""
        numbers, named = self._numbers[stream], self._named[stream]
        before = self._classes[stream]
        if not everything:
            for identity in sorted(changed, key=lambda one: named[one][0]):  # the last one holds
                before[numbers.get(identity, identity)] = named[identity][1]
            present = {numbers.get(identity, identity) for identity in changed}
            changed |= present | {was for was, now in numbers.items() if now in present}
            return
        best: dict[int, tuple[int, int]] = {}
        for identity, found in named.items():
            now = numbers.get(identity, identity)
            best[now] = max(best.get(now, found), found)
        after = self._classes[stream] = {now: class_name for now, (_, class_name) in best.items()}
        moved = {now for now in {*before, *after} if before.get(now) != after.get(now)}
        changed |= moved | {was for was, now in numbers.items() if now in moved}

    def _correct(self, where: slice, changed: dict[int, set[int]]) -> dict[int, set[int]]:
        """Give new rows, and old ones that are concerned, their present number and class.

        Returns:
            Numbers whose stays are to be looked at again, by stream.
        """
        touched: dict[int, set[int]] = defaultdict(set)
        events = self.events
        new = np.arange(where.start, where.stop)
        for stream in {*np.unique(events["stream"][where]).tolist(), *changed}:
            rows = new[events["stream"][where] == stream]
            if changed.get(stream):
                wanted = np.fromiter(changed[stream], np.int64)
                older = (events["stream"][: where.start] == stream) & np.isin(
                    events["identity_was"][: where.start], wanted
                )
                rows = np.concatenate([np.flatnonzero(older), rows])
            if self._numbers.get(stream) or self._classes.get(stream):
                touched[stream] |= self._map(stream, rows)
            stay = np.isin(events["kind"][rows], [_NUMBER["enter"], _NUMBER["leave"]])
            touched[stream] |= set(events["identity"][rows[stay]].tolist())
        return touched

    def _map(self, stream: int, rows: NDArray[np.int64]) -> set[int]:
        """Write number and class of some rows of one stream; returns the numbers that were theirs before."""
        events, numbers, classes = self.events, self._numbers[stream], self._classes[stream]
        before = events["identity"][rows]
        different, inverse = np.unique(events["identity_was"][rows], return_inverse=True)
        now = np.array([numbers.get(was, was) for was in different.tolist()], np.int64)
        final = np.array([classes.get(one, -1) for one in now.tolist()], np.int32)[inverse]
        events["identity"][rows] = now[inverse]
        events["class"][rows] = np.where(final >= 0, final, events["class_was"][rows])
        return set(before[before != now[inverse]].tolist())

    # ---- stays ----------------------------------------------------------------------------------------------------

    def _settle_stays(self, touched: dict[int, set[int]]) -> None:
        """Find the stays of some identities again."""
        if not any(touched.values()):
            return
        event = self.stay_rows["event"]
        stream, identity = self.events["stream"][event], self.events["identity"][event]
        again = np.zeros(len(event), np.bool_)
        for one, numbers in touched.items():
            if numbers:
                again |= (stream == one) & np.isin(identity, np.fromiter(numbers, np.int64))
        rows = np.flatnonzero(again)
        # What is concerned has rows among `again`, under its number of now.
        self.stays = np.concatenate([self.stays[~again[self.stays]], self._best(rows)])

    def _best(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """One row per stay among some rows: visits begin with an entry; `left` and `lost` say more than `restart`."""
        if not len(rows):
            return rows
        event, events = self.stay_rows["event"][rows], self.events
        leave, end = self.stay_rows["leave"][rows], self.stay_rows["end"][rows]
        groups = [events[name][event] for name in ("stream", "place", "identity")]
        at = events["at"][event]
        order = np.lexsort((event, at, *reversed(groups)))
        first = np.ones(len(order), np.bool_)
        first[1:] = np.any([group[order][1:] != group[order][:-1] for group in groups], axis=0)
        visit = np.cumsum(~leave[order] | first)
        weight = np.where(~leave, 0, np.where(end <= _END["lost"], 2, 1))
        best = np.lexsort((event[order], at[order], weight[order], visit))
        last = np.append(np.diff(visit[best]) > 0, np.True_)
        return rows[order[best[last]]]

    # ---- outages --------------------------------------------------------------------------------------------------

    def _note_states(self, where: slice, values: Mapping[str, Sequence[Any]]) -> None:
        events = self.events
        at, utc, stream = events["at"][where], events["utc"][where], events["stream"][where]
        for one in np.unique(stream).tolist():
            for clock in (False, True):
                mine = at[(stream == one) & (utc == clock)]
                if len(mine):
                    self._last[one, clock] = max(self._last.get((one, clock), int(mine.max())), int(mine.max()))
                    counted = events["booked"][where][(stream == one) & (utc == clock)]
                    first, last = self._spans.get((one, clock), (int(counted[0]), int(counted[0])))
                    self._spans[one, clock] = min(first, int(counted.min())), max(last, int(counted.max()))
        outages = np.isin(events["kind"][where], [_NUMBER[kind] for kind in OUTAGE_KINDS])
        for row in np.flatnonzero(outages).tolist():
            since_s = values["since_s"][row]
            ago = None if since_s is None else int(_rounded(np.array((values["time_s"][row] - since_s) * 1000)))
            self._states[int(stream[row])].append((values["kind"][row], int(at[row]), ago, bool(utc[row])))

    def outages(self, streams: Iterable[int]) -> list[tuple[int, str, int, int, bool]]:
        """Times at which cameras saw nothing that counts: stream, kind, from and to in milliseconds, whether in UTC.

        A state that is not over lasts until the last row of its stream.
        """
        found: list[tuple[int, str, int, int, bool]] = []
        with self.lock:
            for stream in streams:
                begun: dict[tuple[str, bool], int] = {}
                for kind, at, ago, utc in self._states.get(stream, ()):
                    if ago is None:
                        begun[kind, utc] = min(begun.get((kind, utc), at), at)
                    else:
                        found.append((stream, kind, at - ago, at, utc))
                        for clock in (False, True):
                            begun.pop((kind, clock), None)
                found += [
                    (stream, kind, at, self._last.get((stream, utc), at), utc) for (kind, utc), at in begun.items()
                ]
        return sorted(found, key=lambda one: one[2])

    def state_now(self, stream: int) -> str | None:
        """The state of a camera that has begun last and is not over."""
        begun: dict[str, None] = {}
        with self.lock:
            for kind, _, ago, _ in self._states.get(stream, ()):
                begun.pop(kind, None)
                if ago is None:
                    begun[kind] = None
        return next(reversed(begun), None)

    def streams(self) -> list[int]:
        """Numbers of the streams of which there are events, in the order in which they came."""
        with self.lock:
            return list(dict.fromkeys(stream for stream, _ in self._last))

    def last_ms(self, *, utc: bool) -> NDArray[np.int64]:
        """Time of each stream's last event by a clock, by the stream's number; without one the least integer."""
        found = np.full(len(self.names.texts), np.iinfo(np.int64).min)
        for (stream, clock), at in self._last.items():
            if clock == utc:
                found[stream] = at
        return found

    def span(self, stream: int, *, utc: bool) -> tuple[int, int] | None:
        """First and last time at which events of a stream count by a clock."""
        return self._spans.get((stream, utc))


def _followed(renames: dict[int, int], number: int) -> int:
    for _ in range(LONGEST_CHAIN):
        if number not in renames:
            break
        number = renames[number]
    return number


def _rounded(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """The nearest whole numbers, halves away from zero, as SQL rounds."""
    return np.asarray(np.trunc(values + np.copysign(0.5, values)), np.int64)


def _floats(values: Sequence[Any]) -> NDArray[np.float64]:
    """Numbers, with NaN for null."""
    return np.array([np.nan if value is None else value for value in values], np.float64)
