"""Pipes and standard input: read once, in order, never waited for without an end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.segment.models import end2end_model
from tests.sources.videos import textured, write_video
from tracker.errors import SinkError, SourceError
from tracker.sinks import pipe_reader
from tracker.sinks.part_file import write_whole
from tracker.sources import decoder, pipes
from tracker.sources.address import Address, expand_sources
from tracker.sources.notes import notes
from tracker.sources.open import open_source

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


def fifo(tmp_path, data: bytes | None = None, *, pause_s: float = 0.0):
    """A named pipe into which a thread writes, in two halves with a pause between them; nothing for ``None``."""
    path = tmp_path / "pipe.ts"
    os.mkfifo(path)

    def write() -> None:
        half = len(data or b"") // 2
        with contextlib.suppress(BrokenPipeError), path.open("wb", buffering=0) as pipe:
            pipe.write(data[:half])
            time.sleep(pause_s)
            pipe.write(data[half:])

    if data is not None:
        threading.Thread(target=write, daemon=True).start()
    return path


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("suffix", ["ts", "mkv"])
def test_a_named_pipe_gives_the_frames_of_the_file(tmp_path, suffix: str) -> None:
    video = write_video(tmp_path / f"a.{suffix}", count=40, size=(96, 64), draw=textured)
    with open_source(video) as source:
        expected = [(frame.time_s, frame.image.tobytes()) for frame in source]
    before = open_files()
    with open_source(fifo(tmp_path, video.read_bytes(), pause_s=0.2)) as source:
        found = [(frame.time_s, frame.image.tobytes()) for frame in source]
        told = notes(source.info, source.counters)
    assert found == expected
    assert told == []
    assert open_files() <= before


def test_what_can_be_read_once_only_is_said_by_the_address(tmp_path) -> None:
    path = fifo(tmp_path)
    assert expand_sources(path)[0].once
    assert not expand_sources(write_video(tmp_path / "a.mp4", count=1))[0].once
    assert not expand_sources("rtsp://host/x")[0].once


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_standard_input_as_a_pipe_and_as_a_file(tmp_path, name: str) -> None:
    video = write_video(tmp_path / "a.ts", count=20)
    code = (
        "import sys; from tracker.sources.open import open_source\n"
        "with open_source(sys.argv[1]) as source: print(len(list(source)), source.info.name)"
    )
    shown = "stdin" if name == "-" else name
    with subprocess.Popen(["cat", video], stdout=subprocess.PIPE) as cat:
        piped = subprocess.run(
            [sys.executable, "-c", code, name], stdin=cat.stdout, capture_output=True, timeout=60, check=True
        )
    assert piped.stdout.decode().split() == ["20", shown]
    with video.open("rb") as file:
        redirected = subprocess.run(
            [sys.executable, "-c", code, name], stdin=file, capture_output=True, timeout=60, check=True
        )
    assert redirected.stdout.decode().split() == ["20", shown]


def test_a_pipe_into_which_nobody_writes_is_given_up(tmp_path) -> None:
    address = expand_sources(fifo(tmp_path))[0]
    started_s = time.monotonic()
    with pytest.raises(SourceError, match=r"found nothing for 0\.2 s") as caught:
        pipes.open_pipe(address, timeout_s=0.2)
    assert time.monotonic() - started_s < 30
    assert "writes into it" in caught.value.remedy


def test_a_pipe_that_falls_silent_is_given_up(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(decoder, "PIPE_S", 0.5)
    video = write_video(tmp_path / "a.ts", count=60, size=(160, 96), draw=textured)
    path = fifo(tmp_path, video.read_bytes(), pause_s=8)
    started_s = time.monotonic()
    with open_source(path) as source, pytest.raises(SourceError, match=r"silence for 0\.5 s") as caught:
        list(source)
    assert time.monotonic() - started_s < 30
    assert "pipe" in caught.value.remedy


@pytest.mark.parametrize("data", [b"no video at all\n" * 500, b""])
def test_what_cannot_be_read_from_start_to_end_is_refused_with_a_reason(tmp_path, data: bytes) -> None:
    with pytest.raises(SourceError, match="from start to end") as caught:
        open_source(fifo(tmp_path, data))
    assert "save it first" in caught.value.remedy


def test_a_terminal_is_no_video() -> None:
    import pty

    controller, terminal = pty.openpty()
    try:
        address = Address(kind="video", name="stdin", target=os.ttyname(terminal), once=True)
        with pytest.raises(SourceError, match="a terminal") as caught:
            pipes.open_pipe(address)
        assert "masktrail track -" in caught.value.remedy
    finally:
        os.close(controller)
        os.close(terminal)


def test_one_pipe_cannot_be_two_sources(tmp_path) -> None:
    path = fifo(tmp_path)
    with pytest.raises(SourceError, match="named once, found it 2 times") as caught:
        expand_sources([path, path])
    assert "save it first" in caught.value.remedy


# ---- the other end is missing --------------------------------------------------------------------------------------


def command(folder: Path, *words: object) -> subprocess.Popen[str]:
    """``masktrail`` in a process of its own, which is told on stderr what it waits for."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    arguments = [sys.executable, "-m", "tracker", *map(str, words), "--quiet"]
    return subprocess.Popen(arguments, cwd=folder, env=environment, text=True, stderr=subprocess.PIPE)


@pytest.mark.quick("reader")
@pytest.mark.parametrize("end", ["reader", "writer"])
def test_a_missing_partner_is_waited_for_in_words_and_ctrl_c_ends_it(tmp_path, end: str) -> None:
    os.mkfifo(tmp_path / "pipe.ts")
    model = end2end_model(tmp_path / "model.onnx")
    video = write_video(tmp_path / "a.mp4", count=5)
    source, output = (video, "pipe.ts") if end == "reader" else ("pipe.ts", "out.ts")
    before = set(tmp_path.iterdir())
    with command(tmp_path, "track", source, "--model", model, "--save", output) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"masktrail: waiting for a {end} of pipe.ts (60 s at most)\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
        assert process.wait() == 130
    assert set(tmp_path.iterdir()) == before


def test_a_reader_that_comes_late_gets_everything(tmp_path, monkeypatch) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Timer(0.3, lambda: got.append(path.read_bytes()))
    reader.start()
    write_whole(path, b"whole")
    reader.join(20)
    assert got == [b"whole"]
    monkeypatch.setattr(pipe_reader, "READER_S", 0.2)
    with pytest.raises(SinkError, match=r"expected a program that reads this pipe, found none for 0\.2 s"):
        write_whole(path, b"nobody")


def test_a_slow_reader_gets_everything_even_at_the_end(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pipe_reader, "LAST_S", 1.0)
    path, end, got = tmp_path / "pipe", threading.Event(), bytearray()
    os.mkfifo(path)

    def slow() -> None:
        with path.open("rb", buffering=0) as pipe:
            while data := pipe.read(40_000):
                got.extend(data)
                time.sleep(0.1)

    reader = threading.Thread(target=slow)
    reader.start()
    data = bytes(range(256)) * 2000
    fd = pipe_reader.open_for_reader(path, path, end)
    end.set()
    with pipe_reader.PipeFile(fd, end) as pipe:
        view = memoryview(data)
        while view:
            view = view[pipe.write(view) :]
    reader.join(20)
    assert bytes(got) == data
