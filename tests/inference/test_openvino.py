"""Device openvino: chosen where bf16 is there, named, and the instances of ONNX Runtime within a tolerance."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.conftest import ROOT
from tests.inference.test_telemetry import opened
from tests.segment.contracts.families import CASES
from tests.segment.contracts.test_families import agreement
from tests.segment.family_graphs import CLASSES, frames
from tests.segment.models import brightness_model, constant_model, end2end_model, end2end_outputs
from tests.segment.promptables import ellipse, write_folder
from tests.segment.test_reid import mean_colour_model
from tests.segment.test_session import picture
from tests.sources.videos import write_video
from tracker.app import batch, doctor
from tracker.boxes import iou
from tracker.errors import ConfigError, ModelError
from tracker.inference import device as device_module
from tracker.inference import network as network_module
from tracker.inference import openvino_session
from tracker.inference.device import auto_takes_openvino, open_session
from tracker.inference.network import NetworkRequest, open_network
from tracker.inference.openvino_session import OpenVinoSurvey, survey_openvino
from tracker.inference.survey import DeviceSurvey, available_cores, processor_flags, processor_name
from tracker.inference.tensors import Inputs
from tracker.measure import bench_gpu, bench_pipeline
from tracker.segment.promptable.outliner import Outliner
from tracker.segment.reid import OnnxEmbedder
from tracker.segment.session import OnnxSegmenter
from tracker.settings.stream import RunSettings
from tracker.sources.open import open_source
from tracker.types import Frame, Instances

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

installed = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None,
    reason="the package openvino is not installed (make test-openvino)",
)
IN_BF16 = "OpenVINO, 131 of 135 convolutions and products in bf16"
"""Of the default model: two products for embeddings, one of the suppression and the layer after them are not."""
BRIGHT = np.full((96, 160, 3), 200, np.uint8)
BF16 = OpenVinoSurvey(version="2026.4.1", bf16=True)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[OpenVinoSurvey], None]:
    """Have package and processor found as told, and no card."""

    def found(survey: OpenVinoSurvey) -> None:
        no_card = DeviceSurvey(version="1.31.1", listed=("CPUExecutionProvider",))
        monkeypatch.setattr(device_module, "survey", lambda: no_card)
        for module in (device_module, openvino_session):
            monkeypatch.setattr(module, "survey_openvino", lambda: survey)

    return found


def undoable(path: Path) -> Path:
    """A model of our own contract with a node that ONNX Runtime knows and OpenVINO does not."""
    model = onnx.load(brightness_model(path))
    model.graph.initializer.append(helper.make_tensor("unit", TensorProto.FLOAT, [2, 2], [1, 0, 0, 1]))
    model.graph.node.append(helper.make_node("Det", ["unit"], ["determinant"]))
    model.graph.output.append(helper.make_tensor_value_info("determinant", TensorProto.FLOAT, []))
    onnx.save(model, path)
    return path


# ---- without the package -------------------------------------------------------------------------------------------


def test_a_missing_package_is_named_with_its_command(tmp_path: Path, pretend: Callable[[OpenVinoSurvey], None]) -> None:
    pretend(OpenVinoSurvey(version=None, bf16=True, problem="the package openvino is not installed"))
    with pytest.raises(ModelError, match=r"--device openvino: the package openvino is not installed\n.*pip install"):
        OnnxSegmenter(end2end_model(tmp_path / "m.onnx"), device="openvino")
    assert not auto_takes_openvino()


def test_half_precision_and_cards_are_refused(tmp_path: Path) -> None:
    model = end2end_model(tmp_path / "m.onnx")
    with pytest.raises(ConfigError, match="half precision is computed by TensorRT"):
        OnnxSegmenter(model, device="openvino", fp16=True)
    with pytest.raises(ConfigError, match="no such device"):
        OnnxSegmenter(model, device="openvino:1")


def test_auto_takes_it_where_bf16_is_and_no_card(
    pretend: Callable[[OpenVinoSurvey], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(BF16)
    assert auto_takes_openvino()
    pretend(OpenVinoSurvey(version="2026.4.1", bf16=False))
    assert not auto_takes_openvino()
    pretend(OpenVinoSurvey(version="2026.4.1", bf16=True, problem="openvino 2026.4.1 does not load: no such file"))
    assert not auto_takes_openvino()
    pretend(BF16)
    card = DeviceSurvey(version="1.31.1", listed=("CUDAExecutionProvider",), driver="CUDA 13.0", cards=("NVIDIA L4",))
    monkeypatch.setattr(device_module, "survey", lambda: card)
    assert not auto_takes_openvino()


def test_auto_tells_once_that_an_installed_package_is_broken(
    pretend: Callable[[OpenVinoSurvey], None], caplog: pytest.LogCaptureFixture
) -> None:
    device_module._warn_once.cache_clear()
    pretend(OpenVinoSurvey(version=None, bf16=True, problem="the package openvino is not installed"))
    assert not auto_takes_openvino()
    assert not caplog.records
    pretend(OpenVinoSurvey(version="9", bf16=False, problem="openvino 9 does not load: no libopenvino.so"))
    assert not auto_takes_openvino()
    assert not auto_takes_openvino()
    [told] = caplog.records
    assert told.getMessage() == "device auto takes ONNX Runtime instead of OpenVINO"
    assert told.problem == "openvino 9 does not load: no libopenvino.so; install it again, or remove it"


BROKEN = "raise ImportError('libopenvino.so.2640: cannot open shared object file')\n"


def test_a_broken_package_is_told_by_the_command_and_the_doctor_with_and_without_bf16(tmp_path: Path) -> None:
    (tmp_path / "openvino-9.dist-info").mkdir()
    (tmp_path / "openvino-9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: openvino\nVersion: 9\n")
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "__init__.py").write_text(BROKEN)
    code = (
        "from tracker.app import doctor\n"
        "from tracker.app.console import tell_waits\n"
        "from tracker.inference import device, openvino_session\n"
        "for flags in ({'avx512_bf16'}, set()):\n"
        "    openvino_session.processor_flags = lambda: frozenset(flags)\n"
        "    openvino_session.survey_openvino.cache_clear()\n"
        "    found = doctor._openvino()\n"
        "    print(found.state, found.found)\n"
        "tell_waits()\n"
        "openvino_session.processor_flags = lambda: frozenset({'avx512_bf16'})\n"
        "openvino_session.survey_openvino.cache_clear()\n"
        "device.survey = lambda: type('NoCard', (), {'obstacle': lambda self, kind: ('none', '')})()\n"
        "device.auto_takes_openvino()\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    problem = "openvino 9 does not load: libopenvino.so.2640: cannot open shared object file"
    assert result.stdout == f"problem {problem}\n" * 2
    assert f"masktrail: device auto takes ONNX Runtime instead of OpenVINO: {problem}; install" in result.stderr


@pytest.mark.parametrize("flags", [{"avx512f", "avx512_vnni"}, {"avx2"}, set()])
def test_emulated_bf16_does_not_count(flags: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO lists BF16 wherever there is AVX-512."""
    monkeypatch.setattr(openvino_session, "processor_flags", lambda: frozenset(flags))
    assert not survey_openvino.__wrapped__().bf16


