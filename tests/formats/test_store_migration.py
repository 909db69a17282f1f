"""A ledger of the schema before: read as it is, brought to the present one in place by the first writer."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.sinks.ledgers import crossing, frames_with
from tracker.events import Event
from tracker.formats import event_store
from tracker.formats.event_store import COLUMNS, SCHEMA_VERSION, open_store
from tracker.formats.ledger import read_events
from tracker.plugins import open_sink
from tracker.sinks.store_care import check

SCRIPT = Path(__file__).parents[1] / "sinks" / "ledger_v2.sql"
SPEED = Event(kind="speed", stream="gate", time_s=20.0, utc_ms=1_774_746_020_000, place="door", identity=9, value=3.5)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCRIPT.read_text("utf-8"))
    return path


def rows(path: Path, query: str) -> list[tuple]:
    with open_store(path) as connection:
        return connection.execute(query).fetchall()


def test_it_is_read_as_it_is(old):
    before = old.read_bytes()
    events = list(read_events(old))
    assert [event.kind for event in events] == ["crossing"] * 3 + ["rekeyed", "enter", "leave"]
    assert {(event.value, event.error, event.other_identity) for event in events} == {(None, None, 0)}
    assert rows(old, "SELECT identity, value, other_identity FROM counted WHERE kind = 'crossing'") == [
        (1, None, 0),
        (9, None, 0),
        (3, None, 0),
    ]
    assert rows(old, 'SELECT identity, dwell_s, "end" FROM stays') == [(9, 3.5, "left")]
    assert check(old).rows == 6
    assert old.read_bytes() == before


def test_the_first_writer_brings_it_to_this_version(old):
    before = list(read_events(old))
    with open_sink(old) as sink:
        for frame in frames_with([SPEED]):
            sink.write(frame)
    assert event_store.store_kind(old) == "ours"
    assert list(read_events(old)) == [*before, SPEED]
    assert rows(old, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert rows(old, "SELECT value FROM counted WHERE value IS NOT NULL") == [(3.5,)]
    assert check(old).streams == {"gate": 7}


def test_it_is_then_what_a_new_one_is(old, tmp_path):
    with open_sink(old), open_sink(tmp_path / "new.sqlite"):
        pass
    views = "SELECT name, sql FROM sqlite_schema WHERE type IN ('view', 'index', 'trigger') ORDER BY name"
    assert rows(old, views) == rows(tmp_path / "new.sqlite", views)
    columns = "SELECT name, type, \"notnull\", dflt_value FROM pragma_table_info('ledger') ORDER BY name"
    assert rows(old, columns) == rows(tmp_path / "new.sqlite", columns)


def test_a_process_of_the_version_before_writes_on_while_it_changes(old):
    names = [name for name in COLUMNS if name not in {"value", "error", "other_identity"}]
    with closing(sqlite3.connect(old, isolation_level=None)) as writer:
        writer.execute("SELECT row FROM ledger LIMIT 1").fetchone()
        with open_sink(old):
            pass
        columns = ", ".join(f'"{name}"' for name in names if name != "key")
        writer.execute(f"INSERT INTO ledger (key, {columns}) SELECT 'late', {columns} FROM ledger WHERE row = 1")
    assert [event.other_identity for event in read_events(old)] == [0] * 7


def test_the_version_before_refuses_what_it_became_by_the_head_of_the_file(old):
    with open_sink(old) as sink:
        head = old.read_bytes()[60:64]  # while the writer is there, with its log beside the file
        sink.write(next(iter(frames_with([crossing(30)]))))
    assert int.from_bytes(head, "big") == SCHEMA_VERSION > 2
