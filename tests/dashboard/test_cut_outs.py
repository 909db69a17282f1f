"""Cut-outs of a recording: privacy zones of its site are filled before anything is encoded."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tests.sources.videos import write_video
from tracker.dashboard.cut_outs import CutOut, cut_out
from tracker.render.privacy_paint import FILL


def grey(index: int, size: tuple[int, int]) -> np.ndarray:
    del index
    return np.full((size[1], size[0], 3), 200, np.uint8)


def test_a_zone_is_filled_and_the_rest_shows(tmp_path: Path) -> None:
    video = write_video(tmp_path / "in.mp4", count=6, size=(320, 240), draw=grey)
    wanted = CutOut(0.1, 0.5, 0.9)
    zone = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.7), (0.0, 0.7))
    clear, private = (cut_out(video, wanted, zones) for zones in ((), (zone,)))
    assert clear is not None
    assert private is not None
    shown = cv2.imdecode(np.frombuffer(private, np.uint8), cv2.IMREAD_COLOR).astype(int)
    assert np.abs(shown[:30] - FILL).max() < 12
    assert np.abs(shown[-40:] - 200).max() < 12
    assert np.abs(cv2.imdecode(np.frombuffer(clear, np.uint8), cv2.IMREAD_COLOR).astype(int) - 200).max() < 12