def test_flags_are_those_of_the_system() -> None:
    assert all(flag and flag == flag.strip() for flag in processor_flags())


@pytest.mark.parametrize(
    ("found", "state", "said"),
    [
        (
            OpenVinoSurvey(version=None, bf16=True, problem="-"),
            "note",
            "not installed; this processor computes in bf16",
        ),
        (OpenVinoSurvey(version=None, bf16=False, problem="-"), "ok", "not installed; it is faster on processors with"),
        (OpenVinoSurvey(version="9", bf16=False), "ok", "openvino 9; without bf16"),
        (OpenVinoSurvey(version="9", bf16=False, problem="does not load"), "problem", "does not load"),
    ],
)
def test_the_doctor_says_what_there_is(
    found: OpenVinoSurvey, state: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_session, "survey_openvino", lambda: found)
    monkeypatch.setattr(openvino_session, "load_problem", lambda _version: "")
    finding = doctor._openvino()
    assert finding.state == state
    assert finding.found.startswith(said)
    assert bool(finding.remedy) == (state != "ok")


def test_batches_share_the_cores_and_no_cards() -> None:
    settings = RunSettings(sources=("x.mp4",), device="openvino")
    assert batch._processes(settings, None) == available_cores()
    assert batch._cards(settings) == []


# ---- with the package ----------------------------------------------------------------------------------------------


