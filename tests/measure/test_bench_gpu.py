"""The GPU benchmark: a card that is played by the CPU agrees, one that gives something else does not."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.command import Run, runner
from tests.segment.conftest import card  # noqa: F401 - a fixture
from tests.segment.models import end2end_model
from tests.segment.test_session import picture
from tracker.inference.survey import DeviceSurvey, survey
from tracker.measure import bench_gpu as bench_module
from tracker.measure.bench_gpu import compare
from tracker.segment.session import OnnxSegmenter
from tracker.sinks.encoder import VideoEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from tracker.types import Instances


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "grey.mp4"
    encoder = VideoEncoder(path)
    for index in range(20):
        encoder.encode(np.full((96, 160, 3), 8 * index, np.uint8), index / 10)
    encoder.finish()
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


@pytest.fixture
def instances(tmp_path: Path) -> Instances:
    return OnnxSegmenter(end2end_model(tmp_path / "m.onnx")).segment([picture()])[0]


@pytest.mark.usefixtures("card")
def test_one_command_names_card_provider_parity_and_speed(
    run: Run, tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_module, "LEAST_ROUND_S", 0.01)
    monkeypatch.setattr(bench_module, "survey", lambda: DeviceSurvey(version="1", listed=(), cards=("NVIDIA L4",)))
    model, report = end2end_model(tmp_path / "m.onnx", open_batch=True), tmp_path / "gpu.json"
    result = run("bench", "gpu", video, "--model", model, "--json", report)
    assert result.status == 0
    found = json.loads(report.read_text())
    assert (found["card"], found["provider"], found["frames"]) == ("NVIDIA L4", "CUDAExecutionProvider", 20)
    assert (found["compared"], found["agreement"], found["agrees"]) == (32, 1.0, True)  # two in each of 16 frames
    assert min(found["bare_fps"], found["segment_fps"]) > 0
    assert "NVIDIA L4" in result.out


@pytest.mark.usefixtures("card")
def test_a_card_that_disagrees_is_a_failure(
    run: Run, tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_module, "LEAST_ROUND_S", 0.01)
    monkeypatch.setattr(bench_module, "survey", lambda: DeviceSurvey(version="1", listed=(), cards=("NVIDIA L4",)))
    segment = OnnxSegmenter.segment

    def shifted(self: OnnxSegmenter, frames: Any) -> list[Instances]:
        shift = 0.0 if self.device == "cpu" else 30.0
        found = segment(self, frames)
        return [dataclasses.replace(one, boxes=(one.boxes + shift).astype(np.float32)) for one in found]

    monkeypatch.setattr(OnnxSegmenter, "segment", shifted)
    result = run("bench", "gpu", video, "--model", end2end_model(tmp_path / "m.onnx", open_batch=True))
    assert result.status == 1
    assert "NO: 0.0 % of 32 instances" in result.out


@pytest.mark.skipif(survey().obstacle("cuda") is None, reason="CUDA runs here")
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_without_a_card_it_is_one_clear_error(run: Run, device: str) -> None:
    result = run("bench", "gpu", "--device", device)
    assert result.status == 2
    assert result.err.startswith(f"masktrail: --device {device}: ")
    assert result.err.count("\n") == 2
    assert "  remedy: " in result.err


def test_the_cpu_is_no_card(run: Run) -> None:
    result = run("bench", "gpu", "--device", "cpu")
    assert result.status == 2
    assert "--device cpu: expected cuda or tensorrt" in result.err


def test_order_does_not_matter_but_values_do(instances: Instances) -> None:
    swapped = instances.take(np.array([1, 0]))
    assert compare([(instances, swapped)]) == (2, 1.0)
    assert compare([(instances, instances.take(np.array([0])))]) == (2, 0.5)
    weaker = dataclasses.replace(instances, scores=instances.scores - np.array([0.03, 0.0], np.float32))
    assert compare([(instances, weaker)]) == (2, 0.5)
    assert compare([(instances, dataclasses.replace(instances, class_ids=1 - instances.class_ids))]) == (2, 0.0)
    assert instances.masks is not None
    other = dataclasses.replace(instances, masks=instances.masks.take(np.array([1, 0])))
    assert compare([(instances, other)]) == (2, 0.0)
    assert compare([(instances.take(np.zeros(2, np.bool_)), instances)]) == (0, 1.0)
