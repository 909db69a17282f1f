"""The guard: host, proxies, bodies, paths, sockets of sessions that end; the password is nowhere."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import sqlite3
import time
from urllib.parse import unquote

import pytest

from tests.dashboard.clients import PASSWORD, Desk, PlayedEngine
from tests.dashboard.clients import SOCKETS as WS
from tests.sinks.ledgers import crossing, write_ledger
from tracker.dashboard.guard import CSRF_HEADER, LARGEST_BODY, LARGEST_MESSAGE
from tracker.dashboard.limits import LOGIN, RateLimit
from tracker.errors import ConfigError
from tracker.settings.dashboard import DashboardSettings

STRONG = "seven green bicycles"


@pytest.fixture
def desk(tmp_path):
    ledger = write_ledger(tmp_path / "e.sqlite", [crossing(1, place='=HYPERLINK("http://evil")', class_name="@SUM(1)")])
    made = Desk(tmp_path / "dash", engine=PlayedEngine(tmp_path, "gate"), ledgers=[ledger])
    yield made
    made.close()


def set_up(desk, client, password=PASSWORD):
    return client.post("/api/setup", json={"token": desk.context.set_up.secret, "name": "ann", "password": password})


def test_get_changes_nothing(desk):
    with desk.logged_in() as client:
        before = desk.context.accounts.rows("SELECT count(*) FROM users, log")
        for address in ("/api/users", "/api/tokens", "/api/streams/gate/site", "/api/session", "/api/setup"):
            client.get(address)
        assert desk.context.accounts.rows("SELECT count(*) FROM users, log") == before


# ---- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8600", "localhost.evil.example", "127.0.0.1.evil.example", ""]
)
def test_a_name_that_was_made_to_point_here_is_refused(desk, host):
    with desk.client() as client:
        assert client.get("/api/session", headers={"host": host}).status_code == 421


def test_a_proxy_is_believed_only_with_its_secret(tmp_path):
    desk = Desk(
        tmp_path / "dash",
        address="127.0.0.1:8600",
        behind_proxy=True,
        trusted_proxies="10.1.0.0/16",
        proxy_secret="0123456789abcdef",
    )
    from starlette.testclient import TestClient

    good = {
        "x-masktrail-proxy-secret": "0123456789abcdef",
        "x-forwarded-for": "6.6.6.6, 203.0.113.9",
        "x-forwarded-proto": "https",
        "host": "shop.example",
    }
    try:
        for peer, secret, status in (
            ("10.1.2.3", "0123456789abcdef", 200),
            ("10.1.2.3", "another-secret-16", 421),
            ("10.2.0.1", "0123456789abcdef", 421),
        ):
            client = TestClient(desk.app, base_url="http://shop.example", client=(peer, 5))
            answer = client.get("/api/session", headers=good | {"x-masktrail-proxy-secret": secret})
            assert answer.status_code == status
        client = TestClient(desk.app, base_url="http://shop.example", client=("10.1.2.3", 5))
        headers = good | {"origin": "https://shop.example", CSRF_HEADER: "anonymous"}
        answer = client.post("/api/session", json={"name": "eve", "password": "x"}, headers=headers)
        assert answer.status_code == 401
        row = desk.context.accounts.log()[0]
        assert (row.what, row.address) == ("log in refused", "203.0.113.9"), "the entry that the proxy itself added"
        made = client.post(
            "/api/setup",
            json={"token": desk.context.set_up.secret, "name": "ann", "password": STRONG},
            headers=headers | {"x-forwarded-for": "203.0.113.10"},
        )
        assert made.status_code == 200
        cookie = made.headers["set-cookie"]
        assert cookie.startswith("__Host-masktrail=")
        for word in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
            assert word in cookie
    finally:
        desk.close()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"address": "0.0.0.0:8600"}, "TLS or a proxy"),
        ({"address": "192.168.1.5:8600"}, "TLS or a proxy"),
        ({"address": "[::]:8600"}, "TLS or a proxy"),
        ({"address": "my-server:8600"}, "TLS or a proxy"),
        ({"address": "0.0.0.0:8600", "behind_proxy": True}, "trusted_proxies"),
        ({"behind_proxy": True, "trusted_proxies": ["10.0.0.1"], "proxy_secret": "short"}, "proxy_secret"),
        ({"address": "0.0.0.0:8600", "tls_certificate": "a.pem"}, "both TLS files"),
        ({"address": "0.0.0.0:8600", "tls_certificate": "a", "tls_key": "b", "login": False}, "a login"),
        ({"address": "8600"}, "host:port"),
        ({"trusted_proxies": ["proxy.example"]}, "addresses or networks"),
    ],
)
def test_it_refuses_to_be_open_without_protection(settings, said):
    with pytest.raises(ConfigError, match=said):
        DashboardSettings(**settings)


def test_what_is_protected_may_be_open():
    DashboardSettings(address="0.0.0.0:8600", tls_certificate="a.pem", tls_key="b.pem")
    found = DashboardSettings(
        address="0.0.0.0:8600", behind_proxy=True, trusted_proxies=["10.0.0.1"], proxy_secret="0123456789abcdef"
    )
    assert "0123456789abcdef" not in repr(found)


def test_without_a_login_everybody_here_may_do_everything_but_other_sites_may_not(tmp_path):
    desk = Desk(tmp_path / "dash", login=False)
    try:
        with desk.client() as client:
            found = client.get("/api/session").json()
            assert found["user"]["role"] == "admin"
            assert client.post("/api/tokens", json={"label": "x"}).status_code == 403
            client.headers[CSRF_HEADER] = found["csrf"]
            assert client.get("/api/users").status_code == 200
            assert client.get("/api/users", headers={"host": "evil.example"}).status_code == 421
            assert client.post("/api/tokens", json={"label": "x"}, headers={"origin": "http://evil"}).status_code == 403
            assert client.post("/api/tokens", json={"label": "x"}).status_code == 201
    finally:
        desk.close()


# ---- paths and bodies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/%252e%252e/app.py",
        "/static/..\\app.py",
        "/static/%2e%2e%5capp.py",
        "/static//etc/passwd",
        "/static/%00index.html",
        "/api/streams/../users",
        "/api/streams/%2e%2e/site",
        "/api/streams/%2e%2e%2fgate/site",
        "/api/streams/gate/../../users",
        "/api/recordings/%2e%2e%2f%2e%2e%2fetc%2fpasswd/files/0",
        "/api/export/events.csv/../../users",
        "/api/streams/..%252f..%252fetc/video",
    ],
)
def test_paths_that_climb_lead_nowhere(desk, path):
    """As bytes on the wire: a client library would have tidied them up."""
    with desk.logged_in(see_people=True) as client:
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    scope = {
        "type": "http",
        "method": "GET",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost:8600"), (b"cookie", cookie.encode())],
        "client": ("127.0.0.1", 5),
        "scheme": "http",
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(desk.app(scope, receive, send))
    text = b"".join(message.get("body", b"") for message in sent)
    assert sent[0]["status"] in {404, 405, 422}, text
    assert b"import" not in text
    assert b"root:" not in text


@pytest.mark.parametrize("how", ["told", "untold", "chunked"])
def test_a_body_that_is_too_large_is_refused(desk, how):
    pieces = [b"x" * 100_000] * 11
    with desk.logged_in() as client:
        if how == "chunked":
            answer = client.put("/api/streams/gate/site", content=iter(pieces))
        elif how == "told":
            answer = client.put("/api/streams/gate/site", content=b"".join(pieces))
        else:
            headers = {"content-length": "12x"}
            answer = client.put("/api/streams/gate/site", content=b"".join(pieces), headers=headers)
        assert answer.status_code == 413, answer.text
    assert len(b"".join(pieces)) > LARGEST_BODY


def test_an_address_that_is_too_long_is_refused(desk):
    with desk.logged_in() as client:
        assert client.get("/api/events?place=" + "x" * 9000).status_code == 414


def test_a_message_that_is_too_large_ends_the_socket(desk):
    with desk.logged_in() as client, client.websocket_connect(f"{WS}/api/live") as socket:
        socket.send_text(json.dumps({"watch": []}) + " " * LARGEST_MESSAGE)
        while (message := socket.receive())["type"] != "websocket.close":
            pass
        assert message["code"] in {1000, 1009}


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", '"x"', '{"name": 1, "password": []}', '{"name": "a"}', "\x00", '{"a":' * 2000]
)
def test_a_body_that_is_none_is_told_without_quoting_it(desk, body):
    with desk.client() as client:
        answer = client.post("/api/session", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in {400, 422}, answer.text
        assert set(answer.json()["error"]) == {"what", "expected", "found", "remedy"}


def test_unknown_keys_are_refused(desk):
    with desk.logged_in() as client:
        assert client.post("/api/tokens", json={"label": "x", "admin": True}).status_code == 422
        assert client.get("/api/events?camera=gate").status_code == 422
        answer = client.put("/api/streams/gate/site", json={"revision": 0, "site": {"source": "rtsp://x"}})
        assert answer.status_code == 422


def test_the_web_sets_no_path(desk, tmp_path):
    with desk.logged_in() as client:
        site = {"reference_picture": "stolen.png", "lines": []}
        saved = client.put("/api/streams/gate/site", json={"revision": 0, "site": site}).json()
        assert saved["site"]["reference_picture"] is None
    assert "stolen" not in (tmp_path / "gate.yaml").read_text()


# ---- attempts -------------------------------------------------------------------------------------------------------


def test_a_flood_of_log_ins_is_slowed_down(desk):
    with desk.client() as client:
        set_up(desk, client)
    desk.context.logins = RateLimit(LOGIN)
    with desk.client() as client:
        answers = [
            client.post("/api/session", json={"name": "ann", "password": f"guess number {number}"})
            for number in range(30)
        ]
        statuses = [answer.status_code for answer in answers]
        assert 1 <= statuses.count(401) <= 5
        assert statuses.count(429) >= 25
        assert int(answers[-1].headers["retry-after"]) >= 1
        right = client.post("/api/session", json={"name": "ann", "password": PASSWORD})
        assert right.status_code == 429, "also with the right password: else it would be found"
        assert client.get("/api/session").status_code == 200


def test_one_session_has_few_requests_at_the_same_time(desk, monkeypatch):
    """Slow ones of one account leave threads for the others."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Event

    monkeypatch.setattr("tracker.dashboard.guard.REQUESTS", 3)
    begun, over = [], Event()

    def slow() -> list[str]:
        begun.append(1)
        assert over.wait(60)
        return []

    with desk.logged_in("ann") as client, desk.logged_in("bob") as other, ThreadPoolExecutor(3) as pool:
        monkeypatch.setattr(desk.context, "stream_ids", slow)
        held = [pool.submit(client.get, "/api/streams") for _ in range(3)]
        deadline_s = time.monotonic() + 60
        while len(begun) < 3:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        assert client.get("/api/session").status_code == 429
        assert other.get("/api/session").status_code == 200
        over.set()
        assert [one.result().status_code for one in held] == [200] * 3
        assert client.get("/api/session").status_code == 200


