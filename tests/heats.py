"""Tiles of presence enter the tests: random ones, and stores that hold the walk of one identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from tests.analytics.walks import Path as Way
from tests.analytics.walks import frames
from tracker.analytics.heatmap import Heatmap
from tracker.heat import TILE_MS, HeatTile
from tracker.plugins import open_sink

START_MS = 1_774_746_000_000
"""2026-03-29T01:00Z, the begin of an hour."""


@st.composite
def tiles(draw: st.DrawFn, *, stream: str = "gate") -> HeatTile:
    rows, columns = draw(st.tuples(st.integers(1, 40), st.integers(1, 64)))
    names = draw(st.lists(st.text(max_size=6), max_size=3, unique=True))
    cells = st.tuples(st.integers(0, max(len(names) - 1, 0)), st.integers(0, rows * columns - 1))
    keys = draw(st.lists(cells, max_size=8 if names else 0, unique=True))
    value = st.tuples(st.integers(0, 10**12), st.integers(0, 10**9), st.integers(0, 10**6))
    values = [draw(value) for _ in keys]
    from_ms = START_MS + draw(st.integers(0, TILE_MS - 1))
    return HeatTile(
        stream=stream,
        utc=draw(st.booleans()),
        tile_ms=START_MS,
        from_ms=from_ms,
        to_ms=draw(st.integers(from_ms, START_MS + TILE_MS)),
        shape=(rows, columns),
        class_names=tuple(names),
        keys=np.array(keys, np.int64).reshape(-1, 2),
        values=np.array(values, np.float64).reshape(-1, 3) / (1e6, 1e6, 1.0),
        unplaced_s=draw(st.floats(0, 1e6)),
    )


def heat_store(
    path: Path,
    ways: Mapping[int, Way],
    *,
    stream: str = "gate",
    fps: float = 5.0,
    duration_s: float,
    start_ms: int | None,
) -> Path:
    """A store with the presence of points that walk."""
    heatmap = Heatmap(start_utc_ms=start_ms)
    with open_sink(path, stream=stream) as sink:
        for frame in frames(ways, fps=5.0, duration_s=duration_s):
            sink.write(replace(frame, heat=heatmap.process(frame)))
    return path
