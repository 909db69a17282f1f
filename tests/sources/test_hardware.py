"""Decoding on a device: which one is taken, what is refused, and a silent fall-back to the CPU."""

from __future__ import annotations

import av
import pytest
from av.codec.hwaccel import hwdevices_available

from tests.sources.videos import drain, textured, write_video
from tracker.app.doctor import examine
from tracker.errors import ConfigError, SourceError
from tracker.sources import hardware
from tracker.sources.hardware import PIXEL_FORMATS, Accelerator, choose, obstacle, trial
from tracker.sources.notes import notes
from tracker.sources.open import open_source
from tracker.sources.reconnect import open_live


class FakeDevice:
    """A machine whose only device is ``name``: PyAV opens on the CPU, and decoders claim to be on ``claims``."""

    def __init__(self, monkeypatch, name: str, *, claims: str) -> None:
        self.opened_with: list[object] = []
        monkeypatch.setattr(hardware, "obstacle", lambda device: "" if device == name else "no such device")
        monkeypatch.setattr(Accelerator, "settings", lambda accelerator: f"{accelerator.name}, falling back")
        monkeypatch.setattr(Accelerator, "used_by", lambda accelerator, _: claims == PIXEL_FORMATS[accelerator.name])
        monkeypatch.setattr(av, "open", self._open)
        self._really_open = av.container.open

    def _open(self, *arguments: object, hwaccel: object = None, **options: object):
        self.opened_with.append(hwaccel)
        return self._really_open(*arguments, **options)


@pytest.fixture
def path(tmp_path):
    return write_video(tmp_path / "a.mp4", count=10)


@pytest.mark.parametrize("decode", ["auto", "vaapi"])
def test_a_device_that_decodes_is_told(monkeypatch, path, decode: str) -> None:
    device = FakeDevice(monkeypatch, "vaapi", claims="vaapi")
    with open_source(path, decode=decode) as source:
        assert len(list(source)) == 10
        assert (source.info.decoder, source.info.decoder_refused) == ("vaapi", "")
        assert notes(source.info, source.counters) == ["decoded on vaapi"]
    assert device.opened_with == ["vaapi, falling back"]


def test_a_silent_fall_back_is_found_and_told(monkeypatch, path) -> None:
    FakeDevice(monkeypatch, "cuda", claims="yuv420p")
    with open_source(path) as source:
        assert len(list(source)) == 10
        assert (source.info.decoder, source.info.decoder_refused) == ("cpu", "cuda")
        assert notes(source.info, source.counters) == ["decoded on the CPU: cuda does not take h264 as it is here"]


def test_a_silent_fall_back_from_the_device_that_was_asked_for_is_an_error(monkeypatch, path) -> None:
    FakeDevice(monkeypatch, "cuda", claims="yuv420p")
    with pytest.raises(SourceError, match=r"expected cuda to decode it, found that it does not take h264") as caught:
        open_source(path, decode="cuda")
    assert "auto" in caught.value.remedy


def test_a_fall_back_in_mid_stream_is_found(monkeypatch, tmp_path) -> None:
    """A device that takes the first size and not the second one."""
    sizes = [(64, 48), (96, 64)]
    data = b"".join(
        write_video(tmp_path / f"{n}.h264", count=8, size=size).read_bytes() for n, size in enumerate(sizes)
    )
    (tmp_path / "both.h264").write_bytes(data)
    FakeDevice(monkeypatch, "cuda", claims="cuda")
    monkeypatch.setattr(Accelerator, "used_by", lambda _, context: context.width == 64)
    with open_source(tmp_path / "both.h264", decode_threads=1) as source:
        assert {frame.size for frame in source} == set(sizes)
        assert (source.info.decoder, source.info.decoder_refused) == ("cpu", "cuda")
    source = open_source(tmp_path / "both.h264", decode="cuda", decode_threads=1)
    frames: list = []
    with source, pytest.raises(SourceError, match="does not take h264"):
        drain(source, frames)
    assert {frame.size for frame in frames} == {(64, 48)}


