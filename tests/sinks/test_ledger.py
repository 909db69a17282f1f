"""Ledgers read back as they were written, shared, cut off, refused and joined."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sinks.full_disk import small_files
from tests.sinks.ledgers import EVENTS, START_MS, SUFFIXES, crossing, frame_with, frames_with, write_ledger
from tests.sinks.streams import CLASS_NAMES, stream
from tests.thorough import examples
from tracker.errors import SinkError
from tracker.events import Event, Stay
from tracker.formats.event_rows import EVENT_FIELDS, row_of
from tracker.formats.event_store import insertion, open_store
from tracker.formats.ledger import read_events
from tracker.plugins import SINKS, open_sink, sink_class
from tracker.sinks.claims import Claim, check_claims
from tracker.sinks.mounts import NETWORK, file_system

ROOT = Path(__file__).resolve().parents[2]
FILES = SUFFIXES[:2]
STORE = ".sqlite"


def rows_of(path: Path) -> list[Event]:
    return list(read_events(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=examples(25), deadline=None)
@given(events=st.lists(EVENTS, max_size=12, unique_by=lambda event: event.key))
def test_reading_is_writing(tmp_path_factory, suffix, events):
    path = tmp_path_factory.mktemp("ledger") / f"x{suffix}"
    assert rows_of(write_ledger(path, events, per_frame=3)) == events


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_found_at_the_end_comes_last(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    events = [crossing(number) for number in range(4)]
    with open_sink(path) as sink:
        sink.write(frame_with(events[:2]))
        sink.write_events(events[2:])
    assert rows_of(path) == events


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_stream_without_events_leaves_an_empty_ledger(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    with open_sink(path, class_names=CLASS_NAMES) as sink:
        for frame in stream(3):
            sink.write(frame)
    assert rows_of(path) == []


def test_lines_have_the_declared_fields_and_the_time_as_text(tmp_path):
    path = write_ledger(tmp_path / "x.events.jsonl", [crossing(1), crossing(2, utc=False)])
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert {tuple(row) for row in rows} == {tuple(field.name for field in EVENT_FIELDS)}
    assert [row["utc"] for row in rows] == ["2026-03-29T01:00:01.000Z", None]
    assert rows[0]["key"] == f"gate|crossing|door|in|2|u{START_MS + 1000}"


def test_bytes_of_a_file_name_that_are_no_text_are_written_out(tmp_path):
    event = crossing(1, stream="bad\udcff.mp4")
    read = [rows_of(write_ledger(tmp_path / f"x{suffix}", [event])) for suffix in SUFFIXES]
    assert read[0] == read[1] == read[2]
    assert read[0][0].stream == "bad\\udcff.mp4"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_chunks_make_the_ledger_of_one_run(tmp_path, suffix):
    events = [crossing(number) for number in range(40)]
    whole = write_ledger(tmp_path / f"whole{suffix}", events)
    chunks = [write_ledger(tmp_path / f"{n}-0-x{suffix}", events[20 * n : 20 * n + 20]) for n in range(2)]
    kind, joined = sink_class(whole), tmp_path / f"joined{suffix}"
    assert kind.why_not_joined(str(joined)) == ""
    kind.join(joined, chunks, [0.0, 20.0])
    assert rows_of(joined) == events
    if suffix in FILES:
        assert joined.read_bytes() == whole.read_bytes()


def test_row_groups_are_bounded_and_joined_as_they_were(tmp_path):
    from pyarrow import parquet

    from tracker.sinks.events import EventTableSink

    path = tmp_path / "x.events.parquet"
    with EventTableSink(path, group_rows=10) as sink:
        for frame in frames_with([crossing(number) for number in range(47)], per_frame=7):
            sink.write(frame)
    found = parquet.ParquetFile(path)
    assert [found.metadata.row_group(n).num_rows for n in range(found.num_row_groups)] == [10, 10, 10, 10, 7]


# ---- the store --------------------------------------------------------------------------------------------------


def test_the_store_is_added_to_and_a_second_analysis_adds_nothing(tmp_path):
    path = tmp_path / "x.sqlite"
    first = [crossing(number) for number in range(10)]
    for _ in range(2):
        write_ledger(path, first)
    write_ledger(path, [crossing(number, stream="yard") for number in range(5)])
    assert rows_of(path) == [*first, *(crossing(number, stream="yard") for number in range(5))]


def test_rows_are_never_changed(tmp_path):
    path = write_ledger(tmp_path / "x.db", [crossing(1)])
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("UPDATE ledger SET place = 'else'")
    with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT"):
        connection.execute(insertion(), row_of(crossing(2)) | {"time_s": "soon", "edition": 1})
    connection.close()


def test_the_store_is_one_file_with_a_write_ahead_log(tmp_path):
    path = write_ledger(tmp_path / "x.sqlite3", [crossing(1)])
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    assert [one.name for one in tmp_path.iterdir()] == ["x.sqlite3"]


def test_reading_leaves_no_files_beside_the_store_unless_others_have_it_open(tmp_path):
    path = write_ledger(tmp_path / "x.sqlite", [crossing(1)])
    before = path.stat().st_mtime_ns
    with open_store(path) as first, open_store(path) as second:
        assert [len(one.execute("SELECT row FROM events").fetchall()) for one in (first, second)] == [1, 1]
        assert len(list(tmp_path.iterdir())) == 3, "what readers and writers share"
    assert [one.name for one in tmp_path.iterdir()] == ["x.sqlite"]
    assert path.stat().st_mtime_ns == before

    sink = open_sink(path)  # a writer that has written nothing yet: its log is empty too
    try:
        with open_store(path) as reader:
            assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
        assert {one.name for one in tmp_path.iterdir()} >= {"x.sqlite-wal", "x.sqlite-shm"}
        sink.write(frame_with([crossing(2)]))
    finally:
        sink.close()
    with open_store(path) as reader:
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (2,)
    assert [one.name for one in tmp_path.iterdir()] == ["x.sqlite"]


def test_several_cameras_write_one_store_at_the_same_time(tmp_path):
    path = tmp_path / "x.sqlite"
    sinks = [open_sink(path, stream=name) for name in ("a", "b", "c")]
    for number in range(30):
        for sink, name in zip(sinks, "abc", strict=True):
            sink.write(frame_with([crossing(number, stream=name)]))
            sink._committed_s = 0.0  # every frame a transaction
    for sink in sinks:
        sink.close()
    counts = {name: sum(event.stream == name for event in read_events(path)) for name in "abc"}
    assert counts == dict.fromkeys("abc", 30)


def test_rows_wait_for_a_store_that_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr("tracker.sinks.store.BUSY_S", 0.01)
    path = tmp_path / "x.sqlite"
    sink = open_sink(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    sink.write(frame_with([crossing(1)]))
    sink.write(frame_with([crossing(2)]))
    assert rows_of(path) == []
    holder.execute("ROLLBACK")
    holder.close()
    sink.close()
    assert rows_of(path) == [crossing(1), crossing(2)]


def test_a_store_that_is_held_for_ever_is_an_error_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("tracker.sinks.store.BUSY_S", 0.01)
    path = tmp_path / "x.sqlite"
    sink = open_sink(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    sink.write(frame_with([crossing(1)]))
    with pytest.raises(SinkError, match="add 1 events, found: database is locked"):
        sink.close()
    holder.close()


def test_a_removed_store_is_noticed(tmp_path):
    path = tmp_path / "x.sqlite"
    sink = open_sink(path)
    path.unlink()
    with pytest.raises(SinkError, match="removed or replaced"):
        sink.write(frame_with([crossing(1)]))
    sink.abort()


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_another_programs_database_is_refused_untouched(tmp_path, journal):
    path = tmp_path / "photos.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    connection.execute("CREATE TABLE events (name TEXT)")
    connection.close()
    before = path.read_bytes(), path.stat().st_mtime_ns
    with pytest.raises(SinkError, match="found one of another program"):
        open_sink(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [one.name for one in tmp_path.iterdir()] == ["photos.db"]


def test_a_file_that_is_no_database_is_refused_untouched(tmp_path):
    path = tmp_path / "notes.sqlite"
    path.write_text("my notes")
    with pytest.raises(SinkError, match="found one of another program"):
        open_sink(path)
    assert path.read_text() == "my notes"


def test_a_ledger_of_a_newer_version_is_refused(tmp_path):
    path = write_ledger(tmp_path / "x.sqlite", [crossing(1)])
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with pytest.raises(SinkError, match="found one of a newer masktrail") as failure:
        open_sink(path)
    assert "update masktrail" in failure.value.remedy


def test_a_store_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    path = write_ledger(tmp_path / "x.sqlite", [crossing(1)])
    path.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda target, mode: not (Path(target) == path and mode & os.W_OK))
    with pytest.raises(SinkError, match="found a read-only one"):
        open_sink(path)


def test_a_store_that_sqlite_cannot_open_is_refused(tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr("tracker.sinks.store.sqlite3.connect", refuse)
    with pytest.raises(SinkError, match=r"x\.sqlite: expected to open it for writing, found: unable to open"):
        open_sink(tmp_path / "x.sqlite")


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(SinkError, match="expected the folder"):
        open_sink(tmp_path / "none" / "x.sqlite")


@pytest.mark.quick(".events.jsonl")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_loses_nothing_that_was_written(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    sink = open_sink(path)
    with small_files(120_000):
        with pytest.raises(SinkError, match=str(path)) as failure:  # noqa: PT012 - which write fails is the disk's choice
            for frame in frames_with([crossing(number) for number in range(40_000)], per_frame=50):
                sink.write(frame)
                if suffix == STORE:
                    sink._committed_s = 0.0  # every frame a transaction
                elif suffix == ".events.parquet" and len(sink._rows) >= 200:
                    sink._end_group()
        sink.abort()
    assert failure.value.remedy
    kept = rows_of(path)
    assert kept == [crossing(number) for number in range(len(kept))]
    assert len(kept) >= 150


def test_a_network_file_system_gets_no_log_and_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr("tracker.sinks.store.file_system", lambda path: "nfs4")
    path = tmp_path / "x.sqlite"
    with pytest.warns(UserWarning, match=r"network file system \(nfs4\)"):
        sink = open_sink(path)
    sink.write(frame_with([crossing(1)]))
    sink.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()
    assert rows_of(path) == [crossing(1)]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/x.db", "ext4"),
        ("/mnt/nas/a/x.db", "cifs"),
        ("/mnt/nasty/x.db", "ext4"),
        ("/home/u/remote/x", "fuse.sshfs"),
    ],
)
def test_the_file_system_is_that_of_the_longest_mount_point(path, kind):
    mounts = "/dev/sda1 / ext4 rw 0 0\n//nas/v /mnt/nas cifs rw 0 0\nu@h: /home/u/remote fuse.sshfs rw 0 0\n"
    assert file_system(path, mounts) == kind
    assert bool(NETWORK.fullmatch(kind)) == (kind != "ext4")


def test_outputs_may_share_a_store_and_nothing_else(tmp_path):
    store, other = tmp_path / "x.sqlite", tmp_path / "x.jsonl"
    claims = [Claim(path=store, named_by=name, shared=True) for name in "ab"]
    check_claims(claims)
    with pytest.raises(SinkError, match="another output is the same file"):
        check_claims([*claims, Claim(path=store, named_by="--json")])
    with pytest.raises(SinkError, match="another output is the same file"):
        check_claims([Claim(path=other, named_by=name) for name in "ab"])
    files = [name for name in SINKS.names if name.startswith(".")]
    assert [name for name in files if SINKS.load(name).shared] == [".sqlite", ".sqlite3", ".db"]


# ---- processes that end -----------------------------------------------------------------------------------------

WRITER = """
import sys, time
from tests.sinks.ledgers import crossing, frame_with
from tracker.plugins import open_sink
sink = open_sink(sys.argv[1], stream="gate")
for number in range(100_000):
    sink.write(frame_with([crossing(number)]))
    print(number, flush=True)
    time.sleep(0.002)
