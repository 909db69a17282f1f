"""Model manifest ``manifest.toml``: properties that an .onnx file of others does not carry, read and checked.

::

    name = "street-cars"                    # everything is optional, unknown keys are errors
    version = "1"
    licence = "Apache-2.0"
    description = "one line"
    contract = "yolact"                     # see tracker/plugins.py for the names; else recognised by shape
    family = "rtmdet-ins"                   # whose export it is, where shapes do not tell; see docs/guide/models.md
    classes = ["car", "van"]                # without the background
    score_threshold = 0.1
    confirmation_score = 0.5                # a track is confirmed by an instance of this score or above; absent = 0.5
    iou_threshold = 0.5
    default_variant = "384x640"             # height x width, as in street-cars-384x640.onnx
    files = ["street.onnx"]                 # which .onnx files of the folder this manifest describes; absent = all

    [input]
    layout = "NCHW"                         # NCHW | NHWC | CHW | HWC
    dtype = "float32"                       # uint8 | float32 | float16
    channels = "RGB"                        # RGB | BGR
    resize = "stretch"                      # stretch | letterbox-top-left | shortest-longest
    shortest = 800                          # of shortest-longest, for files with an open size: the shorter side, unless
    longest = 1333                          # the longer one would pass this; then a letterbox in the next multiple of
    divisor = 32                            # this
    pad_value = 114
    height = 550                            # needed where the file leaves the size open
    width = 550
    mean = [123.68, 116.78, 103.94]         # in the network's channel order, 0-255 units: (pixel - mean) / std
    std = [58.40, 57.12, 57.38]

    [yolact]
    background_index = 0                    # position of the background in conf; -1 = there is none
    conf_activation = "none"                # none | softmax | sigmoid: what is still to be applied to conf
    cross_class_nms = true
    aspect_ratios = [1.0, 0.5, 2.0]         # these five only where the file has no priors output
    scales_px = [[24], [48], [96], [192], [384]]
    square_anchors = true
    strides = [8, 16, 32, 64, 128]
    variances = [0.1, 0.2]

    [masks]                                 # the next tables: contracts boxes-masks, queries and solo
    kind = "box"                            # box | grid | picture: what a mask's grid spans
    activation = "none"                     # none | sigmoid
    [boxes]
    form = "xyxy-px"                        # xyxy-px | cxcywh-unit | from-masks
    [labels]
    first = 1                               # number of the first class
    ids = [1, 2, 3]                         # or the number of every class
    [scores]
    activation = "softmax"                  # none | softmax | sigmoid
    quality = "mask-mean"                   # none | mask-mean
    [solo]
    grids = [40, 36, 24, 16, 12]            # cells along a side, level by level
    strides = [8, 8, 16, 32, 32]

    [promptable]                            # a folder of Segment Anything: see PromptableSettings
    encoder = "encoder.onnx"
    decoder = "decoder.onnx"

Tables ``card``, ``parity``, ``provenance``, ``metrics``, ``training``, ``export`` and ``speed`` are for people and may
hold anything.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from tracker.errors import LONGEST_SHOWN, ModelError, shown, without_controls
from tracker.segment.output_settings import (
    Activation,
    BoxForm,
    BoxSettings,
    LabelSettings,
    MaskKind,
    MaskSettings,
    PromptableSettings,
    PromptMask,
    PromptResize,
    Quality,
    ScoreSettings,
    SoloSettings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["InputSpec", "Manifest", "YolactSettings", "load_manifest", "parse_input", "parse_solo"]

Layout = Literal["NCHW", "NHWC", "CHW", "HWC"]
Dtype = Literal["uint8", "float32", "float16"]
Channels = Literal["RGB", "BGR"]
Resize = Literal["letterbox-top-left", "stretch", "shortest-longest"]

LARGEST_FILE = 1_000_000
"""Bytes of a manifest; tomllib needs a second for some megabytes."""

FREE_TABLES = frozenset({"card", "parity", "provenance", "metrics", "training", "export", "speed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """How a picture becomes the network's input; ``None`` = not given, the contract's default holds.

    Attributes:
        layout: ``NCHW`` or ``NHWC``; ``CHW`` or ``HWC`` without a batch axis.
        dtype: Element type.
        channels: Colour order.
        resize: ``letterbox-top-left`` keeps the aspect and pads right and below, ``stretch`` fills;
            ``shortest-longest`` also chooses an open size, then letterboxes.
        pad_value: Grey level of the padding.
        height: Pixels, where the file leaves it open.
        width: Pixels, where the file leaves it open.
        mean: Subtracted per channel, in 0-255 units and in the network's channel order.
        std: Divided by per channel after that.
        shortest: Pixels of the shorter side, of ``shortest-longest``.
        longest: Pixels that the longer side may have.
        divisor: Both sides of the input are multiples of it.
    """

    layout: Layout | None = None
    dtype: Dtype | None = None
    channels: Channels | None = None
    resize: Resize | None = None
    pad_value: int | None = None
    height: int | None = None
    width: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    shortest: int | None = None
    longest: int | None = None
    divisor: int | None = None

    @property
    def keeps_aspect(self) -> bool:
        """Whether pictures are letterboxed rather than stretched."""
        return self.resize != "stretch"

    @property
    def channels_last(self) -> bool:
        """Whether the colour axis is the last."""
        return self.layout in {"NHWC", "HWC"}

    @property
    def batched(self) -> bool:
        """Whether the input has a batch axis."""
        return self.layout not in {"CHW", "HWC"}

    def over(self, other: InputSpec) -> InputSpec:
        """This specification, completed by ``other``."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return InputSpec(**{name: getattr(other, name) if value is None else value for name, value in values.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class YolactSettings:
    """Properties that the raw heads of a YOLACT do not carry (names as in dbolya's configuration where it has them).

    Attributes:
        background_index: Position of the background in ``conf``; -1 = no background channel.
        conf_activation: What is still to be applied to ``conf``; ``None`` = decided by its values.
        cross_class_nms: Fast NMS over all classes at once (per class costs 100 ms and more at 80 classes on a CPU).
        aspect_ratios: Of the anchors, where the file has no priors.
        scales_px: Per level, anchor sides in input pixels.
        square_anchors: Height = width whatever the aspect ratio, the habit of the published 550-pixel configurations.
        strides: Per level; a level has ``ceil`` of half the cells of the one before.
        variances: Of centre and size in the box code.
    """

    background_index: int = 0
    conf_activation: Activation | None = None
    cross_class_nms: bool = True
    aspect_ratios: tuple[float, ...] | None = None
    scales_px: tuple[tuple[float, ...], ...] | None = None
    square_anchors: bool | None = None
    strides: tuple[int, ...] | None = None
    variances: tuple[float, ...] = (0.1, 0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Contents of ``manifest.toml``; see the module's docstring for the meaning of each key."""

    path: Path
    name: str | None = None
    version: str | None = None
    licence: str | None = None
    description: str | None = None
    contract: str | None = None
    family: str | None = None
    classes: tuple[str, ...] | None = None
    score_threshold: float | None = None
    confirmation_score: float | None = None
    iou_threshold: float | None = None
    default_variant: str | None = None
    files: tuple[str, ...] | None = None
    input: InputSpec = field(default_factory=InputSpec)
    yolact: YolactSettings = field(default_factory=YolactSettings)
    masks: MaskSettings = field(default_factory=MaskSettings)
    boxes: BoxSettings = field(default_factory=BoxSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    scores: ScoreSettings = field(default_factory=ScoreSettings)
    solo: SoloSettings = field(default_factory=SoloSettings)
    promptable: PromptableSettings | None = None
    free: Mapping[str, Any] = field(default_factory=dict)


def load_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        ModelError: It is not TOML, or has an unknown key or a value of the wrong type; the message names the key.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE + 1)
        if len(text) > LARGEST_FILE:
            problem = f"expected a TOML manifest of at most {LARGEST_FILE:,} bytes, found more"
            raise ModelError(path, problem, "is it the right file?")
        table = tomllib.loads(text.decode("utf-8"))
    except RecursionError:
        problem = "expected a TOML manifest, found lists or tables that are nested too deeply"
        raise ModelError(path, problem, "check brackets") from None
    except (OSError, ValueError) as error:  # no UTF-8, no TOML, numbers of thousands of digits
        raise ModelError(
            path, f"expected a TOML manifest, found: {error}", "see `masktrail models show` for one"
        ) from error
    free = {key: table.pop(key) for key in list(table) if key in FREE_TABLES}
    values = _checked(path, "", table, MANIFEST_KEYS)
    return Manifest(path=path, free=free, **values)


def parse_input(label: object, where: str, table: Mapping[str, Any]) -> InputSpec:
    """An input specification from a TOML table or from the JSON in a file's metadata.

    Raises:
        ModelError: An unknown key or a value of the wrong type.
    """
    return InputSpec(**_checked(label, where, table, INPUT_KEYS))


def parse_solo(label: object, where: str, table: Any) -> SoloSettings:
    """Cells of raw SOLOv2 heads from the JSON in a file's metadata.

    Raises:
        ModelError: An unknown key or a value of the wrong type.
    """
    settings: SoloSettings = _table(*OUTPUT_TABLES["solo"])(label, where, table)
    return settings


def _checked(
    label: object, where: str, table: Mapping[str, Any], known: Mapping[str, Callable[..., Any]]
) -> dict[str, Any]:
    """``table`` with every value passed through its reader; unknown keys are errors."""
    values = {}
    for key, value in table.items():
        dotted = f"{where}.{key}" if where else key
        if key not in known:
            close = difflib.get_close_matches(key, list(known), 1)
            raise ModelError(
                label,
                f"unknown key `{dotted[:LONGEST_SHOWN]}`; known: {', '.join(sorted(known))}",
                f"did you mean `{close[0]}`?"
                if close
                else f"remove it, or move notes to one of [{'], ['.join(sorted(FREE_TABLES))}]",
            )
        values[key] = known[key](label, dotted, value)
    return values


def _wrong(label: object, key: str, expected: str, value: Any) -> ModelError:
    return ModelError(label, f"`{key}`: expected {expected}, found {shown(value)}", "correct the manifest")


def _text(label: object, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(label, key, "a text", value)
    if without_controls(value) != value.replace("\n", "") or (key != "description" and "\n" in value):
        raise _wrong(label, key, "a text on one line without control characters", value)
    return value


def _class_name(label: object, key: str, value: Any) -> str:
    """A text without its control characters, as class names in a file's metadata are read."""
    return _text(label, key, without_controls(value) if isinstance(value, str) else value)


def _number(low: float, high: float) -> Callable[[object, str, Any], float]:
    def read(label: object, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise _wrong(label, key, f"a number from {low:g} to {high:g}", value)
        return float(value)

    return read


def _whole(low: int, high: int) -> Callable[[object, str, Any], int]:
    def read(label: object, key: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _wrong(label, key, f"a whole number from {low} to {high}", value)
        return value

    return read


def _flag(label: object, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(label, key, "true or false", value)
    return value


def _one_of(choices: tuple[str, ...]) -> Callable[[object, str, Any], str]:
    def read(label: object, key: str, value: Any) -> str:
        if value not in choices:
            raise _wrong(label, key, " or ".join(choices), value)
        return str(value)

    return read


def _list_of(
    item: Callable[[object, str, Any], Any], length: int | None = None
) -> Callable[[object, str, Any], tuple[Any, ...]]:
    def read(label: object, key: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not value or length not in {None, len(value)}:
            raise _wrong(label, key, f"a list of {length or 'one or more'} values", value)
        return tuple(item(label, f"{key}[{position}]", entry) for position, entry in enumerate(value))

    return read


def _table(build: type, keys: Mapping[str, Callable[..., Any]]) -> Callable[[object, str, Any], Any]:
    def read(label: object, key: str, value: Any) -> Any:
        if not isinstance(value, dict):
            raise _wrong(label, key, f"a table [{key}]", value)
        return build(**_checked(label, key, value, keys))

    return read


INPUT_KEYS: dict[str, Callable[..., Any]] = {
    "layout": _one_of(get_args(Layout)),
    "dtype": _one_of(get_args(Dtype)),
    "channels": _one_of(get_args(Channels)),
    "resize": _one_of(get_args(Resize)),
    "pad_value": _whole(0, 255),
    "height": _whole(1, 16384),
    "width": _whole(1, 16384),
    "mean": _list_of(_number(0, 255), 3),
    "std": _list_of(_number(1e-3, 1e3), 3),
    "shortest": _whole(1, 16384),
    "longest": _whole(1, 16384),
    "divisor": _whole(1, 1024),
}
OUTPUT_TABLES: dict[str, tuple[type, dict[str, Callable[..., Any]]]] = {
    "masks": (
        MaskSettings,
        {"kind": _one_of(get_args(MaskKind)), "activation": _one_of(get_args(Activation))},
    ),
    "boxes": (BoxSettings, {"form": _one_of(get_args(BoxForm))}),
    "labels": (LabelSettings, {"first": _whole(0, 100_000), "ids": _list_of(_whole(0, 100_000))}),
    "scores": (
        ScoreSettings,
        {"activation": _one_of(get_args(Activation)), "quality": _one_of(get_args(Quality))},
    ),
    "solo": (SoloSettings, {"grids": _list_of(_whole(1, 1024)), "strides": _list_of(_whole(1, 4096))}),
    "promptable": (
        PromptableSettings,
        {
            **dict.fromkeys(("encoder", "decoder"), _text),
            **dict.fromkeys(("expected_iou", "outline_iou", "detector_iou"), _number(0, 1)),
            "side": _whole(16, 4096),
            "resize": _one_of(get_args(PromptResize)),
            "mask": _one_of(get_args(PromptMask)),
            "logit_cut": _number(-20, 20),
        },
    ),
}
YOLACT_KEYS: dict[str, Callable[..., Any]] = {
    "background_index": _whole(-1, 100_000),
    "conf_activation": _one_of(get_args(Activation)),
    "cross_class_nms": _flag,
    "aspect_ratios": _list_of(_number(1e-3, 1e3)),
    "scales_px": _list_of(_list_of(_number(1e-3, 1e5))),
    "square_anchors": _flag,
    "strides": _list_of(_whole(1, 4096)),
    "variances": _list_of(_number(1e-6, 1e3), 2),
}
MANIFEST_KEYS: dict[str, Callable[..., Any]] = {
    "name": _text,
    "version": _text,
    "licence": _text,
    "description": _text,
    "contract": _text,
    "family": _text,
    "classes": _list_of(_class_name),
    "score_threshold": _number(0, 1),
    "confirmation_score": _number(0, 1),
    "iou_threshold": _number(0, 1),
    "default_variant": _text,
    "files": _list_of(_text),
    "input": _table(InputSpec, INPUT_KEYS),
    "yolact": _table(YolactSettings, YOLACT_KEYS),
    **{name: _table(build, keys) for name, (build, keys) in OUTPUT_TABLES.items()},
}
