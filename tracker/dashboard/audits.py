"""Audits of recordings and counts by hand: near misses by reason, and the ledger's counts beside a person's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tracker.dashboard.filters import Filter, chosen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tracker.dashboard.accounts import AccountStore
    from tracker.dashboard.history import History
    from tracker.dashboard.recordings import Recordings

__all__ = ["add_validation", "audits_of", "remove_validation", "validations"]

FORM = "masktrail audit 1"
LARGEST_AUDIT = 20_000_000
MOST_MISSES = 2_000

_COLUMNS = "id, stream, place, direction, class, from_ms, to_ms, utc, truth, name, at_ms"


def audits_of(recordings: Recordings, streams: Sequence[str], places: Sequence[str]) -> list[dict[str, Any]]:
    """Audits that lie beside recordings as ``*.audit.json``.

    Args:
        recordings: The folder.
        streams: Streams that may be seen and are asked for.
        places: Lines and zones; empty = all.
    """
    found = []
    for stream in streams:
        recording = recordings.of(stream)
        for file in [] if recording is None else recording.files:
            if not file.name.endswith(".audit.json") or file.size > LARGEST_AUDIT:
                continue
            values = _read(file.path)
            if values is None:
                continue
            audit = {key: values.get(key) for key in ("ran_ms", "site_revision", "titles")}
            audit["stream"] = stream
            for key in ("places", "near_misses"):
                rows = [row for row in values.get(key) or [] if not places or row.get("place") in places]
                audit[key] = rows[:MOST_MISSES]
            found.append(audit)
    return found


def _read(path: Path) -> dict[str, Any] | None:
    """A file of ours; ``None`` for others."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) and values.get("form") == FORM else None


def add_validation(store: AccountStore, values: Sequence[Any]) -> int:
    """Remember what a person counted: ``stream, place, direction, class, from_ms, to_ms, utc, truth, name, at_ms``."""
    with store.transaction() as connection:
        marks = ", ".join("?" * len(values))
        names = _COLUMNS.removeprefix("id, ")
        row = connection.execute(f"INSERT INTO validations ({names}) VALUES ({marks})", tuple(values))  # noqa: S608
        return int(row.lastrowid or 0)


def remove_validation(store: AccountStore, number: int, streams: Sequence[str]) -> bool:
    """Forget one, if it is of these streams; whether there was one."""
    [*found] = store.rows("SELECT stream FROM validations WHERE id = ?", (number,))
    if not found or found[0][0] not in streams:
        return False
    with store.transaction() as connection:
        connection.execute("DELETE FROM validations WHERE id = ?", (number,))
    return True


def validations(store: AccountStore, history: History, streams: Sequence[str]) -> list[dict[str, Any]]:
    """What people counted of some streams, with what the ledger counted in the same time."""
    names = ("id", "stream", "place", "direction", "class", "from_ms", "to_ms", "utc", "truth", "by", "at_ms")
    wanted = set(streams)
    found = []
    for row in store.rows(f"SELECT {_COLUMNS} FROM validations ORDER BY id DESC"):  # noqa: S608 - own names
        one = dict(zip(names, row, strict=True))
        if one["stream"] in wanted:
            one["utc"] = bool(one["utc"])
            found.append(one | {"counted": _counted(history, one)})
    return found


def _counted(history: History, one: dict[str, Any]) -> int:
    asked = Filter(
        streams=[one["stream"]],
        kinds=("crossing", "enter"),
        places=[one["place"]],
        directions=[one["direction"]] if one["direction"] else [],
        classes=[one["class"]] if one["class"] else [],
        from_ms=one["from_ms"],
        to_ms=one["to_ms"],
    )
    with history.lock:
        rows = chosen(history, asked, utc=one["utc"])
        return int(history.events["counts"][rows].sum())
