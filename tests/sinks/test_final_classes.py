"""Records that agree with each other: one class per identity in every format, and the table that counts them."""

from __future__ import annotations

import csv
import errno
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from demos.scenes.road import road
from demos.scenes.writers import write_video
from tests.engine.fakes import FakeSource, SlowSegmenter, box, frame
from tracker.app.overview import strip_of_video
from tracker.engine.outputs import Outputs
from tracker.engine.plan import StreamPlan
from tracker.engine.resume import ChunkedSink, Resumption
from tracker.engine.run import run
from tracker.plugins import open_sink
from tracker.render.contact_sheet import counted
from tracker.segment.session import OnnxSegmenter
from tracker.settings.stream import StreamSettings
from tracker.sinks.base import Checkpoint
from tracker.sinks.exclusive import ExclusiveFile
from tracker.sinks.lines import CsvSink, JsonLinesSink, flat
from tracker.sinks.reference import record_fields_page
from tracker.sinks.rows import IDENTITY_FIELDS, ROW_FIELDS, RowBuilder
from tracker.sources.address import Address
from tracker.types import TrackedFrame, Tracks

NAMES = ('bus, "old"', "car", "truck\nlong")
FILES = (
    *("a.jsonl", "a.csv", "a.parquet", "a.txt", "a.coco.json"),
    *("a.identities.jsonl", "a.identities.csv", "a.identities.parquet"),
)


def tracked(index: int) -> TrackedFrame:
    """Three identities: one whose vote goes there and back, one whose vote changes once, one that keeps its class."""
    votes = [0 if index % 4 else 1, 1 if index < 7 else 2, 1]
    parts = [box(20 * n, score=0.5 + n / 10, class_id=vote) for n, vote in enumerate(votes)]
    instances = type(parts[0])(
        boxes=np.concatenate([one.boxes for one in parts]),
        scores=np.concatenate([one.scores for one in parts]),
        class_ids=np.concatenate([one.class_ids for one in parts]),
    )
    tracks = Tracks(
        ids=np.array([1, 2, 3]),
        detection_rows=np.array([0, 1, 2 if index % 3 else -1]),
        boxes=instances.boxes,
        velocities=np.zeros((3, 2), np.float32),
        class_ids=np.array(votes),
        scores=instances.scores,
        ages_s=np.zeros(3, np.float32),
    )
    return TrackedFrame(frame=frame(index), instances=instances, tracks=tracks, class_names=NAMES)


class Named(SlowSegmenter):
    class_names = NAMES


def opener(path: Path, **options):
    return open_sink(path, class_names=NAMES, frame_rate=25.0, **options)


def classes_in(path: Path) -> dict[int, set[str]]:
    """Every class that a file gives each identity."""
    found: dict[int, set[str]] = {}
    for identity, name in pairs(path):
        found.setdefault(int(identity), set()).add(str(name))
    return found


def pairs(path: Path) -> list[tuple]:
    if path.name.endswith(".parquet"):
        return [(row["id"], row["class"]) for row in parquet.read_table(path).to_pylist()]
    if path.name.endswith(".csv"):
        with path.open(newline="") as file:
            return [(row["id"], row["class"]) for row in csv.DictReader(file)]
    if path.name.endswith(".coco.json"):
        return [(row["track_id"], row["category_id"]) for row in json.loads(path.read_text())]
    if path.name.endswith(".txt"):
        return [(line.split(",")[1], line.split(",")[7]) for line in path.read_text().splitlines()]
    return [(row["id"], row["class"]) for row in map(json.loads, path.read_text().splitlines())]


@pytest.mark.parametrize("name", FILES)
def test_every_row_has_the_final_class(tmp_path, name: str) -> None:
    with opener(tmp_path / name) as sink:
        for index in range(10):
            sink.write(tracked(index))
    found = classes_in(tmp_path / name)
    assert all(len(classes) == 1 for classes in found.values())
    if not name.endswith((".txt", ".coco.json")):
        assert found == {1: {NAMES[0]}, 2: {NAMES[2]}, 3: {"car"}}
    assert not list(tmp_path.glob(".*"))


def test_nothing_but_the_class_is_changed(tmp_path) -> None:
    for name, final in (("a", True), ("b", False)):
        with opener(tmp_path / f"{name}.csv", final_classes=final, image_names=True) as sink:
            for index in range(10):
                sink.write(tracked(index))
    with (tmp_path / "a.csv").open(newline="") as one, (tmp_path / "b.csv").open(newline="") as two:
        final, so_far = list(csv.DictReader(one)), list(csv.DictReader(two))
    assert len(final) == len(so_far) == 30
    assert [row["class"] for row in so_far[1::3]] == ["car"] * 7 + [NAMES[2]] * 3
    blank = {"class": "", "class_then": ""}
    assert [row | blank for row in final] == [row | blank for row in so_far]
    assert [row["class_then"] or row["class"] for row in final] == [row["class"] for row in so_far]
    assert not any(row["class_then"] for row in so_far)


