"""Camera files: what is understood, and that every mistake is told with its line and without a password."""

from __future__ import annotations

import sys

import pytest

from tracker.errors import ConfigError
from tracker.settings.yaml_file import load_service_settings, parse_service_settings

GOOD = """\
model: yolact-nano
batch: 4
batch_wait_ms: 8
metrics: off
log: json
defaults:
  stride: 2
  classes: [person, car]
cameras:
  - name: gate
    url: rtsp://viewer:${GATE}@10.0.0.7/stream1
    conf: 0.3
    records: ["out/{name}-{time}.jsonl", "out/{name}-{time}.csv"]
    rotate_mb: 1.5
    options: {rtsp_flags: prefer_tcp}
  - {name: lobby-2, url: clips/lobby.mp4, classes: person, stride: 1, policy: all, save: out/lobby.mp4}
"""


def test_a_whole_file() -> None:
    config = parse_service_settings(GOOD, environment={"GATE": "s$cret"})
    gate, lobby = config.cameras
    assert (config.batch, config.batch_wait_s, config.metrics, config.log) == (4, 0.008, None, "json")
    assert gate.url == "rtsp://viewer:s$cret@10.0.0.7/stream1"
    assert (gate.stride, gate.classes, gate.score_threshold) == (2, ("person", "car"), 0.3)
    assert gate.records == ("out/{name}-{time}.jsonl", "out/{name}-{time}.csv")
    assert (gate.rotate_bytes, gate.rotate_s, gate.ffmpeg_options) == (
        1_500_000,
        3600.0,
        (("rtsp_flags", "prefer_tcp"),),
    )
    assert (lobby.classes, lobby.stride, lobby.policy) == (("person",), 1, "all")
    assert "s$cret" not in repr(config)
    assert parse_service_settings(GOOD, environment={"GATE": "s$cret"}) == config
    assert parse_service_settings(GOOD, environment={"GATE": "other"}).cameras[0] != gate


def test_a_camera_may_name_its_own_model() -> None:
    text = (
        "model: a.onnx\niou: 0.4\n{}cameras:\n"
        "  - {{name: x, url: x.mp4}}\n  - {{name: y, url: y.mp4, model: b.onnx, iou: 0.7}}\n"
    )
    cameras = parse_service_settings(text.format("")).cameras
    assert [(camera.model, camera.iou_threshold) for camera in cameras] == [("a.onnx", 0.4), ("b.onnx", 0.7)]
    cameras = parse_service_settings(text.format("defaults: {model: c.onnx}\n")).cameras
    assert [(camera.model, camera.iou_threshold) for camera in cameras] == [("c.onnx", 0.4), ("b.onnx", 0.7)]
    [camera] = parse_service_settings("cameras: [{name: x, url: x.mp4}]").cameras
    assert (camera.model, camera.iou_threshold) == ("yolact-nano", None)


CAMERA = "cameras:\n  - name: a\n    url: a.mp4\n"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (CAMERA + "    colour: red\n", 4, "unknown key 'colour' in a camera"),
        (CAMERA + "    strid: 2\n", 4, "did you mean 'stride'"),
        ("modle: x\n" + CAMERA, 1, "did you mean 'model'"),
        ("defaults: {url: x}\n" + CAMERA, 1, "unknown key 'url' in defaults"),
        (CAMERA + "    stride: 0\n", 4, "whole number from 1"),
        (CAMERA + "    stride: two\n", 4, "found 'two'"),
        (CAMERA + "    conf: 1.5\n", 4, "number from 0 to 1"),
        (CAMERA + "    conf: [0.5]\n", 4, "found a list"),
        (CAMERA + "    policy: newest\n", 4, "one of auto, latest, all"),
        (CAMERA + "    url: b.mp4\n", 4, "'url' twice"),
        (CAMERA + "    save:\n", 4, "expected text"),
        (CAMERA + "    save: ${NOWHERE}.mp4\n", 4, "NOWHERE, found it is not set"),
        (CAMERA + "  - {name: a, url: b.mp4}\n", 4, "a also in line 2"),
        ("cameras:\n  - name: a\n", 2, "`url`"),
        ("cameras:\n  - name: a/b\n    url: x\n", 2, "letters, digits"),
        ("cameras:\n  - name: a\n    url: rtsp://h/x\n    records: out/a.jsonl\n", 4, "{time}"),
        ("cameras: []\n", 1, "at least one camera"),
        ("cameras: 3\n", 1, "at least one camera"),
        ("- a\n", 1, "`key: value` lines for the file, found a list"),
        ("metrics: 9117\n" + CAMERA, 1, "host:port or off"),
        (CAMERA + '    save: "x\n', 5, "expected YAML"),
        ("a: b: c\n", 1, "expected YAML"),
    ],
)
def test_mistakes_are_told_with_their_line(text: str, line: int, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_service_settings(text, name="c.yaml", environment={})
    assert caught.value.offender == f"c.yaml:{line}"
    assert said in str(caught.value)


@pytest.mark.parametrize("extra", ["    colour: red\n", "    conf: rtsp\n", "  - {name: a, url: x}\n", "   x: ]\n"])
def test_errors_quote_no_password(extra: str) -> None:
    text = "cameras:\n  - name: a\n    url: rtsp://u:${P}@h/canary2\n" + extra
    with pytest.raises(ConfigError) as caught:
        parse_service_settings(text, environment={"P": "canary"})
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_files_that_cannot_be_read(tmp_path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_service_settings(tmp_path / "none.yaml")
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    with pytest.raises(ConfigError, match="empty file"):
        load_service_settings(tmp_path / "empty.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_service_settings(tmp_path / "binary.yaml")


def test_without_the_extra_the_pip_command_is_told(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"pip install 'masktrail\[live\]'"):
        parse_service_settings(CAMERA)
