"""Files appear whole or not at all; what is done is kept when the source or the disk gives up."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import os
import stat
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from tests.sinks.full_disk import small_files
from tests.sinks.streams import CLASS_NAMES, stream, tracked_frame
from tracker.errors import ConfigError, SinkError
from tracker.plugins import SINKS, open_sink
from tracker.sinks.part_file import PartFile, write_whole

NAMES = ["out.jsonl", "out.csv", "out.parquet", "out.txt", "out.mots.txt", "out.coco.json", "out.mp4", "out.mkv"]


def count_rows(path: Path) -> int:
    """Rows or pictures of any output, by a reader that is not ours; raises where it is not valid."""
    if path.suffix == ".jsonl":
        return len([json.loads(line) for line in path.read_text().splitlines()])
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert all(None not in row.values() for row in rows)
        return len(rows)
    if path.suffix == ".parquet":
        return pytest.importorskip("pyarrow.parquet").read_table(path).num_rows
    if path.suffix == ".json":
        return len(json.loads(path.read_text()))
    if path.suffix == ".txt":
        fields = [line.replace(",", " ").split() for line in path.read_text().splitlines()]
        assert len({len(row) for row in fields}) <= 1
        return len(fields)
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_seen_before_the_end(tmp_path, name):
    path = tmp_path / name
    with open_sink(path, class_names=CLASS_NAMES) as sink:
        for frame in stream():
            sink.write(frame)
        assert not path.exists()
        assert [part.stat().st_size >= 0 for part in tmp_path.glob(f".{name}.*.part")] == [True]
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert count_rows(path) >= 20 - 3


@pytest.mark.parametrize("name", NAMES)
def test_a_crash_keeps_what_is_done(tmp_path, name):
    path = tmp_path / name

    def interrupted():
        with open_sink(path, class_names=CLASS_NAMES) as sink:
            for frame in stream():
                sink.write(frame)
                if frame.frame.index == 9:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert count_rows(path) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_a_crash_before_the_first_frame_keeps_the_old_file(tmp_path, name):
    path = tmp_path / name
    path.write_text("yesterday")
    with pytest.raises(RuntimeError), open_sink(path, class_names=CLASS_NAMES):
        raise RuntimeError
    assert path.read_text() == "yesterday"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_closing_and_aborting_twice_is_safe(tmp_path, name):
    sink = open_sink(tmp_path / name, class_names=CLASS_NAMES)
    sink.write(tracked_frame(boxes=[(4, 4, 60, 60)]))
    sink.close()
    before = (tmp_path / name).read_bytes()
    sink.close()
    sink.abort()
    assert (tmp_path / name).read_bytes() == before


def test_a_small_file_that_cannot_be_renamed_leaves_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "gate.site.yaml"
    path.write_text("yesterday")

    def immutable(_source, _target):  # as of a file with `chattr +i`
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "replace", immutable)
    monkeypatch.setattr(Path, "replace", immutable)
    with pytest.raises(SinkError, match="expected to replace this file, found: Operation not") as error:
        write_whole(path, b"today")
    assert ".part" not in str(error.value), "no file of that name is left to look for"
    assert {entry.name: entry.read_text() for entry in tmp_path.iterdir()} == {"gate.site.yaml": "yesterday"}


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_folder_is_named_before_any_work(tmp_path, name):
    with pytest.raises(SinkError, match="mkdir -p"):
        open_sink(tmp_path / "none" / name, class_names=CLASS_NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_in_the_way(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(SinkError, match="found a folder"):
        open_sink(tmp_path / name, class_names=CLASS_NAMES)


@pytest.mark.parametrize("name", ["out.jsonl", "out.mp4"])
def test_a_file_where_the_folder_should_be(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="found a file"):
        open_sink(tmp_path / "file" / name, class_names=CLASS_NAMES)


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet", "out.mp4"])
def test_a_folder_without_permission(tmp_path, name):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    if os.access(folder, os.W_OK):
        # Root writes everywhere but in the kernel's own folders.
        folder = Path("/proc")
    if not folder.is_dir():
        pytest.skip("running as root without /proc: no folder refuses us")
    with pytest.raises(SinkError, match=r"(?s)locked|/proc.*remedy"):
        open_sink(folder / name, class_names=CLASS_NAMES)


def test_an_unknown_suffix_lists_the_known_ones(tmp_path):
    for name in ("out.xml", "out", "out.json", ".mp4"):
        with pytest.raises(ConfigError) as caught:
            open_sink(tmp_path / name, class_names=CLASS_NAMES)
        assert all(suffix in str(caught.value) for suffix in SINKS.names)
    with pytest.raises(ConfigError, match="found tape"):
        open_sink(tmp_path / "out.x", kind="tape", class_names=CLASS_NAMES)


def test_a_link_to_a_file_of_another_kind_is_not_written_through(tmp_path):
    (tmp_path / "ledger.sqlite").write_text("counts", "utf-8")
    (tmp_path / "speeds.csv").symlink_to("ledger.sqlite")
    with pytest.raises(SinkError, match=r"expected a link to \.csv, found one to .*ledger\.sqlite"):
        write_whole(tmp_path / "speeds.csv", b"rows")
    assert (tmp_path / "ledger.sqlite").read_text("utf-8") == "counts"


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real.jsonl").write_text("old\n")
    (tmp_path / "link.jsonl").symlink_to("real.jsonl")
    with open_sink(tmp_path / "link.jsonl", class_names=CLASS_NAMES) as sink:
        sink.write(tracked_frame(boxes=[(4, 4, 60, 60)]))
    assert (tmp_path / "link.jsonl").is_symlink()
    assert count_rows(tmp_path / "real.jsonl") == 1


def test_a_pipe_gets_the_lines(tmp_path):
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.extend(pipe.read_text().splitlines()))
    reader.start()
    with open_sink(pipe, class_names=CLASS_NAMES) as sink:
        for frame in stream():
            sink.write(frame)
    reader.join(timeout=10)
    assert len(got) == 34
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("kind", [".jsonl", ".csv", ".txt", ".mots.txt", ".coco.json"])
def test_a_full_device_is_a_sink_error(kind):
    sink = open_sink("/dev/full", kind=kind, class_names=CLASS_NAMES)
    sink.write(tracked_frame(boxes=[(4, 4, 60, 60)]))
    with pytest.raises(SinkError, match=r"(?s)No space left.*remedy: free space"):
        sink.close()
    sink.close()
    sink.abort()


@pytest.mark.parametrize("name", [*NAMES, "out.mov", "out.webm", "out.avi", "out.ts"])
def test_what_is_written_stays_readable_on_a_full_disk(tmp_path, name, monkeypatch):
    from tracker.sinks import parquet, text

    monkeypatch.setattr(text, "FLUSH_BYTES", 200)
    monkeypatch.setattr(parquet, "GROUP_ROWS", 8)
    options = {"masks": "none"} if name.endswith(("jsonl", "parquet")) else {}
    path = tmp_path / name
    is_video = name.endswith(("mp4", "mkv", "mov", "webm", "avi", "ts")) and not name.endswith(".mots.txt")
    sink = open_sink(path, class_names=CLASS_NAMES, **options)
    if name == "out.parquet":
        sink._group_rows = 8
    limit = 800_000 if is_video else 12_000 if name == "out.parquet" else 701
    rng = np.random.default_rng(0)

    def everything():
        for index in range(150):
            frame = tracked_frame(index, boxes=[(4 + index % 60, 4, 60 + index % 60, 60)])
            if is_video:
                frame.frame.image[...] = rng.integers(0, 255, frame.frame.image.shape)
            sink.write(frame)
        sink.close()

    with small_files(limit):
        with pytest.raises(SinkError, match=r"(?s)File too large.*remedy"):
            everything()
        with pytest.raises(SinkError):
            sink.write(tracked_frame(boxes=[]))
        sink.close()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert 0 < count_rows(path) < 150


@pytest.mark.quick("out.mp4", "out.jsonl", "out.csv", "out.txt", "out.coco.json", "out.mots.txt")
@pytest.mark.parametrize("name", [*NAMES, "out.avi", "out.gif"])
def test_whatever_room_there_is_a_file_is_whole_or_the_old_one(tmp_path, name, monkeypatch):
    from tracker.sinks import parquet, text

    monkeypatch.setattr(text, "FLUSH_BYTES", 200)
    monkeypatch.setattr(parquet, "GROUP_ROWS", 16)
    path = tmp_path / name
    is_video = name.endswith((".mp4", ".mkv", ".avi", ".gif"))
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (48, *tracked_frame(boxes=[]).frame.image.shape), np.uint8)

    def everything() -> None:
        sink = open_sink(path, class_names=CLASS_NAMES)
        if name == "out.parquet":
            sink._group_rows = 16
        with contextlib.closing(sink):
            for index in range(48):
                frame = tracked_frame(index, boxes=[(4 + index % 60, 4, 60 + index % 60, 60)])
                if is_video:
                    frame.frame.image[...] = noise[index]
                sink.write(frame)

    everything()
    size, whole = path.stat().st_size, count_rows(path)
    limits = {1, 4, 100, size - 1, *rng.integers(1, size, 4 if is_video else 24).tolist()}
    for limit in sorted(limits):
        path.write_text("yesterday")
        with small_files(limit), pytest.raises(SinkError, match="remedy"):
            everything()
        assert [entry.name for entry in tmp_path.iterdir()] == [name]
        if path.read_bytes() != b"yesterday":
            assert 0 < count_rows(path) <= whole, limit


def test_a_full_disk_is_noticed_when_all_is_written_at_the_end(tmp_path):
    # Pictures of one second wait in memory: FFmpeg meets the full disk only while it ends the file, and says nothing.
    from tracker.sinks.encoder import VideoEncoder

    (tmp_path / "out.mp4").write_text("yesterday")
    encoder = VideoEncoder(tmp_path / "out.mp4")
    rng = np.random.default_rng(0)
    for index in range(20):
        encoder.encode(rng.integers(0, 255, (120, 160, 3)).astype(np.uint8), index / 100)
    with small_files(20_000), pytest.raises(SinkError, match="File too large"):
        encoder.finish()
    assert (tmp_path / "out.mp4").read_text() == "yesterday"
    assert len(list(tmp_path.iterdir())) == 1


def test_without_room_for_the_index_the_fragments_stay(tmp_path):
    from tracker.sinks.encoder import VideoEncoder

    encoder = VideoEncoder(tmp_path / "out.mp4")
    rng = np.random.default_rng(0)
    for index in range(60):
        encoder.encode(rng.integers(0, 255, (120, 160, 3)).astype(np.uint8), index / 25)
    put_index = encoder._put_index_in_front

    def without_room():
        with small_files(50_000):
            put_index()

    encoder._put_index_in_front = without_room
    encoder.finish()
    assert count_rows(tmp_path / "out.mp4") == 60
    assert b"moof" in (tmp_path / "out.mp4").read_bytes()
    assert len(list(tmp_path.iterdir())) == 1


def test_mending_leaves_only_whole_lines(tmp_path, monkeypatch):
    from tracker.sinks import text

    monkeypatch.setattr(text, "FLUSH_BYTES", 1)
    for size in range(700, 760, 7):
        path = tmp_path / f"{size}.coco.json"
        sink = open_sink(path, class_names=CLASS_NAMES)
        with small_files(size):
            with contextlib.suppress(SinkError):
                for index in range(50):
                    sink.write(tracked_frame(index, boxes=[(4, 4, 60, 60)], masks=False))
            with pytest.raises(SinkError, match="File too large"):
                sink.write(tracked_frame(boxes=[]))
            sink.close()
        entries = json.loads(path.read_text())
        assert [entry["image_id"] for entry in entries] == list(range(1, len(entries) + 1))
        assert len(entries) >= 5


def test_part_file_that_cannot_be_renamed_is_kept(tmp_path):
    part = PartFile(tmp_path / "out.jsonl")
    part.part.write_text("rows")
    (tmp_path / "out.jsonl").mkdir()
    with pytest.raises(SinkError, match="rename"):
        part.publish()
    assert part.part.read_text() == "rows"
