"""The dashboard's end of the channel: what it hears, what it asks for, and that it ends with the engine."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.analytics.walks import CLASS_NAMES, frames, through
from tests.sources.cameras import wait_until
from tracker.analytics.contact import ContactFinder
from tracker.dashboard.contact_log import note_of, pack
from tracker.dashboard.link import Link
from tracker.dashboard.wire import MessageReader, packed
from tracker.settings.site_file import write_site
from tracker.site import Line, Site

LINE = Site(lines=(Line(name="line", points=((0.5, 0.1), (0.5, 0.9))),))


class PlayedEngine:
    """The engine's end."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.heard: list[dict] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        reader = MessageReader()
        try:
            while data := self.connection.recv(1 << 16):
                self.heard += [header for header, _ in reader.feed(data)]
        except OSError:
            pass

    def send(self, kind: str, body: bytes = b"", **facts) -> None:
        self.connection.sendall(packed(kind, body, **facts))

    def hello(self, *names: str, site=None) -> None:
        cameras = [
            {
                "name": name,
                "size": [1280, 720],
                "classes": list(CLASS_NAMES),
                "site": site,
                "ledgers": ["a.sqlite"],
                "live": True,
                "scene": 0,
            }
            for name in names
        ]
        self.send("hello", cameras=cameras)

    def close(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self.connection.close()


@pytest.fixture
def ends(monkeypatch):
    monkeypatch.setattr("tracker.dashboard.link.ALIVE_S", 0.1)
    ours, theirs = socket.socketpair()
    ended = threading.Event()
    link = Link(theirs, preview_width=640, preview_fps=5, on_end=ended.set)
    engine = PlayedEngine(ours)
    link.start()
    yield link, engine, ended
    link.close()
    engine.close()


def test_cameras_and_health_are_as_the_engine_says(ends) -> None:
    link, engine, _ = ends
    changes = []
    link.on_change = lambda: changes.append(link.cameras())
    assert link.attached
    assert link.cameras() == {}
    engine.hello("gate", "yard", site="sites/gate.yaml")
    assert wait_until(lambda: changes)
    gate = link.cameras()["gate"]
    assert (gate.size, gate.classes, str(gate.site), gate.live) == ((1280, 720), CLASS_NAMES, "sites/gate.yaml", True)
    health = {"status": "ok", "cameras": {"gate": {"state": "live", "present": {"hall": {"person": 2}}}}}
    engine.send("health", json.dumps(health).encode())
    assert wait_until(link.health)
    assert link.present("gate") == [{"place": "hall", "class": "person", "present": 2}]
    assert link.present("yard") == []
    assert wait_until(lambda: any(one["kind"] == "alive" for one in engine.heard))


def test_what_is_wanted_is_asked_for_once(ends) -> None:
    link, engine, _ = ends
    link.watch({"gate": {(320, "masked", 5.0)}})
    link.watch({"gate": {(320, "masked", 5.0)}})
    link.watch({})
    assert wait_until(lambda: len([one for one in engine.heard if one["kind"] == "watch"]) == 2)
    first, second = (one["streams"] for one in engine.heard if one["kind"] == "watch")
    assert first == {"gate": [{"width": 320, "variant": "masked", "fps": 5.0}]}
    assert second == {}
    assert (link.width(9999), link.width(1), link.width(320), link.fps(99)) == (640, 160, 320, 5)


def test_listeners_are_told_live_messages_and_no_contacts(ends) -> None:
    link, engine, _ = ends
    told = []

    class Listener:
        def heard(self, header: dict, body: bytes) -> None:
            told.append((header["kind"], body))

    link.follow(Listener())
    engine.hello("gate")
    engine.send("contacts", b"", stream="nowhere", frames=0)
    engine.send("event", b"{}", stream="gate")
    assert wait_until(lambda: len(told) == 2)
    assert told == [("hello", b""), ("event", b"{}")]


def test_a_single_picture_is_waited_for_and_the_next_is_at_hand(ends) -> None:
    link, engine, _ = ends
    engine.hello("gate")
    assert wait_until(link.cameras)

    async def ask() -> list[bytes | None]:
        first = asyncio.create_task(link.picture("gate", variant="masked", width=600))
        second = asyncio.create_task(link.picture("gate", variant="masked", width=600))
        await asyncio.to_thread(wait_until, lambda: any(one["kind"] == "watch" for one in engine.heard), 5)
        facts = {"stream": "gate", "t_ms": 5, "variant": "masked", "asked": 600, "width": 600, "height": 338}
        engine.send("picture", b"{}JPEG", state_bytes=2, **facts)
        found = [await first, await second]
        return [*found, await link.picture("gate", variant="masked", width=600)]

    assert asyncio.run(ask()) == [b"JPEG"] * 3
    [asked, *_] = [one["streams"] for one in engine.heard if one["kind"] == "watch"]
    assert asked == {"gate": [{"width": 600, "variant": "masked", "fps": 5}]}
    assert asyncio.run(link.picture("nowhere", variant="masked", width=600)) is None


def test_a_picture_that_does_not_come_is_none_and_asked_for_no_longer(ends, monkeypatch) -> None:
    monkeypatch.setattr("tracker.dashboard.link.GLIMPSE_S", 0.1)
    monkeypatch.setattr("tracker.dashboard.link.LINGER_S", 0.2)
    link, engine, _ = ends
    engine.hello("gate")
    assert wait_until(link.cameras)
    assert asyncio.run(link.picture("gate", variant="clear", width=320)) is None
    assert wait_until(lambda: [one for one in engine.heard if one["kind"] == "watch"][-1]["streams"] == {})


def test_a_saved_site_is_passed_on_and_a_changed_one_is_tried(ends, tmp_path) -> None:
    link, engine, _ = ends
    path = tmp_path / "gate.yaml"
    assert link.dry_run("gate", LINE, seconds=600) is None
    engine.hello("gate", site=str(path))
    assert wait_until(link.cameras)
    finder = ContactFinder([])
    at = datetime(2026, 3, 1, tzinfo=UTC)
    notes = []
    for one in frames({7: through((0, 0.1, 0.5), (8, 0.9, 0.5))}, fps=12.5, duration_s=8):
        frame = replace(one.frame, captured_at=at)
        notes.append(note_of(replace(one, frame=frame, contacts=finder.find(one.instances, one.frame.size))))
    header, body = pack(notes)
    engine.send("contacts", body, stream="gate", **header)
    assert wait_until(lambda: link.path("gate", 7))
    rows = link.dry_run("gate", LINE, seconds=600)["places"][0]["rows"]
    assert {(row["was"], row["would"]) for row in rows} == {(None, 1), (None, 0)}
    write_site(path, replace(LINE, lines=(replace(LINE.lines[0], points=((0.99, 0.1), (0.99, 0.9))),)))
    rows = link.dry_run("gate", LINE, seconds=600)["places"][0]["rows"]
    assert {(row["was"], row["would"]) for row in rows} == {(0, 1), (0, 0)}
    path.write_text("version: [")  # what cannot be read is nothing to compare with
    assert link.dry_run("gate", LINE, seconds=600)["places"][0]["rows"][0]["was"] is None
    link.site_saved("gate")
    assert wait_until(lambda: {"kind": "reload", "stream": "gate"} in engine.heard)


def test_it_ends_with_the_engine(ends) -> None:
    link, engine, ended = ends
    engine.connection.shutdown(socket.SHUT_RDWR)
    assert ended.wait(60)
    assert not link.attached
    assert asyncio.run(link.picture("gate", variant="masked", width=320)) is None
    link.site_saved("gate")  # nothing happens


def test_nonsense_ends_it_with_a_line_in_the_log(ends, caplog) -> None:
    _, engine, ended = ends
    engine.connection.sendall(b"\0\0\0\2\0\0\0\0{]")
    assert ended.wait(60)
    [line] = [one for one in caplog.records if one.message == "engine's message not understood"]
    assert line.exc_info is None
    assert "restart the engine" in line.remedy
