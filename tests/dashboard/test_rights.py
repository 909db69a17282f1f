"""Every route by every role and for a stream that may not be seen, made from the application's own routes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from tests.dashboard.clients import SOCKETS as WS
from tests.dashboard.clients import Desk, PlayedEngine
from tests.sinks.ledgers import crossing, write_ledger
from tracker.dashboard.app import ROUTERS
from tracker.dashboard.guard import Guard
from tracker.dashboard.rights import ROLES, Principal, Right, right_of

ROUTES = [route for router in ROUTERS for route in router.routes]
HTTP = [
    (method, route) for route in ROUTES if not isinstance(route, WebSocketRoute) for method in sorted(route.methods)
]
SOCKETS = [route for route in ROUTES if isinstance(route, WebSocketRoute) or not hasattr(route, "methods")]

OWN, FOREIGN, RECORDED, FOREIGN_RECORDED = "gate", "vault", "road.mp4", "secret.mp4"
MARK = "needle"
"""Stands in everything about foreign streams: it must be in no answer."""

BODIES = {
    ("POST", "/api/setup"): {"token": "x", "name": "eve", "password": "x"},
    ("POST", "/api/session"): {"name": "eve", "password": "x"},
    ("POST", "/api/session/password"): {"password": "x", "new_password": "y"},
    ("POST", "/api/users"): {"name": "new", "password": "short"},
    ("PATCH", "/api/users/{name}"): {},
    ("POST", "/api/tokens"): {"label": "", "role": "viewer"},
    ("PUT", "/api/streams/{stream}/site"): {"revision": 0, "site": {}},
    ("POST", "/api/streams/{stream}/site/check"): {"site": {}},
    ("PUT", "/api/streams/{stream}/site/alerts"): {"revision": 0, "rules": []},
    ("POST", "/api/streams/{stream}/site/ground"): {"ground": {}},
    ("POST", "/api/validation"): {"stream": FOREIGN, "place": "door", "from_ms": 0, "to_ms": 1, "truth": 1},
    ("POST", "/api/validation/sheets"): {"stream": FOREIGN},
    ("PUT", "/api/validation/sheets/{number}/intervals/{interval}"): {"revision": 0, "counts": None},
    ("POST", "/api/alerts/acknowledge"): {"stream": FOREIGN, "key": "x"},
    ("POST", "/api/streams/{stream}/site/dry-run"): {"site": {}},
}
"""A body that is well formed, so that it is the right that is refused and not the body."""

PRINCIPALS = {
    "nobody": None,
    **{role: {"role": role} for role in ROLES},
    "viewer who sees people": {"role": "viewer", "see_people": True},
    "viewer token": {"role": "viewer", "token": True},
    "operator token": {"role": "operator", "token": True, "see_people": True},
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    runs = folder / "runs"
    runs.mkdir()
    events = [
        crossing(1, stream=OWN, class_name="car"),
        crossing(2, stream=RECORDED),
        crossing(3, stream=FOREIGN, place=MARK, class_name=MARK),
        crossing(4, stream=FOREIGN_RECORDED, place=MARK, class_name=MARK),
    ]
    write_ledger(runs / "events.sqlite", events)
    for name in ("road.tracked.mp4", "secret.tracked.mp4"):
        (runs / name).write_bytes(b"no video " + (MARK.encode() if "secret" in name else b""))
    for name in (OWN, FOREIGN):
        line = f"{{name: {MARK if name == FOREIGN else 'door'}, points: [[0.1, 0.5], [0.9, 0.5]]}}"
        (folder / f"{name}.yaml").write_text(f"version: 1\nrevision: 1\nlines:\n  - {line}\n")
    made = Desk(folder / "dash", engine=PlayedEngine(folder, OWN, FOREIGN), recordings=runs, allow_runs=True)
    yield made
    made.close()


def principal_of(rights: dict) -> Principal:
    return Principal(
        name="x",
        role=rights["role"],
        see_people=rights.get("see_people", False),
        token=1 if rights.get("token") else 0,
        streams=frozenset({OWN, RECORDED}),
    )


def client_for(desk: Desk, name: str):
    rights = PRINCIPALS[name]
    if rights is None:
        return desk.client()
    streams = [OWN, RECORDED]
    if rights.get("token"):
        _, secret = desk.context.tokens.make(
            name,
            role=rights["role"],
            streams=frozenset(streams),
            see_people=rights.get("see_people", False),
            created_by="test",
            expires_ms=None,
        )
        client = desk.client(authorization=f"Bearer {secret}")
        del client.headers["origin"], client.headers["x-masktrail-csrf"]
        return client
    return desk.logged_in(name.replace(" ", "-"), rights["role"], streams, see_people=rights.get("see_people", False))


def address_of(route, stream: str) -> str:
    values = {
        "stream": stream,
        "identity": "1",
        "revision": "1",
        "number": "0",
        "interval": "1",
        "form": "csv",
        "name": "nobody",
        "token": "999",
    }
    address = route.path.replace("{name:path}", "{name}")
    for name, value in values.items():
        address = address.replace("{" + name + "}", value)
    assert "{" not in address, route.path
    return address


def ask(client, method: str, route, stream: str):
    body = BODIES.get((method, route.path))
    return client.request(method, address_of(route, stream), json=body)


def test_every_route_declares_its_right(desk):
    served = desk.app.routes
    assert len(served) == len(ROUTES), "a route that the matrix does not know"
    for route in served:
        assert right_of(route) is not None, getattr(route, "path", route)
    assert isinstance(desk.app, Guard)
    public = {route.path for route in served if right_of(route) is Right.PUBLIC}
    assert {path for path in public if path.startswith("/api")} == {"/api/session", "/api/setup"}


@pytest.mark.parametrize(("method", "route"), HTTP, ids=[f"{method} {route.path}" for method, route in HTTP])
def test_route_by_role_by_stream(desk, method, route):
    for who, rights in PRINCIPALS.items():
        if (method, route.path) == ("DELETE", "/api/session") and rights and not rights.get("token"):
            continue  # ends the session: tested by itself
        answers_are_by_right(desk, method, route, who)


def answers_are_by_right(desk, method, route, who):
    right, rights = right_of(route), PRINCIPALS[who]
    with client_for(desk, who) as client:
        own = ask(client, method, route, OWN)
        foreign = [ask(client, method, route, stream) for stream in (FOREIGN, FOREIGN_RECORDED)]
        unknown = ask(client, method, route, "there-is-none")
    allowed = right is Right.PUBLIC or (rights is not None and principal_of(rights).may(right))
    if not allowed:
        expected = 401 if rights is None else 403
        for answer in (own, *foreign, unknown):
            assert answer.status_code == expected, (who, answer.text)
        return
    assert own.status_code != 500, (who, own.text)
    assert own.status_code != 401 or "name or password" in own.text
    if right is not Right.PUBLIC:
        assert own.status_code != 403 or "see people" in own.text or "password" in own.text, own.text
    for answer in (own, *foreign):
        assert MARK not in answer.text, who
        assert answer.status_code < 500, who
    if "{stream}" in route.path:
        for answer in foreign:
            assert answer.status_code == unknown.status_code == 404, who
            assert answer.json()["error"]["what"] == unknown.json()["error"]["what"] == "stream"


@pytest.mark.parametrize(("method", "route"), HTTP, ids=[f"{method} {route.path}" for method, route in HTTP])
def test_route_from_another_site(desk, method, route):
    """Refused before a route sees it, whatever else fits; what a browser opens as a page is not."""
    if not route.path.startswith("/api"):
        assert method in {"GET", "HEAD"}, "pages and their files change nothing"
        return
    for site in ("cross-site", "same-site"):
        with desk.logged_in("root3", "admin", None, see_people=True) as client:
            client.headers["sec-fetch-site"] = site
            answer = ask(client, method, route, OWN)
            assert answer.status_code == 403, answer.text
            assert answer.json()["error"]["found"] == "one of another site"


QUERIES = [
    route
    for method, route in HTTP
    if method == "GET" and "{stream}" not in route.path and route.path.startswith("/api/")
]


@pytest.mark.parametrize("route", QUERIES, ids=[route.path for route in QUERIES])
def test_a_foreign_stream_is_in_no_answer_to_a_query(desk, route):
    with desk.logged_in("narrow", "viewer", [OWN, RECORDED]) as client:
        for query in ("", f"?stream={FOREIGN}", f"?stream={OWN}&stream={FOREIGN_RECORDED}", f"?place={MARK}"):
            for form in ("csv", "json") if "{form}" in route.path else ("csv",):
                answer = client.get(address_of(route, OWN).replace(".csv", f".{form}") + query)
                assert MARK not in answer.text
                for name in (FOREIGN, FOREIGN_RECORDED):
                    assert name not in answer.text or answer.status_code in {404, 422}, answer.text
    with desk.logged_in("narrow-none", "viewer", []) as client:
        text = client.get(address_of(route, OWN)).text
        assert not any(name in text for name in (OWN, MARK, RECORDED))


def test_the_owner_of_all_rights_does_see_the_mark(desk):
    """The needle can be found at all."""
    with desk.logged_in("root", "admin", None, see_people=True) as client:
        for address in (
            "/api/streams",
            "/api/counts?by=stream,place",
            "/api/events",
            "/api/places",
            "/api/export/events.csv",
            f"/api/streams/{FOREIGN}/site",
            f"/api/streams/{FOREIGN_RECORDED}/video",
            "/api/recordings",
        ):
            text = client.get(address).text
            assert MARK in text or FOREIGN in text, address


@pytest.mark.parametrize("who", PRINCIPALS)
@pytest.mark.parametrize("route", SOCKETS, ids=[route.path for route in SOCKETS])
def test_socket_by_role(desk, route, who):
    rights = PRINCIPALS[who]
    allowed = rights is not None and principal_of(rights).may(right_of(route))
    with client_for(desk, who) as client:
        if not allowed:
            with pytest.raises(WebSocketDisconnect), client.websocket_connect(WS + route.path):
                pass
            return
        sees_people = principal_of(rights).may(Right.PEOPLE)
        desk.context.engine.wanted.clear()
        with client.websocket_connect(WS + route.path) as socket:

            def watch(stream: str, variant: str) -> None:
                one = {"stream": stream, "width": 320, "variant": variant, "fps": 5, "pictures": True}
                socket.send_text(json.dumps({"watch": [one]}))

            for stream, variant in ((FOREIGN, "masked"), (FOREIGN, "clear"), (OWN, "masked")):
                watch(stream, variant)
                event = {"kind": "event", "stream": FOREIGN, "event": {"stream": FOREIGN, "place": MARK}}
                desk.context.hub.heard(event, b"")
            told = []
            while not told or told[-1]["type"] != "counts" or told[-1]["stream"] != OWN:
                told.append(json.loads(socket.receive_text()))
            watch(OWN, "clear")
            if sees_people:
                watch(OWN, "masked")
                socket.send_text("no message of a page: ends the socket")
            while (message := socket.receive())["type"] != "websocket.close":
                told.append(json.loads(message["text"]))
        assert MARK not in json.dumps(told)
        assert FOREIGN not in json.dumps(told)
    asked = {
        (stream, variant)
        for wanted in desk.context.engine.wanted
        for stream in wanted
        for _, variant, _ in wanted[stream]
    }
    assert (OWN, "masked") in asked
    assert ((OWN, "clear") in asked) == sees_people
    assert not any(stream == FOREIGN for stream, _ in asked)


def test_clear_pictures_need_the_right_to_see_people(desk):
    with desk.logged_in("blind", "admin", None) as client:
        assert client.get(f"/api/streams/{OWN}/picture").status_code == 200
        assert client.get(f"/api/streams/{OWN}/picture?variant=clear").status_code == 403
        for address in (f"/api/streams/{RECORDED}/video", f"/api/recordings/{RECORDED}/files/0"):
            assert client.get(address).status_code == 403, address
    with desk.logged_in("seeing", "viewer", None, see_people=True) as client:
        assert client.get(f"/api/streams/{OWN}/picture?variant=clear").status_code == 200
        assert client.get(f"/api/streams/{RECORDED}/video").status_code == 200
    assert ("gate", "clear") in desk.context.engine.asked


def test_a_route_without_a_mark_is_refused(desk, monkeypatch):
    from fastapi import APIRouter
    from starlette.responses import PlainTextResponse

    router = APIRouter()

    @router.get("/api/forgotten")
    def forgotten() -> PlainTextResponse:
        return PlainTextResponse(MARK)

    desk.app.routes.extend(router.routes)
    try:
        with desk.logged_in("root2", "admin", None, see_people=True) as client:
            answer = client.get("/api/forgotten")
            assert answer.status_code == 404
            assert MARK not in answer.text
    finally:
        desk.app.routes.remove(router.routes[0])


def test_docs_and_descriptions_are_behind_the_login(desk):
    with desk.client() as client:
        for address in ("/docs", "/redoc", "/openapi.json", "/api/openapi.json", "/api/", "/api/nothing"):
            answer = client.get(address)
            assert answer.status_code in {401, 404}, address
            assert "paths" not in answer.text
        for address in ("/api/openapi.json", "/api/nothing"):
            assert client.get(address).status_code == 401


def test_files_of_the_page_hold_no_data(desk):
    assert Path(__file__).exists()
    with desk.client() as client:
        for address in ("/", "/streams/gate", "/counts?stream=vault", "/users", "/setup"):
            answer = client.get(address)
            assert answer.status_code == 200
            assert MARK not in answer.text
            assert "script-src 'self'" in answer.headers["content-security-policy"]
