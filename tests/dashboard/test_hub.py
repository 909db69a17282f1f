"""The hub: credits, the newest alone, what one may see, and what a viewer that stops costs the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from tracker.dashboard.hub import Hub, WatchError
from tracker.dashboard.rights import Principal
from tracker.dashboard.viewer import ASLEEP_S, CREDITS, MOST_TEXTS, MOST_WAITING_BYTES, Viewer

CAMERAS = {"gate": None, "yard": None, "safe": None}
ADMIN = Principal(name="ann", role="admin", see_people=True)
VIEWER = Principal(name="bob", role="viewer", streams=frozenset({"gate", "yard"}))


class Browser:
    """One viewer of a hub, as its page: it draws at once, unless it is told to stop."""

    def __init__(self, hub: Hub, principal: Principal = ADMIN, *, draws: bool = True, reads: bool = True) -> None:
        self.texts: list[dict[str, Any]] = []
        self.pictures: list[dict[str, Any]] = []
        self.draws = draws
        self.reads = asyncio.Event()
        if reads:
            self.reads.set()
        self._up: asyncio.Queue[str | None] = asyncio.Queue()
        self.viewer = Viewer(principal, self._text, self._bytes)
        self.task = asyncio.create_task(hub.attend(self.viewer, self._up.get))

    async def _text(self, text: str) -> None:
        await self.reads.wait()
        self.texts.append(json.loads(text))

    async def _bytes(self, message: bytes) -> None:
        await self.reads.wait()
        length = int.from_bytes(message[:4], "big")
        self.pictures.append(json.loads(message[4 : 4 + length]))
        if self.draws:
            self.send(ack=self.pictures[-1]["stream"])

    def send(self, **message: Any) -> None:
        self._up.put_nowait(json.dumps(message))

    def watch(self, *streams: str, **options: Any) -> None:
        self.send(watch=[{"stream": name, "width": 320, **options} for name in streams])

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [text for text in self.texts if text["type"] == kind]

    async def leave(self) -> None:
        self._up.put_nowait(None)
        await self.task


def picture(
    stream: str, t_ms: int, *, variant: str = "masked", width: int = 320, size: int = 1000
) -> tuple[dict, bytes]:
    state = json.dumps({"type": "state", "stream": stream, "t_ms": t_ms}).encode()
    header = {
        "kind": "picture",
        "stream": stream,
        "t_ms": t_ms,
        "variant": variant,
        "asked": width,
        "width": width,
        "height": 180,
        "state_bytes": len(state),
    }
    return header, state + b"\xff" * size


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Wall:
    """A hub with what it wanted."""

    def __init__(self, **options: Any) -> None:
        self.wanted: list[dict] = []
        self.hub = Hub(watch=self.wanted.append, streams=lambda: CAMERAS, **options)

    async def show(self, stream: str, t_ms: int, **options: Any) -> None:
        self.hub._deliver(*picture(stream, t_ms, **options))
        await settled()


def play(act: Callable[[Wall], Any], **options: Any) -> None:
    async def run() -> None:
        await act(Wall(**options))

    asyncio.run(asyncio.wait_for(run(), 20))


def test_a_picture_comes_with_its_state_before_it_and_the_rate_is_kept() -> None:
    async def act(wall: Wall) -> None:
        page = Browser(wall.hub)
        page.watch("gate", fps=5)
        await settled()
        assert wall.wanted[-1] == {"gate": {(320, "masked", 5.0)}}
        for number in range(11):
            await wall.show("gate", 100 * number)
        assert [one["t_ms"] for one in page.pictures] == [0, 200, 400, 600, 800, 1000]
        assert [one["t_ms"] for one in page.of("state")] == [0, 200, 400, 600, 800, 1000]
        assert page.pictures[0] == {"stream": "gate", "t_ms": 0, "variant": "masked", "width": 320, "height": 180}
        await page.leave()
        assert wall.wanted[-1] == {}
        assert wall.hub.viewers == 0

    play(act)


def test_one_who_draws_nothing_gets_two_pictures_and_then_the_newest() -> None:
    async def act(wall: Wall) -> None:
        page = Browser(wall.hub, draws=False)
        page.watch("gate", "yard")
        await settled()
        for number in range(10):
            await wall.show("gate", 200 * number)
        await wall.show("yard", 0)
        assert [one["t_ms"] for one in page.pictures if one["stream"] == "gate"] == [0, 200]
        assert [one["stream"] for one in page.pictures].count("yard") == 1  # its own credits
        page.send(ack="gate")
        await settled()
        assert [one["t_ms"] for one in page.pictures if one["stream"] == "gate"] == [0, 200, 1800]
        for _ in range(5):
            page.send(ack="gate")  # more than it was sent: credits do not grow
        await settled()
        for number in range(10, 15):
            await wall.show("gate", 200 * number)
        assert len([one for one in page.pictures if one["stream"] == "gate"]) == 3 + CREDITS
        await page.leave()

    play(act)


def test_one_who_stops_reading_delays_nobody_and_costs_little() -> None:
    async def act(wall: Wall) -> None:
        slow = Browser(wall.hub, reads=False)
        good = Browser(wall.hub)
        for page in (slow, good):
            page.watch("gate", "yard", "safe")
        await settled()
        for number in range(200):
            for name in CAMERAS:
                await wall.show(name, 200 * number, size=180_000)
            wall.hub._deliver({"kind": "event", "stream": "gate"}, b'{"key":"x"}')
            await settled()
        assert len(good.pictures) == 600
        assert len(good.of("event")) == 200
        waiting = sum(len(message) for _, message in slow.viewer._pictures.values())
        assert waiting == slow.viewer._waiting_bytes <= MOST_WAITING_BYTES
        assert len(slow.viewer._texts) <= MOST_TEXTS
        assert not slow.pictures
        slow.reads.set()
        await settled()
        assert {one["t_ms"] for one in slow.pictures[1:]} == {200 * 199}  # what waited is the newest
        await slow.leave()
        await good.leave()

    play(act)


def test_what_nobody_draws_is_not_made_until_it_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(wall: Wall) -> None:
        now_s = [100.0]
        monkeypatch.setattr(wall.hub, "_now_s", lambda: now_s[0])
        page = Browser(wall.hub, draws=False)
        page.watch("gate")
        page.send(watch=[{"stream": "gate", "width": 320}, {"stream": "yard", "pictures": False}])
        await settled()
        for number in range(3):
            await wall.show("gate", 200 * number)
        wall.hub._refresh()
        assert set(wall.wanted[-1]) == {"gate", "yard"}
        now_s[0] += ASLEEP_S + 1
        wall.hub._refresh()
        assert set(wall.wanted[-1]) == {"yard"}  # states need no drawing
        page.send(ack="gate")
        await settled()
        assert set(wall.wanted[-1]) == {"gate", "yard"}
        await page.leave()

    play(act)


def test_one_may_see_ones_own_cameras_and_clear_pictures_by_right_only() -> None:
    async def act(wall: Wall) -> None:
        bob = Browser(wall.hub, VIEWER)
        bob.watch("gate", "safe", "nowhere")
        await settled()
        assert set(wall.wanted[-1]) == {"gate"}
        for name in CAMERAS:
            await wall.show(name, 0)
            await wall.show(name, 0, variant="clear")
            wall.hub._deliver({"kind": "event", "stream": name}, b'{"key":"x"}')
            wall.hub._deliver({"kind": "site_loaded", "stream": name, "revision": 3}, b"")
        health = {"status": "ok", "cameras": {name: {"state": "live", "secret": 1} for name in CAMERAS}}
        wall.hub._deliver({"kind": "health"}, json.dumps(health).encode())
        await settled()
        assert [(one["stream"], one["variant"]) for one in bob.pictures] == [("gate", "masked")]
        assert len(bob.of("event")) == 1
        assert [one["stream"] for one in bob.of("site_loaded")] == ["gate", "yard"]
        [told] = bob.of("health")
        assert set(told["cameras"]) == {"gate", "yard"}
        assert "secret" not in told["cameras"]["gate"]
        assert not any("safe" in json.dumps(text) for text in bob.texts)
        bob.watch("gate", variant="clear")
        with pytest.raises(WatchError, match="without the right"):
            await bob.task

    play(act)


def test_two_viewers_of_one_size_share_its_pictures_and_sizes_are_apart() -> None:
    async def act(wall: Wall) -> None:
        pages = [Browser(wall.hub) for _ in range(3)]
        pages[0].watch("gate")
        pages[1].watch("gate")
        pages[2].watch("gate", width=960, variant="clear")
        await settled()
        assert wall.wanted[-1] == {"gate": {(320, "masked", 5.0), (960, "clear", 5.0)}}
        await wall.show("gate", 0)
        await wall.show("gate", 0, width=960, variant="clear")
        assert [len(page.pictures) for page in pages] == [1, 1, 1]
        assert pages[2].pictures[0]["variant"] == "clear"
        for page in pages:
            await page.leave()

    play(act)


def test_states_without_pictures_go_to_those_who_want_no_pictures() -> None:
    async def act(wall: Wall) -> None:
        plain, pictured = Browser(wall.hub), Browser(wall.hub)
        plain.watch("gate", pictures=False)
        pictured.watch("gate")
        await settled()
        assert wall.wanted[-1] == {"gate": {(0, "masked", 5.0), (320, "masked", 5.0)}}
        wall.hub._deliver({"kind": "state", "stream": "gate"}, b'{"type":"state","t_ms":5}')
        await wall.show("gate", 0)
        assert [one["t_ms"] for one in plain.of("state")] == [5]
        assert [one["t_ms"] for one in pictured.of("state")] == [0]
        assert not plain.pictures
        for page in (plain, pictured):
            await page.leave()

    play(act)


def test_counts_come_when_a_camera_is_watched_and_after_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.dashboard.hub.COUNTS_S", 0.05)
    counted = [{"place": "door", "direction": "in", "count": 1}]

    async def act(wall: Wall) -> None:
        page = Browser(wall.hub)
        page.watch("gate")
        await asyncio.sleep(0.1)
        assert page.of("counts") == [{"type": "counts", "stream": "gate", "places": counted}]
        counted[0]["count"] = 2
        for _ in range(5):
            wall.hub._deliver({"kind": "event", "stream": "gate"}, b'{"key":"x"}')
        await asyncio.sleep(0.3)
        assert [one["places"][0]["count"] for one in page.of("counts")] == [1, 2]  # five events, one question
        await page.leave()

    play(act, counts=lambda _name: [dict(one) for one in counted])


def test_nothing_runs_any_more_when_the_last_viewer_has_gone() -> None:
    """Its loop is closed next: what is left would be destroyed while it waits."""

    def running() -> set[str]:
        return {name for task in asyncio.all_tasks() if (name := task.get_coro().__qualname__).startswith("Hub.")}

    async def counted(page: Browser) -> None:
        for _ in range(1000):
            if page.of("counts"):
                return
            await asyncio.sleep(0.01)

    async def act(wall: Wall) -> None:
        pages = [Browser(wall.hub) for _ in range(2)]
        for page in pages:
            page.watch("gate")
            await counted(page)
        wall.hub._deliver({"kind": "event", "stream": "gate"}, b"{}")
        await pages[0].leave()
        assert {"Hub._look", "Hub._tell_counts"} <= running()  # for the other one
        await pages[1].leave()
        assert running() == set()
        again = Browser(wall.hub)
        again.watch("gate")
        await counted(again)
        await again.leave()

    play(act, counts=lambda _name: [])


def test_counts_that_cannot_be_read_are_said_in_the_log(caplog) -> None:
    def broken(_name: str) -> list[dict[str, Any]]:
        message = "disk"
        raise OSError(message)

    async def act(wall: Wall) -> None:
        page = Browser(wall.hub)
        page.watch("gate")
        await asyncio.sleep(0.1)
        assert not page.task.done()
        await page.leave()

    play(act, counts=broken)
    assert "counts not read" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '"watch"',
        "{}",
        '{"watch": [], "ack": "gate"}',
        '{"shout": 1}',
        '{"watch": {}}',
        '{"watch": [5]}',
        '{"watch": [{"stream": "gate", "url": "rtsp://x"}]}',
        '{"watch": [{"stream": "gate", "width": "wide"}]}',
        '{"watch": [{"stream": "gate", "width": 1e9}]}',
        '{"watch": [{"stream": "gate", "fps": 0}]}',
        '{"watch": [{"stream": "gate", "fps": true}]}',
        '{"watch": [{"stream": "gate", "variant": "naked"}]}',
        '{"watch": [{"stream": "gate", "pictures": 1}]}',
        json.dumps({"watch": [{"stream": "gate"}] * 65}),
    ],
)
def test_nonsense_ends_the_socket(text: str) -> None:
    async def act(wall: Wall) -> None:
        page = Browser(wall.hub)
        page._up.put_nowait(text)
        with pytest.raises(WatchError):
            await page.task
        assert wall.hub.viewers == 0

    play(act)


def test_what_comes_while_nobody_is_there_is_dropped() -> None:
    wall = Wall()
    wall.hub.heard(*picture("gate", 0))

    async def act(other: Wall) -> None:
        page = Browser(other.hub)
        await settled()
        other.hub.heard({"kind": "hello"}, b"")
        await asyncio.sleep(0.05)
        assert page.of("streams")
        await page.leave()
        other.hub.heard({"kind": "hello"}, b"")

    play(act)


def test_one_who_takes_nothing_for_long_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.dashboard.hub.LOOK_S", 0.02)
    monkeypatch.setattr("tracker.dashboard.hub.STALLED_S", 0.1)

    async def act(wall: Wall) -> None:
        page = Browser(wall.hub, reads=False)
        page.watch("gate")
        await settled()
        await wall.show("gate", 0)
        await asyncio.wait_for(page.task, 5)
        assert wall.hub.viewers == 0

    play(act)
