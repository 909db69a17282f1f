"""Sessions, set-up link, passwords and tokens: their ends, and the sockets that end with them."""

from __future__ import annotations

import pytest
from starlette.websockets import WebSocketDisconnect

from tests.dashboard.clients import PASSWORD, Desk, PlayedEngine
from tests.dashboard.clients import SOCKETS as WS
from tracker.dashboard.guard import CSRF_HEADER, SESSION_OVER, SOCKETS
from tracker.dashboard.limits import LOGIN, RateLimit
from tracker.dashboard.sessions import ABSOLUTE_S, IDLE_S

STRONG = "seven green bicycles"


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path / "dash", engine=PlayedEngine(tmp_path, "gate"))
    yield made
    made.close()


def set_up(desk, client, password=PASSWORD):
    return client.post("/api/setup", json={"token": desk.context.set_up.secret, "name": "ann", "password": password})


def test_the_set_up_link_is_good_once(desk):
    with desk.client() as client:
        assert client.get("/api/session").json()["setup_needed"]
        wrong = {"token": "x" * 43, "name": "eve", "password": STRONG}
        assert client.post("/api/setup", json=wrong).status_code == 403
        desk.context.logins = RateLimit(LOGIN)
        assert set_up(desk, client).status_code == 200
        assert client.get("/api/streams").status_code == 200
    with desk.client() as client:
        assert not client.get("/api/session").json()["setup_needed"]
        desk.context.logins = RateLimit(LOGIN)
        again = {"token": desk.context.set_up.secret, "name": "eve", "password": STRONG}
        assert client.post("/api/setup", json=again).status_code == 403
    assert [user.name for user in desk.context.accounts.users()] == ["ann"]


def test_the_set_up_link_ends_by_itself(desk, monkeypatch):
    monkeypatch.setattr(desk.context.set_up, "_until_s", 0.0)
    with desk.client() as client:
        assert set_up(desk, client).status_code == 403


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "ann123456789", "password1234", "x" * 257])
def test_weak_passwords_are_refused(desk, password):
    with desk.client() as client:
        answer = set_up(desk, client, password)
        assert answer.status_code == 422
        assert password not in answer.text


def test_log_in_log_out_and_a_new_password(desk):
    with desk.client() as client:
        assert set_up(desk, client).status_code == 200
        first = desk.client()
        first.cookies = client.cookies
        csrf = client.get("/api/session").json()["csrf"]
        assert client.delete("/api/session", headers={CSRF_HEADER: csrf}).status_code == 204
    assert first.get("/api/streams").status_code == 401, "the same identifier is good no more"
    with desk.client() as client:
        assert client.post("/api/session", json={"name": "ann", "password": PASSWORD}).status_code == 200
        csrf = client.get("/api/session").json()["csrf"]
        client.headers[CSRF_HEADER] = csrf
        desk.context.logins = RateLimit(LOGIN)
        other = desk.logged_in("ann")
        assert other.get("/api/streams").status_code == 200
        change = {"password": PASSWORD, "new_password": STRONG}
        assert client.post("/api/session/password", json=change).status_code == 200
        assert other.get("/api/streams").status_code == 401
        assert client.get("/api/streams").status_code == 200
    with desk.client() as client:
        desk.context.logins = RateLimit(LOGIN)
        assert client.post("/api/session", json={"name": "ann", "password": PASSWORD}).status_code == 401


@pytest.mark.parametrize("after_s", [IDLE_S + 61, None])
def test_sessions_end_when_idle_and_absolutely(desk, after_s):
    at = [1_000_000_000_000]
    desk.context.sessions._clock = lambda: at[0]
    with desk.logged_in() as client:
        assert client.get("/api/streams").status_code == 200
        if after_s is not None:
            at[0] += round(after_s * 1000)
        else:
            for _ in range(int(ABSOLUTE_S / (IDLE_S / 2)) + 1):
                at[0] += round(IDLE_S * 500)
                client.get("/api/streams")
        assert client.get("/api/streams").status_code == 401
    assert desk.context.accounts.rows("SELECT count(*) FROM sessions") == [(0,)]


