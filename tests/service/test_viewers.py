"""The engine's side of the dashboard: it taps streams, makes what is watched and nothing else, and never waits."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.engine.fakes import FakeSource, SlowSegmenter, stream
from tests.sources.cameras import wait_until
from tracker.dashboard.contact_log import unpack
from tracker.dashboard.wire import MessageReader, packed
from tracker.engine.counting import ContactStage
from tracker.engine.scheduler import Engine
from tracker.engine.stage import Stage
from tracker.events import Event
from tracker.service.channel import Channel
from tracker.service.viewers import Viewers, Watched
from tracker.settings.dashboard import DashboardSettings
from tracker.types import TrackedFrame

MASKED = {"width": 320, "variant": "masked", "fps": 5}


class Pictured(Stage):
    """Gives the frames of a source without a decoder pictures, and some of them an event."""

    name = "pictured"

    def process(self, tracked: TrackedFrame) -> TrackedFrame:
        from dataclasses import replace

        image = np.full((48, 64, 3), 120, np.uint8)
        event = Event(
            kind="crossing", stream=tracked.frame.source, time_s=tracked.frame.time_s, place="door", identity=1
        )
        events = (event,) if tracked.frame.index % 10 == 0 else ()
        return replace(tracked, frame=replace(tracked.frame, image=image), events=events)


def plan(name: str, *, site: str | None = None) -> SimpleNamespace:
    """What is asked of a plan."""
    return SimpleNamespace(
        name=name,
        outputs=("out/events.sqlite", "out/x.mp4"),
        kind_of=lambda output: ".sqlite" if output.endswith(".sqlite") else None,
        settings=SimpleNamespace(site=site, privacy="none"),
        site=None,
        address=SimpleNamespace(kind="network"),
    )


class Page:
    """The dashboard's end of the channel."""

    def __init__(self, viewers: Viewers) -> None:
        ours, self.theirs = socket.socketpair()
        self.channel = Channel(ours, on_message=viewers.heard, on_end=viewers.detach)
        self.channel.start()
        self.messages: list[tuple[dict, bytes]] = []
        threading.Thread(target=self._read, daemon=True).start()
        viewers.attach(self.channel)

    def _read(self) -> None:
        reader = MessageReader()
        while data := self.theirs.recv(1 << 16):
            self.messages += reader.feed(data)

    def of(self, kind: str) -> list[tuple[dict, bytes]]:
        return [one for one in self.messages if one[0]["kind"] == kind]

    def send(self, kind: str, **facts) -> None:
        self.theirs.sendall(packed(kind, **facts))

    def close(self) -> None:
        self.theirs.shutdown(socket.SHUT_RDWR)
        assert wait_until(lambda: self.channel.ended)
        self.channel.close()
        self.theirs.close()


@contextmanager
def service(*names: str, sites=None, rate: float = 25.0):
    viewers = Viewers(DashboardSettings(folder="x"), sites=sites)
    engine = Engine(segmenter=SlowSegmenter(), workers=1)
    viewers.engine = engine
    sources = {name: FakeSource(name, policy="latest") for name in names}
    for name, source in sources.items():
        one = stream(source)
        one._ordered._stages += [ContactStage(), Pictured()]
        viewers.opened(plan(name), one, ("person", "car"))
        engine.add(one)
        source.feed(rate)
    try:
        yield viewers, engine, sources
    finally:
        for source in sources.values():
            source.close()
        engine.close()
        viewers.close()


def test_the_page_is_told_the_cameras_their_health_contacts_and_events(tmp_path) -> None:
    with service("gate", "yard", sites=tmp_path) as (viewers, _, _):
        page = Page(viewers)
        assert wait_until(lambda: len(page.of("contacts")) >= 4)
        [(hello, _), *_] = page.of("hello")
        gate = hello["cameras"][0]
        assert gate == {
            "name": "gate",
            "size": [64, 48],
            "classes": ["person", "car"],
            "site": str(tmp_path / "gate.yaml"),
            "ledgers": ["out/events.sqlite"],
            "live": True,
            "scene": 0,
        }
        assert len(page.of("hello")) == 1  # told again only where it changed
        health = json.loads(page.of("health")[-1][1])
        assert health["cameras"]["gate"]["state"] == "live"
        assert health["cameras"]["gate"]["present"] == {}
        frames = [
            tracked
            for header, body in page.of("contacts")
            if header["stream"] == "gate"
            for tracked in unpack(header, body, stream="gate", class_names=("person", "car"))
        ]
        times = [tracked.frame.time_s for tracked in frames]
        assert len(times) > 20
        assert times == sorted(set(times))  # every frame, once
        event = json.loads(page.of("event")[0][1])
        assert (event["place"], event["kind"]) == ("door", "crossing")
        assert not page.of("picture")
        assert not page.of("state")
        page.close()


