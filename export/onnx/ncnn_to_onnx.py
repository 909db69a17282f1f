"""ONNX graph of an ncnn model, layer by layer, for the convolutional detectors that ncnn's zoo holds.

ncnn's blobs have no batch axis; the graph's tensors have one in front, so that axis 0 there is axis 1 here. A layer or
a setting that is not known here is an error, never left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper, numpy_helper

from export.onnx.ncnn_model import Layer, Value, Weights, read_layers
from tracker.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnx

OPSET = 17
END = 2**31 - 1  # of a slice: up to the last
NOTHING, RELU, LEAKY_RELU = 0, 1, 2  # activation_type of convolutions
ADD, MAX_POOL, FLOOR, BILINEAR, REST = 0, 0, 1, 2, -233
START_WITH = "give a convolutional detector; NanoDet-Plus is known to work"


class GraphBuilder:
    """Nodes and constants of a graph that grows layer by layer.

    Args:
        path: the `.param` file, for errors.
        weights: the `.bin` file.
    """

    def __init__(self, path: Path, weights: Weights) -> None:
        self.path, self.weights = path, weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.names: dict[str, str] = {}  # blob -> tensor
        self.inputs: list[str] = []

    def add(self, layer: Layer) -> None:
        """One layer.

        Raises:
            ModelError: of a kind, or with a setting, that is not known here.
        """
        if layer.kind not in CONVERTERS:
            known = ", ".join(sorted(CONVERTERS))
            found = f"layer {layer.name} is of kind {layer.kind}, expected one of {known}"
            raise ModelError(self.path, found, START_WITH)
        settings = Settings(self.path, layer)
        CONVERTERS[layer.kind](self, layer, settings)
        settings.finish()

    def node(self, kind: str, layer: Layer, inputs: list[str], **attributes: object) -> str:
        """A node that makes the layer's (first) blob; returns its name."""
        return self.nodes_for(kind, layer, inputs, layer.outputs[:1], **attributes)[0]

    def nodes_for(
        self, kind: str, layer: Layer, inputs: list[str], outputs: tuple[str, ...], **attributes: object
    ) -> tuple[str, ...]:
        """A node whose outputs become the tensors of `outputs`."""
        number = len(self.nodes)
        names = tuple(f"{blob}" if blob not in self.names else f"{blob}_{number}" for blob in outputs)
        self.nodes.append(helper.make_node(kind, inputs, list(names), f"{layer.name}_{number}", **attributes))
        self.names |= dict(zip(outputs, names, strict=True))
        return names

    def constant(self, name: str, values: np.ndarray) -> str:
        """A constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def tensors(self, layer: Layer) -> list[str]:
        """Of the layer's inputs."""
        return [self.names[blob] for blob in layer.inputs]


class Settings:
    """A layer's settings, each of which must be asked for.

    Args:
        path: the `.param` file, for errors.
        layer: whose they are.
    """

    def __init__(self, path: Path, layer: Layer) -> None:
        self.path, self.layer, self.left = path, layer, dict(layer.values)

    def number(self, key: int, default: int) -> int:
        """A whole number."""
        value = self.left.pop(key, default)
        if isinstance(value, tuple) or int(value) != value:
            raise self.wrong(key, value, "a whole number")
        return int(value)

    def array(self, key: int) -> tuple[float, ...]:
        """A list, empty where there is none."""
        value = self.left.pop(key, ())
        if not isinstance(value, tuple):
            raise self.wrong(key, value, "a list")
        return value

    def expect(self, key: int, wanted: float, default: float | None = None) -> None:
        """The one value of a setting that is known here."""
        value = self.left.pop(key, wanted if default is None else default)
        if value != wanted:
            raise self.wrong(key, value, str(wanted))

    def wrong(self, key: int, value: Value, wanted: str) -> ModelError:
        """The error about a value."""
        where = f"{self.layer.kind} {self.layer.name}"
        return ModelError(self.path, f"{where}: expected {wanted} for setting {key}, found {value}", START_WITH)

    def finish(self) -> None:
        """Every setting must have been asked for."""
        for key, value in self.left.items():
            raise self.wrong(key, value, "none")


