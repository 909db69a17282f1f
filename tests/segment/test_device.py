"""Device names enter; a session that really runs there leaves, or an error with what was found and the remedy."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.segment.models import end2end_model
from tests.segment.test_session import picture
from tracker.errors import ConfigError, ModelError
from tracker.segment import device as device_module
from tracker.segment.device import DeviceSurvey, open_session, provider_shares, survey
from tracker.segment.runner import BoundRunner, PlainRunner
from tracker.segment.session import OnnxSegmenter

if TYPE_CHECKING:
    from pathlib import Path

ALL = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return end2end_model(tmp_path_factory.mktemp("model") / "m.onnx")


def pretend(monkeypatch: pytest.MonkeyPatch, **found: object) -> None:
    values: dict = {"version": "1.31.1", "listed": ALL, "driver": "CUDA 13.0", "cards": ("NVIDIA L4",)} | found
    monkeypatch.setattr(device_module, "survey", lambda: DeviceSurvey(**values))


def test_the_survey_names_the_build() -> None:
    found = survey()
    assert found.version
    assert "CPUExecutionProvider" in found.listed
    assert found.driver is not None or found.driver_problem


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:1", ""])
def test_unknown_devices_are_errors(model: Path, device: str) -> None:
    with pytest.raises(ConfigError, match=r"no such device\n.*auto, cpu, cuda, tensorrt"):
        OnnxSegmenter(model, device=device)


def test_a_build_without_cuda_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, listed=("CPUExecutionProvider",))
    with pytest.raises(
        ModelError, match=r"--device cuda: onnxruntime 1.31.1 lists CPUExecutionProvider, not CUDA.*\n.*pip "
    ):
        OnnxSegmenter(model, device="cuda")


def test_a_missing_driver_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, driver=None, driver_problem="no NVIDIA driver (libcuda.so.1 not found)", cards=())
    for device in ("cuda", "tensorrt"):
        with pytest.raises(ModelError, match=rf"--device {device}: no NVIDIA driver .*\n.*nvidia-smi.*--device cpu"):
            OnnxSegmenter(model, device=device)


def test_a_missing_library_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, missing={"cuda": "libcublasLt.so.13", "tensorrt": "libnvinfer.so.10"})
    with pytest.raises(ModelError, match=r"needs libcublasLt.so.13\n.*pip install 'masktrail\[cuda\]'"):
        OnnxSegmenter(model, device="cuda")
    with pytest.raises(ModelError, match=r"needs libnvinfer.so.10\n.*pip install tensorrt"):
        OnnxSegmenter(model, device="tensorrt")


def test_a_missing_card_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    with pytest.raises(ModelError, match="no card 3, found 1: NVIDIA L4"):
        OnnxSegmenter(model, device="cuda:3")


@pytest.mark.skipif(survey().obstacle("cuda") is None, reason="CUDA runs here")
def test_a_silent_fallback_is_caught(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All looks fine beforehand, yet ONNX Runtime falls back: an error where asked for, the reason on auto."""
    pretend(monkeypatch)
    with pytest.raises(ModelError, match="CUDAExecutionProvider did not start"):
        OnnxSegmenter(model, device="cuda")
    segmenter = OnnxSegmenter(model, device="auto")
    assert segmenter.device == "cpu"
    assert "did not start" in segmenter.device_reason


@pytest.mark.skipif(survey().obstacle("cuda") is None, reason="CUDA runs here")
def test_auto_takes_the_cpu_and_says_why(model: Path) -> None:
    segmenter = OnnxSegmenter(model)
    assert (segmenter.device, segmenter.provider) == ("cpu", "CPUExecutionProvider")
    assert segmenter.device_reason
    assert segmenter.device_reason in segmenter.describe()


def test_onnxruntime_does_not_write_to_the_terminal(model: Path) -> None:
    code = f"from tracker.segment.session import OnnxSegmenter as S; print(S({str(model)!r}).device)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr == ""
    assert run.stdout.strip() in {"cpu", "cuda"}


def test_threads_and_half_precision_are_checked(model: Path) -> None:
    with pytest.raises(ConfigError, match="--threads 0: expected at least 1"):
        OnnxSegmenter(model, threads=0)
    with pytest.raises(ConfigError, match="half precision is computed by TensorRT"):
        OnnxSegmenter(model, device="cpu", fp16=True)


def test_bound_buffers_give_what_plain_runs_give(model: Path) -> None:
    opened = open_session(model, label="m", device="cpu")
    names = [output.name for output in opened.session.get_outputs()]
    plain = PlainRunner(opened.session, label="m", input_name="frames", output_names=names)
    bound = BoundRunner(opened.session, label="m", input_name="frames", output_names=names, device_type="cpu")
    for grey in (0, 200):
        batch = np.full((1, 96, 160, 3), grey, np.uint8)
        for name, value in plain.run(batch).items():
            np.testing.assert_array_equal(bound.run(batch)[name], value)


@pytest.mark.parametrize("bound", [True, False])
def test_a_failing_run_is_one_error(model: Path, bound: bool) -> None:
    session = open_session(model, label="m", device="cpu").session
    arguments = {"label": "m", "input_name": "frames", "output_names": ["boxes"]}
    runner = BoundRunner(session, **arguments, device_type="cpu") if bound else PlainRunner(session, **arguments)
    with pytest.raises(ModelError, match=r"m: the network failed on a batch \(1, 9, 9, 3\)"):
        runner.run(np.zeros((1, 9, 9, 3), np.uint8))


def test_provider_shares_are_empty_where_nothing_was_recorded(model: Path) -> None:
    assert provider_shares(open_session(model, label="m", device="cpu").session) == {}


@pytest.mark.gpu
@pytest.mark.skipif(survey().obstacle("cuda") is not None, reason="no CUDA here")
def test_cuda_runs_and_agrees_with_the_cpu(model: Path) -> None:
    segmenter = OnnxSegmenter(model, device="cuda")
    assert (segmenter.device, segmenter.provider) == ("cuda", "CUDAExecutionProvider")
    assert sum(provider_shares(segmenter.session).values()) == pytest.approx(1)
    instances, expected = (s.segment([picture()])[0] for s in (segmenter, OnnxSegmenter(model, device="cpu")))
    np.testing.assert_allclose(instances.boxes, expected.boxes)
    np.testing.assert_allclose(instances.scores, expected.scores)
