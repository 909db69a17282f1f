"""Frames that damage takes: noted where the container's own facts tell, and never where nothing is missing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.sources import mutations
from tests.sources.videos import textured, write_video
from tracker.errors import SourceError
from tracker.sources.notes import notes
from tracker.sources.open import open_source
from tracker.sources.structure import broken_at

SIZE = (64, 48)
UNEVEN_MS = [0, 40, 80, 120, 500, 540, 580, 2000, 2040, 2080, 2120, 9000]


def read(path: Path) -> tuple[int, list[str]]:
    """Frames and notes."""
    with open_source(path, network_size=(32, 32), decode="cpu") as source:
        count = len(list(source))
    return count, notes(source.info, source.counters)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("live.mkv", "libx264", {"container_options": {"live": "1"}}),
        ("live.webm", "libvpx-vp9", {"container_options": {"live": "1"}}),
        ("hidden.webm", "libvpx", {"options": {"auto-alt-ref": "1", "lag-in-frames": "16"}, "count": 60}),
        ("hidden9.webm", "libvpx-vp9", {"options": {"auto-alt-ref": "1", "lag-in-frames": "16"}, "count": 60}),
        ("fields.ts", "libx264", {"options": {"x264-params": "tff=1:bframes=3", "flags": "+ildct+ilme"}}),
        ("fields2.ts", "mpeg2video", {"options": {"flags": "+ildct+ilme"}}),
        ("open.ts", "libx265", {"options": {"x265-params": "log-level=none:open-gop=1:keyint=12"}}),
        ("packed.mkv", "mpeg4", {"options": {"bf": "2"}}),
        ("uneven.mkv", "libx264", {"stamps": UNEVEN_MS, "count": 12}),
        ("uneven.flv", "libx264", {"stamps": UNEVEN_MS, "count": 12}),
        ("uneven.gif", "gif", {"stamps": UNEVEN_MS, "count": 12}),
        ("slow.mkv", "libx264", {"rate": 1, "count": 6}),
        ("plain.nut", "rawvideo", {}),
    ],
)
def test_whole_recordings_get_no_note(tmp_path, name: str, codec: str, options: dict[str, Any]) -> None:
    count = options.pop("count", 40)
    path = write_video(tmp_path / name, codec=codec, count=count, draw=textured, **options)
    assert read(path) == (count, [])
    assert broken_at(str(path)) is None


class Pipe(io.RawIOBase):
    """What FFmpeg cannot go back in: lengths stay unknown."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: Any) -> int:
        self.data += data
        return len(data)

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("kind", "codec"), [("matroska", "libx264"), ("webm", "libvpx-vp9"), ("flv", "libx264"), ("gif", "gif")]
)
def test_what_came_out_of_a_pipe_is_whole_too(tmp_path, kind: str, codec: str) -> None:
    pipe = Pipe()
    with av.open(pipe, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for index in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(textured(index, SIZE), "bgr24")))
        container.mux(stream.encode())
    path = tmp_path / f"piped.{kind}"
    path.write_bytes(pipe.data)
    assert read(path) == (30, [])


@pytest.mark.parametrize(
    ("name", "codec"), [("a.gif", "gif"), ("a.mkv", "libx265"), ("a.webm", "libvpx-vp9"), ("a.flv", "libx264")]
)
@pytest.mark.parametrize("damage", ["cut off", "a piece gone"])
def test_a_broken_chain_of_elements_is_noted(tmp_path, name: str, codec: str, damage: str) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else None
    path = write_video(tmp_path / name, codec=codec, count=24, draw=textured, gop=4, options=options)
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + (b"" if damage == "cut off" else data[middle + 333 :]))
    place = broken_at(str(path))
    assert place is not None
    assert place >= 0.4 * middle
    count, told = read(path)
    assert count < 24
    assert len(told) >= 1


def test_packets_without_a_picture_are_missing_frames(tmp_path) -> None:
    """A transport stream cut before its first key picture."""
    path = write_video(tmp_path / "a.ts", count=60, draw=textured, gop=30)
    data = path.read_bytes()
    place = len(data) // 188 // 4 * 188
    path.write_bytes(data[:564] + data[place:])  # with its tables
    count, told = read(path)
    assert 20 <= count < 60
    assert any("announced frames missing" in note or "damaged frames patched" in note for note in told)


def test_hardly_any_damage_takes_frames_in_silence(tmp_path) -> None:
    files = [path for path in mutations.seeds(tmp_path) if path.stem not in {"image", "pages"}]
    whole = {path: read(path)[0] for path in files}
    generator = np.random.default_rng(1)
    silent = 0
    for number in range(208):
        seed = files[number % len(files)]
        path = tmp_path / f"mutated{seed.suffix}"
        path.write_bytes(mutations.mutated(seed.read_bytes(), generator))
        try:
            count, told = read(path)
        except SourceError:
            continue
        silent += count < whole[seed] and not told
    assert silent <= 4  # 26 without a look at packets, lengths and structure