def convolution(graph: GraphBuilder, layer: Layer, settings: Settings) -> None:
    """Weights (out, in / groups, h, w) and bias, then an activation."""
    channels, count = settings.number(0, 0), settings.number(6, 0)
    width = settings.number(1, 0)
    height = settings.number(11, width)
    dilation, stride = (settings.number(key, 1) for key in (2, 3))
    dilations, strides = (settings.number(12, dilation), dilation), (settings.number(13, stride), stride)
    left = settings.number(4, 0)
    right, top = settings.number(15, left), settings.number(14, left)
    bottom = settings.number(16, top)
    groups = settings.number(7, 1) if layer.kind == "ConvolutionDepthWise" else 1
    if min(left, top, right, bottom) < 0 or not channels or count % max(1, channels * height * width):
        raise settings.wrong(6, count, f"weights of {channels} channels of {height} x {width}, with padding in numbers")
    values = graph.weights.tagged(count, layer.name).reshape(channels, -1, height, width)
    inputs = [*graph.tensors(layer), graph.constant(f"{layer.name}.weight", values)]
    if settings.number(5, 0):
        inputs.append(graph.constant(f"{layer.name}.bias", graph.weights.floats(channels, layer.name)))
    name = graph.node(
        "Conv",
        layer,
        inputs,
        kernel_shape=[height, width],
        strides=list(strides),
        dilations=list(dilations),
        pads=[top, left, bottom, right],
        group=groups,
    )
    kind, slope = settings.number(9, NOTHING), settings.array(10)
    if kind == RELU:
        graph.node("Relu", layer, [name])
    elif kind == LEAKY_RELU and len(slope) == 1:
        graph.node("LeakyRelu", layer, [name], alpha=slope[0])
    elif kind != NOTHING:
        raise settings.wrong(9, kind, f"{NOTHING}, {RELU} or {LEAKY_RELU}")


def pooling(graph: GraphBuilder, layer: Layer, settings: Settings) -> None:
    """The maximum of each window; the last windows are whole ones."""
    settings.expect(0, MAX_POOL, default=0)
    settings.expect(5, FLOOR, default=0)
    side, stride, pad = settings.number(1, 0), settings.number(2, 1), settings.number(3, 0)
    shape = {"kernel_shape": [side, side], "strides": [stride, stride], "pads": [pad] * 4}
    graph.node("MaxPool", layer, graph.tensors(layer), **shape)


def split(graph: GraphBuilder, layer: Layer, _: Settings) -> None:
    """One blob under several names."""
    (source,) = graph.tensors(layer)
    graph.names |= dict.fromkeys(layer.outputs, source)


def concat(graph: GraphBuilder, layer: Layer, settings: Settings) -> None:
    """Blobs one after the other."""
    graph.node("Concat", layer, graph.tensors(layer), axis=settings.number(0, 0) + 1)


def shuffle(graph: GraphBuilder, layer: Layer, settings: Settings) -> None:
    """Channels of G groups in turn (ShuffleNet, Zhang et al. 2018): (B, G x K, H, W) -> (B, K, G, H, W)."""
    groups = settings.number(0, 1)
    settings.expect(1, 0)
    (source,) = graph.tensors(layer)
    axis = graph.constant(f"{layer.name}.axis", np.array([2], np.int64))
    parts = graph.nodes_for("Split", layer, [source], tuple(f"{layer.name}.{row}" for row in range(groups)), axis=1)
    apart = [graph.node("Unsqueeze", layer, [part, axis]) for part in parts]
    mixed = graph.node("Concat", layer, apart, axis=2)
    graph.node("Reshape", layer, [mixed, graph.node("Shape", layer, [source])])


