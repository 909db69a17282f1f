"""Cameras that die, freeze, hang, change their picture and lie about time; one that hangs hangs nothing else."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from dataclasses import replace

import av
import numpy as np
import pytest

from tests.sources.cameras import MjpegCamera, wait_until
from tests.sources.videos import write_video
from tracker.errors import SourceError
from tracker.sources.cpu import WorkerClock
from tracker.sources.decoded import Picture, SourceCounters, SourceInfo
from tracker.sources.live_clock import LiveClock
from tracker.sources.reconnect import HUNG_CONNECTIONS, Link, ReconnectingDecoder, open_live

INFO = SourceInfo(
    name="gate",
    size=(64, 48),
    fps=25.0,
    frame_count=None,
    duration_s=None,
    is_live=True,
    codec="h264",
    time_from="stamps",
)


class Scripted:
    """A connection whose pictures, waits and end are written down; ``(arrived_s, time_s)`` per picture."""

    def __init__(self, times, *, info=INFO, error=None, hang: threading.Event | None = None) -> None:
        self.info = info
        self.counters = SourceCounters()
        self.workers = WorkerClock()
        self.closed = False
        self._times, self._error, self._hang = times, error, hang

    def pictures(self):
        for index, (arrived_s, time_s) in enumerate(self._times):
            self.counters.decoded += 1
            yield Picture(frame=av.VideoFrame(16, 16), index=index, time_s=time_s, arrived_s=arrived_s, source="gate")
        if self._hang is not None:
            self._hang.wait(30)
        if self._error is not None:
            raise self._error

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def supervised(connections, links=None, **options):
    """A decoder over scripted connections; an exception in the list is one that cannot be made."""
    script = iter(connections)

    def connect():
        step = next(script)
        if isinstance(step, Exception):
            raise step
        return step

    arguments = {"stall_s": 5.0, "open_s": 5.0, "retry_s": (0.01, 0.04), "on_link": links.append if links else None}
    arguments["on_link"] = links.append if links is not None else None
    return ReconnectingDecoder(connect, name="gate", **(arguments | options))


BROKEN = SourceError("gate", "expected more frames, found the stream broken off", "check")


BROKEN_AT_FIRST = SourceError("gate", "expected a video stream, found no server listening there", "check")


def test_time_and_index_go_on_over_connections() -> None:
    connections = [
        Scripted([(100.0, 0.0), (100.04, 0.04), (100.08, 0.08)], error=BROKEN),
        Scripted([(107.08, 0.0), (107.12, 0.04)], error=BROKEN),
        Scripted([(107.0, 0.0)]),  # a machine whose clock does not move: still strictly increasing
    ]
    links: list[Link] = []
    decoder = supervised(connections, links)
    pictures = list(itertools.islice(decoder.pictures(), 6))
    decoder.interrupt()
    assert [picture.index for picture in pictures] == list(range(6))
    assert [picture.time_s for picture in pictures[:5]] == pytest.approx([0, 0.04, 0.08, 7.08, 7.12])
    assert pictures[5].time_s > pictures[4].time_s
    assert decoder.counters.reconnects == 2
    assert decoder.counters.decoded == 6
    assert [link.state for link in links] == ["live", "lost", "live", "lost", "live"]
    assert links[1].problem == BROKEN.problem
    assert wait_until(lambda: all(connection.closed for connection in connections))


class Changing(Scripted):
    """A connection that finds out more about itself as it goes: ``infos``, one per picture."""

    def __init__(self, times, infos) -> None:
        super().__init__(times, info=infos[0])
        self._infos = infos

    def pictures(self):
        for picture, info in zip(super().pictures(), self._infos, strict=True):
            self.info = info
            yield picture


def test_what_a_connection_finds_out_later_is_followed_and_told_once() -> None:
    refused = replace(INFO, decoder_refused="cuda")
    untimed = replace(refused, time_from="arrival")
    links: list[Link] = []
    infos = [INFO] * 4 + [refused] * 4 + [untimed] * 4  # the connection is up to three pictures ahead
    decoder = supervised([Changing([(k / 25, k / 25) for k in range(12)], infos)], links)
    pictures = decoder.pictures()
    list(itertools.islice(pictures, 12))
    decoder.close()
    assert [bool(link.note) for link in links] == [False, True, True]
    assert "cuda does not take it" in links[1].note
    assert "arrival" in links[2].note
    assert (decoder.info.decoder_refused, decoder.info.time_from) == ("cuda", "arrival")


def test_a_recording_that_breaks_off_is_an_error_and_not_begun_anew() -> None:
    decoder = supervised([Scripted([(1.0, 0.0)], info=replace(INFO, is_live=False), error=BROKEN)])
    pictures = decoder.pictures()
    assert next(pictures).index == 0
    with pytest.raises(SourceError, match="broken off"):
        next(pictures)


@pytest.mark.parametrize("failure", [BROKEN_AT_FIRST, RuntimeError("boom")])
def test_the_impatient_get_the_first_failure_and_no_later_one(failure: Exception) -> None:
    with pytest.raises(SourceError, match="expected"):
        next(supervised([failure], patient=False).pictures())
    decoder = supervised([Scripted([(1.0, 0.0)], error=failure), failure, Scripted([(2.0, 0.0)])], patient=False)
    assert len(list(itertools.islice(decoder.pictures(), 2))) == 2
    decoder.close()


def test_a_finite_stream_ends() -> None:
    links: list[Link] = []
    decoder = supervised([Scripted([(1.0, 0.0)], info=replace(INFO, is_live=False))], links)
    assert len(list(decoder.pictures())) == 1
    assert links[-1].state == "ended"


def test_a_live_stream_that_ends_is_asked_for_again() -> None:
    decoder = supervised([Scripted([(1.0, 0.0)]), Scripted([(2.0, 0.0)])])
    assert len(list(itertools.islice(decoder.pictures(), 2))) == 2
    decoder.close()
    assert decoder.counters.reconnects == 1


def test_delays_double_up_to_the_longest_and_are_jittered() -> None:
    links: list[Link] = []
    refused = [SourceError("gate", "found no server listening there (connection refused)", "")] * 9
    decoder = supervised(
        [*refused, Scripted([(1.0, 0.0)])], links, retry_s=(0.004, 0.03), generator=np.random.default_rng(1)
    )
    next(decoder.pictures())
    decoder.close()
    delays = [link.retry_s for link in links if link.state == "lost"]
    assert len(delays) == 9
    for number, delay_s in enumerate(delays):
        centre_s = 0.004 * 2**number
        assert min(max(0.75 * centre_s, 0.004), 0.03) <= delay_s <= min(1.25 * centre_s, 0.03)
    assert delays[-1] == 0.03
    assert delays[1] not in {0.008, delays[0] * 2}


def test_a_hanging_connection_is_abandoned_and_replaced() -> None:
    hang = threading.Event()
    first = Scripted([(1.0, 0.0)], hang=hang)
    links: list[Link] = []
    decoder = supervised([first, Scripted([(3.0, 0.0)])], links, stall_s=0.1)
    pictures = decoder.pictures()
    assert next(pictures).time_s == 0.0
    assert next(pictures).time_s == pytest.approx(2.0)
    assert decoder.counters.stalls == 1
    assert [link.stalled for link in links] == [False, True, False]
    assert not first.closed
    hang.set()
    assert wait_until(lambda: first.closed)
    decoder.close()


def test_opening_that_hangs_is_abandoned_too_and_threads_stay_bounded() -> None:
    hang = threading.Event()
    begun = []

    def connect():
        begun.append(1)
        hang.wait(30)
        return Scripted([(1.0, 0.0)])

    decoder = ReconnectingDecoder(connect, name="gate", stall_s=0.02, open_s=0.02, retry_s=(0.005, 0.005))
    got = []
    thread = threading.Thread(target=lambda: got.extend(itertools.islice(decoder.pictures(), 1)), daemon=True)
    thread.start()
    assert wait_until(lambda: len(begun) == HUNG_CONNECTIONS)
    time.sleep(0.3)
    assert len(begun) == HUNG_CONNECTIONS
    hang.set()
    thread.join(10)
    assert [picture.time_s for picture in got] == [0.0]
    decoder.close()


def test_interrupt_ends_at_once_whatever_hangs() -> None:
    hang = threading.Event()
    decoder = supervised([Scripted([], hang=hang)], stall_s=60.0)
    thread = threading.Thread(target=lambda: list(decoder.pictures()), daemon=True)
    thread.start()
    time.sleep(0.05)
    decoder.interrupt()
    thread.join(5)
    assert not thread.is_alive()
    hang.set()


def test_a_fault_in_the_decoder_is_survived() -> None:
    links: list[Link] = []
    decoder = supervised([RuntimeError("boom"), Scripted([(1.0, 0.0)])], links)
    assert next(decoder.pictures()).index == 0
    decoder.close()
    assert links[0].problem == "RuntimeError in the decoder"


def test_a_clock_that_jumps_ahead_is_not_believed() -> None:
    clock = LiveClock(max_drift_s=5.0)
    times = [clock.time_s(stream_s, arrived_s) for arrived_s, stream_s in ((10, 0), (10.04, 0.04), (10.08, 3600.08))]
    assert times == pytest.approx([0, 0.04, 0.08])
    assert (clock.takeovers, clock.trusted) == (1, False)
    assert clock.time_s(3600.12, 10.12) == pytest.approx(0.12)
    clock.begin()
    assert clock.time_s(0.0, 20.12) == pytest.approx(10.12)
    assert clock.trusted


def test_a_clock_of_the_wrong_rate_is_found_out() -> None:
    clock = LiveClock(max_drift_s=5.0)
    last_s = -1.0
    for frame in range(1000):  # 25 frames a second that say 50
        time_s = clock.time_s(frame / 50, 100 + frame / 25)
        assert time_s > last_s
        last_s = time_s
    assert clock.takeovers == 1
    assert last_s == pytest.approx(999 / 25 - 5.0, abs=0.1)


def test_bursts_do_not_add_up_over_connections() -> None:
    clock = LiveClock()
    for connection in range(10):  # each lasts 10 s and begins with a second that was kept
        clock.begin()
        for k in range(275):
            time_s = clock.time_s(k / 25, 12.0 * connection + max(0.0, k / 25 - 1))
    assert time_s == pytest.approx(12.0 * 9 + 10.96)


def test_a_burst_on_connecting_is_believed() -> None:
    clock = LiveClock()
    assert [clock.time_s(k / 25, 50.0 + k * 0.001) for k in range(50)] == pytest.approx([k / 25 for k in range(50)])


def test_a_camera_is_killed_and_restarted() -> None:
    links: list[Link] = []
    with MjpegCamera() as camera, open_live(camera.url(), timeout_s=2, retry_s=(0.1, 20), on_link=links.append) as live:
        before = [next(live) for _ in range(5)]
        camera.kill()
        assert wait_until(lambda: links[-1].state == "lost" and (links[-1].retry_s or 0) > 0.3)
        camera.size = (96, 64)
        camera.start()
        after = next(live)
        while after.size == (64, 48):  # what was still waiting
            after = next(live)
        after2 = next(live)
    assert after.size == (96, 64)
    assert after.image is not None
    assert after.image.shape == (64, 96, 3)
    assert after.index > before[-1].index
    gap_s = after.arrived_s - before[-1].arrived_s
    assert after.time_s - before[-1].time_s == pytest.approx(gap_s, abs=0.05)
    assert after2.time_s > after.time_s
    assert live.counters.reconnects >= 1


def test_a_frozen_camera_is_left_and_asked_again() -> None:
    with MjpegCamera() as camera, open_live(camera.url(), timeout_s=5, stall_s=0.4, retry_s=(0.1, 0.2)) as live:
        next(live)
        camera.frozen.set()
        assert wait_until(lambda: live.counters.stalls == 1)
        camera.frozen.clear()
        assert wait_until(lambda: camera.connections >= 2)
        index = next(live).index
        assert wait_until(lambda: next(live).index > index + 5)


def test_open_live_returns_at_once_where_nobody_listens_and_names_no_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        links: list[Link] = []
        address = f"rtsp://user:canary@127.0.0.1:{silent.getsockname()[1]}/x?token=canary"
        started_s = time.monotonic()
        live = open_live(address, timeout_s=0.3, retry_s=(0.05, 0.05), on_link=links.append)
        assert live.poll() is None
        assert wait_until(lambda: len(links) >= 2)
        live.close()
        assert time.monotonic() - started_s < 15
    assert "canary" not in repr(links) + repr(live) + repr(live.info)
    assert {link.state for link in links} == {"lost"}
    assert live.info.size == (0, 0)
    assert live.ended


def test_poll_takes_the_newest_and_drops_what_is_too_old() -> None:
    ready = threading.Event()
    with MjpegCamera() as camera, open_live(camera.url(), timeout_s=5, on_ready=ready.set) as live:
        assert ready.wait(60)
        first = live.poll()
        assert first is not None
        assert wait_until(lambda: live.counters.dropped > 5)
        second = live.poll()
        assert second is not None
        assert second.index > first.index
    with MjpegCamera() as camera, open_live(camera.url(), timeout_s=5, max_age_s=0.05) as live:
        assert wait_until(lambda: live.waiting)
        camera.frozen.set()
        time.sleep(0.3)
        assert live.poll() is None
        assert live.counters.late == 1


def test_files_are_refused(tmp_path) -> None:
    with pytest.raises(SourceError, match="expected a camera"):
        open_live(str(write_video(tmp_path / "a.mp4", count=3)))


def test_a_recording_over_a_socket_restarts_with_a_later_clock(tmp_path) -> None:
    """A transport stream server that dies in mid-stream and comes back with its clock at zero again."""
    data = write_video(tmp_path / "a.ts", count=30).read_bytes()
    done = threading.Event()

    def serve(listening: socket.socket) -> None:
        for _ in range(3):
            connection, _ = listening.accept()
            with connection:
                connection.sendall(data)
                time.sleep(0.2)
        done.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        port = listening.getsockname()[1]
        with open_live(f"tcp://127.0.0.1:{port}", policy="all", queue_size=4, timeout_s=5, retry_s=(0.05, 0.1)) as live:
            frames = list(itertools.islice(live, 85))
        assert wait_until(done.is_set)
    times_s = [frame.time_s for frame in frames]
    assert all(later > earlier for earlier, later in itertools.pairwise(times_s))
    assert [frame.index for frame in frames] == list(range(85))
    assert live.counters.reconnects >= 2
