"""Heatmaps of a batch: a store for each recording, as ``track --heatmap`` fills it, for ``heatmap`` and ``report``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command import Run
from tests.segment.models import end2end_model
from tests.sources.videos import write_video
from tracker.formats.event_store import open_store
from tracker.formats.heat_tiles import heat_streams, heat_sum, read_tiles
from tracker.formats.ledger import read_events

pytest.importorskip("pyarrow")
from pyarrow import parquet

SITE = "version: 1\nzones:\n  - {name: all, polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}\n"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in")
    end2end_model(folder / "model.onnx")
    (folder / "site.yaml").write_text(SITE)
    for number, count in enumerate((20, 30)):
        write_video(folder / f"{number}.mp4", count=count)
    return folder


def batch(run: Run, inputs: Path, out: Path, *words: object, source: str = "") -> dict[str, dict[str, str]]:
    """Files by recording."""
    result = run("batch", inputs / source, "--out", out, "--model", inputs / "model.onnx", "--processes", 1, *words)
    assert result.status == 0, result.err
    return {one["recording"]: one["files"] for one in manifests(out)}


def manifests(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in (out / "manifest").glob("*.json")]


def seconds(store: Path) -> np.ndarray:
    with open_store(store) as connection:
        [stream] = heat_streams(connection)
        return heat_sum(read_tiles(connection, stream)).grid()


@pytest.mark.parametrize("split", [(), ("--split",)])
def test_a_store_of_each_recording_is_that_of_track(
    run: Run, inputs: Path, tmp_path: Path, split: tuple[str, ...]
) -> None:
    files = batch(run, inputs, tmp_path / "out", "--heatmap", "--site", inputs / "site.yaml", *split)
    sums = {one["recording"]: one["sha256"]["heatmap"] for one in manifests(tmp_path / "out")}
    for name, kinds in files.items():
        plain = tmp_path / f"{name}.sqlite"
        words = ("--model", inputs / "model.onnx", "--site", inputs / "site.yaml", "--quiet")
        assert run("track", inputs / name, *words, "--heatmap", "--events", plain).status == 0
        store = tmp_path / "out" / kinds["heatmap"]
        assert list(store.parent.iterdir()) == [store]  # nothing is left in a log beside it
        assert hashlib.sha256(store.read_bytes()).hexdigest() == sums[name]
        assert np.array_equal(seconds(store), seconds(plain))
        assert seconds(plain).sum() > 0.5
        kept = [list(read_events(path)) for path in (store, plain, tmp_path / "out" / kinds["events"])]
        assert kept[0] == kept[1] == kept[2] != []


def test_it_is_drawn_by_recording_and_shown_in_a_report(
    run: Run, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    batch(run, inputs, Path("out"), "--heatmap", "--site", inputs / "site.yaml")
    several = run("heatmap", "out", "--out", "heat.png")
    assert several.status == 2
    assert "expected one of 0.mp4, 1.mp4, found 2 recordings" in several.text
    assert "Traceback" not in several.text
    drawn = run("heatmap", "out", "--stream", "1.mp4", "--out", "heat.png", "--cells", "cells.csv")
    assert drawn.status == 0, drawn.text
    assert drawn.text.startswith("1.mp4: ")
    assert Path("heat.png").stat().st_size > 1000
    assert run("report", "out", "--out", "r.html").status == 0
    page = Path("r.html").read_text("utf-8")
    assert all(f"{name}: " in page and f"Heatmap of {name}" in page for name in ("0.mp4", "1.mp4"))


def test_without_a_site_there_are_tiles_and_compaction_leaves_them(run: Run, inputs: Path, tmp_path: Path) -> None:
    files = batch(run, inputs, tmp_path / "plain", source="0.mp4")
    kept = batch(run, inputs, tmp_path / "out", "--heatmap", source="0.mp4")
    assert "heatmap" not in files["0.mp4"]
    assert "events" not in kept["0.mp4"]
    assert seconds(tmp_path / "out" / kept["0.mp4"]["heatmap"]).sum() > 0.5
    refused = run("heatmap", tmp_path / "plain", "--out", tmp_path / "heat.png")
    assert "run the batch with --heatmap" in refused.text
    for place in ("plain", "out"):
        assert run("compact", tmp_path / place, "--out", tmp_path / f"{place}-all").status == 0
    [one, other] = (tmp_path / f"{place}-all" for place in ("plain", "out"))
    assert [path.name for path in sorted(one.iterdir())] == [path.name for path in sorted(other.iterdir())]
    assert parquet.read_table(one / "records.parquet").equals(parquet.read_table(other / "records.parquet"))
