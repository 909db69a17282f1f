"""Tiles of presence in a store: read as written, replaced by more of the same time, never added up twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.heats import START_MS, tiles
from tracker.errors import ConfigError, SourceError
from tracker.formats.heat_tiles import heat_streams, heat_sum, merged, read_tiles, write_tiles
from tracker.heat import TILE_MS, HeatTile

MINUTE_MS = 60_000


@pytest.fixture
def store() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    yield connection
    connection.close()


def tile(low: int, high: int, seconds: float, *, hour: int = 0, stream: str = "gate") -> HeatTile:
    """From one minute of an hour to another."""
    begin_ms = START_MS + hour * TILE_MS
    return HeatTile(
        stream=stream,
        utc=True,
        tile_ms=begin_ms,
        from_ms=begin_ms + low * MINUTE_MS,
        to_ms=begin_ms + high * MINUTE_MS,
        shape=(36, 64),
        class_names=("person",),
        keys=np.array([[0, 7]]),
        values=np.array([[seconds, 0.0, 1.0]]),
        unplaced_s=0.5,
    )


def total(connection: sqlite3.Connection, **limits: int) -> float:
    return float(heat_sum(read_tiles(connection, "gate", **limits)).grid().sum())


@given(written=tiles())
def test_reading_is_writing(written):
    connection = sqlite3.connect(":memory:")
    write_tiles(connection, [written])
    [read] = read_tiles(connection, "gate")
    connection.close()
    assert [str(value) for value in astuple(read)] == [str(value) for value in astuple(written)]


def test_a_store_without_tiles_has_none(store):
    assert read_tiles(store, "gate") == heat_streams(store) == []


def test_the_tile_of_a_run_grows_in_its_place(store):
    for high in (1, 5, 60):
        write_tiles(store, [tile(0, high, float(high))])
    assert total(store) == 60
    assert store.execute("SELECT count(*) FROM heat_tiles").fetchone() == (1,)


def test_runs_that_follow_each_other_are_added_up(store):
    write_tiles(store, [tile(0, 10, 10.0), tile(11, 30, 19.0), tile(0, 60, 60.0, hour=1)])
    assert total(store) == 89.0


def test_a_second_analysis_of_a_recording_adds_nothing(store):
    write_tiles(store, [tile(0, 10, 10.0), tile(11, 60, 49.0)])  # in two runs
    write_tiles(store, [tile(0, 30, 31.0)])  # a third one was stopped
    assert total(store) == 49.0  # the longest that do not overlap
    write_tiles(store, [tile(0, 60, 61.0)])  # a fourth one saw all of it
    assert total(store) == 61.0
    assert store.execute("SELECT count(*) FROM heat_tiles").fetchone() == (1,)
    write_tiles(store, [tile(0, 20, 22.0)])  # a fifth one was stopped too
    assert total(store) == 61.0


def test_any_hours_can_be_asked_for(store):
    write_tiles(store, [tile(0, 60, 2.0**hour, hour=hour) for hour in range(6)])
    hour_ms = TILE_MS
    assert total(store, start_ms=START_MS + 2 * hour_ms) == 4 + 8 + 16 + 32
    assert total(store, end_ms=START_MS + 2 * hour_ms) == 1 + 2
    assert total(store, start_ms=START_MS + 1, end_ms=START_MS + hour_ms + 1) == 1 + 2
    assert total(store, start_ms=START_MS + 9 * hour_ms) == 0


def test_streams_and_clocks_do_not_mix(store):
    write_tiles(store, [tile(0, 60, 1.0), tile(0, 60, 2.0, stream="other")])
    write_tiles(store, [replace(tile(0, 60, 4.0), utc=False, tile_ms=0, from_ms=0, to_ms=9)])
    assert heat_streams(store) == ["gate", "other"]
    assert total(store, start_ms=0) == 1.0


def test_chunks_are_one_tile():
    [one, other] = merged([tile(11, 30, 19.0), tile(0, 10, 10.0), tile(0, 5, 3.0, stream="other")])
    assert (one.from_ms, one.to_ms) == (START_MS, START_MS + 30 * MINUTE_MS)
    assert one.values.tolist() == [[29.0, 0.0, 2.0]]
    assert (one.unplaced_s, other.stream) == (1.0, "other")


def test_pictures_of_two_shapes_are_not_added_up():
    with pytest.raises(ConfigError, match="expected cells of one grid, found 64 x 36 and 48 x 64"):
        heat_sum([tile(0, 1, 1.0), replace(tile(2, 3, 1.0), shape=(64, 48))])


@given(cells=st.binary(max_size=40))
@pytest.mark.parametrize("column", ["cells", "classes"])
def test_damage_is_one_clear_line(column, cells):
    connection = sqlite3.connect(":memory:")
    write_tiles(connection, [tile(0, 1, 1.0)])
    value = cells if column == "cells" else cells.decode("latin-1")
    connection.execute(f"UPDATE heat_tiles SET {column} = ?", (value,))
    problem = ""
    try:
        read_tiles(connection, "gate")
    except SourceError as failure:
        problem = str(failure)
    connection.close()
    assert not problem or "expected a whole tile of gate, found a damaged one" in problem


def test_a_bomb_is_refused(store):
    import zlib

    write_tiles(store, [tile(0, 1, 1.0)])
    store.execute("UPDATE heat_tiles SET cells = ?", (zlib.compress(bytes(50_000_000)),))
    with pytest.raises(SourceError, match="damaged"):
        read_tiles(store, "gate")


def test_a_tile_is_small(tmp_path: Path):
    rng = np.random.default_rng(0)
    keys = np.stack([np.zeros(2304, np.int64), np.arange(2304)], axis=1)
    full = replace(tile(0, 60, 1.0), keys=keys, values=np.round(rng.random((2304, 3)) * (60, 10, 50), 2))
    connection = sqlite3.connect(tmp_path / "x.sqlite")
    write_tiles(connection, [full])
    (size,) = connection.execute("SELECT length(cells) FROM heat_tiles").fetchone()
    connection.close()
    assert size < 30_000