def test_windows_of_attempts():
    at = [0.0]
    limit = RateLimit(LOGIN, clock=lambda: at[0])
    tried = 0
    for second in range(3600):
        at[0] = float(second)
        tried += limit.wait_s("a") == 0
    assert tried == 20
    assert limit.wait_s("b") == 0
    for number in range(20_000):
        limit.wait_s(f"name {number}")
    assert len(limit._attempts) <= 10_000


# ---- the canary -----------------------------------------------------------------------------------------------------


def test_the_password_is_in_no_log_no_answer_and_no_export(desk, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    texts = []
    with desk.client() as client:
        texts.append(set_up(desk, client).text)
        desk.context.logins = RateLimit(LOGIN)
        texts += [
            client.post(
                "/api/session",
                content=f'{{"name": "ann", "password": "{PASSWORD}"',
                headers={"content-type": "application/json"},
            ).text,
            client.post("/api/session", json={"name": PASSWORD, "password": PASSWORD}).text,
        ]
        desk.context.logins = RateLimit(LOGIN)
        texts.append(client.post("/api/session", json={"name": "ann", "password": PASSWORD}).text)
        client.headers[CSRF_HEADER] = client.get("/api/session").json()["csrf"]
        new = {"name": "bob", "password": PASSWORD, "role": "admin", "boss": True}
        texts.append(client.post("/api/users", json=new).text)
        texts.append(client.post("/api/users", json={key: new[key] for key in ("name", "password", "role")}).text)
        for address in (
            "users",
            "tokens",
            "log",
            "session",
            "health",
            "openapi.json",
            "export/events.csv",
            "export/events.json",
        ):
            texts.append(client.get(f"/api/{address}").text)
    texts += [json.dumps({key: str(value) for key, value in vars(record).items()}) for record in caplog.records]
    assert desk.context.accounts.user("bob") is not None
    for text in texts:
        assert PASSWORD not in text
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes()


def test_a_spreadsheet_runs_nothing(desk):
    with desk.logged_in() as client:
        text = client.get("/api/export/events.csv").text
        assert "'=HYPERLINK" in text
        assert "'@SUM" in text
        counts = client.get("/api/export/counts.csv?by=place,class&bin_s=3600").text
        assert ",\"'=HYPERLINK" in counts
    for line in (text + counts).splitlines():
        assert not any(cell.lstrip('"').startswith(("=", "@", "+")) for cell in line.split(","))


@pytest.mark.parametrize("kind", ["database", "file"])
def test_a_full_disk_is_said(kind, desk, monkeypatch, tmp_path):
    def full(*_: object, **__: object) -> None:
        if kind == "file":
            raise OSError(errno.ENOSPC, "No space left on device")
        with contextlib.closing(sqlite3.connect(tmp_path / "small.sqlite")) as small:
            small.execute("PRAGMA max_page_count = 1")
            small.execute("CREATE TABLE rows (text)")

    monkeypatch.setattr(desk.context.ledgers.history, "streams", full)
    with desk.logged_in() as client:
        answer = client.get("/api/streams")
        assert answer.status_code == 507
        assert answer.json()["error"]["what"] == "disk"


def test_a_fault_says_nothing_of_itself(desk, monkeypatch, caplog):
    def broken(*_: object, **__: object) -> None:
        message = f"inner workings {PASSWORD}"
        raise RuntimeError(message)

    monkeypatch.setattr(desk.context.ledgers.history, "streams", broken)
    with desk.logged_in() as client:
        answer = client.get("/api/streams")
        assert answer.status_code == 500
        assert "inner" not in answer.text
        assert "Traceback" not in answer.text
    assert any(record.message == "request failed" for record in caplog.records)
