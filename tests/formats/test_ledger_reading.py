"""Ledgers that cannot be read: one sentence that names the file, the row and the remedy."""

from __future__ import annotations

import json
import sqlite3
import sys

import pytest

from tests.sinks.ledgers import SUFFIXES, crossing, write_ledger
from tracker.errors import ConfigError, SourceError
from tracker.events import SEMANTICS_VERSION
from tracker.formats.ledger import read_events


def test_several_ledgers_are_read_as_one(tmp_path):
    first = write_ledger(tmp_path / "a.events.jsonl", [crossing(1), crossing(2)])
    second = write_ledger(tmp_path / "b.events.parquet", [crossing(2), crossing(3)])
    third = write_ledger(tmp_path / "c.db", [crossing(3), crossing(4)])
    assert list(read_events(first, second, third)) == [crossing(number) for number in (1, 2, 3, 4)]


def test_parts_that_were_put_together_hold_each_event_once(tmp_path):
    """After a kill the next part begins with what the last one ended with."""
    parts = [[crossing(1), crossing(2)], [crossing(2), crossing(3)]]
    files = [write_ledger(tmp_path / f"{number}.events.jsonl", part) for number, part in enumerate(parts)]
    day = tmp_path / "day.events.jsonl"
    day.write_bytes(b"".join(path.read_bytes() for path in files))
    assert list(read_events(day)) == [crossing(number) for number in (1, 2, 3)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_ledger(tmp_path, suffix):
    with pytest.raises(SourceError, match=f"none{suffix}"):
        list(read_events(tmp_path / f"none{suffix}"))


def test_another_suffix(tmp_path):
    with pytest.raises(ConfigError, match=r"found the suffix \.csv"):
        list(read_events(tmp_path / "x.csv"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"kind": "flying"}, "expected a kind of event such as crossing, found 'flying'"),
        ({"time_s": "soon"}, "time_s: expected a number, found 'soon'"),
        ({"identity": 1.5}, "identity: expected a whole number, found 1.5"),
        ({"identity": True}, "identity: expected a whole number, found True"),
        ({"stream": None}, "stream: expected a text, found None"),
        ({"before_x": None}, "before_x: expected a number, found None"),
        ({"stay_entered_s": 1.0, "stay_hidden_s": 0.0, "stay_began": "x", "stay_end": "left"}, "stay_began: expected"),
        ({"stay_entered_s": 1.0, "stay_hidden_s": 0.0, "stay_began": "entered", "stay_end": "x"}, "stay_end: expected"),
        ({"bridged": "no"}, "bridged: expected true or false, found 'no'"),
        ({"semantics": SEMANTICS_VERSION + 1}, "a newer masktrail"),
    ],
)
def test_a_damaged_row_is_named(tmp_path, change, problem):
    path = write_ledger(tmp_path / "x.events.jsonl", [crossing(1), crossing(2)])
    lines = path.read_text("utf-8").splitlines()
    path.write_text(f"{lines[0]}\n\n{json.dumps(json.loads(lines[1]) | change)}\n", "utf-8")
    events = read_events(path)
    assert next(events) == crossing(1)
    with pytest.raises(SourceError) as failure:
        next(events)
    assert failure.value.offender == f"{path}:3"
    assert problem in failure.value.problem
    assert ("update masktrail" in failure.value.remedy) == ("semantics" in change)


@pytest.mark.parametrize("line", ["{", "[1]", '{"frame":0}', "\xff\x00"])
def test_lines_that_are_no_events(tmp_path, line):
    path = tmp_path / "x.events.jsonl"
    path.write_text(line + "\n", "latin-1")
    with pytest.raises(SourceError, match=r"x\.events\.jsonl:1: .*expected"):
        list(read_events(path))


def test_a_missing_column_says_so(tmp_path):
    path = write_ledger(tmp_path / "x.events.jsonl", [crossing(1)])
    row = json.loads(path.read_text("utf-8"))
    del row["place"]
    path.write_text(json.dumps(row) + "\n", "utf-8")
    with pytest.raises(SourceError, match="place: expected a text, found nothing"):
        list(read_events(path))


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no table at all"])
def test_a_damaged_table(tmp_path, data):
    path = tmp_path / "x.events.parquet"
    path.write_bytes(data)
    with pytest.raises(SourceError, match="expected a Parquet file"):
        list(read_events(path))


def test_records_are_no_ledger(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"frame": [1]}), tmp_path / "x.parquet")
    with pytest.raises(SourceError, match=r"x\.parquet:1: semantics: expected a whole number, found nothing"):
        list(read_events(tmp_path / "x.parquet"))


def test_without_pyarrow_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match="pip install"):
        list(read_events(tmp_path / "x.events.parquet"))


def test_stores_that_are_none(tmp_path):
    empty, other, newer = tmp_path / "empty.db", tmp_path / "other.db", tmp_path / "newer.db"
    empty.touch()
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE events (name TEXT)")
    connection.close()
    write_ledger(newer, [crossing(1)])
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    for path, found in ((empty, "found nothing"), (other, "of another program"), (newer, "of a newer masktrail")):
        with pytest.raises(SourceError, match=found):
            list(read_events(path))


def test_a_damaged_store(tmp_path):
    path = write_ledger(tmp_path / "x.db", [crossing(number) for number in range(500)])
    data = bytearray(path.read_bytes())
    data[8192:] = b"\x55" * len(data[8192:])
    path.write_bytes(data)
    with pytest.raises(SourceError, match="expected a SQLite ledger, found"):
        list(read_events(path))
