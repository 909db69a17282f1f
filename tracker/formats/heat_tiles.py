"""Hourly tiles of presence in a SQLite store: their table, sparse and compressed rows, and the sum of any hours.

A row is what one run of a stream saw of an hour; while the hour lasts, it is replaced every few seconds by itself and
more. Runs that saw the same time are not added up: of rows that overlap the longest one counts.
"""

from __future__ import annotations

import json
import zlib
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tracker.errors import SourceError
from tracker.heat import MEASURES, TILE_MS, HeatSum, HeatTile, Presence

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "TilePart",
    "has_tiles",
    "heat_streams",
    "heat_sum",
    "merged",
    "presence_of_tiles",
    "read_tile",
    "read_tiles",
    "tile_parts",
    "write_tiles",
]

_TABLE = """CREATE TABLE IF NOT EXISTS heat_tiles (stream TEXT NOT NULL, utc INTEGER NOT NULL, tile_ms INTEGER NOT NULL,
  from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL, grid_rows INTEGER NOT NULL, grid_columns INTEGER NOT NULL,
  classes TEXT NOT NULL, unplaced_s REAL NOT NULL, cells BLOB NOT NULL,
  PRIMARY KEY (stream, utc, tile_ms, from_ms)) STRICT"""
"""``cells`` is zlib of little-endian columns: uint16 class, uint32 cell, int64 microseconds, microseconds, visits."""
_WRITE = """INSERT INTO heat_tiles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (stream, utc, tile_ms, from_ms) DO UPDATE SET to_ms = excluded.to_ms, grid_rows = excluded.grid_rows,
    grid_columns = excluded.grid_columns, classes = excluded.classes, unplaced_s = excluded.unplaced_s,
    cells = excluded.cells WHERE excluded.to_ms >= heat_tiles.to_ms"""
_COVERED = """DELETE FROM heat_tiles
  WHERE stream = ? AND utc = ? AND tile_ms = ? AND from_ms >= ? AND to_ms <= ? AND from_ms <> ?"""
_COLUMNS = "stream, utc, tile_ms, from_ms, to_ms, grid_rows, grid_columns, classes, unplaced_s, cells"
_WIDTHS = ("<u2", "<u4", "<i8", "<i8", "<i8")
SCALES = np.array([1e6, 1e6, 1.0])
"""Of seconds, which are kept to the microsecond, and of visits."""
MOST_CELLS = 1 << 20
"""Of a grid; a damaged row must not ask for memory."""


class TilePart(NamedTuple):
    """A row without its cells; another one wherever they may be others.

    Attributes:
        stream, utc, tile_ms, from_ms, to_ms, unplaced_s: As in :class:`tracker.heat.HeatTile`.
        row: Number of the row.
        size: Bytes of its cells.
    """

    stream: str
    utc: bool
    tile_ms: int
    from_ms: int
    to_ms: int
    row: int
    unplaced_s: float
    size: int


def write_tiles(connection: sqlite3.Connection, tiles: Iterable[HeatTile]) -> None:
    """Add tiles, in a transaction of the caller; a tile takes the place of shorter ones of the same time.

    Raises:
        sqlite3.Error: The system refuses.
    """
    connection.execute(_TABLE)
    for tile in tiles:
        key = (tile.stream, int(tile.utc), tile.tile_ms)
        names = json.dumps(tile.class_names, ensure_ascii=False)
        rest = (tile.from_ms, tile.to_ms, *tile.shape, names, tile.unplaced_s, _packed(tile.keys, tile.values))
        connection.execute(_WRITE, (*key, *rest))
        connection.execute(_COVERED, (*key, tile.from_ms, tile.to_ms, tile.from_ms))


