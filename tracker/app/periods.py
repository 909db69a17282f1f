"""The time that ``--from`` and ``--to`` ask for, and what is said of the part that was deleted by age."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from tracker.app.console import error_console, foreign
from tracker.app.times import bin_label, limits_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from tracker.analytics.asked import Asked

__all__ = ["asked_of", "gap_starts", "tell_deleted"]

MOST_NAMED = 3


def asked_of(
    since: str | None,
    until: str | None,
    zone: ZoneInfo,
    ledgers: Sequence[str | Path],
    kinds: Collection[str],
) -> Asked:
    """The time that is asked for, with what ledgers have no more of some kinds of events.

    Raises:
        ConfigError: A limit is no time, or they are the wrong way round.
        SourceError: A ledger is missing, or none of ours.
    """
    from tracker.analytics.asked import Asked
    from tracker.formats.deleted import deleted_of

    from_ms, to_ms = limits_of(since, until, zone)
    deleted_ms: dict[str, int] = {}
    for one in deleted_of(ledgers):
        if one.kind in kinds:
            deleted_ms[one.stream] = max(one.before_ms, deleted_ms.get(one.stream, one.before_ms))
    return Asked(from_ms=from_ms, to_ms=to_ms, deleted_ms=deleted_ms)


def tell_deleted(asked: Asked, zone: ZoneInfo) -> None:
    """Say on the error stream of which streams and times nothing is known any more.

    Args:
        asked: With what was deleted.
        zone: In which times are shown.
    """
    times: dict[int, list[str]] = {}
    for stream in sorted(asked.deleted_ms):
        if (before_ms := asked.hides(stream)) is not None:
            times.setdefault(before_ms, []).append(foreign(stream))
    for before_ms, streams in sorted(times.items()):
        more = f" and {len(streams) - MOST_NAMED} more" if len(streams) > MOST_NAMED else ""
        text = f"before {bin_label(before_ms, zone, utc=True)} events of {', '.join(streams[:MOST_NAMED])}{more}"
        error_console().print(f"not known: {text} were deleted by age", style="dim", highlight=False, soft_wrap=True)


def gap_starts(asked: Asked, stream: str, bin_s: int, zone: ZoneInfo) -> list[int]:
    """Begins of the bins of a stream that are asked for, and were deleted whole or in their first part."""
    from tracker.analytics.bins import bin_edges

    before_ms = asked.hides(stream)
    if before_ms is None or asked.from_ms is None:
        return []
    end_ms = before_ms if asked.to_ms is None else min(before_ms, asked.to_ms)
    edges = bin_edges(asked.from_ms, end_ms, bin_s, zone).tolist()
    return [begin for begin, end in pairwise(edges) if end <= before_ms]
