"""Changes, sockets and reading come from the page itself: Origin, CSRF token, and what the browser says of the site."""

from __future__ import annotations

import json

import pytest
from starlette.websockets import WebSocketDisconnect

from tests.dashboard.clients import SOCKETS as WS
from tests.dashboard.clients import Desk, PlayedEngine
from tracker.dashboard.guard import CSRF_HEADER
from tracker.dashboard.sessions import csrf_of


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path / "dash", engine=PlayedEngine(tmp_path, "gate"))
    yield made
    made.close()


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://localhost:8601", "https://localhost:8600", ""]
)
def test_a_change_needs_the_pages_own_origin(desk, origin):
    with desk.logged_in() as client:
        del client.headers["origin"]
        headers = {} if origin is None else {"origin": origin}
        answer = client.post("/api/tokens", json={"label": "x"}, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["error"]["what"] == "Origin"
    assert desk.context.tokens.all() == []


@pytest.mark.parametrize("token", [None, "", "anonymous", "0" * 64])
def test_a_change_needs_the_sessions_csrf_token(desk, token):
    with desk.logged_in() as client:
        del client.headers[CSRF_HEADER]
        headers = {} if token is None else {CSRF_HEADER: token}
        assert client.post("/api/tokens", json={"label": "x"}, headers=headers).status_code == 403
    assert desk.context.tokens.all() == []


def test_the_token_of_another_session_is_none(desk):
    other = desk.context.sessions.begin
    with desk.logged_in() as client:
        secret = other("ann", "elsewhere")
        answer = client.post("/api/tokens", json={"label": "x"}, headers={CSRF_HEADER: csrf_of(secret)})
        assert answer.status_code == 403


def test_a_form_of_another_site_changes_nothing(desk):
    """What a form can send: no header of ours, no JSON type; also with an Origin that fits."""
    with desk.logged_in() as client:
        body = json.dumps({"label": "x"})
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            answer = client.post("/api/tokens", content=body, headers={"content-type": kind})
            assert answer.status_code == 422, kind
    assert desk.context.tokens.all() == []


def test_reading_from_another_site_is_refused(desk):
    with desk.logged_in() as client:
        for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
            assert client.get("/api/streams", headers={"sec-fetch-site": site}).status_code == status


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 201), ("none", 201)]
)
def test_a_change_marked_as_of_another_site_is_refused(desk, site, status):
    """Although its Origin and its CSRF token fit: the browser's own mark counts as well."""
    with desk.logged_in() as client:
        answer = client.post("/api/tokens", json={"label": "x"}, headers={"sec-fetch-site": site})
        assert answer.status_code == status
        assert status != 403 or answer.json()["error"]["found"] == "one of another site"
    assert len(desk.context.tokens.all()) == (status == 201)


def test_a_link_of_another_site_opens_the_page(desk):
    with desk.client() as client:
        assert client.get("/streams/gate", headers={"sec-fetch-site": "cross-site"}).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_socket_marked_as_of_another_site_is_refused(desk, site):
    with desk.logged_in() as client:
        headers = {"sec-fetch-site": site}
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"{WS}/api/live", headers=headers):
            pass


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null"])
def test_a_socket_needs_the_pages_own_origin(desk, origin):
    with desk.logged_in() as client:
        del client.headers["origin"]
        headers = {} if origin is None else {"origin": origin}
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"{WS}/api/live", headers=headers):
            pass
