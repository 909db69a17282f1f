"""Times of frames from containers without presentation times, and the choice between a stream's two clocks."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import pytest

from tests.sources.videos import textured, write_video
from tracker.sources.notes import notes
from tracker.sources.open import open_source
from tracker.sources.stamps import FrameStamps

TICK = Fraction(1, 10)


def stamps(*frames: tuple[int | None, int | None], decoding_times_only: bool = False) -> list[int | None]:
    """Ticks that a stream's ``(pts, dts)`` come to."""
    chosen = FrameStamps(time_base=TICK, rate=10, decoding_times_only=decoding_times_only)
    found = [chosen.of(SimpleNamespace(pts=pts, dts=dts, time_base=None)) for pts, dts in frames]
    return [None if stamp is None else int(stamp / TICK) for stamp in found]


def test_presentation_times_are_taken_as_long_as_they_advance() -> None:
    assert stamps((5, 2), (6, 3), (8, 4), (9, None)) == [5, 6, 8, 9]


def test_a_frame_without_any_time_has_none() -> None:
    assert stamps((None, None), (4, None)) == [None, 4]


def test_a_frame_without_presentation_time_takes_the_decoding_time() -> None:
    assert stamps((None, 2), (3, 3)) == [2, 3]


def test_decoding_times_take_over_once_presentation_times_step_back_more_often() -> None:
    assert stamps((1, 1), (4, 2), (3, 3), (2, 4), (6, 5)) == [1, 4, 3, 4, 5]


def test_frames_held_back_to_the_end_follow_at_the_rate() -> None:
    assert stamps((1, 2), (4, 3), (3, 4), (2, None), (5, None), decoding_times_only=True) == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("codec_options", [{"bf": "3", "b_strategy": "0"}, {"bf": "0"}])
def test_h264_in_avi_keeps_even_times(tmp_path, codec_options) -> None:
    path = write_video(tmp_path / "a.avi", count=40, size=(96, 64), draw=textured, rate=25, options=codec_options)
    with open_source(path) as source:
        times_s = [frame.time_s for frame in source]
    assert times_s == pytest.approx([k / 25 for k in range(40)], abs=1e-9)
    assert source.counters.repaired_times == source.counters.missing == 0
    assert notes(source.info, source.counters) == []


def test_an_interval_without_a_new_picture_in_avi_is_a_gap_and_no_missing_frame(tmp_path) -> None:
    """FFmpeg's muxer writes empty chunks for the gap; the container counts them."""
    stamps_ms = [0, 40, 80, 400, 440]
    path = tmp_path / "gap.avi"
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for stamp in stamps_ms:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), stamp // 2, np.uint8), "bgr24")
            frame.pts, frame.time_base = stamp // 40, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with open_source(path) as source:
        times_s = [frame.time_s for frame in source]
    assert source.info.frame_count == 12
    assert times_s == pytest.approx([stamp / 1000 for stamp in stamps_ms], abs=1e-9)
    assert source.counters.missing == 0
