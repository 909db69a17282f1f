"""A real RTSP server that is killed, frozen and changed, with sources and the engine watching it."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import pytest

from demos.scenes.road import road
from demos.scenes.shop import shop
from demos.scenes.writers import write_video as write_scene
from tests.engine.fakes import CountingTracker, SlowSegmenter
from tests.engine.proxy import RtspUdpProxy
from tests.engine.rtsp import RtspServer, elementary, film, need_rtsp, pattern
from tests.sources.cameras import wait_until
from tracker.associate.tracker import Tracker
from tracker.engine.opener import Flow, open_stream
from tracker.engine.plan import plan_camera
from tracker.engine.scheduler import Engine
from tracker.engine.steady import SteadyTracker
from tracker.engine.stream import Stream
from tracker.segment.session import OnnxSegmenter
from tracker.settings.stream import CameraSettings
from tracker.sources.open import open_source
from tracker.sources.reconnect import Link, open_live

pytestmark = pytest.mark.usefixtures("rtsp")

FILM_FPS, FILM_S = 10, 3


@pytest.fixture(scope="module")
def rtsp() -> None:
    need_rtsp()


def take(live, count: int, **unlike):
    """``count`` frames; with ``size`` given, those after the last one of another size."""
    frames = []
    while len(frames) < count:
        frame = next(live)
        if frame.size == unlike.get("size", frame.size):
            frames.append(frame)
    return frames


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_come_with_the_servers_clock(transport: str) -> None:
    with RtspServer({"gate": pattern()}) as server:
        with open_live(server.url("gate"), policy="all", queue_size=8, rtsp_transport=transport) as live:
            frames = take(live, 30)
        assert (live.info.is_live, live.info.codec, live.info.time_from) == (True, "h264", "stamps")
    steps = [later.time_s - earlier.time_s for earlier, later in itertools.pairwise(frames)]
    assert min(steps) > 0
    assert sum(steps[5:]) / len(steps[5:]) == pytest.approx(0.04, abs=0.01)


def test_killed_and_restarted_with_another_size_and_codec() -> None:
    links: list[Link] = []
    with RtspServer({"gate": pattern()}) as server, open_live(server.url("gate"), on_link=links.append) as live:
        before = take(live, 10)[-1]
        server.kill()
        assert wait_until(lambda: links[-1].state == "lost")
        server.media = {"gate": pattern((224, 128), codec="jpegenc")}
        server.start()
        after = take(live, 5, size=(224, 128))
        assert live.info.codec == "mjpeg"
    # What the server had kept came at once on connecting: its times are up to a second ahead of arrival
    assert after[0].time_s - before.time_s == pytest.approx(after[0].arrived_s - before.arrived_s, abs=1.3)
    times_s = [before.time_s, *(frame.time_s for frame in after)]
    assert all(later > earlier for earlier, later in itertools.pairwise(times_s))
    assert live.counters.reconnects >= 1


def test_frozen_and_thawed() -> None:
    """Back within seconds, though the next attempt would be a minute away: it answers a knock."""
    links: list[Link] = []
    with RtspServer({"gate": pattern()}) as server:
        options = {"stall_s": 1.0, "timeout_s": 2.0, "retry_s": (60.0, 60.0)}
        with open_live(server.url("gate"), on_link=links.append, **options) as live:
            take(live, 5)
            server.freeze()
            assert wait_until(lambda: any(link.stalled for link in links))
            time.sleep(3)  # a knock that nobody answers
            server.thaw()
            thawed_s = time.monotonic()
            index = next(live).index
            while next(live).arrived_s < thawed_s:
                pass
            assert time.monotonic() - thawed_s < 30
            assert next(live).index > index
        assert live.counters.stalls >= 1
        assert live.counters.reconnects == 1


def test_packet_loss_and_silence_on_udp() -> None:
    """A twentieth of the datagrams lost, then all of them: pictures are damaged, frames and their times go on."""
    with RtspServer({"gate": pattern()}) as server, RtspUdpProxy(server.port) as proxy:
        options = {"policy": "all", "queue_size": 8, "rtsp_transport": "udp", "timeout_s": 2.0, "stall_s": 1.0}
        with open_live(f"rtsp://127.0.0.1:{proxy.port}/gate", retry_s=(0.2, 0.5), **options) as live:
            frames = take(live, 5)
            proxy.loss = 0.05
            frames += take(live, 40)
            proxy.loss = 0.0
            assert proxy.lost > 0
            proxy.frozen.set()
            assert wait_until(lambda: (frames.append(live.poll()) if live.waiting else None) or live.counters.stalls)
            proxy.frozen.clear()
            frames += take(live, 10)
            assert live.counters.reconnects >= 1
    frames = [frame for frame in frames if frame is not None]
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(later.time_s > earlier.time_s for earlier, later in itertools.pairwise(frames))


def test_a_password_is_used_and_told_nowhere() -> None:
    links: list[Link] = []
    with RtspServer({"gate": pattern()}, user="viewer:canary") as server:
        with open_live(server.url("gate", "viewer:canary"), on_link=links.append) as live:
            frame = next(live)
        with open_live(server.url("gate", "viewer:canary-wrong"), on_link=links.append) as refused:
            assert wait_until(lambda: links[-1].state == "lost")
        with open_live(server.url("none", "viewer:canary"), on_link=links.append) as missing:
            assert wait_until(lambda: len(links) > 2 and "404" in links[-1].problem)
    assert "access refused" in links[1].problem
    assert "canary" not in repr([links, frame.source, live, live.info, refused.info, missing.info])


def render(name: str, folder: Path) -> Path:
    if name == "road":
        scene = road(seed=5, size=(320, 180), duration_s=FILM_S, traffic=0.5)
    else:
        scene = shop(seed=5, size=(320, 180), duration_s=FILM_S, people=6)
    write_scene(scene, folder / f"{name}.mp4", FILM_FPS)
    return folder / f"{name}.mp4"


def watch_file(path: Path, segmenter: OnnxSegmenter) -> tuple[int, set[str], int]:
    """Frames, classes and identities of a recording."""
    tracker, classes, identities, frames = Tracker(class_count=6, confirmation_score=0.5), set(), 0, 0
    with open_source(path, like=segmenter, want_image=False, fps=FILM_FPS) as source:
        for frame in source:
            tracks = tracker.update(segmenter.segment([frame])[0], frame.time_s)
            classes |= {segmenter.class_names[one] for one in tracks.class_ids}
            identities = max(identities, int(tracks.ids.max(initial=0)))
            frames += 1
    return frames, classes, identities


@pytest.mark.parametrize("name", ["road", "shop", "traffic.mp4"])
def test_rendered_scenes_and_a_real_clip_are_tracked_as_from_a_file(request, tmp_path, name: str) -> None:
    """The shipped model on what a camera sends: the same classes, and as many identities but for one or two."""
    clip = request.getfixturevalue("data_root") / "clips" / name if "." in name else render(name, tmp_path)
    path = elementary(clip, tmp_path, size=(320, 180), rate=FILM_FPS, seconds=FILM_S)
    segmenter = OnnxSegmenter(device="cpu", threads=1)
    frames, classes, identities = watch_file(path, segmenter)
    assert frames == FILM_S * FILM_FPS
    assert identities >= 2
    records = tmp_path / "{name}-{time}.jsonl"
    engine = Engine(segmenter=segmenter, workers=1)
    with RtspServer({"film": film(path, FILM_FPS)}) as server:
        config = CameraSettings(
            name="gate", url=server.url("film"), policy="all", records=(str(records),), masks="none"
        )
        stream = open_stream(plan_camera(config), segmenter=segmenter, flow=Flow(queue_frames=60))
        engine.add(stream)
        assert wait_until(lambda: stream.meter.figures().frames >= frames - FILM_FPS or stream.state == "lost", 60)
        engine.close()
    assert not stream.failures
    [part] = tmp_path.glob("gate-*.jsonl")
    rows = [json.loads(line) for line in part.read_text().splitlines()]
    assert {row["class"] for row in rows} <= classes
    assert abs(max(row["id"] for row in rows) - identities) <= max(1, identities // 3)
    times_s = [row["time_s"] for row in rows]
    assert times_s == sorted(times_s)
    assert not any("time_from" in row for row in rows)


def opener(url: str):
    """Every frame is wanted: a machine that is busy makes them late, and only a fault loses one."""
    options = {"want_image": False, "policy": "all", "queue_size": 8}
    return lambda on_ready, on_link: open_live(url, on_ready=on_ready, on_link=on_link, **options)


def test_one_camera_dies_and_the_others_lose_nothing() -> None:
    """Two servers, one engine: while one is dead, the other's frames all come, over one and the same connection."""
    stable, shaky = RtspServer({"a": pattern()}), RtspServer({"b": pattern()})
    engine = Engine(segmenter=SlowSegmenter(0.002), workers=1)
    streams = {}
    trackers = {}
    with stable, shaky:
        for name, server in (("a", stable), ("b", shaky)):
            trackers[name] = CountingTracker()

            streams[name] = Stream(
                name=name, open_source=opener(server.url(name)), stages=[SteadyTracker(trackers[name])]
            )
            engine.add(streams[name])
        assert wait_until(lambda: all(one.meter.figures().frames > 25 for one in streams.values()))
        shaky.kill()
        assert wait_until(lambda: streams["b"].state == "lost")
        start = len(trackers["a"].times_s)
        assert wait_until(lambda: len(trackers["a"].times_s) > start + 25)
        shaky.start()
        frames = streams["b"].meter.figures().frames
        assert wait_until(lambda: streams["b"].meter.figures().frames > frames)
        counters = streams["a"].source.counters
        assert streams["b"].source.counters.reconnects >= 1
        engine.close()
    assert counters.dropped == counters.reconnects == counters.broken == counters.concealed == 0
    assert counters.decoded - len(trackers["a"].times_s) <= 8 + 2 + 3  # waiting in the two queues, and under way
    for tracker in trackers.values():
        assert tracker.times_s == sorted(tracker.times_s)
