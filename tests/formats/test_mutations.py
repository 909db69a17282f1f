"""Mutated detections, truth and results: each is read or refused in one line, soon, and never ends in a traceback.

As a script it tries many of every kind: ``python -m tests.formats.test_mutations 1000``.
"""

from __future__ import annotations

import collections
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.measure.test_evaluate import boxes, mots, write
from tracker.errors import TrackerError
from tracker.formats.detection_files import read_videos
from tracker.formats.run_length import encode_rle, encode_runs, run_total
from tracker.formats.sequences import open_sequences
from tracker.measure.associate import associate
from tracker.measure.evaluate import evaluate

MUTATIONS = 150
PIECES = (b",", b" ", b"\n", b"-", b".", b"0", b"9" * 12, b"1e308", b"nan", b"inf", b"o" * 30, b"\xef\xbb\xbf", b"\xe9")
PIECES = (*PIECES, b"\0", b'"', b"[", b"}", b"null", b"true", b"-1", b"b'", b"\xe2\x80\xa8", b"\r", b"1_0")


def mask() -> np.ndarray:
    pixels = np.zeros((48, 64), np.bool_)
    pixels[10:30, 20:41] = True
    return pixels


def originals() -> dict[str, bytes]:
    code = encode_rle(mask())
    place = "1.5 1.6 3.9 1.0 2.0 30.0 0.1"
    frames = range(1, 9)
    entries = [
        {"image_id": n, "category_id": 1, "bbox": [20, 10, 21, 20], "score": 0.9, "segmentation": shape}
        for n, shape in zip(frames, [code, [[20, 10, 41, 10, 41, 30, 20, 30]]] * 4, strict=True)
    ]
    images = [{"id": n, "file_name": f"{n}.jpg", "video_id": 1, "width": 64, "height": 48} for n in frames]
    document = {"videos": [{"id": 1}], "images": images, "annotations": entries}
    return {
        "mot": "".join(f"{n},-1,{9 + n},20,30,40,0.9,1,1\n" for n in frames).encode(),
        "mots": "".join(f"{n} 0 1 48 64 {code['counts']} 0.9\n" for n in frames).encode(),
        "kitti": "".join(f"{n} -1 Car 0 1 -1.57 {9 + n} 20 40 60 {place} 0.9\n" for n in frames).encode(),
        "coco": json.dumps(document).encode(),
    }


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three places of a file removed, replaced or filled with what files are full of."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        place, length = int(rng.integers(0, len(out) + 1)), int(rng.integers(0, 6))
        piece = PIECES[rng.integers(len(PIECES))] if rng.random() < 0.8 else rng.bytes(3)
        out[place : place + length] = piece if rng.random() < 0.8 else b""
    return bytes(out)


LAYOUTS = ("mot", "mots", "kitti", "coco")
SCORED = ("gt/s/gt.txt", "res/s.txt", "gt/s/seqinfo.ini")
HANG_S = 30.0


def read(path: Path, *, associated: bool) -> TrackerError | None:
    """What a file of detections was refused with, if it was.

    Raises:
        AssertionError: What was read does not hold what it must, or the message is no message.
        Exception: Whatever else leaves the library.
    """
    refusal: TrackerError | None = None
    try:
        for detections in read_videos(path).values():
            assert np.isfinite(detections.boxes).all()
            assert ((detections.scores >= 0) & (detections.scores <= 1)).all()
            assert len(detections) < 10
        if associated and max(sequence.length for sequence in open_sequences(path)) < 1000:
            associate(path, path.parent / "out")
    except TrackerError as error:
        refusal = error
    if refusal is not None:
        assert refusal.offender.startswith(str(path.parent))
        assert len(refusal.problem) < 400
        assert refusal.remedy
    return refusal


def scored(folder: Path) -> TrackerError | None:
    """What a folder of truth and results was refused with, if it was; raises as :func:`read` does."""
    try:
        evaluation = evaluate(folder / "gt", folder / "res")
        assert all(np.isfinite(value) for value in evaluation.combined["all"].values())
    except TrackerError as error:
        return error
    return None


