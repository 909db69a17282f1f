"""Light of a recording over time, from key pictures of its video: no picture between them is decoded."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tracker.measure.validation import light_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["lights_of"]

MOST_PICTURES = 400
"""Of a longer recording, intervals between two of them have the light of the one before."""


def lights_of(path: Path, *, from_ms: int, length_ms: int, count: int) -> dict[int, str]:
    """Light of each interval by its number; of those only that can be read.

    Args:
        path: The video.
        from_ms: Media time at which the first interval begins.
        length_ms: Of each.
        count: How many.
    """
    import av

    lights: dict[int, str] = {}
    every = max(-(-count // MOST_PICTURES), 1)
    with contextlib.suppress(av.FFmpegError, OSError, IndexError), av.open(str(path)) as container:
        video = container.streams.video[0]
        video.codec_context.skip_frame = "NONKEY"
        if video.time_base is None:
            return {}
        start = video.start_time or 0
        for slot in range(0, count, every):
            middle_s = (from_ms + (slot + min(every, count - slot) / 2) * length_ms) / 1000
            container.seek(start + int(middle_s / video.time_base), stream=video)
            picture = next(container.decode(video), None)
            if picture is None:
                break
            grey = picture.reformat(width=64, height=36, format="gray").to_ndarray()
            lights |= dict.fromkeys(range(slot, min(slot + every, count)), light_of(float(grey.mean())))
    return lights
