"""The pipeline's benchmark on a short video: all figures are there, on the CPU and on a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.segment.models import end2end_model
from tracker.inference.survey import DeviceSurvey, processor_name
from tracker.measure import bench_pipeline as bench_module
from tracker.measure.bench_pipeline import bench_pipeline
from tracker.measure.tables import pipeline_table
from tracker.sinks.encoder import VideoEncoder

if TYPE_CHECKING:
    from pathlib import Path

FRAMES = 20


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "grey.mp4"
    encoder = VideoEncoder(path)
    for index in range(FRAMES):
        encoder.encode(np.full((96, 160, 3), 8 * index, np.uint8), index / 10)
    encoder.finish()
    return path


@pytest.mark.slow
@pytest.mark.parametrize("where", ["cpu", "card"])
def test_the_pipelines_own_cost_is_told_from_decoding(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, where: str
) -> None:
    monkeypatch.setattr(bench_module, "LEAST_ROUND_S", 0.01)
    if where == "card":
        request.getfixturevalue("card")
        monkeypatch.setattr(bench_module, "survey", lambda: DeviceSurvey(version="1", listed=(), cards=("NVIDIA L4",)))
    model = end2end_model(tmp_path / "m.onnx", open_batch=True)
    options: dict[str, Any] = {"model": str(model), "device": "auto", "rounds": 1, "workers": 2}
    bench = bench_pipeline(video, frames=16, batch=None if where == "card" else 4, **options)
    assert bench.device == ("NVIDIA L4" if where == "card" else processor_name())
    assert (bench.batch, bench.workers) == ((8, 2) if where == "card" else (4, 2))
    assert bench.frames == 16
    for fps, ratio in (
        (bench.predecoded_fps, bench.predecoded_ratio),
        (bench.records_fps, bench.records_ratio),
        (bench.video_fps, bench.video_ratio),
    ):
        assert ratio == pytest.approx(fps / bench.bare_fps)
        assert fps > 0
    assert bench.device in str(pipeline_table(bench).caption)