def crop(graph: GraphBuilder, layer: Layer, settings: Settings) -> None:
    """A part of each of some axes."""
    starts, ends, axes = (settings.array(key) for key in (9, 10, 11))
    if not axes or len(starts) != len(axes) or len(ends) != len(axes):
        raise settings.wrong(11, axes, "as many starts, ends and axes")
    limits = [END if end == REST else int(end) for end in ends]
    given = {"starts": list(starts), "ends": limits, "axes": [axis + 1 for axis in axes]}
    names = [graph.constant(f"{layer.name}.{key}", np.array(row, np.int64)) for key, row in given.items()]
    graph.node("Slice", layer, [*graph.tensors(layer), *names])


def cut(graph: GraphBuilder, layer: Layer, settings: Settings) -> None:
    """One blob in several parts along an axis, the last of which may be the rest."""
    sizes, axis = settings.array(0), settings.number(1, 0) + 1
    if len(sizes) != len(layer.outputs) or REST in sizes[:-1]:
        raise settings.wrong(0, sizes, f"{len(layer.outputs)} sizes, of which the last may be {REST}")
    (source,) = graph.tensors(layer)
    along, start = graph.constant(f"{layer.name}.axis", np.array([axis], np.int64)), 0
    for row, (blob, size) in enumerate(zip(layer.outputs, sizes, strict=True)):
        end = END if size == REST else start + int(size)
        limits = [graph.constant(f"{layer.name}.{row}.{at}", np.array([at], np.int64)) for at in (start, end)]
        graph.nodes_for("Slice", layer, [source, *limits, along], (blob,))
        start = end


def resize(graph: GraphBuilder, layer: Layer, settings: Settings) -> None:
    """Larger by a factor, bilinear between cells' centres."""
    settings.expect(0, BILINEAR, default=0)
    settings.expect(6, 0)
    height, width = (float(settings.left.pop(key, 1.0)) for key in (1, 2))
    scales = graph.constant(f"{layer.name}.scales", np.array([1.0, 1.0, height, width], np.float32))
    modes = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    graph.node("Resize", layer, [*graph.tensors(layer), "", scales], **modes)


def add(graph: GraphBuilder, layer: Layer, settings: Settings) -> None:
    """The sum of two blobs."""
    settings.expect(0, ADD, default=0)
    graph.node("Add", layer, graph.tensors(layer))


def sigmoid(graph: GraphBuilder, layer: Layer, _: Settings) -> None:
    """The logistic function."""
    graph.node("Sigmoid", layer, graph.tensors(layer))


def reshape(graph: GraphBuilder, layer: Layer, settings: Settings) -> None:
    """To rows of another width: settings are width, height and channels, as many of them as there are axes."""
    sizes = [settings.number(key, 0) for key in (0, 1, 2) if key in layer.values]
    shape = graph.constant(f"{layer.name}.shape", np.array([0, *reversed(sizes)], np.int64))
    graph.node("Reshape", layer, [*graph.tensors(layer), shape])


def transpose(graph: GraphBuilder, layer: Layer, settings: Settings) -> None:
    """Rows become columns."""
    settings.expect(0, 1, default=0)
    graph.node("Transpose", layer, graph.tensors(layer), perm=[0, 2, 1])


def data(graph: GraphBuilder, layer: Layer, _: Settings) -> None:
    """An input."""
    graph.inputs += layer.outputs
    graph.names |= {blob: blob for blob in layer.outputs}


CONVERTERS: dict[str, Callable[[GraphBuilder, Layer, Settings], None]] = {
    "BinaryOp": add,
    "Concat": concat,
    "Convolution": convolution,
    "ConvolutionDepthWise": convolution,
    "Crop": crop,
    "Input": data,
    "Interp": resize,
    "Permute": transpose,
    "Pooling": pooling,
    "Reshape": reshape,
    "ShuffleChannel": shuffle,
    "Sigmoid": sigmoid,
    "Slice": cut,
    "Split": split,
}


def build(param: Path, weights: Path) -> GraphBuilder:
    """The graph of a model, all of whose layers and bytes were used.

    Raises:
        ModelError: the files are no ncnn model, do not belong together, or hold what is not known here.
    """
    graph = GraphBuilder(param, Weights(weights))
    for layer in read_layers(param):
        graph.add(layer)
    graph.weights.finish()
    return graph
