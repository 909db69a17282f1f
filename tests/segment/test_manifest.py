"""Manifests from TOML texts: exact settings, and errors that name what was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tracker.errors import ModelError
from tracker.segment.manifest import InputSpec, load_manifest

if TYPE_CHECKING:
    from pathlib import Path


def test_every_key_arrives(tmp_path: Path) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text(
        """
        name = "street-cars"
        version = "1"
        licence = "MIT"
        description = "cars"
        contract = "yolact"
        classes = ["car", "van"]
        score_threshold = 0.2
        iou_threshold = 0.4
        default_variant = "384x640"
        files = ["a.onnx"]
        [input]
        layout = "NCHW"
        dtype = "float32"
        channels = "RGB"
        resize = "stretch"
        pad_value = 0
        height = 550
        width = 550
        mean = [1, 2.5, 3]
        std = [1, 1, 2]
        [yolact]
        background_index = -1
        conf_activation = "sigmoid"
        cross_class_nms = false
        aspect_ratios = [1.0]
        scales_px = [[24], [48.5]]
        square_anchors = false
        strides = [8, 16]
        variances = [0.1, 0.2]
        [parity]
        anything = { at = "all" }
        """
    )
    manifest = load_manifest(path)
    assert manifest.name == "street-cars"
    assert manifest.classes == ("car", "van")
    assert manifest.input == InputSpec(
        layout="NCHW",
        dtype="float32",
        channels="RGB",
        resize="stretch",
        pad_value=0,
        height=550,
        width=550,
        mean=(1.0, 2.5, 3.0),
        std=(1.0, 1.0, 2.0),
    )
    assert manifest.yolact.scales_px == ((24.0,), (48.5,))
    assert manifest.yolact.background_index == -1
    assert manifest.free == {"parity": {"anything": {"at": "all"}}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clases = ['car']", "unknown key `clases`; known: .*classes.*\n.*did you mean `classes`"),
        ("[input]\nhight = 5", "unknown key `input.hight`.*\n.*did you mean `height`"),
        ("[yolact]\nzzz = 1", r"unknown key `yolact.zzz`.*\n.*move notes to one of \[card\]"),
        ("[inputs]\nheight = 5", "unknown key `inputs`.*\n.*did you mean `input`"),
        ("classes = 'car'", "`classes`: expected a list of one or more values, found 'car'"),
        ("classes = []", "`classes`: expected a list"),
        ("classes = ['car', 3]", r"`classes\[1\]`: expected a text, found 3"),
        ("score_threshold = 25", "`score_threshold`: expected a number from 0 to 1, found 25"),
        ("score_threshold = true", "`score_threshold`: expected a number"),
        ("contract = 9", "`contract`: expected a text, found 9"),
        ("confirmation_score = 1.5", "`confirmation_score`: expected a number from 0 to 1, found 1.5"),
        ("input = 3", r"`input`: expected a table \[input\]"),
        ("[input]\nmean = [1, 2]", "`input.mean`: expected a list of 3 values"),
        ("[input]\nstd = [1, 0, 1]", r"`input.std\[1\]`: expected a number from 0.001"),
        ("[input]\npad_value = 300", "`input.pad_value`: expected a whole number from 0 to 255, found 300"),
        ("[yolact]\ncross_class_nms = 1", "expected true or false, found 1"),
        ("name = ", "expected a TOML manifest, found:"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text(text)
    with pytest.raises(ModelError, match=message) as caught:
        load_manifest(path)
    assert str(path) in str(caught.value)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "manifest.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="expected a TOML manifest"):
        load_manifest(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = " + "[" * 900, "lists or tables that are nested too deeply|expected a TOML manifest"),
        ("name = 'a'\n#" + "x" * 1_000_000, "expected a TOML manifest of at most 1,000,000 bytes, found more"),
        ("score_threshold = " + "1" * 100_000, "expected a TOML manifest, found|expected a number"),
        (
            "score_threshold = 0x" + "f" * 5000,
            "`score_threshold`: expected a number from 0 to 1, found a number of thous",
        ),
        ("classes = [0x" + "f" * 5000 + "]", r"`classes\[0\]`: expected a text, found a number of thousands of digits"),
        ('name = "a\\n"', "`name`: expected a text on one line without control characters, found"),
        ('version = "a\\u001b[2J"', "`version`: expected a text on one line without control characters, found"),
        ("licence = 5" + "0" * 200, r"`licence`: expected a text, found 50{79}\.\.\. \(201 characters\)"),
    ],
)
def test_a_manifest_has_limits(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text(text)
    with pytest.raises(ModelError, match=problem) as failure:
        load_manifest(path)
    assert len(str(failure.value)) < 600


def test_class_names_of_a_manifest_lose_their_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text('classes = ["\\u001b[31mcar", "van\\n"]\n')
    assert load_manifest(path).classes == ("[31mcar", "van")
