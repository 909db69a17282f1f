"""Spool: order, confirmation, keys given again, a limit that drops the oldest, one owner, kill -9 at any time."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.sinks.full_disk import small_files
from tracker.errors import SinkError
from tracker.sinks import spool as spool_module
from tracker.sinks.spool import ROW_BYTES, Message, Spool

ROOT = Path(__file__).resolve().parents[2]
ENDLESS = """
import sys
from tracker.sinks.spool import Message, Spool
spool = Spool(sys.argv[1])
number = int(sys.argv[2])
while True:
    spool.put([Message(key=f"k{number}", body=b"x" * 40)])
    print(number, flush=True)
    number += 1
"""


def messages(*numbers: int, size: int = 10) -> list[Message]:
    return [Message(key=f"k{number}", body=b"x" * size, topic="t") for number in numbers]


def keys(found: list[Message]) -> list[str]:
    return [message.key for message in found]


def test_what_was_put_comes_in_order_until_it_is_done(tmp_path):
    with Spool(tmp_path / "a" / "b.spool") as spool:
        assert spool.put(messages(1, 2, 3)) == 3
        first = spool.peek(2)
        assert keys(first) == ["k1", "k2"]
        assert keys(spool.peek(9, after=first[-1].sequence)) == ["k3"]
        assert (first[0].body, first[0].topic) == (b"x" * 10, "t")
        assert keys(spool.peek(9)) == ["k1", "k2", "k3"]
        spool.done([first[1]])  # in any order
        assert keys(spool.peek(9)) == ["k1", "k3"]
        spool.done([first[1], first[0]])
        figures = spool.figures
        assert (figures.rows, figures.size_bytes) == (1, messages(3)[0].size)
        assert figures.oldest_ms is not None
        spool.done(spool.peek(9))
        assert spool.figures.oldest_ms is None
        assert (spool.figures.rows, spool.figures.size_bytes, spool.figures.dropped) == (0, 0, 0)


def test_a_key_is_taken_once_also_when_it_is_done_and_the_process_another(tmp_path):
    with Spool(tmp_path / "s") as spool:
        assert spool.put(messages(1, 1, 2)) == 2
        spool.done(spool.peek(1))
        assert spool.put(messages(1, 2)) == 0
    with Spool(tmp_path / "s") as spool:
        assert spool.put(messages(2, 1, 3)) == 1
        assert keys(spool.peek(9)) == ["k2", "k3"]


def test_only_the_last_keys_are_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(spool_module, "KNOWN_KEYS", 3)
    with Spool(tmp_path / "s") as spool:
        spool.put(messages(1, 2, 3, 4))
        spool.done(spool.peek(9))
        assert spool.put(messages(2, 3, 4)) == 0
        assert spool.put(messages(1)) == 1
    with sqlite3.connect(tmp_path / "s") as connection:
        assert connection.execute("SELECT count(*) FROM known").fetchone() == (3,)
    connection.close()


def test_a_full_spool_drops_the_oldest_and_counts_them_for_good(tmp_path):
    size = messages(1)[0].size
    with Spool(tmp_path / "s", limit_bytes=3 * size) as spool:
        spool.put(messages(1, 2))
        assert spool.figures.dropped == 0
        assert spool.put(messages(3, 4, 5)) == 3
        assert keys(spool.peek(9)) == ["k3", "k4", "k5"]
        held = spool.peek(1)
        spool.put(messages(6))
        spool.done(held)  # was dropped while it was under way
        assert keys(spool.peek(9)) == ["k4", "k5", "k6"]
        assert (spool.figures.rows, spool.figures.size_bytes, spool.figures.dropped) == (3, 3 * size, 3)
        spool.put(messages(7, size=4 * size))  # larger than the spool
        assert (spool.figures.rows, spool.figures.size_bytes, spool.figures.dropped) == (0, 0, 7)
    with Spool(tmp_path / "s", limit_bytes=3 * size) as spool:
        assert (spool.figures.rows, spool.figures.dropped) == (0, 7)


def test_a_full_disk_is_told_and_counted_and_ends_nothing(tmp_path):
    with Spool(tmp_path / "s") as spool:
        spool.put(messages(1))
        with small_files((tmp_path / "s-wal").stat().st_size + 8192):
            spool.put(messages(2, 3, size=100_000))
            figures = spool.figures
        assert (figures.rows, figures.dropped) == (1, 2)
        assert figures.problem.startswith("expected to queue 2 messages, found: ")
        assert spool.put(messages(2, 4)) == 2
        assert spool.figures.problem == ""
        assert keys(spool.peek(9)) == ["k1", "k2", "k4"]
    with Spool(tmp_path / "s") as spool:
        assert (spool.figures.rows, spool.figures.dropped) == (3, 2)


def test_it_has_one_owner(tmp_path):
    path = tmp_path / "s"
    with Spool(path) as spool:
        spool.put(messages(1))
        with pytest.raises(SinkError, match=r"only one that uses this spool, found that s\.lock is held"):
            Spool(path, patience_s=0)
        ending = threading.Timer(0.05, spool.close)  # the stream is restarted: the next waits for the one before
        ending.start()
        with Spool(path) as later:
            assert keys(later.peek()) == ["k1"]
        ending.join()


def test_what_waits_is_for_the_owners_eyes(tmp_path):
    before = os.umask(0)
    try:
        with Spool(tmp_path / "f" / "s") as spool:
            spool.put(messages(1))
            modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in (tmp_path / "f").iterdir()}
            assert modes == dict.fromkeys(["s", "s-wal", "s-shm", "s.lock"], 0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o700


def test_files_of_others_are_refused_untouched(tmp_path):
    text = tmp_path / "text"
    text.write_text("precious " * 200)
    with pytest.raises(SinkError, match="SQLITE_NOTADB"):
        Spool(text)
    assert text.read_text() == "precious " * 200
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(SinkError, match="found one of another program"):
        Spool(other)
    newer = tmp_path / "newer"
    Spool(newer).close()
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(SinkError, match="found version 9 of a newer masktrail"):
        Spool(newer)
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match=r"expected to make the spool, found: (File exists|Not a directory)"):
        Spool(tmp_path / "file" / "s")
    link = tmp_path / "link.lock"
    link.symlink_to(text)
    with pytest.raises(SinkError, match="expected to make the spool"):
        Spool(tmp_path / "link")


def test_notes_are_kept_with_the_messages_and_replaced(tmp_path):
    with Spool(tmp_path / "s") as spool:
        spool.put(messages(1), {"open/1": b"one", "open/2": b"two", "other": b"x"})
        spool.put([], {"open/1": None, "open/2": b"2"})
    with Spool(tmp_path / "s") as spool:
        assert spool.notes("open/") == {"open/2": b"2"}
        assert spool.notes() == {"open/2": b"2", "other": b"x"}
        assert keys(spool.peek(9)) == ["k1"]


def test_names_that_are_no_utf8_are_kept(tmp_path):
    with Spool(tmp_path / "s") as spool:
        spool.put([Message(key="gate\udcff|1", body=b"", topic="ü/\udcfe")])
        spool.put([Message(key="gate\udcff|1", body=b"", topic="ü/\udcfe")])
        [found] = spool.peek(9)
        assert (found.key, found.topic) == ("gate\\udcff|1", "ü/\\udcfe")
        assert spool.figures.size_bytes == found.size
        assert found.size == len("gate\\udcff|1") + len("ü/\\udcfe".encode()) + ROW_BYTES


def test_a_killed_process_loses_nothing_that_it_was_told_is_there(tmp_path):
    path, told = tmp_path / "s", 0
    for _ in range(3):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", ENDLESS, str(path), str(told)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        for _ in range(20):
            assert process.stdout.readline() == f"{told}\n"
            told += 1
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        process.communicate(timeout=60)
        told += len(rest.split())
        with Spool(path) as spool:
            found = spool.peek(100_000)
            assert keys(found)[:told] == [f"k{number}" for number in range(told)]
            assert len(found) <= told + 1  # one may have been taken and not told
            told = len(found)
