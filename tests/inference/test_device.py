"""Sessions on named devices: they really run there, or the error has the finding and the remedy."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.segment.models import brightness_model, end2end_model
from tracker.errors import ConfigError, ModelError
from tracker.inference import device as device_module
from tracker.inference.device import open_session, placement, provider_shares
from tracker.inference.providers import Profile
from tracker.inference.runner import PlainRunner
from tracker.inference.survey import DeviceSurvey, survey
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
    with pytest.raises(ModelError, match=r"needs libcublasLt.so.13\n.*pip install 'onnxruntime-gpu\[cuda,cudnn\]"):
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


def test_a_failing_run_is_one_error(model: Path) -> None:
    session = open_session(model, label="m", device="cpu").session
    runner = PlainRunner(session, label="m", output_names=["boxes"])
    with pytest.raises(ModelError, match=r"m: the network failed on a batch \(1, 9, 9, 3\)"):
        runner.run({"frames": np.zeros((1, 9, 9, 3), np.uint8)})


def test_every_node_is_accounted_for_on_the_cpu(tmp_path: Path) -> None:
    model = brightness_model(tmp_path / "m.onnx")
    session = open_session(model, label="m", device="cpu").session
    assert provider_shares(session) == {"CPUExecutionProvider": 1.0}
    assert re.fullmatch(r"CPU 100 % of \d+ nodes", placement(session))
    assert OnnxSegmenter(model, device="cpu", max_batch=2).placement == placement(session)


def test_mixed_placements_show_the_smallest_share() -> None:
    class Part:
        def __init__(self, name: str, count: int) -> None:
            self.ep_name, self._count = name, count

        def get_nodes(self) -> list[int]:
            return [0] * self._count

    class Session:
        def get_provider_graph_assignment_info(self) -> list[Part]:
            parts = [("CUDAExecutionProvider", 500), ("CPUExecutionProvider", 1), ("CUDAExecutionProvider", 499)]
            return [Part(*part) for part in parts]

    assert placement(Session()) == "CUDA 99.9 %, CPU 0.1 % of 1000 nodes"
    assert provider_shares(Session())["CPUExecutionProvider"] == pytest.approx(0.001)


def test_nothing_recorded_is_said() -> None:
    assert provider_shares(object()) == {}
    assert "no node" in placement(object())


class Options:
    """Stands in for ONNX Runtime's session: remembers what was asked for and fails as told."""

    def __init__(self, refuse: str = "") -> None:
        self.asked: list[dict[str, str]] = []
        self.refuse = refuse

    def __call__(self, _path: str, _settings: object, *, providers: list, enable_fallback: int) -> Options:
        name, options = providers[0]
        self.name = name
        self.asked.append(options)
        if self.refuse and self.refuse in options:
            raise RuntimeError("This session cannot use the graph capture feature as requested by the user")
        return self

    def get_providers(self) -> list[str]:
        return [self.name, "CPUExecutionProvider"]


def test_a_graph_that_cannot_be_recorded_is_given_up_for_a_plain_session(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch)
    sessions = Options(refuse="enable_cuda_graph")
    monkeypatch.setattr("onnxruntime.InferenceSession", sessions)
    opened = open_session(model, label="m", device="cuda", graphs=True)
    assert sessions.asked == [{"device_id": "0", "enable_cuda_graph": "1"}, {"device_id": "0"}]
    assert (opened.device, opened.graphs) == ("cuda", False)
    assert opened.reason == "NVIDIA L4, driver CUDA 13.0"


def test_shapes_that_tensorrt_refuses_are_left_to_it(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pretend(monkeypatch)
    sessions = Options(refuse="trt_profile_min_shapes")
    monkeypatch.setattr("onnxruntime.InferenceSession", sessions)
    profile = Profile(shapes={"frames": (96, 160, 3)}, smallest_batch=1, largest_batch=16)
    assert open_session(model, label="m", device="tensorrt", profile=profile).device == "tensorrt"
    first, second = sessions.asked
    assert first["trt_profile_max_shapes"] == "frames:16x96x160x3"
    assert "trt_profile_max_shapes" not in second
    assert second["trt_engine_cache_path"] != first["trt_engine_cache_path"]


def test_graphs_are_asked_for_on_cuda_and_only_there(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """ONNX Runtime keys TensorRT's graph by nothing: a second batch size would replay the first one's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pretend(monkeypatch)
    sessions = Options()
    monkeypatch.setattr("onnxruntime.InferenceSession", sessions)
    assert open_session(model, label="m", device="cuda", graphs=True).graphs
    assert not open_session(model, label="m", device="cuda").graphs
    opened = open_session(model, label="m", device="tensorrt", fp16=True, graphs=True)
    assert not opened.graphs
    assert not [name for name in sessions.asked[-1] if "graph" in name]
    assert sessions.asked[-1]["trt_fp16_enable"] == "True"
