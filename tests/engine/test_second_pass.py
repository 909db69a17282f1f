"""A spooled recording and its outputs: what the second pass replaces, what it keeps when it fails, and the spool."""

from __future__ import annotations

import contextlib
import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tracker.associate.tracker import Tracker
from tracker.engine.second_pass import SecondPass, check_replaceable
from tracker.errors import ConfigError, SinkError
from tracker.formats.run_length import decode_rle
from tracker.plugins import open_sink
from tracker.refine.spool import Spool
from tracker.sinks.base import Sink
from tracker.types import Frame, GridMasks, Instances, TrackedFrame

FRAMES = 40
SIZE = (160, 96)
HIDDEN = range(18, 24)
NAMES = ("person", "car")


def square(frame: int) -> tuple[int, int, int, int]:
    return 8 + 2 * frame, 20, 32 + 2 * frame, 68


def seen(frame: int) -> Instances:
    """One object that moves, with a mask on a grid of 4 px and an embedding; missed while hidden."""
    if frame in HIDDEN:
        masks = GridMasks(probabilities=np.zeros((0, 24, 40), np.uint8), step_px=(4.0, 4.0), image_size=SIZE)
        return Instances(
            boxes=np.zeros((0, 4), np.float32),
            scores=np.zeros(0, np.float32),
            class_ids=np.zeros(0, np.int64),
            masks=masks,
            embeddings=np.zeros((0, 8), np.float32),
        )
    x1, y1, x2, y2 = square(frame)
    image = np.zeros((SIZE[1], SIZE[0]))
    image[y1:y2, x1:x2] = 255
    grid = image.reshape(24, 4, 40, 4).mean(axis=(1, 3)).astype(np.uint8)[None]
    return Instances(
        boxes=np.array([[x1, y1, x2, y2]], np.float32),
        scores=np.array([0.9], np.float32),
        class_ids=np.array([1]),
        masks=GridMasks(probabilities=grid, step_px=(4.0, 4.0), image_size=SIZE),
        embeddings=np.full((1, 8), 8**-0.5, np.float32),
    )


def pictures() -> Iterator[Frame]:
    for number in range(FRAMES):
        image = np.full((SIZE[1], SIZE[0], 3), number, np.uint8)
        yield Frame(index=number, time_s=number / 10, arrived_s=0.0, source="clip.mp4", size=SIZE, image=image)


def first_pass(paths: list[Path]) -> Spool:
    """What ``track`` does before: online outputs are published, the spool is full."""
    tracker, spool = Tracker(), Spool()
    sinks = [open_sink(path, class_names=NAMES, frame_rate=10) for path in paths]
    for frame in pictures():
        instances = seen(frame.index)
        tracked = TrackedFrame(
            frame=frame, instances=instances, tracks=tracker.update(instances, frame.time_s), class_names=NAMES
        )
        for sink in (*sinks, spool.sink):
            sink.write(tracked)
    for sink in (*sinks, spool.sink):
        sink.close()
    return spool


def second(spool: Spool, frames: Iterator[Frame] | None = None, refused: str | None = None) -> SecondPass:
    def opener(path: Path, *, kind: str | None = None) -> Sink:
        if path.suffix == refused:
            raise SinkError(path, "expected to write here, found: No space left on device", "make room")
        return open_sink(path, class_names=NAMES, frame_rate=10, coasting=True, kind=kind)

    return SecondPass(
        spool=spool,
        class_names=NAMES,
        open_sink=opener,
        pictures=lambda: contextlib.nullcontext(pictures() if frames is None else frames),
    )


def test_what_is_spooled_comes_back() -> None:
    with contextlib.closing(first_pass([])) as spool:
        assert len(spool) == FRAMES
        for number in (30, 3, 20):
            frame, instances = spool.read(number)
            expected = seen(number)
            assert (frame.index, frame.time_s, frame.source, frame.size) == (number, number / 10, "clip.mp4", SIZE)
            np.testing.assert_array_equal(instances.boxes, expected.boxes)
            assert instances.masks is not None
            assert expected.masks is not None
            np.testing.assert_array_equal(instances.masks.probabilities, expected.masks.probabilities)
            assert instances.masks.step_px == expected.masks.step_px
        recording, tracklets, embeddings = spool.recording()
        assert len(recording) == FRAMES - len(HIDDEN)
        assert len(tracklets) == 1
        assert embeddings is not None
        np.testing.assert_allclose(embeddings[0] / np.linalg.norm(embeddings[0]), np.full(8, 8**-0.5), rtol=1e-6)


def test_outputs_are_replaced_with_gaps_filled_and_shapes_where_nothing_names_a_detection(tmp_path: Path) -> None:
    import av

    paths = [tmp_path / name for name in ("t.jsonl", "t.txt", "t.mots.txt", "t.mp4", "t.csv", "t.coco.json")]
    with contextlib.closing(first_pass(paths)) as spool:
        online = {path: path.read_bytes() for path in paths}
        rewritten = second(spool).run(paths)
    assert rewritten.problem == ""
    assert rewritten.identities == Counter({"car": 1})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    assert all(path.read_bytes() != online[path] for path in paths)
    rows = [json.loads(line) for line in paths[0].read_text().splitlines()]
    assert [row["frame"] for row in rows] == list(range(FRAMES))
    assert {row["id"] for row in rows} == {1}
    assert [row["frame"] for row in rows if row["coasting"]] == list(HIDDEN)
    assert all((row["detection"] is None) == row["coasting"] for row in rows)
    mot = np.loadtxt(paths[1], delimiter=",")
    assert [(int(row[0]) - 1, row[8] == 0) for row in mot] == [(row["frame"], row["coasting"]) for row in rows]
    with paths[4].open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [(int(row["frame"]), row["coasting"] == "1") for row in table] == [
        (row["frame"], row["coasting"]) for row in rows
    ]
    assert [entry["image_id"] for entry in json.loads(paths[5].read_text())] == list(range(1, FRAMES + 1))
    lines = [line.split() for line in paths[2].read_text().splitlines()]
    assert len(lines) == FRAMES
    for frame in HIDDEN:
        mask = decode_rle({"size": [SIZE[1], SIZE[0]], "counts": lines[frame][5]})
        x1, y1, x2, y2 = square(frame)
        truth = np.zeros_like(mask)
        truth[y1:y2, x1:x2] = True
        assert (mask & truth).sum() / (mask | truth).sum() > 0.8
    with av.open(str(paths[3])) as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


@pytest.mark.parametrize("way", ["refining fails", "interrupted", "recording changed", "output refused"])
def test_whatever_fails_the_online_result_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    paths = [tmp_path / "t.jsonl", tmp_path / "t.mp4"]
    with contextlib.closing(first_pass(paths)) as spool:
        online = {path: path.read_bytes() for path in paths}
        run = second(spool)
        if way == "refining fails":
            monkeypatch.setattr("tracker.engine.second_pass.refine", lambda *_, **__: 1 / 0)
        elif way == "interrupted":
            run.stop()
        elif way == "recording changed":
            run = second(spool, frames=iter(list(pictures())[:20]))
        else:
            run = second(spool, refused=".mp4")
        rewritten = run.run(paths)
    assert rewritten.identities is None
    assert rewritten.problem
    assert rewritten.interrupted == (way == "interrupted")
    assert {path: path.read_bytes() for path in paths} == online
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.jsonl", "t.mp4"]


def test_outputs_that_cannot_be_replaced_are_refused_first(tmp_path: Path) -> None:
    check_replaceable({str(tmp_path / "new.jsonl"): None})
    with pytest.raises(ConfigError, match="replaced"):
        check_replaceable({"/dev/null": None})
