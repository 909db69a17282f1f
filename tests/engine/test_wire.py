"""Cameras behind a wire that loses packets: TCP sends them again, UDP never hears of them, and a dead line is left."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import pytest

from tests.engine.rtsp import RtspServer, need_rtsp, pattern
from tests.engine.wire import Wire
from tests.sources.cameras import MjpegCamera, wait_until
from tests.sources.videos import textured
from tracker.sources.reconnect import Link, open_live
from tracker.sources.source import Source


class FarCamera(MjpegCamera):
    host = "10.99.0.1"


@pytest.fixture
def wire():
    with Wire() as made:
        yield made


def reading(wire: Wire, url: str, watch: Callable[[Source, list, list[Link]], None], **options) -> list:
    """Open a camera at the near end and take its frames while ``watch`` looks on; the frames."""
    frames, links = [], []

    def run() -> None:
        arguments = {"policy": "all", "queue_size": 8, "want_image": False, "retry_s": (0.5, 60.0)} | options
        with open_live(url, on_link=links.append, **arguments) as live:
            watch(live, frames, links)

    wire.near.inside(run)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(later.time_s > earlier.time_s for earlier, later in itertools.pairwise(frames))
    return frames


def take(live: Source, frames: list, count: int) -> None:
    frames += itertools.islice(live, count)


def test_tcp_loses_time_and_no_picture(wire) -> None:
    """A twentieth of the packets lost and some overtaken: everything is sent again, so no picture has a flaw."""

    def watch(live: Source, frames: list, links: list[Link]) -> None:
        take(live, frames, 10)
        wire.faults.loss, wire.faults.jitter_s = 0.05, 0.005
        take(live, frames, 60)
        assert live.counters.broken == live.counters.concealed == live.counters.reconnects == 0
        assert [link.state for link in links] == ["live"]

    with wire.far.inside(lambda: FarCamera(size=(160, 96), rate=25, image=textured)) as camera:
        frames = reading(wire, camera.url(), watch)
    assert wire.faults.lost > 0
    assert len(frames) == 70


def test_a_line_that_is_dead_for_a_while_is_met_again_at_once(wire) -> None:
    """Nobody says that the line is cut, as when a switch loses power: only silence tells."""

    def watch(live: Source, frames: list, links: list[Link]) -> None:
        take(live, frames, 5)
        wire.faults.loss = 1.0
        lost = []

        def gone() -> bool:
            while live.waiting:
                take(live, frames, 1)
            lost[:] = [link for link in links if link.state == "lost"]
            return len(lost) >= 3

        assert wait_until(gone, 60)
        assert lost[0].stalled
        wire.faults.loss = 0.0
        back_s = time.monotonic()
        take(live, frames, 1)
        while frames[-1].arrived_s < back_s:
            take(live, frames, 1)
        assert time.monotonic() - back_s < 30

    with wire.far.inside(lambda: FarCamera(rate=25)) as camera:
        reading(wire, camera.url(), watch, stall_s=1.0, timeout_s=2.0, retry_s=(2.0, 60.0))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_rtsp_goes_on_over_a_bad_line(wire, transport: str) -> None:
    need_rtsp()

    def watch(live: Source, frames: list, links: list[Link]) -> None:
        take(live, frames, 5)
        wire.faults.loss, wire.faults.jitter_s = 0.03, 0.005
        take(live, frames, 60)
        assert links[0].state == "live"
        if transport == "tcp":
            assert live.counters.broken == live.counters.concealed == 0

    server = wire.far.inside(lambda: RtspServer({"gate": pattern()}, address="10.99.0.1"))
    with server:
        frames = reading(wire, server.url("gate"), watch, rtsp_transport=transport, stall_s=5.0, timeout_s=5.0)
    assert wire.faults.lost > 0
    assert len(frames) == 65
