"""The segmenter on a card that is played by the CPU gives what it gives on the CPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.inference.sessions import Recorder
from tests.segment.models import brightness_model, constant_model, end2end_model, end2end_outputs
from tests.segment.test_session import picture
from tests.sources.videos import write_video
from tracker.app import doctor
from tracker.engine.models import Models
from tracker.engine.plan import plan_run
from tracker.engine.scheduler import Engine
from tracker.errors import ModelError
from tracker.inference import device as device_module
from tracker.inference import network
from tracker.inference import survey as survey_module
from tracker.inference.device import available_cores, open_session
from tracker.inference.survey import DeviceSurvey
from tracker.segment.session import OnnxSegmenter
from tracker.settings.stream import RunSettings
from tracker.types import Frame

if TYPE_CHECKING:
    from pathlib import Path


def grey(value: int, index: int = 0) -> Frame:
    image = np.full((96, 160, 3), value, np.uint8)
    return Frame(index=index, time_s=0.0, arrived_s=0.0, source="t", size=(160, 96), image=image)


@pytest.mark.parametrize("count", [1, 3, 8, 11])
def test_a_card_gives_what_the_cpu_gives(tmp_path: Path, card: dict[str, Any], count: int) -> None:
    path = end2end_model(tmp_path / "m.onnx", open_batch=True, embeddings=5)
    frames = [picture((320 + 10 * index, 180), index) for index in range(count)]
    found = OnnxSegmenter(path).segment(frames)
    assert card["opened"] == [True]
    expected = [instances for frame in frames for instances in _on_the_cpu(path).segment([frame])]
    assert len(found) == len(expected) == count
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.embeddings, other.embeddings)
        assert one.masks is not None
        assert other.masks is not None
        np.testing.assert_array_equal(one.masks.probabilities, other.masks.probabilities)


def _on_the_cpu(path: Path) -> OnnxSegmenter:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "open_session", open_session)
        return OnnxSegmenter(path, device="cpu")


def test_many_threads_get_their_own_pictures_back(tmp_path: Path, card: dict[str, Any]) -> None:
    segmenter = OnnxSegmenter(brightness_model(tmp_path / "m.onnx"), max_batch=4)
    assert segmenter.useful_workers == 2
    frames = [grey(40 + 5 * number, number) for number in range(40)]
    batches = [frames[start : start + 2 + start % 3] for start in range(0, 40, 5)]
    with ThreadPoolExecutor(4) as executor:
        for batch, found in zip(batches, executor.map(segmenter.segment, batches), strict=True):
            for frame, instances in zip(batch, found, strict=True):
                assert frame.image is not None
                np.testing.assert_allclose(instances.scores[0] * 255, frame.image[0, 0, 0], atol=0.01)


def test_the_manner_is_described(tmp_path: Path, card: dict[str, Any]) -> None:
    segmenter = OnnxSegmenter(end2end_model(tmp_path / "m.onnx", open_batch=True))
    for text in ("on cuda (NVIDIA L4, ", "batches of 8, a CUDA graph"):
        assert text in segmenter.describe()
    segmenter = OnnxSegmenter(end2end_model(tmp_path / "m.onnx", open_batch=True), max_batch=6)
    assert segmenter.manner.startswith("batches of 6, a CUDA graph")


def test_nodes_that_stay_behind_are_named(tmp_path: Path, card: dict[str, Any]) -> None:
    assert OnnxSegmenter(brightness_model(tmp_path / "m.onnx")).manner.endswith(", 100 % of the nodes on the CPU")


def test_a_fixed_batch_is_the_only_size(tmp_path: Path, card: dict[str, Any]) -> None:
    outputs = {name: np.repeat(value, 2, axis=0) for name, value in end2end_outputs().items()}
    path = constant_model(tmp_path / "two.onnx", outputs, input_shape=(2, 96, 160, 3), input_dtype="uint8")
    segmenter = OnnxSegmenter(path)
    assert segmenter.batch_size == 2
    assert segmenter.manner.startswith("batches of 2,")
    assert [len(instances) for instances in segmenter.segment([picture(index=n) for n in range(3)])] == [2, 2, 2]


def test_a_graph_with_wrong_outputs_is_given_up_for_a_plain_session(tmp_path: Path, card: dict[str, Any]) -> None:
    card["wrap"] = lambda session, graphs: Recorder(session, stale=graphs)
    segmenter = OnnxSegmenter(brightness_model(tmp_path / "m.onnx"))
    assert card["opened"] == [True, False]
    assert "no CUDA graph" in segmenter.manner
    assert segmenter.segment([grey(102)])[0].scores[0] == pytest.approx(0.4)


def test_a_failing_card_is_an_error_or_a_reason_on_auto(tmp_path: Path, card: dict[str, Any]) -> None:
    card["wrap"] = lambda session, _graphs: Recorder(session, fails="CUDA failure 2: out of memory")
    path = end2end_model(tmp_path / "m.onnx", open_batch=True)
    with pytest.raises(ModelError, match=r"on a batch \(8, 96, 160, 3\) of uint8: CUDA failure 2: out of memory"):
        OnnxSegmenter(path, device="cuda")
    assert card["opened"] == [True, False]
    segmenter = OnnxSegmenter(path, device="auto")
    assert segmenter.device == "cpu"
    assert "out of memory" in segmenter.device_reason
    assert len(segmenter.segment([picture()])[0]) == 2


def test_the_batch_has_run_before_the_first_frame(tmp_path: Path, card: dict[str, Any]) -> None:
    recorders: list[Recorder] = []

    def wrap(session: Any, _graphs: bool) -> Recorder:
        recorders.append(Recorder(session))
        return recorders[-1]

    card["wrap"] = wrap
    OnnxSegmenter(brightness_model(tmp_path / "m.onnx"), max_batch=16)
    assert {graph for graph, _ in recorders[-1].bound} == {1}


def test_the_doctor_says_what_runs_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: dict[str, Any]) -> None:
    segmenter = OnnxSegmenter(brightness_model(tmp_path / "m.onnx"))
    monkeypatch.setattr("tracker.segment.session.OnnxSegmenter", lambda *_names, **_options: segmenter)
    values: dict[str, Any] = {
        "version": "1.31.1",
        "listed": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
        "driver": "CUDA 13.0",
        "cards": ("NVIDIA L4",),
        "missing": {"tensorrt": "libnvinfer.so.10"},
        "cuda_version": "13.0",
    }
    for module in (survey_module, device_module):
        monkeypatch.setattr(module, "survey", lambda: DeviceSurvey(**values))
    cuda, tensorrt = doctor._cuda_really_runs()
    assert cuda.state == "note"  # a card played by the CPU: the fall-back that is to be found out
    assert f"NVIDIA L4, CUDA 13.0: the default model runs on it, {segmenter.placement}; batches of 8" in cuda.found
    assert "run on the CPU" in cuda.remedy
    assert (tensorrt.state, tensorrt.found) == ("note", "onnxruntime 1.31.1 needs libnvinfer.so.10")
    assert "pip install tensorrt-cu13" in tensorrt.remedy


def test_recordings_fill_the_card(tmp_path: Path, card: dict[str, Any]) -> None:
    path = end2end_model(tmp_path / "m.onnx", open_batch=True)
    settings = RunSettings(sources=(str(write_video(tmp_path / "x.mp4", count=2)),), model=str(path))
    [plan] = plan_run(settings)
    models = Models(settings, batch_wait_s=60.0)
    change = models.change([plan])
    assert models.workers([models.segmenter(plan, change)]) == 2
    models.carry_out(change, Engine())
    assert models.batcher(plan).batch_size == 8
    on_the_cpu = _on_the_cpu(path)
    assert (models.workers([on_the_cpu]), on_the_cpu.batch_size) == (available_cores(), 1)