@installed
def test_it_is_named(tmp_path: Path) -> None:
    segmenter = OnnxSegmenter(brightness_model(tmp_path / "m.onnx"), device="openvino", threads=1)
    assert (segmenter.device, segmenter.provider, segmenter.manner) == ("openvino", "OpenVINO", "")
    assert "on openvino, 1 thread (OpenVINO 20" in segmenter.describe()
    assert segmenter.placement.startswith("OpenVINO, ")
    assert (segmenter.useful_workers, segmenter.batch_size) == (available_cores(), 1)


@installed
def test_auto_and_the_doctor_run_the_default_model_in_bf16(pretend: Callable[[OpenVinoSurvey], None]) -> None:
    found = survey_openvino()
    if not found.bf16:
        pytest.skip("this processor has neither AVX512_BF16 nor AMX")
    pretend(found)
    segmenter = OnnxSegmenter("yolact-nano", threads=1)
    assert segmenter.device == "openvino"
    assert segmenter.placement == IN_BF16
    finding = doctor._openvino()
    assert finding.state == "ok"
    assert f"the default model runs on it; {IN_BF16.removeprefix('OpenVINO, ')}" in finding.found


@installed
def test_what_it_cannot_compile_is_one_error_and_on_auto_a_note(
    tmp_path: Path, pretend: Callable[[OpenVinoSurvey], None]
) -> None:
    path = undoable(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"cannot compile it: .*operations: Det.*\n.*--device cpu") as caught:
        OnnxSegmenter(path, device="openvino")
    assert len(str(caught.value).splitlines()) == 2
    pretend(BF16)
    segmenter = OnnxSegmenter(path)
    assert segmenter.device == "cpu"
    assert re.search("cannot compile it: .*operations: Det", segmenter.device_reason)
    assert "\n" not in segmenter.describe()
    assert len(segmenter.segment([BRIGHT])[0]) > 0


