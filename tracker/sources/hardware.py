"""Hardware decoding devices: choice, and whether FFmpeg really used the device.

FFmpeg falls back to the CPU without a word when a device does not take a stream. So the answer comes from the decoder
itself, after its first picture: the pixel format that it settled on says where its pictures are made.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from tracker.errors import ConfigError
from tracker.settings.choices import DecodeChoice

if TYPE_CHECKING:
    from av.codec.hwaccel import HWAccel

__all__ = ["DECODE_CHOICES", "Accelerator", "DecodeChoice", "choose", "obstacle", "trial"]

DECODE_CHOICES = get_args(DecodeChoice)

PIXEL_FORMATS = {"cuda": "cuda", "vaapi": "vaapi", "videotoolbox": "videotoolbox_vld"}
"""FFmpeg's pixel format of pictures that are on the device; ``auto`` tries the devices in this order."""

_REMEDIES = {
    "cuda": "install the NVIDIA driver; a container needs --gpus all and NVIDIA_DRIVER_CAPABILITIES=video,compute",
    "vaapi": "PyAV's wheels have no VA-API: build PyAV against the system's FFmpeg, and join the group render",
    "videotoolbox": "it exists on macOS only",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """A device on which video is decoded; pictures come back to memory as if the CPU had made them.

    Attributes:
        name: ``cuda``, ``vaapi`` or ``videotoolbox``.
        required: Whether the user asked for this one, so that the CPU must not step in.
    """

    name: str
    required: bool

    def settings(self) -> HWAccel:
        """What ``av.open`` takes. The CPU may always step in here: see :meth:`used_by` for whether it did."""
        from av.codec.hwaccel import HWAccel

        return HWAccel(self.name, allow_software_fallback=True)

    def used_by(self, codec_context: Any) -> bool:
        """Whether a decoder that has made a picture made it on this device."""
        return bool(codec_context.is_hwaccel) and codec_context.pix_fmt == PIXEL_FORMATS[self.name]


def choose(decode: DecodeChoice) -> Accelerator | None:
    """The device to decode on, ``None`` for the CPU.

    Args:
        decode: ``auto`` takes the first device that works here, else the CPU; ``cpu``; or a device by name.

    Raises:
        ConfigError: The device that was asked for does not exist, or does not work here.
    """
    if decode not in DECODE_CHOICES:
        raise ConfigError("decode", f"expected one of {', '.join(DECODE_CHOICES)}, found {decode!r}", "choose one")
    if decode == "cpu":
        return None
    if decode == "auto":
        working = (name for name in PIXEL_FORMATS if not obstacle(name))
        return next((Accelerator(name=name, required=False) for name in working), None)
    if why := obstacle(decode):
        problem = f"expected {decode} to decode video, found {why}"
        raise ConfigError("decode", problem, f"{_REMEDIES[decode]}; or use auto, or cpu")
    return Accelerator(name=decode, required=True)


def trial(name: str) -> str:
    """Why a device did not decode a short H.264 clip made here; empty where it did."""
    import av

    clip = io.BytesIO()
    with av.open(clip, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"  # devices refuse very small pictures
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(320, 192, "yuv420p")))
        container.mux(stream.encode())
    clip.seek(0)
    accelerator = Accelerator(name=name, required=True)
    try:
        with av.open(clip, "r", hwaccel=accelerator.settings()) as container:
            next(container.decode(video=0))
            used = accelerator.used_by(container.streams.video[0].codec_context)
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError, StopIteration) as error:
        return f"does not decode H.264 ({type(error).__name__})"
    return "" if used else "leaves H.264 to the CPU without a word"


@functools.cache
def obstacle(name: str) -> str:
    """Why a device cannot decode H.264 here, empty where it can; looked up once in a process."""
    import av.error
    from av.codec import Codec
    from av.codec.hwaccel import HWAccel, hwdevices_available

    built_in = hwdevices_available()
    if name not in built_in:
        return f"an FFmpeg without it (it has {', '.join(built_in) or 'no device'})"
    try:
        HWAccel(name).create(Codec("h264", "r"))
    except NotImplementedError:
        return "an FFmpeg whose H.264 decoder does not use it"
    except (
        av.error.FFmpegError,
        OSError,
        ValueError,
        RuntimeError,
    ):  # with a message that does not help: "not permitted"
        return "no working driver or device"
    return ""
