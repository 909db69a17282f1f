"""Re-identification networks: crops at the input, one unit vector each, and files that will not do."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.segment.models import end2end_model
from tracker.errors import ModelError
from tracker.segment.reid import OnnxEmbedder
from tracker.types import Frame, GridMasks, Instances

SIZE = (160, 96)


def mean_colour_model(
    path, *, shape=("n", 3, 8, 4), dtype=TensorProto.FLOAT, metadata=None, four_axes=False, extra=False
):
    """A network whose embedding is the mean of its input per channel, and a constant one: exactly known."""
    axes = [1, 2] if shape[-1] == 3 else [2, 3]
    nodes = [helper.make_node("Cast", ["images"], ["values"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("ReduceMean", ["values", "axes"], ["means"], keepdims=0)]
    nodes += [helper.make_node("Pad", ["means", "pads", "one"], ["vectors"])]
    constants = [
        numpy_helper.from_array(np.array(axes, np.int64), "axes"),
        numpy_helper.from_array(np.array([0, 0, 0, 1], np.int64), "pads"),
        numpy_helper.from_array(np.array(1, np.float32), "one"),
        numpy_helper.from_array(np.array([0, 0, 1, 1], np.int64), "shape"),
    ]
    outputs = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, None)]
    if four_axes:
        nodes.append(helper.make_node("Reshape", ["vectors", "shape"], ["tall"]))
        outputs = [helper.make_tensor_value_info("tall", TensorProto.FLOAT, None)]
    if extra:
        nodes.append(helper.make_node("Identity", ["vectors"], ["classes"]))
        outputs.append(helper.make_tensor_value_info("classes", TensorProto.FLOAT, None))
    graph = helper.make_graph(
        nodes, "mean", [helper.make_tensor_value_info("images", dtype, list(shape))], outputs, constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if metadata:
        helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def picture(image: np.ndarray) -> Frame:
    height, width = image.shape[:2]
    return Frame(index=7, time_s=0.0, arrived_s=0.0, source="gate", size=(width, height), image=image)


@pytest.fixture
def halves():
    """Red on the left, blue on the right (BGR)."""
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    image[:, :80] = (0, 0, 200)
    image[:, 80:] = (200, 0, 0)
    return picture(image)


def instances(boxes, scores=None, masks=None) -> Instances:
    count = len(boxes)
    return Instances(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.full(count, 0.9, np.float32) if scores is None else np.array(scores, np.float32),
        class_ids=np.zeros(count, np.int64),
        masks=masks,
    )


def unit(*values: float) -> np.ndarray:
    return np.array(values) / np.linalg.norm(values)


def imagenet(red: float, green: float, blue: float) -> list[float]:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return [(value / 255 - m) / s for value, m, s in zip((red, green, blue), mean, std, strict=True)]


@pytest.mark.parametrize("batch", ["n", 1, 4])
def test_crops_are_rgb_with_imagenets_normalisation_and_rows_stay_in_order(tmp_path, halves, batch) -> None:
    embedder = OnnxEmbedder(mean_colour_model(tmp_path / "reid.onnx", shape=(batch, 3, 8, 4)), device="cpu")
    assert (embedder.size, embedder.length) == ((4, 8), 4)
    found = instances([(100, 10, 140, 90), (10, 10, 50, 90), (60, 10, 100, 90)] * 7)
    embedded = embedder.embed(halves, found)
    assert embedded.embeddings.shape == (21, 4)
    assert embedded.embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embedded.embeddings, axis=1), 1, rtol=1e-5)
    expected = [unit(*imagenet(*colour), 1) for colour in ((0, 0, 200), (200, 0, 0), (100, 0, 100))]
    np.testing.assert_allclose(embedded.embeddings, expected * 7, atol=1e-5)
    assert embedded.boxes is found.boxes


def test_the_file_says_what_it_wants(tmp_path, halves) -> None:
    wants = {"masktrail.input": json.dumps({"channels": "BGR", "mean": [0, 0, 0], "std": [100, 100, 100]})}
    embedder = OnnxEmbedder(mean_colour_model(tmp_path / "reid.onnx", metadata=wants), device="cpu")
    embedded = embedder.embed(halves, instances([(10, 10, 50, 90)]))
    np.testing.assert_allclose(embedded.embeddings, [unit(0, 0, 2, 1)], atol=1e-5)


def test_bytes_are_not_normalised_and_an_open_size_is_256_by_128(tmp_path, halves) -> None:
    file = mean_colour_model(tmp_path / "reid.onnx", shape=("n", "h", "w", 3), dtype=TensorProto.UINT8)
    embedder = OnnxEmbedder(file, device="cpu")
    assert embedder.size == (128, 256)
    embedded = embedder.embed(halves, instances([(10, 10, 50, 90)]))
    np.testing.assert_allclose(embedded.embeddings, [unit(200, 0, 0, 1)], atol=1e-5)


def test_a_pooled_map_of_one_cell_is_a_vector(tmp_path, halves) -> None:
    embedder = OnnxEmbedder(mean_colour_model(tmp_path / "reid.onnx", four_axes=True), device="cpu")
    assert embedder.embed(halves, instances([(10, 10, 50, 90)])).embeddings.shape == (1, 4)


def test_what_lies_around_the_silhouette_is_blotted_out(tmp_path, halves) -> None:
    file = mean_colour_model(tmp_path / "reid.onnx", metadata={"masktrail.masked": "true"})
    grid = np.zeros((1, 24, 40), np.uint8)
    grid[0, :, :20] = 255  # the red half of a box over both
    masks = GridMasks(probabilities=grid, step_px=(4.0, 4.0), image_size=SIZE)
    found = instances([(40, 16, 120, 80)], masks=masks)
    masked = OnnxEmbedder(file, device="cpu")
    grey = np.rint([123.675, 116.28, 103.53])
    expected = unit(*imagenet(*(np.array([200, 0, 0]) + grey) / 2), 1)
    np.testing.assert_allclose(masked.embed(halves, found).embeddings, [expected], atol=1e-3)
    assert "silhouettes" in masked.describe()
    whole = OnnxEmbedder(file, device="cpu", masked=False)
    np.testing.assert_allclose(whole.embed(halves, found).embeddings, [unit(*imagenet(100, 0, 100), 1)], atol=1e-3)


def test_doubtful_tiny_and_impossible_instances_have_none(tmp_path, halves) -> None:
    embedder = OnnxEmbedder(mean_colour_model(tmp_path / "reid.onnx"), device="cpu")
    boxes = [(10, 10, 50, 90), (10, 10, 12, 90), (np.nan, 0, 9, 9), (150, 80, 400, 300), (200, 10, 300, 50)]
    embedded = embedder.embed(halves, instances([*boxes, (10, 10, 50, 90)], [0.9] * 5 + [0.1]))
    lengths = np.linalg.norm(embedded.embeddings, axis=1)
    np.testing.assert_allclose(lengths, [1, 0, 0, 1, 0, 0], atol=1e-5)
    assert embedder.embed(halves, Instances.empty()).embeddings.shape == (0, 4)


def test_a_frame_without_image_is_refused(tmp_path) -> None:
    embedder = OnnxEmbedder(mean_colour_model(tmp_path / "reid.onnx"), device="cpu")
    bare = Frame(index=3, time_s=0.0, arrived_s=0.0, source="gate", size=SIZE)
    with pytest.raises(ModelError, match="frame 3 with its image"):
        embedder.embed(bare, instances([(10, 10, 50, 90)]))


def test_files_that_will_not_do(tmp_path) -> None:
    with pytest.raises(ModelError, match="no such model file"):
        OnnxEmbedder(tmp_path / "absent.onnx", device="cpu")
    text = tmp_path / "text.onnx"
    text.write_text("not a model")
    with pytest.raises(ModelError, match="expected an ONNX model"):
        OnnxEmbedder(text, device="cpu")
    with pytest.raises(ModelError, match=r"one output \(N, E\)"):
        OnnxEmbedder(end2end_model(tmp_path / "segmenter.onnx"), device="cpu")
    with pytest.raises(ModelError, match="name one `embeddings`"):
        OnnxEmbedder(mean_colour_model(tmp_path / "two.onnx", extra=True), device="cpu")
    with pytest.raises(ModelError, match="one image input"):
        OnnxEmbedder(mean_colour_model(tmp_path / "four.onnx", shape=("n", 4, 8, 4)), device="cpu")


def test_a_run_with_a_network_of_its_own(tmp_path) -> None:
    """Embeddings come after the camera's motion and before the association, in place of the segmenter's."""
    from tests.sources.videos import write_video
    from tracker.engine.run import run

    [outcome] = run(
        write_video(tmp_path / "a.mp4", count=4, size=(160, 96)),
        model=end2end_model(tmp_path / "segmenter.onnx", embeddings=6),
        reid=mean_colour_model(tmp_path / "reid.onnx", metadata={"masktrail.masked": "false"}),
        device="cpu",
    )
    assert list(outcome.stage_ms) == ["decode", "segment", "camera", "reid", "associate"]
    assert (outcome.figures.frames, outcome.figures.instances, outcome.failures) == (4, 8, [])


def test_a_cameras_network_looks_at_what_the_camera_wants(tmp_path, halves) -> None:
    from dataclasses import replace

    from tests.engine.fakes import CountingTracker, FakeSource, stream
    from tracker.engine.models import Models
    from tracker.engine.plan import plan_camera
    from tracker.engine.stage import EmbeddingStage, FilterStage
    from tracker.settings.yaml_file import parse_service_settings

    reid = mean_colour_model(tmp_path / "reid.onnx")
    segmenter = end2end_model(tmp_path / "segmenter.onnx")
    config = parse_service_settings(
        f"model: {segmenter}\ndevice: cpu\ncameras:\n"
        f"  - {{name: a, url: rtsp://a/1, reid: {reid}}}\n  - {{name: b, url: rtsp://b/1, reid: {reid}}}\n"
        "  - {name: c, url: rtsp://c/1}\n"
    )
    models = Models(config, batch_wait_s=0.0)
    plans = [plan_camera(camera) for camera in config.cameras]
    models.change(plans)
    embedders = [models.embedder(plan) for plan in plans]
    assert embedders[0] is not None
    assert embedders[0] is embedders[1], "one session for both"
    assert embedders[2] is None

    class Spy(CountingTracker):
        def update(self, instances, time_s):
            self.last = instances
            return super().update(instances, time_s)

    spy, source = Spy(), FakeSource("a")
    one = stream(source, tracker=spy, stages=[FilterStage(lowest_score=0.5), EmbeddingStage(embedders[0])])
    one.start(lambda: None)
    source.fill(1)
    ticket = one.take()
    found = instances([(10, 10, 50, 90), (100, 10, 140, 90)], [0.9, 0.4])
    one.complete(replace(ticket, frame=replace(ticket.frame, size=SIZE, image=halves.image)), found, 0.0, ("person",))
    np.testing.assert_allclose(spy.last.embeddings, [unit(*imagenet(200, 0, 0), 1)], atol=1e-5)


def test_a_wrong_network_stops_a_service_before_it_starts(tmp_path) -> None:
    from tracker.engine.models import Models
    from tracker.engine.plan import plan_camera
    from tracker.settings.yaml_file import parse_service_settings

    segmenter = end2end_model(tmp_path / "segmenter.onnx")
    config = parse_service_settings(
        f"model: {segmenter}\ndevice: cpu\ncameras:\n  - {{name: a, url: rtsp://a/1, reid: {segmenter}}}\n"
    )
    with pytest.raises(ModelError, match=r"one output \(N, E\)"):
        Models(config, batch_wait_s=0.0).change([plan_camera(camera) for camera in config.cameras])
