"""Economy of segmentation through the product: records, second pass, cameras, batches, rendered scenes, refusals."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demos.scenes.road import road
from demos.scenes.writers import write_video as write_scene
from tests.command import Run
from tests.engine.test_economy import Scene, driving
from tests.engine.test_economy import run as run_scene
from tests.engine.test_same_bytes import live, read, track
from tests.segment.models import end2end_model
from tests.sources.cameras import MjpegCamera
from tests.sources.videos import picture, write_video
from tracker.engine.notes import NotesStage
from tracker.engine.opener import open_stream
from tracker.engine.plan import plan_run
from tracker.engine.run import run as run_streams
from tracker.errors import ConfigError, TrackerError
from tracker.formats.notes import packed, unpacked
from tracker.segment.session import OnnxSegmenter
from tracker.settings.stream import RunSettings
from tracker.settings.yaml_file import parse_service_settings


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sees a person and a car in every picture."""
    return end2end_model(tmp_path_factory.mktemp("model") / "model.onnx")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "a.mp4", count=51)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds in which nothing moves."""
    path = tmp_path_factory.mktemp("still") / "a.mp4"
    return write_video(path, count=125, draw=lambda _index, size: picture(0, size))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("refine", [False, True])
def test_records_tell_what_was_interpolated(tmp_path, model, video, refine):
    paths = [tmp_path / name for name in ("a.jsonl", "a.csv", "a.txt", "a.mots.txt")]
    [outcome] = run_streams(video, model=model, records=list(map(str, paths)), economy="auto", refine=refine)
    rows = rows_of(paths[0])
    between = {row["frame"] for row in rows if row.get("notes", {}).get("interpolated")}
    made = [row for row in rows if row.get("mask_from") == "interpolated"]
    assert outcome.figures.interpolated == len({row["frame"] for row in made}) > 20
    assert len(made) > 40  # a person and a car, but for the first frames
    assert between == {row["frame"] for row in made}
    assert all(row["detection"] is None and not row["coasting"] and row["mask"] and row["area_px"] for row in made)
    others = [row for row in rows if row not in made]
    assert all("mask_from" not in row and (row["detection"] is not None or row["coasting"]) for row in others)
    with paths[1].open() as file:
        table = list(csv.DictReader(file))
    assert [row["detection"] for row in table] == [
        "" if row["detection"] is None else str(row["detection"]) for row in rows
    ]
    lines = [line.split(",") for line in paths[2].read_text().splitlines()]
    assert [line[8] for line in lines] == ["0" if row["coasting"] else "1" for row in rows]
    assert paths[3].read_text().count("\n") >= sum(not row["coasting"] for row in rows)


def test_an_empty_still_recording_is_hardly_segmented(model, still):
    [outcome] = run_streams(still, model=model, score_threshold=0.95, economy="auto")
    assert outcome.figures.frames == 125
    assert 115 <= outcome.figures.skipped < 125
    assert outcome.as_json()["skipped"] == outcome.figures.skipped
    assert "interpolated" not in outcome.as_json()


def test_records_tell_what_was_skipped(tmp_path):
    ran = run_scene(Scene(boxes=driving(70, 2.5)), 120, stages=[NotesStage("a")])
    noted = [tracked.notes for tracked in ran.frames if tracked.notes is not None]
    assert sum(notes.skipped for notes in noted) == len(ran.skipped) > 50
    assert noted[0].skipped == len(ran.skipped)
    assert sum(quiet.frames for quiet in noted[0].quiet) >= len(ran.skipped)
    head = packed(noted[0], ran.frames[-1].frame)[None]
    assert head["skipped"] == len(ran.skipped)
    assert unpacked(head, {}) == replace(noted[0], earlier={})


def test_a_camera_skips_too(model):
    with MjpegCamera(rate=50, image=lambda _index, size: picture(0, size)) as camera:
        options = {"model": model, "score_threshold": 0.95, "economy": "auto", "limit": 75}
        [outcome] = run_streams(camera.url(), **options)
    assert outcome.figures.frames == 75
    assert outcome.figures.skipped > 50
    assert outcome.figures.interpolated == 0


def test_every_frame_is_in_the_video(tmp_path, model, video):
    import av

    run_streams(video, model=model, save=str(tmp_path / "a.mp4"), economy="auto")
    with av.open(str(tmp_path / "a.mp4")) as written:
        assert sum(1 for _ in written.decode(video=0)) == 51


def test_the_command_says_what_it_left_out(run: Run, tmp_path, model, video):
    done = run("track", video, "--model", model, "--economy", "auto", "--records", tmp_path / "a.jsonl")
    assert done.status == 0, done.text
    assert "not segmented 0 frames in which nothing moved, 25 interpolated" in done.text


def test_a_run_a_service_and_a_batch_give_the_same_bytes(run: Run, tmp_path, model, video):
    pytest.importorskip("pyarrow")
    options = f", model: '{model}', economy: auto"
    track(run, video, tmp_path / "track", "--model", model, "--economy", "auto")
    live(video, tmp_path / "live", options)
    whole = read(tmp_path / "track", video)
    assert read(tmp_path / "live") == whole
    assert b'"interpolated"' in whole["a.jsonl"]
    words = ("--model", model, "--economy", "auto")
    assert run("batch", video, "--out", tmp_path / "out", *words, "--processes", 1).status == 0
    assert run("track", video, *words, "--records", tmp_path / "a.parquet", "--quiet").status == 0
    [written] = (tmp_path / "out" / "records").rglob("*.parquet")
    assert written.read_bytes() == (tmp_path / "a.parquet").read_bytes()


def test_what_does_not_go_with_it_is_refused(run: Run, tmp_path, model, video):
    refused = {
        ("privacy", "fill"): "expected `off` with `privacy`",
        ("outline", "sam"): "expected `off` with `outline`, which has `detect_every`",
        ("records", ("b.csv", "a.instances")): "expected `off` with a.instances, which keeps the instances of every",
        ("associates", False): "expected `off` without identities",
    }
    for (name, value), told in refused.items():
        with pytest.raises(ConfigError, match=f"economy.*{told}"):
            RunSettings(sources=("a.mp4",), economy="auto", **{name: value})
    with pytest.raises(ConfigError, match=r"economy: expected one of off, auto, found 'on'"):
        RunSettings(sources=("a.mp4",), economy="on")
    [camera] = parse_service_settings("cameras: [{name: a, url: 'rtsp://h/1', economy: auto}]").cameras
    assert camera.economy == "auto"
    for words in (("--split",), ("--keep-instances",)):
        result = run("batch", video, "--out", tmp_path / "out", "--model", model, "--economy", "auto", *words)
        assert result.status != 0
        assert f"{words[0]}: expected `--economy off`" in result.text
        assert not (tmp_path / "out").exists()


def test_another_tracker_is_refused_before_anything_is_opened(model, video):
    class Other:
        def update(self, *_arguments, **_options):
            raise AssertionError

    [plan] = plan_run(RunSettings(sources=(str(video),), economy="auto"))
    with pytest.raises(TrackerError, match=r"economy: expected a tracker with `living`, found Other"):
        open_stream(plan, segmenter=OnnxSegmenter(model, device="cpu"), tracker=Other)


@pytest.mark.slow
def test_a_rendered_road_has_the_same_identities(tmp_path):
    path, found = tmp_path / "road.mp4", {}
    write_scene(road(seed=1), path, fps=25.0, duration_s=2.4)
    for economy in ("off", "auto"):
        [found[economy]] = run_streams(path, device="cpu", economy=economy)
    assert found["auto"].identities == found["off"].identities
    assert found["auto"].identities.total() > 2
    assert found["auto"].figures.frames == found["off"].figures.frames == 60
    assert found["auto"].figures.interpolated > 0
