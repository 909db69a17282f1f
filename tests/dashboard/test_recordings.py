"""What the dashboard takes from a folder of results."""

import sqlite3
from contextlib import closing

from tests.sinks.ledgers import crossing, write_ledger
from tracker.dashboard.recordings import Recordings


def test_stores_are_read_damaged_ones_are_named_and_databases_of_other_programs_left_out(tmp_path):
    write_ledger(tmp_path / "gate.sqlite", [crossing(1)])
    (tmp_path / "damaged.sqlite").write_text("not a database", "utf-8")
    (tmp_path / "Thumbs.db").write_bytes(b"pictures")
    (tmp_path / "empty.sqlite").touch()
    with closing(sqlite3.connect(tmp_path / "foreign.sqlite")) as connection:
        connection.execute("CREATE TABLE recipes (name)")
    assert [path.name for path in Recordings(tmp_path).ledgers()] == ["damaged.sqlite", "gate.sqlite"]
