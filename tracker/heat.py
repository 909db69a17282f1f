"""Time in the picture's cells: what one frame adds, hourly tiles of it, and their sum."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["CELLS", "MEASURES", "TILE_MS", "HeatSteps", "HeatSum", "HeatTile", "Presence", "grid_shape"]

CELLS = 64
"""Cells along the longer side of the picture: 64 x 36 of a wide one, 30 x 30 pixels each at 1080p."""
TILE_MS = 3_600_000
"""A tile holds an hour of UTC, or of media time where there is no wall clock."""
MEASURES = ("seconds", "still_s", "visits")
"""What a tile adds up for each class and cell, in the order of its columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatSteps:
    """What one frame adds to a map of presence.

    Attributes:
        shape: ``(rows, columns)`` of the grid.
        time_ms: Of the frame: UTC in milliseconds since 1970, or media time.
        utc: Which of both.
        keys: ``(K, 2)`` int64, class and cell (row by row from the top left).
        values: ``(K, 3)`` float64, seconds, seconds of those that stand still, and visits.
        unplaced_s: Seconds of presence that lie in no cell, because ground contacts are hidden; negative where a short
            time of that is known to lie in cells after all.
    """

    shape: tuple[int, int]
    time_ms: int
    utc: bool
    keys: NDArray[np.int64]
    values: NDArray[np.float64]
    unplaced_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatTile:
    """Presence in one hour, or the part of it that one run of a stream saw.

    Attributes:
        stream: The camera or recording.
        utc: Its times are UTC, else media time.
        tile_ms: Begin of the hour.
        from_ms, to_ms: First and last frame that it has, whether anything was seen in them or not.
        shape: ``(rows, columns)`` of the grid.
        class_names: Names of the classes in ``keys``.
        keys: ``(K, 2)`` int64, number among ``class_names`` and cell.
        values: ``(K, 3)`` float64 as in :class:`HeatSteps`; a visit is an identity's first time in a cell in the hour.
        unplaced_s: As in :class:`HeatSteps`.
    """

    stream: str
    utc: bool
    tile_ms: int
    from_ms: int
    to_ms: int
    shape: tuple[int, int]
    class_names: tuple[str, ...]
    keys: NDArray[np.int64]
    values: NDArray[np.float64]
    unplaced_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class HeatSum:
    """Presence of any time, added up from frames or tiles.

    Attributes:
        shape: ``(rows, columns)`` of the grid; ``None`` before anything was added.
        by_class: ``(rows x columns, 3)`` float64 by name of the class, as in :class:`HeatSteps`.
        unplaced_s: Seconds that lie in no cell.
        from_ms, to_ms: First and last frame.
        utc: Its times are UTC.
    """

    shape: tuple[int, int] | None = None
    by_class: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    unplaced_s: float = 0.0
    from_ms: int | None = None
    to_ms: int | None = None
    utc: bool = True

    def add_steps(self, steps: HeatSteps, class_names: Sequence[str]) -> None:
        """Add a frame.

        Raises:
            ConfigError: Its grid is another one.
        """
        self._add(steps.shape, (steps.time_ms, steps.time_ms), class_names, steps.keys, steps.values)
        self.unplaced_s += steps.unplaced_s
        self.utc = steps.utc

    def add_tile(self, tile: HeatTile) -> None:
        """Add a tile.

        Raises:
            ConfigError: Its grid is another one.
        """
        self._add(tile.shape, (tile.from_ms, tile.to_ms), tile.class_names, tile.keys, tile.values)
        self.unplaced_s += tile.unplaced_s
        self.utc = tile.utc

    def tile(self, stream: str, tile_ms: int) -> HeatTile:
        """What was added so far as a tile, without its empty cells."""
        if self.shape is None or self.from_ms is None or self.to_ms is None:
            message = "expected a sum of something"
            raise ValueError(message)
        keys, values = [np.zeros((0, 2), np.int64)], [np.zeros((0, len(MEASURES)))]
        for number, name in enumerate(self.by_class):
            cells = np.flatnonzero(self.by_class[name].any(axis=1))
            keys.append(np.stack([np.full(len(cells), number), cells], axis=1))
            values.append(self.by_class[name][cells])
        return HeatTile(
            stream=stream,
            utc=self.utc,
            tile_ms=tile_ms,
            from_ms=self.from_ms,
            to_ms=self.to_ms,
            shape=self.shape,
            class_names=tuple(self.by_class),
            keys=np.concatenate(keys),
            values=np.concatenate(values),
            unplaced_s=self.unplaced_s,
        )

    def grid(
        self, measure: str = "seconds", *, classes: Iterable[str] | None = None, moving: bool = False
    ) -> NDArray[np.float64]:
        """One measure by cell.

        Args:
            measure: ``seconds`` or ``visits``.
            classes: Only these; ``None`` = all.
            moving: Leave out the seconds in which an identity stood still.

        Returns:
            ``(rows, columns)`` float64; ``(0, 0)`` before anything was added.
        """
        if self.shape is None:
            return np.zeros((0, 0))
        wanted = set(self.by_class if classes is None else classes)
        total = np.zeros((self.shape[0] * self.shape[1], len(MEASURES)))
        for name, values in self.by_class.items():
            if name in wanted:
                total += values
        found = total[:, MEASURES.index(measure)]
        if moving and measure == "seconds":
            found = np.maximum(found - total[:, MEASURES.index("still_s")], 0.0)
        return np.asarray(found.reshape(self.shape))

    def _add(
        self,
        shape: tuple[int, int],
        span_ms: tuple[int, int],
        class_names: Sequence[str],
        keys: NDArray[np.int64],
        values: NDArray[np.float64],
    ) -> None:
        if self.shape is not None and self.shape != shape:
            found = f"{self.shape[1]} x {self.shape[0]} and {shape[1]} x {shape[0]}"
            problem = f"expected cells of one grid, found {found}"
            raise ConfigError("heatmap", problem, "the picture's shape has changed: choose a time before or after")
        self.shape = shape
        self.from_ms = span_ms[0] if self.from_ms is None else min(self.from_ms, span_ms[0])
        self.to_ms = span_ms[1] if self.to_ms is None else max(self.to_ms, span_ms[1])
        numbers, first = np.unique(keys[:, 0], return_index=True)
        for number in numbers[np.argsort(first)].tolist():
            name, mine = class_names[number], keys[:, 0] == number
            into = self.by_class.setdefault(name, np.zeros((shape[0] * shape[1], len(MEASURES))))
            np.add.at(into, keys[mine, 1], values[mine])


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Presence of one stream in a time.

    Attributes:
        stream: The camera or recording.
        total: Presence by class and cell.
        from_ms, to_ms: What the sum covers: whole hours of tiles, or the first and last frame of records.
    """

    stream: str
    total: HeatSum
    from_ms: int
    to_ms: int


def grid_shape(size: tuple[int, int]) -> tuple[int, int]:
    """``(rows, columns)`` of square cells over a picture of ``(width, height)``.

    >>> grid_shape((1920, 1080)), grid_shape((1080, 1920)), grid_shape((640, 480))
    ((36, 64), (64, 36), (48, 64))
    """
    longer = max(size)
    return max(round(CELLS * size[1] / longer), 1), max(round(CELLS * size[0] / longer), 1)