def test_the_cpu_where_it_is_asked_for_or_nothing_else_is_there(monkeypatch, path) -> None:
    device = FakeDevice(monkeypatch, "cuda", claims="cuda")
    with open_source(path, decode="cpu") as source:
        assert source.info.decoder == "cpu"
    monkeypatch.setattr(hardware, "obstacle", lambda _: "no working driver or device")
    with open_source(path) as source:
        assert (source.info.decoder, source.info.decoder_refused) == ("cpu", "")
        assert notes(source.info, source.counters) == []
    assert device.opened_with == [None, None]


@pytest.mark.parametrize("device", list(PIXEL_FORMATS))
def test_a_device_that_is_missing_here_is_an_error_before_anything_is_opened(device: str) -> None:
    if not obstacle(device):
        pytest.skip(f"{device} works here")
    with pytest.raises(ConfigError, match=f"expected {device} to decode video, found ") as caught:
        choose(device)
    assert "auto" in caught.value.remedy
    with pytest.raises(ConfigError, match=device):  # at once, not once per connection
        open_live("rtsp://127.0.0.1:9/x", decode=device)
    if device not in hwdevices_available():
        assert "built without" in caught.value.problem or "FFmpeg without it" in caught.value.problem


def test_names_that_are_no_device() -> None:
    with pytest.raises(ConfigError, match="expected one of auto, cpu, cuda"):
        choose("abacus")


def test_a_real_decoder_on_the_cpu_is_not_taken_for_a_device(path) -> None:
    with av.open(str(path)) as container:
        next(container.decode(video=0))
        context = container.streams.video[0].codec_context
        assert not any(Accelerator(name=name, required=True).used_by(context) for name in PIXEL_FORMATS)


def finding(name: str):
    return next(found for found in examine() if found.name == name)


def test_doctor_tells_what_decodes(monkeypatch) -> None:
    monkeypatch.setattr(hardware, "obstacle", lambda name: "" if name == "cuda" else "an FFmpeg without it")
    monkeypatch.setattr(hardware, "trial", lambda _: "leaves H.264 to the CPU without a word")
    found = finding("hardware decoding")
    assert (found.state, "cuda: leaves H.264" in found.found, bool(found.remedy)) == ("note", True, True)
    monkeypatch.setattr(hardware, "trial", lambda _: "")
    assert finding("hardware decoding").found == "cuda: decodes H.264"
    monkeypatch.setattr(hardware, "obstacle", lambda _: "no working driver or device")
    found = finding("hardware decoding")
    assert (found.state, "decoded on the CPU" in found.found) == ("ok", True)


@pytest.mark.gpu
def test_cuda_sees_what_the_cpu_sees(tmp_path) -> None:
    if why := obstacle("cuda"):
        pytest.skip(f"cuda: {why}")
    assert trial("cuda") == ""
    path = write_video(tmp_path / "a.mp4", count=30, size=(320, 192), draw=textured)
    with open_source(path, decode="cuda") as source:
        on_card = list(source)
        assert source.info.decoder == "cuda"
    with open_source(path, decode="cpu") as source:
        on_cpu = list(source)
    assert [frame.time_s for frame in on_card] == [frame.time_s for frame in on_cpu]
    for one, other in zip(on_card, on_cpu, strict=True):
        assert abs(one.image.astype(int) - other.image).mean() < 2


@pytest.mark.gpu
def test_what_cuda_does_not_take_falls_back_and_is_told(tmp_path) -> None:
    if why := obstacle("cuda"):
        pytest.skip(f"cuda: {why}")
    path = write_video(tmp_path / "a.mkv", codec="ffv1", count=5, size=(320, 192))
    with open_source(path) as source:
        assert len(list(source)) == 5
        assert (source.info.decoder, source.info.decoder_refused) == ("cpu", "cuda")
    with pytest.raises(SourceError, match="does not take ffv1"):
        open_source(path, decode="cuda")