@installed
def test_open_sizes_without_a_batch_are_left_to_onnxruntime_by_auto(
    tmp_path: Path, pretend: Callable[[OpenVinoSurvey], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torchvision exports them: the shapes that follow from open ones cannot be folded."""
    path = reading_model(tmp_path / "m.onnx", sizes=("height", "width"))
    session = open_session(path, label="m", device="openvino", threads=1).session
    assert session.precision == "f32"
    assert [value.item() for value in session.run(None, {"x": np.ones((1, 1, 1, 1), np.float32)})] == [1.0, 1.0]
    pretend(BF16)
    inputs = Inputs(sample={"x": np.ones((3, 1, 1, 1), np.float32)}, fixed_batch=1)
    request = NetworkRequest(path=path, label="m", trusted=True)
    assert network_module._profile(dataclasses.replace(request, device="openvino"), lambda _file: inputs) is None
    monkeypatch.setattr(network_module, "_profile", lambda *_of: None)
    batched = Inputs(sample={"x": np.ones((1, 1, 1, 1), np.float32)}, fixed_batch=1)
    found = open_network(request, lambda _file: batched)
    assert found.opened.device == "cpu"
    assert "would compute it in float32" in found.opened.reason


@installed
def test_a_file_that_is_no_model_is_the_error_of_the_cpu(
    tmp_path: Path, pretend: Callable[[OpenVinoSurvey], None]
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"nothing of the kind")
    pretend(BF16)
    texts = []
    for device in ("cpu", "openvino", "auto"):
        with pytest.raises(ModelError) as caught:
            OnnxSegmenter(path, device=device)
        texts.append(str(caught.value))
    assert texts[0] == texts[1] == texts[2]


@installed
@pytest.mark.parametrize("name", [name for name in CASES if name not in {"rtmdet-ins", "sparseinst"}])
def test_every_family_gives_its_instances(tmp_path: Path, name: str) -> None:
    case, scale = CASES[name], 2
    segmenter = OnnxSegmenter(case.write(tmp_path / "m.onnx"), device="openvino", threads=1)
    assert segmenter.contract == case.contract
    for frame in itertools.islice(frames(case.size, scale), 3):
        (found,) = segmenter.segment([frame])
        assert len(found) == len(CLASSES)
        mask_iou, error_px = agreement(found, case, frame.index, scale)
        assert mask_iou >= case.least_iou
        assert error_px <= case.most_px


@installed
@pytest.mark.parametrize("max_batch", [None, 4])
def test_batches_of_any_size_give_what_the_cpu_gives(tmp_path: Path, max_batch: int | None) -> None:
    path = end2end_model(tmp_path / "m.onnx", open_batch=True, embeddings=5)
    pictures = [picture((320 + 10 * index, 180), index) for index in range(6)]
    segmenter = OnnxSegmenter(path, device="openvino", max_batch=max_batch)
    assert segmenter.batch_size == (max_batch or 1)
    expected = OnnxSegmenter(path, device="cpu").segment(pictures)
    for one, other in zip(segmenter.segment(pictures), expected, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=0.5)
        np.testing.assert_allclose(one.embeddings, other.embeddings, atol=0.01)
        np.testing.assert_array_equal(one.class_ids, other.class_ids)


@installed
def test_a_fixed_batch_is_the_only_size(tmp_path: Path) -> None:
    outputs = {name: np.repeat(value, 2, axis=0) for name, value in end2end_outputs().items()}
    path = constant_model(tmp_path / "two.onnx", outputs, input_shape=(2, 96, 160, 3), input_dtype="uint8")
    segmenter = OnnxSegmenter(path, device="openvino")
    assert segmenter.batch_size == 2
    assert [len(instances) for instances in segmenter.segment([picture(index=n) for n in range(3)])] == [2, 2, 2]


@installed
def test_many_threads_get_their_own_pictures_back(tmp_path: Path) -> None:
    """More callers than streams: they wait for a request, and no request is made for them."""
    segmenter = OnnxSegmenter(brightness_model(tmp_path / "m.onnx"), device="openvino", threads=1)
    session = segmenter.session
    assert session.streams == session._free.qsize() == available_cores()
    pictures = [np.full((96, 160, 3), 40 + 5 * number, np.uint8) for number in range(40)]
    with ThreadPoolExecutor(session.streams + 3) as executor:
        found = list(executor.map(lambda image: segmenter.segment([image])[0], pictures))
    for image, instances in zip(pictures, found, strict=True):
        np.testing.assert_allclose(instances.scores[0] * 255, image[0, 0, 0], atol=1.0)
    assert session._free.qsize() == session.streams


@installed
def test_threads_are_what_was_asked_for_and_not_pinned(tmp_path: Path) -> None:
    path = brightness_model(tmp_path / "m.onnx")
    for threads in range(1, available_cores() + 1):
        streams = available_cores() // threads
        for part in open_session(path, label="m", device="openvino", threads=threads).session._parts:
            assert part.compiled.get_property("NUM_STREAMS") == streams
            assert part.compiled.get_property("INFERENCE_NUM_THREADS") == threads * streams
            assert part.compiled.get_property("ENABLE_CPU_PINNING") is False


@installed
def test_a_failing_run_is_one_error_and_the_next_one_runs(tmp_path: Path) -> None:
    segmenter = OnnxSegmenter(brightness_model(tmp_path / "m.onnx"), device="openvino", threads=available_cores())
    for _ in range(segmenter.session.streams + 1):
        with pytest.raises(ModelError, match=r"the network failed on a batch \(1, 9, 9, 3\)") as caught:
            segmenter.run({"frames": np.zeros((1, 9, 9, 3), np.uint8)})
        assert len(str(caught.value).splitlines()) == 2
    assert len(segmenter.segment([BRIGHT])[0]) > 0


@installed
def test_crops_have_the_embeddings_of_onnxruntime(tmp_path: Path) -> None:
    """The network takes any number of crops: its batch stays open."""
    path = mean_colour_model(tmp_path / "reid.onnx")
    rng = np.random.default_rng(0)
    frame = Frame(
        index=0,
        time_s=0.0,
        arrived_s=0.0,
        source="t",
        size=(160, 96),
        image=rng.integers(0, 256, (96, 160, 3), dtype=np.uint8),
    )
    corners = rng.uniform(0, 40, (20, 2)).astype(np.float32)
    found = Instances(
        boxes=np.hstack([corners, corners + 45]),
        scores=np.ones(20, np.float32),
        class_ids=np.zeros(20, np.int64),
    )
    one, other = (OnnxEmbedder(path, device=device).embed(frame, found) for device in ("cpu", "openvino"))
    np.testing.assert_allclose(one.embeddings, other.embeddings, atol=0.01)


@installed
def test_a_box_is_outlined_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKTRAIL_TRIAL", "off")
    outliner = Outliner(write_folder(tmp_path / "sam"), device="openvino", threads=1)
    assert outliner.device == "openvino"
    size = (128, 96)
    boxes = np.array([[12, 20, 52, 84], [70, 10, 120, 50]], np.float32)
    masks, _ = outliner.outlines(outliner.embed(np.zeros((96, 128, 3), np.uint8)), boxes)
    for row in range(2):
        found, expected = masks.full(row, np.array([0, 0, *size])), ellipse(boxes[row], size)
        assert (found & expected).sum() > 0.95 * (found | expected).sum()


@installed
def test_the_pipeline_is_benchmarked_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_pipeline, "LEAST_ROUND_S", 0.01)
    video = write_video(tmp_path / "x.mp4", count=12)
    model = str(brightness_model(tmp_path / "m.onnx"))
    found = bench_pipeline.bench_pipeline(
        video, model=model, device="openvino", frames=8, rounds=1, workers=available_cores()
    )
    assert found.device == processor_name()
    assert "on openvino" in found.model
    assert found.workers == available_cores()
    assert found.stages["segment"].cpu_ms > 0


Tolerance = tuple[float, float, float]


@installed
@pytest.mark.parametrize("clip", ["road", "shop"])
@pytest.mark.parametrize(
    ("bf16", "tolerance"),
    [
        pytest.param(True, (0.3, 0.05, 0.8), id="bf16"),  # of real clips .98 and more are within it
        pytest.param(False, (0.2, 0.02, 0.9), id="f32"),
    ],
)
def test_the_instances_of_onnxruntime_within_a_tolerance(
    clip: str, bf16: bool, tolerance: Tolerance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Score, box and mask of every clear instance, both ways round; bf16 has 8 bits of mantissa."""
    found = survey_openvino()
    if bf16 and not found.bf16:
        pytest.skip("this processor has neither AVX512_BF16 nor AMX")
    monkeypatch.setattr(openvino_session, "survey_openvino", lambda: dataclasses.replace(found, bf16=bf16))
    for name, value in zip(("CLEAR_SCORE", "SCORE_TOLERANCE", "LEAST_IOU"), tolerance, strict=True):
        monkeypatch.setattr(bench_gpu, name, value)
    segmenters = [OnnxSegmenter("yolact-nano", device=device, threads=1) for device in ("cpu", "openvino")]
    assert segmenters[1].placement.endswith("bf16" if bf16 else "f32")
    with open_source(ROOT / "demos/clips" / f"{clip}.mp4", like=segmenters[0], want_image=False) as source:
        chosen = [frame for frame in itertools.islice(source, 161) if frame.index % 20 == 0]
    expected, got = ([one.segment([frame])[0] for frame in chosen] for one in segmenters)
    for pairs in (zip(expected, got, strict=True), zip(got, expected, strict=True)):
        compared, agreement_share = bench_gpu.compare(list(pairs))
        assert compared > 30
        assert agreement_share >= (0.95 if bf16 else 0.99)


@installed
def test_embeddings_are_those_of_onnxruntime() -> None:
    """Asked for bf16, OpenVINO rounds the places of the map at which they are read: cosines of 0.7 and below 0."""
    segmenters = [OnnxSegmenter("yolact-nano", device=device, threads=1) for device in ("cpu", "openvino")]
    with open_source(ROOT / "demos/clips/shop.mp4", like=segmenters[0], want_image=False) as source:
        chosen = [frame for frame in itertools.islice(source, 101) if frame.index % 20 == 0]
    cosines = []
    for frame in chosen:
        expected, got = (one.segment([frame])[0] for one in segmenters)
        assert expected.embeddings is not None
        assert got.embeddings is not None
        overlaps = iou(expected.boxes, got.boxes)
        for row in np.flatnonzero(expected.scores >= 0.3):
            other = overlaps[row].argmax()
            if overlaps[row, other] >= 0.9:
                cosines.append(expected.embeddings[row] @ got.embeddings[other])
    assert len(cosines) > 20
    assert np.median(cosines) > 0.99
    assert min(cosines) > 0.85


def reading_model(path: Path, sizes: tuple[int | str, int | str] = (1, 1)) -> Path:
    """A convolution, a place computed from it, the value of a ramp at that place, and a convolution of that value.

    With an input of ones the place is 1001, which is no number of bf16.
    """
    tensor = helper.make_tensor
    nodes = [
        helper.make_node("Conv", ["x", "weight"], ["one"]),
        helper.make_node("Mul", ["one", "scale"], ["place"]),
        helper.make_node("Floor", ["place"], ["floor"]),
        helper.make_node("Cast", ["floor"], ["index"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["index", "shape"], ["flat"]),
        helper.make_node("Gather", ["ramp", "flat"], ["read"]),
        helper.make_node("Reshape", ["read", "square"], ["value"]),
        helper.make_node("Conv", ["value", "weight"], ["y"]),
    ]
    constants = [
        tensor("weight", TensorProto.FLOAT, [1, 1, 1, 1], [1.0]),
        tensor("scale", TensorProto.FLOAT, [], [1001.25]),
        tensor("shape", TensorProto.INT64, [1], [1]),
        tensor("square", TensorProto.INT64, [4], [1, 1, 1, 1]),
        tensor("ramp", TensorProto.FLOAT, [2000], [float(number == 1001) for number in range(2000)]),
    ]
    graph = helper.make_graph(
        nodes,
        "reading",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, *sizes])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "one")],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@installed