@pytest.mark.parametrize("name", FILES)
def test_a_recording_in_chunks_has_the_same_bytes(tmp_path, name: str) -> None:
    (tmp_path / "pieces").mkdir()
    with opener(tmp_path / name) as sink:
        for index in range(10):
            sink.write(tracked(index))
    final = tmp_path / "pieces" / name
    resumption = Resumption(tmp_path / "s", "a", {})
    sink = ChunkedSink([final], lambda path, kind: opener(path, final_classes=False, kind=kind), resumption)
    for index in range(10):
        sink.write(tracked(index))
        if index % 3 == 2:
            sink.checkpoint(Checkpoint(next_index=index + 1, state={"n": 1}))
    sink.checkpoint(Checkpoint(next_index=10, state=None, complete=True))
    sink.close()
    assert final.read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_a_disk_without_room_for_the_copy_keeps_the_rows(tmp_path, monkeypatch, name: str) -> None:
    sink = opener(tmp_path / name)
    for index in range(10):
        sink.write(tracked(index))

    def full(*_: object, **__: object) -> ExclusiveFile:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tracker.sinks.part_file.ExclusiveFile", full)
    with pytest.raises(Exception, match="expected to write the final classes, found: No space left"):
        sink.close()
    assert len(pairs(tmp_path / name)) == 30
    assert classes_in(tmp_path / name)[2] == {"car", NAMES[2]}


def test_the_table_says_when_and_how_often(tmp_path) -> None:
    with opener(tmp_path / "a.identities.jsonl") as sink:
        for index in range(2, 10):
            sink.write(tracked(index))
    rows = [json.loads(line) for line in (tmp_path / "a.identities.jsonl").read_text().splitlines()]
    assert rows[2] == {
        "id": 3,
        "class": "car",
        "first_frame": 2,
        "last_frame": 9,
        "first_s": 0.08,
        "last_s": 0.36,
        "frames": 5,  # coasting in 3, 6 and 9
        "score": 0.7,
        "ended": False,
    }
    assert list(rows[0]) == [field.name for field in IDENTITY_FIELDS]


@pytest.mark.slow
def test_a_rendered_scene_is_counted_alike_everywhere(tmp_path, monkeypatch) -> None:
    """Everything looks like a bus at first; the votes change when it no longer does."""
    video = tmp_path / "road.mp4"
    write_video(road(seed=1), video, fps=12.5, duration_s=4.0)
    segment = OnnxSegmenter.segment

    def misled(self: OnnxSegmenter, frames):
        bus = self.class_names.index("bus")
        return [
            type(found)(
                boxes=found.boxes,
                scores=found.scores,
                class_ids=np.full_like(found.class_ids, bus) if frame.index < 16 else found.class_ids,
                masks=found.masks,
                embeddings=found.embeddings,
            )
            for frame, found in zip(frames, segment(self, frames), strict=True)
        ]

    monkeypatch.setattr(OnnxSegmenter, "segment", misled)
    names = ("road.tracked.mp4", "road.jsonl", "road.csv", "road.parquet", "road.identities.csv")
    save, *records = [str(tmp_path / name) for name in names]
    [outcome] = run(video, save=save, records=records, device="cpu", masks="none")
    assert outcome.identities["car"] > 0
    for path in records:
        found = classes_in(Path(path))
        assert all(len(classes) == 1 for classes in found.values()), path
        assert Counter(name for (name,) in found.values()) == outcome.identities, path
    table = parquet.read_table(records[2]).group_by("class").aggregate([("id", "count_distinct")]).to_pylist()
    assert {row["class"]: row["id_count_distinct"] for row in table} == dict(outcome.identities)
    sheet = strip_of_video(save, moments=2).subtitle.split("    ")[2:]
    assert sorted(sheet) == sorted(counted(count, name) for name, count in outcome.identities.items())


def test_parts_of_a_camera_have_the_votes_so_far_and_a_table_each(tmp_path) -> None:
    """What an engine opens for ``{time}``; the last table of an identity holds."""
    plan = StreamPlan(
        name="gate",
        address=Address(kind="camera", name="gate", target="0"),
        settings=StreamSettings(rotate_s=3600.0),
        outputs=(str(tmp_path / "a-{time}.jsonl"), str(tmp_path / "a-{time}.identities.jsonl")),
    )
    for start in (0, 5):  # two parts
        sink = Outputs(plan, FakeSource("gate").info, Named()).open(strict=True)
        for index in range(start, start + 5):
            sink.write(tracked(index))
        sink.close()
    by_part = sorted(tmp_path.iterdir(), key=lambda path: (len(path.name), path.name))  # -2 in the same second
    records = [path for path in by_part if "identities" not in path.name]
    tables = [path for path in by_part if "identities" in path.name]
    assert [classes_in(path)[2] for path in records] == [{"car"}, {"car", NAMES[2]}]
    assert [classes_in(path)[2] for path in tables] == [{"car"}, {NAMES[2]}]
    assert [json.loads(path.read_text().splitlines()[1])["frames"] for path in tables] == [5, 5]


def test_every_column_is_described(tmp_path) -> None:
    sink = JsonLinesSink(tmp_path / "a.jsonl", image_names=True)
    [row, *_] = RowBuilder(image_names=True).rows(tracked(0))
    known = {field.name for field in ROW_FIELDS}
    only_lines = {"time_from", "mask_from"}
    assert set(sink._object(row)) | only_lines | {"class_then", "notes"} == known
    columns = [name for field in ROW_FIELDS if field.name not in only_lines for name in field.columns or (field.name,)]
    assert [*flat(row, image_names=True), "mask"] == columns
    sink.abort()
    CsvSink(tmp_path / "a.csv", masks="rle", image_names=True).close()
    assert (tmp_path / "a.csv").read_text().strip().split(",") == columns
    page = Path(__file__).parents[2] / "docs" / "reference" / "record-fields.md"
    assert page.read_text("utf-8") == record_fields_page(), (
        "run: masktrail settings fields --out docs/reference/record-fields.md"
    )