def test_what_is_watched_is_made_at_its_rate_and_nothing_else() -> None:
    with service("gate", "yard") as (viewers, _, _):
        page = Page(viewers)
        page.send("watch", streams={"gate": [MASKED, {"width": 0, "variant": "masked", "fps": 5}]})
        assert wait_until(lambda: len(page.of("picture")) >= 8)
        assert {header["stream"] for header, _ in page.of("picture")} == {"gate"}
        header, body = page.of("picture")[3]
        state = json.loads(body[: header["state_bytes"]])
        assert state["t_ms"] == header["t_ms"]
        assert body[header["state_bytes"] :][:2] == b"\xff\xd8"
        assert (header["asked"], header["width"], header["height"]) == (320, 64, 48)
        times = [header["t_ms"] for header, _ in page.of("picture")]
        assert 155 <= np.median(np.diff(times)) < 1000  # more on a loaded machine
        assert {json.loads(body)["stream"] for _, body in page.of("state")} == {"gate"}
        page.send("watch", streams={})
        time.sleep(1)
        count = len(page.of("picture"))
        time.sleep(0.6)
        assert len(page.of("picture")) == count
        page.close()


def test_no_more_than_the_settings_allow_is_made() -> None:
    with service("gate") as (viewers, _, _):
        page = Page(viewers)
        page.send("watch", streams={"gate": [{"width": 9999, "variant": "clear", "fps": 99}]})
        assert wait_until(lambda: len(page.of("picture")) >= 5)
        assert {header["asked"] for header, _ in page.of("picture")} == {960}
        times = [header["t_ms"] for header, _ in page.of("picture")]
        assert min(np.diff(times)) > 100
        page.close()


def test_full_size_pictures_are_asked_for_while_somebody_looks_closer_than_the_model() -> None:
    with service("gate") as (viewers, _, sources):
        page = Page(viewers)
        page.send("watch", streams={"gate": [MASKED]})
        assert wait_until(lambda: getattr(sources["gate"], "shows_images", False))  # it has no other picture
        page.send("watch", streams={})
        assert wait_until(lambda: not sources["gate"].shows_images)
        page.close()


def test_a_page_that_reads_nothing_costs_the_cameras_nothing() -> None:
    with service("gate", "yard", rate=50) as (viewers, engine, _):
        ours, theirs = socket.socketpair()
        channel = Channel(ours, on_message=viewers.heard)
        channel.start()
        viewers.attach(channel)
        viewers.watch({name: [MASKED, {"width": 640, "variant": "clear", "fps": 5}] for name in ("gate", "yard")})
        before = [one.figures().frames for one in engine.streams]
        for one, count in zip(engine.streams, before, strict=True):
            assert wait_until(lambda one=one, count=count: one.figures().frames > count + 100)
        assert channel._all_bytes < 8_000_000
        assert all(one.failures == [] for one in engine.streams)
        channel.close()
        theirs.close()


def test_a_page_that_goes_is_forgotten_and_the_next_one_begins_with_nothing() -> None:
    with service("gate") as (viewers, _, _):
        page = Page(viewers)
        page.send("watch", streams={"gate": [MASKED]})
        assert wait_until(lambda: page.of("picture"))
        page.close()
        assert wait_until(lambda: viewers._channel is None)
        [one] = viewers._cameras.values()
        assert (one.pace, one.newest, one.sizes) == (None, None, frozenset())
        other = Page(viewers)
        assert wait_until(lambda: other.of("health"))
        assert other.of("hello")
        assert not other.of("picture")
        other.close()


def test_reloads_are_passed_on_and_nonsense_ends_the_channel() -> None:
    with service("gate") as (viewers, _, _):
        page = Page(viewers)
        page.send("reload", stream="gate")
        assert viewers.reloads.get(timeout=5) == "gate"
        viewers.site_loaded("gate", 4)
        viewers.site_failed("gate", "line 3: expected a name")
        assert wait_until(lambda: page.of("site_failed"))
        assert page.of("site_loaded")[0][0]["revision"] == 4
        page.send("format", disk="c")
        assert wait_until(lambda: page.channel.ended)
        page.theirs.close()


def test_a_camera_that_was_removed_is_told_so() -> None:
    with service("gate", "yard") as (viewers, _, _):
        page = Page(viewers)
        viewers.closed("yard")
        assert wait_until(lambda: len(page.of("hello")) == 2)
        assert [one["name"] for one in page.of("hello")[-1][0]["cameras"]] == ["gate"]
        page.close()


def test_the_scene_of_a_camera_changes_unless_its_identities_go_on() -> None:
    with service("gate") as (viewers, _, _):
        [one] = viewers._cameras.values()
        plan: Any = SimpleNamespace(
            name="gate",
            outputs=(),
            settings=SimpleNamespace(site=None, privacy="none"),
            site=None,
            address=SimpleNamespace(kind="network"),
        )
        found = []
        for continued in (True, False, True):
            viewers.closed("gate", continued=continued)
            viewers.opened(plan, one.stream, ())
            found.append(viewers._cameras["gate"].facts()["scene"])
        assert found == [0, 1, 1]


def test_a_camera_that_is_not_open_yet_has_no_size() -> None:
    one = stream(FakeSource("gate"))
    watched = Watched(name="gate", stream=one, classes=(), site=None, ledgers=(), live=True, scene=0, preview=None)
    assert watched.facts()["size"] is None