def test_places_are_computed_exactly_between_products(tmp_path: Path) -> None:
    session = open_session(reading_model(tmp_path / "m.onnx"), label="m", device="openvino", threads=1).session
    feeds = {"x": np.ones((1, 1, 1, 1), np.float32)}
    assert [value.item() for value in session.run(None, feeds)] == [1.0, 1.0]
    assert [value.item() for value in session.run(["one"], feeds)] == [1.0]
    if session.precision == "bf16":
        assert session.placement() == "OpenVINO, 1 of 2 convolutions and products in bf16"


@installed
def test_small_batches_are_filled_up_and_outputs_are_not(tmp_path: Path) -> None:
    path = end2end_model(tmp_path / "m.onnx", open_batch=True)
    segmenter = OnnxSegmenter(path, device="openvino", max_batch=4)
    for count in range(1, 5):
        outputs = segmenter.run({"frames": np.zeros((count, 96, 160, 3), np.uint8)})
        assert {len(value) for value in outputs.values()} == {count}


# ---- telemetry -----------------------------------------------------------------------------------------------------

REPORTS = """
import os, pathlib
(pathlib.Path(os.environ["HOME"]) / "reported").touch()
"""


@pytest.fixture
def reporter(tmp_path: Path) -> Path:
    """A folder with an ``openvino_telemetry`` that leaves a file in the home folder when it is imported."""
    folder = tmp_path / "reporter"
    (folder / "openvino_telemetry").mkdir(parents=True)
    (folder / "openvino_telemetry" / "__init__.py").write_text(REPORTS + "raise ImportError('this is a test')\n")
    return folder