def test_identifiers_are_stored_hashed(desk, tmp_path):
    with desk.client() as client:
        set_up(desk, client)
        secret = client.cookies["masktrail-8600"]
        csrf = client.get("/api/session").json()["csrf"]
        token = client.post("/api/tokens", json={"label": "x"}, headers={CSRF_HEADER: csrf}).json()["token"]
    held = b"".join(path.read_bytes() for path in (tmp_path / "dash").iterdir())
    for text in (secret, csrf, token, PASSWORD):
        assert text.encode() not in held
    assert b"$argon2id$" in held
    assert oct((tmp_path / "dash" / "dashboard.sqlite").stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize("how", ["log out", "role", "password", "removed", "expiry"])
def test_the_end_of_a_session_closes_its_sockets(desk, how):
    with desk.logged_in("bob", "viewer") as client, desk.logged_in("root", "admin") as admin:
        with client.websocket_connect(f"{WS}/api/live") as socket:
            if how == "log out":
                assert client.delete("/api/session").status_code == 204
            elif how == "role":
                assert admin.patch("/api/users/bob", json={"streams": []}).status_code == 200
            elif how == "password":
                assert admin.patch("/api/users/bob", json={"password": STRONG}).status_code == 200
            elif how == "removed":
                assert admin.delete("/api/users/bob").status_code == 204
            else:
                later = desk.context.sessions._clock() + round(IDLE_S * 2000)
                desk.context.sessions._clock = lambda: later
                desk.context.tick()
            while (message := socket.receive())["type"] != "websocket.close":
                pass
            assert message["code"] == SESSION_OVER
        assert client.get("/api/streams").status_code == 401


def test_the_end_of_a_token_closes_its_sockets(desk):
    number, secret = desk.context.tokens.make(
        "x", role="viewer", streams=None, see_people=False, created_by="t", expires_ms=None
    )
    with desk.client(authorization=f"Bearer {secret}") as client, client.websocket_connect(f"{WS}/api/live") as socket:
        assert desk.context.tokens.remove(number)
        while (message := socket.receive())["type"] != "websocket.close":
            pass
        assert message["code"] == SESSION_OVER
        assert client.get("/api/streams").status_code == 401


def test_a_token_ends_by_itself_and_may_not_act_as_a_person(desk):
    now = desk.context.tokens._clock()
    _, secret = desk.context.tokens.make(
        "x", role="operator", streams=None, see_people=False, created_by="t", expires_ms=now + 1000
    )
    with desk.client(authorization=f"Bearer {secret}") as client:
        assert client.get("/api/streams").status_code == 200
        assert client.delete("/api/session").status_code == 403
        desk.context.tokens._clock = lambda: now + 2000
        assert client.get("/api/streams").status_code == 401
    for word in ("Bearer", "Bearer x", "Basic YTpi", f"Token {secret}", f"Bearer {secret}x"):
        with desk.client(authorization=word) as client:
            assert client.get("/api/streams").status_code == 401


def test_sockets_of_one_session_are_few(desk):
    from contextlib import ExitStack

    with desk.logged_in() as client, ExitStack() as stack:
        held = [stack.enter_context(client.websocket_connect(f"{WS}/api/live")) for _ in range(SOCKETS)]
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"{WS}/api/live"):
            pass
        for socket in held:
            socket.send_text("ends it")
            while socket.receive()["type"] != "websocket.close":
                pass


def test_the_last_administrator_stays(desk):
    with desk.logged_in("root", "admin") as client:
        assert client.delete("/api/users/root").status_code == 409
        assert client.patch("/api/users/root", json={"role": "viewer"}).status_code == 409
        desk.user("other", "admin")
        assert client.patch("/api/users/root", json={"role": "viewer"}).status_code == 200
