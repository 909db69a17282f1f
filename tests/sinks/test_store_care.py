"""Backup while a store is written, check of what is damaged, compaction: no row is lost, and none changes places."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest

from tests.sinks.ledgers import crossing, write_ledger
from tracker.dashboard.accounts import AccountStore
from tracker.errors import SinkError, SourceError
from tracker.formats.event_rows import row_of
from tracker.formats.event_store import insertion
from tracker.formats.ledger import read_events
from tracker.sinks.store_care import back_up, check, compact


def test_a_backup_is_a_ledger_that_can_take_its_place(tmp_path):
    events = [crossing(number) for number in range(200)]
    path = write_ledger(tmp_path / "e.sqlite", events)
    facts = back_up(path, tmp_path / "copy.sqlite")
    assert (facts.kind, facts.rows, facts.streams) == ("ledger", 200, {"gate": 200})
    assert list(read_events(tmp_path / "copy.sqlite")) == events
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []
    assert oct((tmp_path / "copy.sqlite").stat().st_mode)[-3:] == "600"
    with pytest.raises(SinkError, match="--replace"):
        back_up(path, tmp_path / "copy.sqlite")
    assert back_up(path, tmp_path / "copy.sqlite", replace=True).rows == 200


def test_a_backup_of_one_moment_while_rows_come(tmp_path):
    path = write_ledger(tmp_path / "e.sqlite", [crossing(0)])
    over, written = threading.Event(), []

    def write() -> None:
        with closing(sqlite3.connect(path, timeout=20)) as connection:
            number = 1
            while not over.is_set():
                rows = [row_of(crossing(number + one)) | {"edition": 1} for one in range(50)]
                connection.executemany(insertion(), rows)
                connection.commit()
                number += 50
                written.append(number)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for round_ in range(5):
            facts = back_up(path, tmp_path / f"copy-{round_}.sqlite")
            assert facts.rows % 50 == 1, "whole transactions only"
            check(tmp_path / f"copy-{round_}.sqlite")
    finally:
        over.set()
        thread.join()
    assert check(path).rows == written[-1]


def test_damage_is_found(tmp_path):
    path = write_ledger(tmp_path / "e.sqlite", [crossing(number) for number in range(2000)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = b"\xa5" * 3000
    path.write_bytes(data)
    with pytest.raises(SourceError, match="restore the last backup"):
        check(path)
    with pytest.raises((SourceError, SinkError)):
        back_up(path, tmp_path / "copy.sqlite")
    assert not (tmp_path / "copy.sqlite").exists()


@pytest.mark.parametrize("content", [None, b"", b"not a database", b"SQLite format 3\0" + bytes(200)])
def test_what_is_not_ours_is_left_alone(tmp_path, content):
    path = tmp_path / "x.sqlite"
    if content is not None:
        path.write_bytes(content)
    for care in (check, compact, lambda one: back_up(one, tmp_path / "copy.sqlite")):
        with pytest.raises(SourceError):
            care(path)
    assert (path.read_bytes() if path.exists() else None) == content


def test_compaction_gives_space_back_and_keeps_the_order(tmp_path):
    path = write_ledger(tmp_path / "e.sqlite", [crossing(n, stream="gate" if n % 10 else "yard") for n in range(5000)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM ledger WHERE stream = 'gate'")
        connection.commit()
        before_rows = connection.execute("SELECT row, key FROM events ORDER BY row").fetchall()
    before, after = compact(path)
    assert after < before / 2
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT row, key FROM events ORDER BY row").fetchall() == before_rows
        connection.execute("BEGIN IMMEDIATE")
        import tracker.sinks.store_care as care

        wait_s, care.BUSY_S = care.BUSY_S, 0.1
        try:
            with pytest.raises(SinkError, match="nothing else uses"):
                compact(path)
        finally:
            care.BUSY_S = wait_s


def test_accounts_too(run, tmp_path):
    store = AccountStore(tmp_path / "dash")
    store.add_user("ann", role="admin", password="hash", streams=None, see_people=False)
    path = tmp_path / "dash" / "dashboard.sqlite"
    result = run("store", "backup", path, tmp_path / "copy.sqlite")
    assert result.status == 0, result.text
    assert "1 accounts" in result.text
    store.close()
    assert "whole, 1 accounts" in run("store", "check", tmp_path / "copy.sqlite").text
    assert run("store", "compact", path).status == 0
    (tmp_path / "copy.sqlite").replace(path)
    again = AccountStore(tmp_path / "dash")
    assert [user.name for user in again.users()] == ["ann"]
    again.close()
