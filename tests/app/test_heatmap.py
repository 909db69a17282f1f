"""``masktrail heatmap`` as a user meets it: from a store or from records, of any hours, and its refusals."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from demos.scenes import script
from tests.analytics.walks import through
from tests.command import Run
from tests.engine.recorded import Chain
from tests.heats import START_MS, heat_store
from tests.segment.models import end2end_model
from tests.sources.videos import write_video
from tracker.formats.event_store import open_store
from tracker.formats.heat_tiles import heat_sum, read_tiles
from tracker.heat import TILE_MS
from tracker.settings.site_file import read_site

SITE = """\
version: 1
reference_size: [640, 360]
lines:
  - {name: gate, points: [[0.1, 0.5], [0.9, 0.5]]}
ground:
  rectangle: {corners: [[0, 1], [1, 1], [0.8, 0.4], [0.2, 0.4]], width_m: 6, length_m: 12}
"""
WAY = {1: through((0, 0.1, 0.7), (60, 0.9, 0.7)), 2: through((0, 0.5, 0.9), (60, 0.5, 0.9))}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heat")
    (folder / "site.yaml").write_text(SITE)
    scene = script.dense(6, rng=np.random.default_rng(3), size=(640, 360), duration_s=6)
    Chain(scene).record(read_site(folder / "site.yaml"), *(folder / name for name in ("gate.jsonl", "gate.instances")))
    heat_store(folder / "store.sqlite", WAY, duration_s=60, start_ms=START_MS + TILE_MS - 30_000)
    return folder


@pytest.fixture
def folder(made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def seconds(text: str) -> float:
    found = re.search(r"([\d.]+) s of presence", text)
    assert found is not None, text
    return float(found[1])


def test_a_store_is_drawn_and_its_cells_written(run: Run, folder: Path) -> None:
    result = run("heatmap", "store.sqlite", "--out", "heat.png", "--cells", "cells.csv")
    assert result.status == 0, result.err
    assert "gate: 120.0 s of presence in 64 x 36 cells -> heat.png" in result.out
    rows = list(csv.DictReader(Path("cells.csv").read_text("utf-8").splitlines()))
    assert sum(float(row["seconds"]) for row in rows) == pytest.approx(120.0)
    assert sum(float(row["still_s"]) for row in rows) == pytest.approx(60.0)
    assert {row["class"] for row in rows} == {"person"}
    image = cv2.imread("heat.png")
    assert image.shape[1] == 1280
    assert image.shape[0] > 720


def test_hours_of_a_store(run: Run, folder: Path) -> None:
    early = run("heatmap", "store.sqlite", "--out", "a.png", "--to", "2026-03-29T04:00", "--timezone", "Europe/Berlin")
    late = run("heatmap", "store.sqlite", "--out", "b.png", "--from", "2026-03-29T02:30Z")
    assert seconds(early.out) + seconds(late.out) == pytest.approx(120.0, abs=0.11)
    assert seconds(early.out) == pytest.approx(60.0, abs=0.5)
    none = run("heatmap", "store.sqlite", "--out", "c.png", "--from", "2026-03-30")
    assert none.status != 0
    assert "expected presence of gate in that time, found none" in none.text


def test_what_stands_still_can_be_left_out_and_visits_counted(run: Run, folder: Path) -> None:
    assert seconds(run("heatmap", "store.sqlite", "--out", "a.png", "--moving").out) == pytest.approx(60.0)
    visits = run("heatmap", "store.sqlite", "--out", "b.jpg", "--visits")
    assert re.search(r"gate: 5\d visits to cells in 64 x 36 cells", visits.out)


@pytest.mark.slow
def test_records_give_the_same_with_and_without_masks(run: Run, folder: Path) -> None:
    found = [
        seconds(run("heatmap", name, "--out", "a.png", "--site", "site.yaml").out)
        for name in ("gate.jsonl", "gate.instances")
    ]
    assert found[0] == pytest.approx(found[1], abs=0.051)
    assert found[0] > 10
    assert run("heatmap", "gate.jsonl", "--out", "b.png").status == 0


def test_the_ground_from_above(run: Run, folder: Path) -> None:
    result = run("heatmap", "gate.jsonl", "--out", "ground.png", "--site", "site.yaml", "--ground")
    assert result.status == 0, result.err
    assert cv2.imread("ground.png").shape[0] > 300
    bare = run("heatmap", "store.sqlite", "--out", "x.png", "--ground")
    assert "--ground: expected a site with its ground in metres, found no site" in bare.text
    assert not Path("x.png").exists()


def test_a_still_is_a_picture_or_a_recording_of_the_same_shape(run: Run, folder: Path) -> None:
    cv2.imwrite("still.png", np.full((360, 640, 3), 90, np.uint8))
    cv2.imwrite("tall.png", np.full((640, 360, 3), 90, np.uint8))
    write_video(folder / "gate.mp4", count=3, size=(160, 90))
    for still in ("still.png", "gate.mp4"):
        assert run("heatmap", "store.sqlite", "--out", "a.png", "--still", still).status == 0
    result = run("heatmap", "store.sqlite", "--out", "b.png", "--still", "tall.png")
    assert "expected a picture of the stream's shape, 64 : 36, found 360 x 640" in result.text


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["store.sqlite", "--out", "a.gif"], "--out a.gif: expected .png or .jpg or .jpeg, found .gif"),
        (["store.sqlite", "--out", "a.png", "--stream", "yard"], "expected one of gate, found 'yard'"),
        (["store.sqlite", "--out", "a.png", "--classes", "bus"], "expected classes that were there (person), found"),
        (["store.sqlite", "--out", "a.png", "--percentile", "0"], "expected a percentile above 0 and up to 100"),
        (["missing.sqlite", "--out", "a.png"], "expected a ledger of masktrail, found nothing"),
        (["store.sqlite", "gate.jsonl", "--out", "a.png"], "expected one store, found 2 files"),
        (["store.sqlite", "--out", "a.png", "--from", "soon"], "--from: expected a time such as"),
    ],
)
def test_one_clear_line(run: Run, folder: Path, words: list[str], problem: str) -> None:
    result = run("heatmap", *words)
    assert result.status != 0
    assert problem in result.text
    assert "Traceback" not in result.text


def test_a_store_with_events_only_is_told_from_one_with_presence(run: Run, folder: Path) -> None:
    assert run("analyse", "gate.jsonl", "--site", "site.yaml", "--out", "events.sqlite", "--quiet").status == 0
    result = run("heatmap", "events.sqlite", "--out", "a.png")
    assert "expected a store with a heatmap, found none in it" in result.text


def total_of(path: str, stream: str) -> float:
    with open_store(path) as connection:
        return float(heat_sum(read_tiles(connection, stream)).grid().sum())


@pytest.mark.slow
def test_analyse_fills_a_store_and_twice_is_once(run: Run, folder: Path) -> None:
    direct = seconds(run("heatmap", "gate.jsonl", "--out", "a.png", "--site", "site.yaml").out)
    for records in ("gate.jsonl", "gate.jsonl", "gate.instances"):
        words = ("analyse", records, "--site", "site.yaml", "--out", "heat.sqlite", "--heatmap", "--stream", "gate")
        result = run(*words)
        assert result.status == 0, result.err
        assert total_of("heat.sqlite", "gate") == pytest.approx(direct, abs=0.051)
    refused = run("analyse", "gate.jsonl", "--site", "site.yaml", "--out", "x.events.jsonl", "--heatmap")
    assert "expected a store to keep it in" in refused.text


@pytest.mark.slow
def test_track_fills_a_store_with_and_without_a_site(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    end2end_model(tmp_path / "constant.onnx")
    write_video(tmp_path / "a.mp4", count=60, size=(160, 96))
    base = ("track", "a.mp4", "--model", "constant.onnx", "--device", "cpu", "--quiet", "--heatmap", "--events")
    result = run(*base, "plain.sqlite")
    assert result.status == 0, result.err
    plain_s = total_of("plain.sqlite", "a.mp4")
    assert plain_s > 1
    (tmp_path / "site.yaml").write_text("version: 1\nlines: [{name: gate, points: [[0.1, 0.5], [0.9, 0.5]]}]\n")
    assert run(*base, "refined.sqlite", "--site", "site.yaml", "--refine").status == 0
    assert total_of("refined.sqlite", "a.mp4") == pytest.approx(plain_s, rel=0.5)
    assert "expected a store to keep it in" in run(*base, "x.jsonl").text
    assert run("heatmap", "plain.sqlite", "--out", "a.png").status == 0
