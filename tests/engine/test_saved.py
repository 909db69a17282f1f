"""One default behind every door: track, live, Python and saved instances give the same identities."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from demos.scenes.road import road
from demos.scenes.writers import write_video
from tests.command import Run
from tests.engine.test_same_bytes import live
from tracker import OnnxSegmenter, track
from tracker.engine.run import run as run_streams
from tracker.engine.saved import associate_saved, tracked_frames
from tracker.errors import ConfigError, DetectionsError, TrackerError
from tracker.formats.instances import open_saved
from tracker.plugins import open_sink

FILES = ("a.jsonl", "a.csv", "a.txt", "a.mots.txt", "a.coco.json", "a.parquet", "a.identities.jsonl")


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "road.mp4"
    write_video(road(seed=1), path, fps=12.5, duration_s=2.4)
    return path


@pytest.fixture(scope="module")
def saved(scene: Path, tmp_path_factory) -> Path:
    """What ``masktrail segment`` saves of it."""
    path = tmp_path_factory.mktemp("saved") / "road.instances"
    run_streams(scene, records=str(path), device="cpu", associates=False)
    return path


def identities(path: Path) -> list[list[str]]:
    """Frame, id and box of every line of MOT text."""
    return [line.split(",")[:6] for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_saved_instances_give_the_bytes_of_track(run: Run, scene: Path, saved: Path, tmp_path: Path) -> None:
    (tmp_path / "track").mkdir()
    named = [word for name in (*FILES, "own.instances") for word in ("--records", tmp_path / "track" / name)]
    assert run("track", scene, "--device", "cpu", "--quiet", *named).status == 0
    for name in FILES:
        done = run("associate", saved, "--out", tmp_path / name)
        assert done.status == 0, done.text
        assert (tmp_path / name).read_bytes() == (tmp_path / "track" / name).read_bytes(), name
        associate_saved(tmp_path / "track" / "own.instances", tmp_path / f"again.{name}")
        assert (tmp_path / f"again.{name}").read_bytes() == (tmp_path / name).read_bytes(), name
    assert b'"id":3' in (tmp_path / "a.jsonl").read_bytes()


@pytest.mark.slow
def test_predicted_masks_change_nothing_but_the_rows_that_coast(scene: Path, tmp_path: Path) -> None:
    """With numbers given at once, weak detections make tracks that coast."""
    found = {}
    for wanted in (False, True):
        path = tmp_path / f"{wanted}.jsonl"
        run_streams(scene, records=str(path), device="cpu", predicted_masks=wanted, confirmation_score=0.1)
        found[wanted] = [json.loads(line) for line in path.read_text().splitlines()]
    with_mask = [row for row in found[True] if row.get("mask_from") == "predicted"]
    assert with_mask
    assert all(row["coasting"] and row["mask"] for row in with_mask)
    bare = [row | {"mask": None} if row.pop("mask_from", None) else row for row in found[True]]
    assert bare == found[False]


def test_outputs_get_frames_without_prototypes(scene: Path) -> None:
    """They may lag behind: a prototype grid takes 1.4 MB."""
    frame = next(iter(track(scene, device="cpu")))
    assert frame.instances.masks is not None
    assert frame.instances.prototypes is None
    assert frame.instances.coefficients is None


@pytest.mark.slow
def test_the_second_pass_is_the_same_too(run: Run, scene: Path, saved: Path, tmp_path: Path) -> None:
    track_path, saved_path = tmp_path / "track.jsonl", tmp_path / "saved.jsonl"
    done = run("track", scene, "--device", "cpu", "--quiet", "--refine", "--records", track_path, "--masks", "rle")
    assert done.status == 0
    assert associate_saved(saved, saved_path, refine=True).refined
    assert saved_path.read_bytes() == track_path.read_bytes()


def test_what_is_saved_comes_back_as_it_was(scene: Path, saved: Path) -> None:
    with saved.open("rb") as file:
        model, frames = open_saved(saved, file)
        found = list(tracked_frames(model, frames))
    segmenter = OnnxSegmenter("yolact-nano", device="cpu", source_size=found[0].frame.size)
    assert model.class_names == segmenter.class_names
    assert (model.confirmation_score, model.digest) == (segmenter.confirmation_score, segmenter.digest)
    for one, two in zip(found, track(scene, device="cpu"), strict=True):
        assert one.tracks is not None
        assert two.tracks is not None
        assert (one.frame.index, one.frame.time_s, one.frame.size) == (
            two.frame.index,
            two.frame.time_s,
            two.frame.size,
        )
        np.testing.assert_array_equal(one.instances.boxes, two.instances.boxes)
        np.testing.assert_array_equal(one.tracks.ids, two.tracks.ids)
        np.testing.assert_array_equal(one.tracks.boxes, two.tracks.boxes)
        assert one.instances.masks is not None
        assert two.instances.masks is not None
        for row in range(len(one.instances)):
            np.testing.assert_array_equal(one.instances.masks.grid(row), two.instances.masks.grid(row))


def test_leaving_the_loop_early_ends_the_run(scene: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    for tracked in track(scene, device="cpu", records=str(out), images=True):
        assert tracked.frame.image is not None
        if tracked.frame.index == 12:
            break
    assert out.exists()
    with pytest.raises(TrackerError, match="nothing"):
        next(iter(track(tmp_path / "nothing.mp4")))


def test_damaged_files_are_refused_by_frame(saved: Path, tmp_path: Path) -> None:
    data = saved.read_bytes()
    random, path, out = np.random.default_rng(0), tmp_path / "x.instances", tmp_path / "x.csv"
    start = data.index(b"\n") + 1
    for number in range(100):
        changed = bytearray(data)
        for place in random.integers(0 if number % 4 == 0 else start, len(data), 1 + number % 3).tolist():
            changed[place] ^= 1 << int(random.integers(8))
        path.write_bytes(changed[: int(random.integers(start, len(data)))] if number % 5 == 0 else changed)
        try:
            with path.open("rb") as file:
                list(open_saved(path, file)[1])
        except DetectionsError:
            continue
        assert changed[:start] != data[:start] or number % 5 == 0
    path.write_bytes(data[:-10])
    with pytest.raises(DetectionsError, match=r"frame 29 \(from 0\): expected \d+ whole bytes"):
        associate_saved(path, out)
    assert len({line.split(",")[0] for line in out.read_text().splitlines()[1:]}) <= 29


def test_what_does_not_fit_is_refused(run: Run, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="saved instances hold no pictures"):
        associate_saved(saved, tmp_path / "a.mp4")
    done = run("associate", saved, "--out", tmp_path / "a.csv", "--fps", "10")
    assert done.status == 2
    assert "saved instances have times of their own" in done.text
    done = run("associate", saved, "--out", saved)
    assert done.status == 2
    open_sink(tmp_path / "empty.instances", class_names=("car",)).close()
    assert associate_saved(tmp_path / "empty.instances", tmp_path / "empty.csv").frames == 0


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["traffic.mp4", "moving_pedestrians.avi"])
def test_real_clips_have_the_same_identities_everywhere(run: Run, data_root: Path, tmp_path: Path, clip: str) -> None:
    """One camera that stands and one that moves; every 12th frame, to be quick."""
    source = data_root / "clips" / clip
    if not source.is_file():
        pytest.skip(f"no {source}")
    saved_path = tmp_path / "x.instances"
    options = ("--device", "cpu", "--quiet", "--stride", 12)
    assert run("track", source, *options, "--records", tmp_path / "track.txt").status == 0
    assert run("segment", source, *options, "--records", saved_path).status == 0
    assert run("associate", saved_path, "--out", tmp_path / "saved.txt").status == 0
    live(source, tmp_path / "live", ", stride: 12")
    expected = identities(tmp_path / "track.txt")
    assert len(expected) > 20
    assert identities(tmp_path / "saved.txt") == expected
    assert identities(tmp_path / "live" / "a.mot.txt") == expected
    looped = [
        [str(tracked.frame.index + 1), str(identity)]
        for tracked in track(source, device="cpu", stride=12)
        for identity in (tracked.tracks.ids.tolist() if tracked.tracks is not None else [])
    ]
    assert looped == [row[:2] for row in expected]
