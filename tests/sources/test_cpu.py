"""Clocks of decoder threads, one of which is being opened without end."""

from __future__ import annotations

import threading
import time

from tests.sources.videos import drain, write_video
from tracker.sources import cpu
from tracker.sources.cpu import WorkerClock
from tracker.sources.open import open_source


def test_a_decoder_that_hangs_while_it_is_opened_holds_up_no_other(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(cpu, "OPENING_S", 0.1)
    let_go, inside = threading.Event(), threading.Event()

    def hang() -> None:
        with WorkerClock.recording():
            inside.set()
            let_go.wait(30)

    hanging = threading.Thread(target=hang)
    hanging.start()
    assert inside.wait(60)
    started_s = time.monotonic()
    frames: list = []
    with open_source(write_video(tmp_path / "a.mp4", count=5)) as source:
        drain(source, frames)
    assert len(frames) == 5
    assert time.monotonic() - started_s < 10
    let_go.set()
    hanging.join(10)
    with WorkerClock.recording():  # free again
        assert cpu._OPENING.locked()
