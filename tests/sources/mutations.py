"""Mutations of tiny media files, made here: every container and codec that PyAV's wheels can write.

As a script it tries many: ``python -m tests.sources.mutations 1000``.
"""

from __future__ import annotations

import collections
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

from tests.sources.videos import textured, write_video
from tracker.errors import SourceError
from tracker.sources.notes import notes
from tracker.sources.open import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = (64, 48)
SUFFIX_CODECS = (
    ("mp4", "libx264"),
    ("mov", "mjpeg"),
    ("mkv", "libx264"),
    ("mkv", "libx265"),
    ("avi", "libx264"),
    ("avi", "mpeg4"),
    ("ts", "libx264"),
    ("flv", "libx264"),
    ("webm", "libvpx-vp9"),
    ("mpg", "mpeg2video"),
    ("nut", "ffv1"),
    ("gif", "gif"),
)
IMAGE_SUFFIXES = ("png", "jpg", "webp", "tif", "bmp", "jp2")
HANG_S = 20.0
"""A file of a few kilobytes is done within a tenth of a second; so much passes for a machine under load."""


def seeds(folder: Path) -> list[Path]:
    """One small good file of each kind."""
    files = []
    for suffix, codec in SUFFIX_CODECS:
        options = {"x265-params": "log-level=none"} if codec == "libx265" else None
        path = folder / f"{codec}.{suffix}"
        files.append(write_video(path, codec=codec, count=8, size=SIZE, draw=textured, options=options, gop=4))
    for suffix in IMAGE_SUFFIXES:
        path = folder / f"image.{suffix}"
        assert cv2.imwrite(str(path), textured(1, SIZE))
        files.append(path)
    pages = folder / "pages.tif"
    assert cv2.imwritemulti(str(pages), [textured(index, SIZE) for index in range(3)])
    moving = folder / "moving.png"
    with av.open(str(moving), "w", format="apng") as container:
        stream = container.add_stream("apng", rate=10)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "rgb24"
        for index in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(textured(index, SIZE), "bgr24")))
        container.mux(stream.encode())
    return [*files, pages, moving]


def mutated(data: bytes, generator: np.random.Generator) -> bytes:
    """The data with one kind of damage: flipped bytes, a number replaced, a piece cut, doubled or overwritten."""
    changed = bytearray(data)
    size = len(changed)
    # Half of the damage goes into the first bytes, where headers are
    reach = size if generator.random() < 0.5 else min(size, 600)
    place = int(generator.integers(reach))
    length = int(generator.integers(1, max(size // 4, 2)))
    kind = generator.integers(7)
    if kind == 0:
        for spot in generator.integers(reach, size=int(generator.integers(1, 20))).tolist():
            changed[spot] ^= 1 << int(generator.integers(8))
    elif kind == 1:
        changed[place : place + 4] = int(generator.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000])).to_bytes(
            4, "big"
        )
    elif kind == 2:
        del changed[place:]
    elif kind == 3:
        del changed[place : place + length]
    elif kind == 4:
        changed[place:place] = changed[place : place + length]
    elif kind == 5:
        other = int(generator.integers(size))
        changed[place : place + length] = changed[other : other + length]
    else:
        changed[place : place + length] = generator.bytes(length)
    return bytes(changed)


def mutations(folder: Path, count: int, seed: int) -> Iterator[Path]:
    """``count`` damaged files, one at a time, the kinds in turn; each stands until the next is made."""
    generator = np.random.default_rng(seed)
    files = [(path.suffix, path.read_bytes()) for path in seeds(folder)]
    for number in range(count):
        suffix, data = files[number % len(files)]
        path = folder / f"mutated-{number:04d}{suffix}"
        path.write_bytes(mutated(data, generator))
        yield path
        path.unlink()


def verdict(path: Path) -> str:
    """What a file came to: ``read``, ``noted`` (read, with a note) or ``refused``; anything else is a fault.

    Raises:
        AssertionError: Times that do not advance, frames without a picture, an error without a remedy, a hang.
        Exception: Whatever else than a source error leaves the library.
    """
    started_s = time.monotonic()
    last_s = -1.0
    refusal: SourceError | None = None
    try:
        with open_source(path, network_size=(32, 32), decode="cpu") as source:
            for frame in source:
                assert frame.time_s > last_s
                assert frame.image is not None
                last_s = frame.time_s
            outcome = "noted" if notes(source.info, source.counters) else "read"
    except SourceError as error:
        outcome, refusal = "refused", error
    if refusal is not None:
        assert refusal.remedy
        assert "\n" not in refusal.problem + refusal.remedy
    assert time.monotonic() - started_s < HANG_S
    return outcome


def main(count: int, seed: int) -> None:
    """Try ``count`` mutations and tell what they came to."""
    tally: collections.Counter[str] = collections.Counter()
    slowest = (0.0, "")
    with tempfile.TemporaryDirectory() as folder:
        for path in mutations(Path(folder), count, seed):
            started_s = time.monotonic()
            try:
                outcome = verdict(path)
            except Exception as error:  # noqa: BLE001 - what is looked for
                outcome = f"FAULT {type(error).__name__}"
                sys.stdout.write(f"{path.name} {error!r:.300}\n")
            tally[outcome] += 1
            slowest = max(slowest, (time.monotonic() - started_s, path.name))
    sys.stdout.write(f"{dict(tally)}, slowest {slowest[0]:.2f} s ({slowest[1]})\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