"""


@pytest.mark.slow
def test_after_a_kill_the_store_has_all_but_the_last_second_and_a_second_run_adds_the_rest(tmp_path):
    path = tmp_path / "x.sqlite"
    code = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(code, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}) as one:
        assert one.stdout is not None
        begun_s = time.monotonic()
        sent = [(int(line), time.monotonic()) for line, _ in zip(one.stdout, range(1500), strict=False)]
        os.kill(one.pid, signal.SIGKILL)
        one.communicate(timeout=60)
    assert sent[-1][1] > begun_s
    kept = rows_of(path)
    assert kept == [crossing(number) for number in range(len(kept))]
    a_second_before = [number for number, at_s in sent if at_s < sent[-1][1] - 1.5]
    assert len(kept) > a_second_before[-1]
    write_ledger(path, [crossing(number) for number in range(2000)], stream="gate")
    assert sorted(rows_of(path), key=lambda event: event.time_s) == [crossing(number) for number in range(2000)]


def enter(number: int, **values: object) -> Event:
    stay = Stay(entered_s=float(number))
    return crossing(number, kind="enter", place="shop", direction="", identity=7, stay=stay, **values)


def test_a_stay_that_a_killed_process_left_is_ended_when_the_camera_is_back(tmp_path):
    path = tmp_path / "x.sqlite"
    write_ledger(path, [enter(10), crossing(50)])
    with open_sink(path, stream="gate", live=True) as sink:
        sink.write(frame_with([], 0))  # without a clock nothing is known yet
        assert len(rows_of(path)) == 2
        sink.write(frame_with([crossing(90)]))
    (ended,) = [event for event in read_events(path) if event.kind == "leave"]
    assert (ended.place, ended.identity, ended.utc_ms) == ("shop", 7, START_MS + 50_000)
    assert ended.stay == Stay(entered_s=10.0, left_s=50.0, end="restart")
    write_ledger(path, [crossing(100)], stream="gate", live=True)
    assert sum(event.kind == "leave" for event in read_events(path)) == 1


def test_a_stay_whose_end_is_given_again_after_a_kill_needs_no_other(tmp_path):
    path = tmp_path / "x.sqlite"
    write_ledger(path, [enter(10), crossing(50)])
    left = crossing(51, kind="leave", place="shop", direction="", identity=7, stay=Stay(entered_s=10.0, left_s=51.0))
    with open_sink(path, stream="gate", live=True) as sink:
        sink.write(frame_with([left, crossing(90)]))
    assert rows_of(path) == [enter(10), crossing(50), left, crossing(90)]


def test_a_recording_that_is_analysed_again_ends_its_own_stays(tmp_path):
    path = tmp_path / "x.sqlite"
    left = crossing(60, kind="leave", place="shop", direction="", identity=7, stay=Stay(entered_s=10.0, left_s=60.0))
    events = [enter(10), crossing(50), left, crossing(70)]
    write_ledger(path, events[:2], stream="gate")
    write_ledger(path, events, stream="gate")
    assert rows_of(path) == events


def test_of_other_streams_nothing_is_ended(tmp_path):
    path = tmp_path / "x.sqlite"
    write_ledger(path, [enter(10, stream="yard")], stream="yard", live=True)
    write_ledger(path, [crossing(90)], stream="gate", live=True)
    assert all(event.kind != "leave" for event in read_events(path))


# ---- the same recording again -----------------------------------------------------------------------------------


def as_recording(events: list[Event], *, utc: bool) -> list[Event]:
    return events if utc else [replace(event, utc_ms=None) for event in events]


@pytest.mark.parametrize("utc", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        lambda events: [*events[:5], replace(events[5], place="else"), *events[6:]],
        lambda events: [replace(event, time_s=event.time_s + 0.5, utc_ms=event.utc_ms + 500) for event in events],
        lambda events: [*events[:5], crossing(7, identity=99), *events[5:]],
        lambda events: [*events[:5], replace(events[5], kind="flow", since_s=1.0)],
    ],
)
def test_a_recording_that_gives_other_events_is_refused_and_adds_nothing(tmp_path, utc, change):
    path = tmp_path / "x.sqlite"
    first = as_recording([crossing(number) for number in range(20)], utc=utc)
    write_ledger(path, first)
    again = as_recording(change([crossing(number) for number in range(20)]), utc=utc)
    with pytest.raises(SinkError, match="found others of the same time"):
        write_ledger(path, again)
    assert rows_of(path) == first


def test_a_recording_that_gives_fewer_events_adds_nothing(tmp_path):
    events = [crossing(number) for number in range(20)]
    path = write_ledger(tmp_path / "x.sqlite", events)
    write_ledger(path, [event for event in events if event.identity != 4])
    assert rows_of(path) == events


@settings(max_examples=examples(30), deadline=None)
@given(kept=st.integers(0, 30), utc=st.booleans())
def test_a_recording_that_was_cut_off_is_completed(tmp_path_factory, kept, utc):
    path = tmp_path_factory.mktemp("x") / "x.sqlite"
    # found late: an event is dated before the ones that were found before it
    events = as_recording(
        [crossing(number if number % 4 else max(number - 3, 0), identity=number) for number in range(30)], utc=utc
    )
    write_ledger(path, events[:kept])
    write_ledger(path, events)
    assert rows_of(path) == events


def test_an_earlier_recording_of_the_same_name_is_added(tmp_path):
    path = tmp_path / "x.sqlite"
    later, earlier = [crossing(number) for number in range(100, 110)], [crossing(number) for number in range(10)]
    write_ledger(path, later)
    write_ledger(path, earlier)
    assert rows_of(path) == [*later, *earlier]


def test_a_recording_with_and_without_a_start_is_refused(tmp_path):
    path = write_ledger(tmp_path / "x.sqlite", [crossing(1)])
    with open_sink(path) as sink, pytest.raises(SinkError, match="with a wall clock as it has them, found none"):
        sink.write(frame_with([crossing(1, utc=False)]))
    assert rows_of(path) == [crossing(1)]


def test_another_recording_in_the_same_store_does_not_matter(tmp_path):
    path = write_ledger(tmp_path / "x.sqlite", [crossing(number, stream="a") for number in range(9)])
    mixed = [crossing(number, stream=name) for number in range(9) for name in "ab"]
    write_ledger(path, mixed)
    assert len(rows_of(path)) == 18