def importable(reporter: Path) -> str:
    """``PYTHONPATH`` with the reporter before the folder where openvino is."""
    found: Any = importlib.util.find_spec("openvino")
    return f"{reporter}:{ROOT}:{next(iter(found.submodule_search_locations)).removesuffix('/openvino')}"


@installed
def test_openvino_reports_nothing(tmp_path: Path, reporter: Path) -> None:
    path = brightness_model(tmp_path / "m.onnx")
    assert opened(tmp_path, path, "openvino", PYTHONPATH=importable(reporter)) == "openvino [] 1"


@installed
def test_the_reporter_of_that_test_would_have_been_imported(tmp_path: Path, reporter: Path) -> None:
    environment = {"HOME": str(tmp_path), "PYTHONPATH": importable(reporter)}
    subprocess.run([sys.executable, "-c", "import openvino"], env=environment, cwd=tmp_path, check=True)
    assert (tmp_path / "reported").exists()


@installed
def test_what_was_imported_before_is_there_afterwards(tmp_path: Path, reporter: Path) -> None:
    code = (
        "import sys, types; ours = sys.modules['openvino_telemetry'] = types.ModuleType('openvino_telemetry')\n"
        "from tracker.inference.openvino_session import _load\n"
        "assert _load() is _load() is sys.modules['openvino']\n"
        "assert sys.modules['openvino_telemetry'] is ours\n"
        "import openvino.tools.ovc.telemetry_utils as used\n"
        "print(used.tm.__name__)"
    )
    environment = {"HOME": str(tmp_path), "PYTHONPATH": importable(reporter)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert result.stdout.strip() == "openvino.tools.ovc.telemetry_stub"
