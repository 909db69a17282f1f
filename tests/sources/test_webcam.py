"""What a webcam is asked for, in its address or in the settings of ``masktrail live``, and how that reaches FFmpeg."""

from __future__ import annotations

import sys

import av
import pytest

from tests.segment.models import end2end_model
from tracker.engine.plan import plan_camera
from tracker.errors import ConfigError, SourceError
from tracker.settings.stream import is_camera
from tracker.settings.yaml_file import parse_service_settings
from tracker.sources.address import expand_sources
from tracker.sources.open import open_source
from tracker.sources.protocols import container_options

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="V4L2 is Linux's")


def camera(extra: str, url: str = "/dev/video3"):
    text = f"cameras:\n  - name: desk\n    url: '{url}'\n    records: '{{name}}-{{time}}.jsonl'\n{extra}"
    return parse_service_settings(text).cameras[0]


@linux
@pytest.mark.parametrize("device", ["2", "/dev/video2"])
def test_settings_in_the_address(device: str) -> None:
    source = f"{device}?size=1280x720&fps=30&format=mjpeg"
    (address,) = expand_sources(source)
    assert (address.kind, address.name, address.target) == ("camera", "/dev/video2", "/dev/video2")
    assert container_options(address, timeout_s=1, rtsp_transport="tcp") == (
        "/dev/video2",
        "v4l2",
        {"video_size": "1280x720", "framerate": "30", "input_format": "mjpeg"},
    )
    assert is_camera(source)


@pytest.mark.parametrize(
    ("platform", "asked"),
    [
        ("darwin", ("avfoundation", {"video_size": "640x480", "pixel_format": "nv12"})),
        ("win32", ("dshow", {"video_size": "640x480", "vcodec": "nv12"})),
    ],
)
def test_other_systems_have_other_words(monkeypatch, platform: str, asked: tuple[str, dict[str, str]]) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    (address,) = expand_sources("0?size=640x480&format=nv12")
    assert container_options(address, timeout_s=1, rtsp_transport="tcp")[1:] == asked


@pytest.mark.parametrize("query", ["width=3", "size=big", "fps=fast", "format=", "size=1x1&passwd=x"])
def test_settings_that_do_not_exist(query: str) -> None:
    with pytest.raises(SourceError, match="expected settings of a camera") as caught:
        expand_sources(f"/dev/video0?{query}")
    assert "/dev/video0?size=1280x720&fps=30&format=mjpeg" in caught.value.remedy


@linux
def test_settings_in_the_file_go_before_those_in_the_address() -> None:
    address = plan_camera(camera("    size: 640x480\n    fps: 15\n", "/dev/video3?size=1x1&format=mjpeg")).address
    assert dict(address.settings) == {"size": "640x480", "fps": "15", "format": "mjpeg"}
    assert address.name == "desk"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("    size: big\n", "expected a size such as 1280x720, found 'big'"),
        ("    format: '!'\n", "expected a format such as mjpeg"),
        ("    decode: abacus\n", "expected one of auto, cpu, cuda"),
    ],
)
def test_mistakes_in_the_file(extra: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        camera(extra)


def test_only_webcams_can_be_asked() -> None:
    with pytest.raises(SourceError, match="expected a webcam for size, found another source"):
        plan_camera(camera("    size: 640x480\n", "rtsp://127.0.0.1/x"))
    assert plan_camera(camera("    fps: 15\n", "rtsp://127.0.0.1/x")).address.settings == ()


@linux
def test_what_ffmpeg_is_told(monkeypatch) -> None:
    told = {}

    def refuse(target: str, **options: object) -> None:
        told.update(options, target=target)
        raise av.error.BlockingIOError(16, "busy")

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(SourceError, match="expected a camera that delivers pictures") as caught:
        open_source("/dev/video7?format=mjpeg", timeout_s=3)
    assert (told["target"], told["format"], told["timeout"]) == ("/dev/video7", "v4l2", (3, 3))
    assert told["options"] == {"input_format": "mjpeg"}
    assert "close other programs" in caught.value.remedy


@linux
def test_the_command_line_passes_them_on(run, monkeypatch, tmp_path) -> None:
    told = {}

    def refuse(target: str, **options: object) -> None:
        told.update(options, target=target)
        raise av.error.BlockingIOError(16, "busy")

    monkeypatch.setattr(av, "open", refuse)
    model = end2end_model(tmp_path / "constant.onnx")
    result = run("track", "7?size=1280x720&fps=30&format=mjpeg", "--model", model)
    assert result.status == 2
    assert "expected a camera that delivers pictures" in result.text
    assert (told["target"], told["format"]) == ("/dev/video7", "v4l2")
    assert told["options"] == {"video_size": "1280x720", "framerate": "30", "input_format": "mjpeg"}
