"""Presence of stores as sums of days, which are kept: months are then added up of days instead of hours."""

from __future__ import annotations

import threading
from itertools import groupby
from typing import TYPE_CHECKING

from tracker.formats.heat_tiles import heat_sum, read_tile, tile_parts
from tracker.heat import TILE_MS, Presence

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from tracker.formats.heat_tiles import TilePart
    from tracker.heat import HeatTile

__all__ = ["HeatDays"]

DAY_MS = 24 * TILE_MS
MOST_DAYS = 400
"""Sums that are kept: one of a wide picture has 55 kB for each class."""


class HeatDays:
    """Sums of the days that were asked for last, of all stores and streams."""

    def __init__(self) -> None:
        self._days: dict[tuple[Path, str, int], tuple[tuple[TilePart, ...], HeatTile]] = {}
        self._lock = threading.Lock()

    def presence(
        self, connection: sqlite3.Connection, store: Path, stream: str, start_ms: int | None, end_ms: int | None
    ) -> Presence | None:
        """Presence in the hours that touch a time, of UTC where there are some; ``None`` where there are none.

        Args:
            connection: To the store.
            store: Which.
            stream: Under its name in the store.
            start_ms: From when, UTC.
            end_ms: Until when, exclusive.

        Raises:
            SourceError: A tile is damaged.
            ConfigError: The picture's shape has changed within the time.
        """
        connection.execute("BEGIN")  # what is read belongs to one moment
        try:
            parts = tile_parts(connection, stream, start_ms=start_ms, end_ms=end_ms)
            parts = [part for part in parts if part.utc] or parts
            if not parts:
                return None
            days = [
                self._day(connection, (store, stream, day), tuple(own))
                for day, own in groupby(parts, key=lambda part: part.tile_ms // DAY_MS)
            ]
        finally:
            connection.execute("ROLLBACK")
        last_ms = parts[-1].tile_ms + TILE_MS
        return Presence(stream=stream, total=heat_sum(days), from_ms=parts[0].tile_ms, to_ms=last_ms)

    def _day(self, connection: sqlite3.Connection, key: tuple[Path, str, int], parts: tuple[TilePart, ...]) -> HeatTile:
        """The sum of some hours of a day."""
        with self._lock:
            held = self._days.pop(key, None)
        if held is None or held[0] != parts:
            total = heat_sum(read_tile(connection, part) for part in parts)
            held = parts, total.tile(key[1], parts[0].tile_ms)
        with self._lock:
            self._days[key] = held
            while len(self._days) > MOST_DAYS:
                del self._days[next(iter(self._days))]
        return held[1]