def has_tiles(connection: sqlite3.Connection) -> bool:
    """Whether the store keeps any."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'heat_tiles'").fetchone()
    return found is not None and connection.execute("SELECT 1 FROM heat_tiles LIMIT 1").fetchone() is not None


def heat_streams(connection: sqlite3.Connection) -> list[str]:
    """Streams of which a store has tiles."""
    if not has_tiles(connection):
        return []
    return [name for (name,) in connection.execute("SELECT DISTINCT stream FROM heat_tiles ORDER BY stream")]


def read_tiles(
    connection: sqlite3.Connection, stream: str, *, start_ms: int | None = None, end_ms: int | None = None
) -> list[HeatTile]:
    """Tiles of a stream in order of time, none of the same time twice.

    Args:
        connection: To a store.
        stream: The camera or recording.
        start_ms: From when, in UTC; the hour that holds it is the first. Media time is left out then.
        end_ms: Until when, exclusive; the hour that holds the millisecond before is the last.

    Raises:
        SourceError: A row is damaged.
    """
    return [read_tile(connection, part) for part in tile_parts(connection, stream, start_ms=start_ms, end_ms=end_ms)]


def tile_parts(
    connection: sqlite3.Connection, stream: str, *, start_ms: int | None = None, end_ms: int | None = None
) -> list[TilePart]:
    """Which tiles :func:`read_tiles` would read, with the same arguments."""
    if not has_tiles(connection):
        return []
    limits, given = "", []
    for limit, text in ((start_ms, " AND utc = 1 AND tile_ms > ?"), (end_ms, " AND utc = 1 AND tile_ms < ?")):
        if limit is not None:
            limits += text
            given.append(limit if text.endswith("< ?") else limit - TILE_MS)
    columns = "utc, tile_ms, from_ms, to_ms, rowid, unplaced_s, length(cells)"
    query = f"SELECT {columns} FROM heat_tiles WHERE stream = ?{limits} ORDER BY utc, tile_ms, from_ms"  # noqa: S608
    wanted: list[TilePart] = []
    found = [TilePart(stream, bool(row[0]), *row[1:]) for row in connection.execute(query, (stream, *given))]
    for _, parts in groupby(found, key=lambda part: (part.utc, part.tile_ms)):
        wanted += _apart(list(parts))
    return wanted


def read_tile(connection: sqlite3.Connection, part: TilePart) -> HeatTile:
    """One tile, of the same transaction as its part.

    Raises:
        SourceError: It is damaged.
    """
    values: tuple[Any, ...] = connection.execute(
        f"SELECT {_COLUMNS} FROM heat_tiles WHERE rowid = ?",  # noqa: S608 - own names
        (part.row,),
    ).fetchone()
    stream, utc, tile_ms, from_ms, to_ms, rows, columns, classes, unplaced_s, cells = values
    try:
        if not 0 < rows * columns <= MOST_CELLS:
            message = f"{columns} x {rows} cells"
            raise ValueError(message)  # noqa: TRY301 - one way out for all damage
        class_names = tuple(str(name) for name in json.loads(classes))
        keys, found = _unpacked(cells, most=rows * columns * max(len(class_names), 1))
        if len(keys) and (keys.max(axis=0) >= (len(class_names), rows * columns)).any():
            message = f"a class or a cell beyond {len(class_names)} and {rows * columns}"
            raise ValueError(message)  # noqa: TRY301
    except (ValueError, TypeError, zlib.error) as failure:
        problem = f"expected a whole tile of {stream}, found a damaged one: {failure}"
        raise SourceError("heatmap of the store", problem, "keep the store for `sqlite3 FILE .recover`") from failure
    return HeatTile(
        stream=stream,
        utc=bool(utc),
        tile_ms=tile_ms,
        from_ms=from_ms,
        to_ms=to_ms,
        shape=(rows, columns),
        class_names=class_names,
        keys=keys,
        values=found,
        unplaced_s=unplaced_s,
    )


def heat_sum(tiles: Iterable[HeatTile]) -> HeatSum:
    """Tiles added up.

    Raises:
        ConfigError: They have different grids.
    """
    total = HeatSum()
    for tile in tiles:
        total.add_tile(tile)
    return total


def presence_of_tiles(stream: str, tiles: Sequence[HeatTile]) -> Presence:
    """Presence in the hours of tiles, those of UTC where there are some: media time of another run says not when.

    Raises:
        ConfigError: They have different grids.
    """
    tiles = [tile for tile in tiles if tile.utc] or tiles
    first_ms = min((tile.tile_ms for tile in tiles), default=0)
    last_ms = max((tile.tile_ms for tile in tiles), default=0) + TILE_MS
    return Presence(stream=stream, total=heat_sum(tiles), from_ms=first_ms, to_ms=last_ms)


def merged(tiles: Sequence[HeatTile]) -> list[HeatTile]:
    """Tiles of runs that followed each other, one for every stream and hour."""
    order = sorted(tiles, key=lambda tile: (tile.stream, tile.utc, tile.tile_ms, tile.from_ms))
    found = []
    for (stream, _, tile_ms), parts in groupby(order, key=lambda tile: (tile.stream, tile.utc, tile.tile_ms)):
        found.append(heat_sum(parts).tile(stream, tile_ms))
    return found


def _apart(parts: list[TilePart]) -> list[TilePart]:
    """Of parts that overlap the longest, in order of time."""
    chosen: list[TilePart] = []
    for part in sorted(parts, key=lambda part: (part.from_ms - part.to_ms, part.from_ms)):
        if all(part.to_ms < other.from_ms or part.from_ms > other.to_ms for other in chosen):
            chosen.append(part)
    return sorted(chosen, key=lambda part: part.from_ms)


def _packed(keys: NDArray[np.int64], values: NDArray[np.float64]) -> bytes:
    whole = np.round(values * SCALES).astype(np.int64)
    columns = (*keys.T, *whole.T)
    data = b"".join(column.astype(width).tobytes() for column, width in zip(columns, _WIDTHS, strict=True))
    return zlib.compress(data, 6)


def _unpacked(cells: bytes, *, most: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    size = sum(np.dtype(width).itemsize for width in _WIDTHS)
    reader = zlib.decompressobj()
    data = reader.decompress(cells, most * size)
    count, rest = divmod(len(data), size)
    if rest or reader.unconsumed_tail or not reader.eof:
        message = f"{len(data)} bytes in rows of {size}"
        raise ValueError(message)
    columns, at = [], 0
    for width in _WIDTHS:
        columns.append(np.frombuffer(data, width, count, at))
        at += columns[-1].nbytes
    keys = np.stack(columns[:2], axis=1).astype(np.int64).reshape(-1, 2)
    values = np.stack(columns[2:], axis=1).astype(np.float64).reshape(-1, len(MEASURES)) / SCALES
    return keys, values
