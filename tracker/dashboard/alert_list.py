"""Alerts of the ledgers as pairs of begin and end, with the acknowledgements that the dashboard keeps of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracker.dashboard.accounts import now_ms
from tracker.dashboard.events_list import newest
from tracker.dashboard.filters import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tracker.dashboard.accounts import AccountStore
    from tracker.dashboard.ledgers import Ledgers

__all__ = ["MOST_ROWS", "acknowledge", "alerts_of", "paired"]

MOST_ROWS = 400
"""Rows of the ledgers that are looked at, the newest."""
MOST_ACKNOWLEDGED = 50_000


def alerts_of(
    ledgers: Ledgers, store: AccountStore, streams: Sequence[str], *, is_running: Callable[[str], bool]
) -> list[dict[str, Any]]:
    """The latest alerts, those under way first, then the newest first.

    Args:
        ledgers: All of them.
        store: Has the acknowledgements.
        streams: That may be seen and are asked for.
        is_running: Whether a stream still gives events, so that an alert without an end is under way.
    """
    rows, _ = newest(ledgers, Filter(streams=streams, kinds=("alert",)), limit=MOST_ROWS)
    known = {
        key: {"by": by, "at_ms": at_ms} for key, by, at_ms in store.rows("SELECT key, name, at_ms FROM seen_alerts")
    }
    found = paired(reversed(rows))
    for one in found:
        one["under_way"] = one["under_way"] and is_running(one["stream"])
        one["acknowledged"] = known.get(one["key"])
    return sorted(found, key=lambda one: (not one["under_way"], -one["began_ms"]))


def paired(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Alerts of their rows in order of time: one for each begin, with its end where that is known.

    An alert whose rule has begun anew since is not under way, though nothing says when it was over.
    """
    found: list[dict[str, Any]] = []
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        place = row["stream"], row["place"]
        last = latest.get(place)
        if row["since_ms"] is None:
            if last is not None:
                last["under_way"] = False
            latest[place] = one = _alert(row, row["at_ms"])
            found.append(one)
            continue
        if last is None or not last["under_way"]:  # its begin is older than the rows that are looked at
            last = _alert(row, row["since_ms"])
            found.append(last)
        last |= {"under_way": False, "ended_ms": row["at_ms"], "value": row["value"]}
    return found


def acknowledge(store: AccountStore, key: str, name: str) -> bool:
    """Remember that a person has seen an alert; whether it was the first one."""
    with store.transaction() as connection:
        made = connection.execute("INSERT OR IGNORE INTO seen_alerts VALUES (?, ?, ?)", (key, name, now_ms()))
        oldest = "SELECT at_ms FROM seen_alerts ORDER BY at_ms DESC LIMIT 1 OFFSET ?"
        connection.execute(f"DELETE FROM seen_alerts WHERE at_ms <= ({oldest})", (MOST_ACKNOWLEDGED,))  # noqa: S608 - own
        return made.rowcount == 1


def _alert(row: dict[str, Any], began_ms: int) -> dict[str, Any]:
    return {
        "key": row["key"],
        "stream": row["stream"],
        "rule": row["place"],
        "began_ms": began_ms,
        "ended_ms": None,
        "utc": row["utc"],
        "value": row["value"],
        "under_way": True,
    }
