"""Sound beside an encoded video: coded packets are copied into its container, each in time with the pictures."""

from __future__ import annotations

import io
import itertools
import math
from typing import TYPE_CHECKING, Any, Protocol

from tracker.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Sound", "SoundTrack", "check_fits"]

TRIAL_PACKETS = 8

IN_AVI = frozenset({"mp2", "mp3"})
"""What AVI keeps in time besides PCM: of other codecs it notes no times, and their sound runs at a wrong speed."""

ADTS = b"\xff\xf0"
"""First bits of an AAC packet with a header of its own, as transport streams have them."""


class Sound(Protocol):
    """An open recording's sound."""

    stream: Any

    @property
    def codec(self) -> str:
        """FFmpeg's name of its codec."""
        ...

    def until(self, time_s: float) -> Iterator[tuple[float, Any]]:
        """The packets that begin before a media time and were not given yet, each with its media time in seconds."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class SoundTrack:
    """The sound of one output video.

    Args:
        path: The output, for messages.
        container: FFmpeg's name of its format.
        open_sound: Opens the sound from its beginning.

    Raises:
        ConfigError: The container does not hold this codec.
    """

    def __init__(self, path: str | os.PathLike[str], container: str, open_sound: Callable[[], Sound]) -> None:
        check_fits(path, container, open_sound)
        self._sound = open_sound()
        self._container = container
        self._stream: Any = None
        self._filter: Any = None
        self._last_dts: int | None = None

    def begin(self, output: Any) -> None:
        """Add the stream to an open container, before its first packet."""
        self._stream = output.add_stream_from_template(self._sound.stream)

    def copy(self, output: Any, *, start_s: float, until_s: float) -> None:
        """Copy the packets up to a media time; those before ``start_s``, where the video begins, are left out."""
        for time_s, packet in self._sound.until(until_s):
            if time_s < start_s:
                continue
            for whole in self._without_header(packet):
                pts = round((time_s - start_s) / float(whole.time_base))
                # Old AVIs give two packets one time, which no container takes
                dts = pts if self._last_dts is None else max(pts, self._last_dts + 1)
                self._last_dts = whole.dts = dts
                whole.pts = dts
                whole.stream = self._stream
                output.mux(whole)

    def _without_header(self, packet: Any) -> Iterable[Any]:
        """AAC as MP4 and MOV hold it: what its headers say stands once, in the container's."""
        if self._container not in {"mp4", "mov"} or self._sound.codec != "aac":
            return (packet,)
        if self._filter is None:
            start = bytes(packet)[:2]
            if len(start) < 2 or (start[0], start[1] & 0xF0) != tuple(ADTS):
                return (packet,)
            from av.bitstream import BitStreamFilterContext

            self._filter = BitStreamFilterContext("aac_adtstoasc", self._sound.stream)
        return tuple(self._filter.filter(packet))

    def close(self) -> None:
        """Release the recording."""
        self._sound.close()


def check_fits(path: str | os.PathLike[str], container: str, open_sound: Callable[[], Sound]) -> None:
    """Copy the first packets into a container in memory.

    Raises:
        ConfigError: It does not take them.
    """
    import av

    sound = open_sound()
    codec, file = sound.codec, io.BytesIO()
    failure: Exception | None = None
    fits = container != "avi" or codec in IN_AVI or codec.startswith("pcm_")
    try:
        with av.open(file, "w", format=container) as output:
            stream = output.add_stream_from_template(sound.stream)
            for _, packet in itertools.islice(sound.until(math.inf), TRIAL_PACKETS):
                packet.stream = stream
                output.mux(packet)
        file.seek(0)
        with av.open(file, format=container) as written:  # a transport stream takes anything, as unknown data
            fits = fits and any(one.type == "audio" for one in written.streams)
    except (OSError, ValueError, av.FFmpegError) as error:
        failure = error
    finally:
        sound.close()
    if failure is not None or not fits:
        problem = f"expected sound that {container} holds, found {codec}, which it does not"
        others = ".mov" if container == "matroska" else ".mkv, which holds nearly every codec,"
        raise ConfigError(path, problem, f"save it as {others} or leave --sound out") from failure
