"""Choice of a container's video stream, and the shape of its pixels."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av

from tracker.sources import problems
from tracker.types import SQUARE

__all__ = ["choose_stream", "pixel_aspect"]

WIDEST = Fraction(16)
"""Anamorphic recordings stay below 3; what is further from square is damage."""


def choose_stream(name: str, container: Any) -> tuple[Any, tuple[str, ...]]:
    """The video stream with the largest picture, FFmpeg's own choice among equals; covers of music files are none.

    Args:
        name: The source's name, free of credentials.
        container: An open input.

    Returns:
        The stream, and a note where there are others.

    Raises:
        SourceError: There is none that can be decoded.
    """
    if container.format.name == "tty":  # FFmpeg would render a text file as a film
        raise problems.not_a_video(name, "a text file")
    streams = [s for s in container.streams.video if s.codec_context is not None and not _is_cover(s)]
    if not streams:
        raise problems.no_video_stream(name, container)
    best = container.streams.best("video")
    # The first of the largest, with FFmpeg's choice looked at before all others
    candidates = sorted(streams, key=lambda s: best is None or s.index != best.index)
    chosen = max(candidates, key=_pixels)
    if len(streams) == 1:
        return chosen, ()
    context = chosen.codec_context
    number = f"number {streams.index(chosen) + 1}, {context.width} x {context.height}"
    return chosen, (f"{len(streams)} video streams: the largest is read ({number})",)


def pixel_aspect(stream: Any, *, turned: bool) -> Fraction:
    """Width by height of one pixel; 1 where they are square or the stream does not say, or says what cannot be.

    Args:
        stream: An open video stream.
        turned: Whether its pictures are turned by a quarter to be upright.
    """
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    if not aspect or not 1 / WIDEST <= aspect <= WIDEST:
        return SQUARE
    return 1 / Fraction(aspect) if turned else Fraction(aspect)


def _pixels(stream: Any) -> int:
    return int(stream.codec_context.width * stream.codec_context.height)


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)