def tried(path: Path, count: int, seed: int, judge: Callable[[int], TrackerError | None]) -> list[TrackerError]:
    """The refusals of so many mutations of a file, which is itself again afterwards."""
    rng, original = np.random.default_rng(seed), path.read_bytes()
    refused = []
    for number in range(count):
        path.write_bytes(mutated(original, rng))
        started_s = time.monotonic()
        if (error := judge(number)) is not None:
            refused.append(error)
        assert time.monotonic() - started_s < HANG_S
    path.write_bytes(original)
    return refused


@pytest.mark.timeout(120)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_mutated_detections_are_read_or_refused(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "det.txt"
    path.write_bytes(originals()[layout])
    refused = tried(path, MUTATIONS, 11, lambda number: read(path, associated=number % 10 == 0))
    assert len(refused) > MUTATIONS // 10
    assert layout == "mots" or len(refused) < MUTATIONS, "a code hardly survives a change, other rows do"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("which", SCORED)
def test_mutated_truth_and_results_are_scored_or_refused(tmp_path: Path, which: str, masks: bool) -> None:
    rows = mots(range(1, 5), 1, 10) if masks else boxes(range(1, 5), 1, 10)
    write(tmp_path, rows, rows)
    refused = tried(tmp_path / which, MUTATIONS // 3, 12, lambda _: scored(tmp_path))
    assert len(refused) > MUTATIONS // 30
    assert all(error.problem for error in refused)


@pytest.mark.timeout(60)
def test_mutated_run_lengths_that_pass_decode_to_the_whole_image() -> None:
    from pycocotools import mask as coco_mask

    rng = np.random.default_rng(13)
    code = encode_rle(mask())["counts"]
    passed = 0
    for _ in range(2000):
        letters = list(code)
        place = int(rng.integers(len(letters)))
        letters[place : place + int(rng.integers(0, 2))] = chr(48 + int(rng.integers(0, 64)))
        changed = "".join(letters)
        if run_total(changed) == 48 * 64:
            passed += 1
            pixels = coco_mask.decode({"size": [48, 64], "counts": changed.encode()})
            assert pixels.shape == (48, 64)
            assert pixels.max(initial=0) <= 1
    assert passed > 0


def test_totals_are_those_of_any_runs() -> None:
    rng = np.random.default_rng(14)
    for _ in range(200):
        lengths = rng.integers(0, 10 ** int(rng.integers(1, 6)), int(rng.integers(1, 30)))
        lengths[-1] += 1
        total = int(lengths.sum())
        assert run_total(encode_runs(lengths, (total, 1))) == total


def main(count: int, seed: int) -> None:
    """Try ``count`` mutations of every layout and of every file that is scored, and tell what they came to."""
    for name in (*LAYOUTS, *(f"{kind} {which}" for kind in ("boxes", "masks") for which in SCORED)):
        tally: collections.Counter[str] = collections.Counter()
        slowest_s = 0.0
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            if name in LAYOUTS:
                path = place / "det.txt"
                path.write_bytes(originals()[name])
            else:
                rows = mots(range(1, 5), 1, 10) if name.startswith("masks") else boxes(range(1, 5), 1, 10)
                write(place, rows, rows)
                path = place / name.split()[1]
            rng, original = np.random.default_rng(seed), path.read_bytes()
            for number in range(count):
                path.write_bytes(mutated(original, rng))
                started_s = time.monotonic()
                try:
                    error = read(path, associated=number % 10 == 0) if name in LAYOUTS else scored(place)
                    outcome = "read" if error is None else "refused"
                except Exception as error:  # noqa: BLE001 - what is looked for
                    outcome = f"FAULT {type(error).__name__}"
                    sys.stdout.write(f"{name} {number} {error!r:.300}\n{path.read_bytes()!r:.900}\n")
                tally[outcome] += 1
                slowest_s = max(slowest_s, time.monotonic() - started_s)
        sys.stdout.write(f"{name}: {dict(tally)}, slowest {slowest_s:.2f} s\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
