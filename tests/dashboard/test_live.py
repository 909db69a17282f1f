"""The live socket through guard and route: who may open it, what it sends, and that a session's end closes it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from tests.dashboard.clients import ORIGIN, Desk, PlayedEngine
from tests.dashboard.test_hub import picture
from tracker.dashboard.engine_view import Listener, Wanted

LIVE = ORIGIN.replace("http", "ws") + "/api/live"


class LiveEngine(PlayedEngine):
    """A played engine that shows what is watched."""

    def __init__(self, folder: Path, *names: str) -> None:
        super().__init__(folder, *names)
        self.listeners: list[Listener] = []
        self.wanted: Wanted = {}
        self.asked_for = threading.Event()

    def follow(self, listener: Listener) -> None:
        self.listeners.append(listener)

    def watch(self, wanted: Wanted) -> None:
        self.wanted = wanted
        if wanted:
            self.asked_for.set()

    def tell(self, header: dict[str, Any], body: bytes = b"") -> None:
        for listener in self.listeners:
            listener.heard(header, body)


@pytest.fixture
def desk(tmp_path):
    engine = LiveEngine(tmp_path, "gate", "safe")
    made = Desk(tmp_path / "dashboard", engine=engine)
    yield made, engine
    made.close()


def header_of(message: bytes) -> dict[str, Any]:
    return json.loads(message[4 : 4 + int.from_bytes(message[:4], "big")])


def test_a_viewer_sees_its_camera_live(desk) -> None:
    made, engine = desk
    with made.logged_in("bob", "viewer", ["gate"]).websocket_connect(LIVE) as page:
        page.send_json({"watch": [{"stream": "gate", "width": 320}, {"stream": "safe", "width": 320}]})
        assert engine.asked_for.wait(60)
        assert engine.wanted == {"gate": {(320, "masked", 5.0)}}
        assert page.receive_json() == {"type": "counts", "stream": "gate", "places": []}
        engine.tell(*picture("safe", 0))
        engine.tell(*picture("gate", 0))
        assert page.receive_json()["stream"] == "gate"
        assert header_of(page.receive_bytes())["stream"] == "gate"
        page.send_json({"ack": "gate"})
    assert engine.wanted == {}


@pytest.mark.parametrize("origin", ["http://evil.example", "null", ""])
def test_a_socket_of_another_page_is_refused(desk, origin: str) -> None:
    made, _ = desk
    client = made.logged_in("bob", "viewer")
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(LIVE, headers={"origin": origin}):
        pass


def test_a_socket_without_a_session_is_refused(desk) -> None:
    made, _ = desk
    with pytest.raises(WebSocketDisconnect), made.client().websocket_connect(LIVE, headers={"origin": ORIGIN}):
        pass


@pytest.mark.parametrize(
    "message",
    [
        {"watch": [{"stream": "gate", "variant": "clear"}]},
        {"format": "disk"},
        {"watch": [{"stream": "x" * 5000}]},
    ],
)
def test_what_no_page_sends_closes_the_socket(desk, message: dict[str, Any]) -> None:
    made, engine = desk
    with made.logged_in("bob", "viewer").websocket_connect(LIVE) as page:
        page.send_json(message)
        with pytest.raises(WebSocketDisconnect) as ended:
            page.receive_json()
    assert ended.value.code in {1000, 1008, 1009}
    assert engine.wanted == {}


def test_bytes_close_the_socket(desk) -> None:
    made, _ = desk
    with made.logged_in("bob", "viewer").websocket_connect(LIVE) as page:
        page.send_bytes(b"\0\1")
        with pytest.raises(WebSocketDisconnect):
            page.receive_json()


def test_the_end_of_a_session_closes_its_socket(desk) -> None:
    made, engine = desk
    client = made.logged_in("bob", "viewer")
    with client.websocket_connect(LIVE) as page:
        page.send_json({"watch": [{"stream": "gate", "width": 320}]})
        assert engine.asked_for.wait(60)
        assert page.receive_json()["type"] == "counts"
        made.context.sessions.end_all("bob")
        with pytest.raises(WebSocketDisconnect):
            page.receive_json()
    assert made.context.hub.viewers == 0


def test_eight_sockets_of_a_session_and_no_more(desk) -> None:
    made, _ = desk
    client = made.logged_in("bob", "viewer")
    pages = [client.websocket_connect(LIVE) for _ in range(8)]
    for page in pages:
        page.__enter__()
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(LIVE):
        pass
    for page in pages:
        page.__exit__(None, None, None)
    with client.websocket_connect(LIVE):
        pass
