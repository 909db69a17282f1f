"""The API by its own description: whatever fits or does not fit it, no answer is a fault of ours."""

from __future__ import annotations

import os
import re
import warnings

import pytest

from tests.dashboard.clients import ORIGIN, Desk, PlayedEngine
from tests.sinks.ledgers import crossing, write_ledger
from tracker.dashboard.guard import CSRF_HEADER, cookie_name
from tracker.dashboard.sessions import csrf_of
from tracker.events import Stay

EXAMPLES = int(os.environ.get("MASKTRAIL_FUZZ_EXAMPLES", "8"))
"""Per operation; a night may have thousands."""

UNTOUCHED = {
    ("DELETE", "/api/session"),
    ("POST", "/api/session"),
    ("POST", "/api/setup"),
    ("POST", "/api/session/password"),
}
"""They end the session of the fuzzer or hash passwords, half a second each; test_guard.py has them."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    runs = folder / "runs"
    runs.mkdir()
    (runs / "road.tracked.mp4").write_bytes(b"x" * 1000)
    events = [
        *(crossing(number, stream="gate") for number in range(20)),
        crossing(4, stream="gate", kind="enter", place="hall", direction="", stay=Stay(entered_s=4.0)),
        crossing(5, stream="road.mp4", utc=False),
    ]
    made = Desk(
        folder / "dash",
        engine=PlayedEngine(folder, "gate"),
        recordings=runs,
        ledgers=[write_ledger(folder / "e.sqlite", events)],
    )
    yield made
    made.close()


def operations(desk):
    import schemathesis

    with desk.logged_in("root", "admin", see_people=True) as client:
        described = client.get("/api/openapi.json").json()
    secret = desk.context.sessions.begin("root", "fuzz")
    headers = {
        "origin": ORIGIN,
        "host": ORIGIN.removeprefix("http://"),
        CSRF_HEADER: csrf_of(secret),
        "cookie": f"{cookie_name('http', ORIGIN.removeprefix('http://'))}={secret}",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schema = schemathesis.openapi.from_dict(described)
    schema.app = desk.app
    found = [one.ok() for one in schema.get_all_operations()]
    return [one for one in found if (one.method.upper(), one.path) not in UNTOUCHED], headers


def test_every_route_of_the_api_is_described(desk):
    with desk.logged_in("root", "admin", see_people=True) as client:
        described = client.get("/api/openapi.json").json()["paths"]
    ours = {
        (method.lower(), route.path)
        for route in desk.app.routes
        for method in getattr(route, "methods", None) or ()
        if route.path.startswith("/api/") and route.path != "/api/openapi.json"
    }
    assert ours == {(method, path) for path, methods in described.items() for method in methods}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_no_request_is_answered_with_a_fault(desk):
    """Hypothesis makes requests that fit the description and such that do not; the session stays good all the while."""
    from hypothesis import HealthCheck, Phase, Verbosity, given, settings

    asked, headers = operations(desk)
    assert len(asked) >= 35
    seen: set[int] = set()
    for operation in asked:

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )
        @given(case=operation.as_strategy())
        def ask(case):
            answer = case.call(headers=headers, base_url=ORIGIN)
            seen.add(answer.status_code)
            assert answer.status_code < 500 or answer.status_code == 501, (case.method, case.path, answer.text)
            assert answer.status_code not in {401, 421}, answer.text
            if answer.status_code >= 400:
                assert b'"error"' in answer.content

        ask()
    assert {200, 404, 422} <= seen


def test_the_reference_is_that_of_the_routes():
    from pathlib import Path

    from tracker.dashboard.reference import api_page

    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "dashboard-api.md"
    assert page.read_text("utf-8") == api_page(), "run: masktrail settings api --out docs/reference/dashboard-api.md"


def test_the_audit_of_the_engine_is_the_one_that_is_read():
    from tracker.dashboard import audits
    from tracker.engine import audit_json

    assert audits.FORM == audit_json.FORM


def test_answers_have_the_shapes_that_are_described(desk):
    """Every GET of the API, strictly: no key is missing and none is there that the description has not."""
    from pydantic import TypeAdapter

    from tracker.dashboard import measure_shapes, shapes, site_shapes, validation_shapes

    addresses = {
        "/api/session": shapes.Session,
        "/api/streams": shapes.Streams,
        "/api/streams/gate": shapes.OneStream,
        "/api/streams/gate/site": site_shapes.Site,
        "/api/streams/gate/site/0": site_shapes.SiteRevision,
        "/api/streams/gate/identities/1": shapes.Identity,
        "/api/events": shapes.Events,
        "/api/places": shapes.Places,
        "/api/counts?by=stream,kind,place,direction,class&compare_s=604800": shapes.Counts,
        "/api/dwell": shapes.Dwell,
        "/api/flows": shapes.Flows,
        "/api/speeds": measure_shapes.SpeedsShape,
        "/api/conflicts": measure_shapes.ConflictsShape,
        "/api/groups": measure_shapes.GroupsShape,
        "/api/queues": measure_shapes.QueuesShape,
        "/api/footfall": measure_shapes.FootfallShape,
        "/api/streams/gate/heatmap": measure_shapes.HeatShape,
        "/api/occupancy": shapes.Occupancy,
        "/api/recordings": shapes.Recordings,
        "/api/recordings/road.mp4": shapes.RecordingShape,
        "/api/recordings/road.mp4/trails": shapes.Problem,
        "/api/streams/road.mp4/site": site_shapes.Site,
        "/api/runs": shapes.Runs,
        "/api/health": shapes.Health,
        "/api/users": shapes.Users,
        "/api/tokens": shapes.Tokens,
        "/api/log": shapes.Log,
        "/api/audit": shapes.Audits,
        "/api/validation": shapes.Validations,
        "/api/validation/sheets": validation_shapes.CountSheetsShape,
        "/api/validation/sheets/1": validation_shapes.CountSheetShape,
        "/api/validation/sheets/1/report": validation_shapes.ReportShape,
        "/api/alerts": shapes.Alerts,
        "/api/alerts/rules": site_shapes.AlertRules,
        "/api/streams/none": shapes.Problem,
    }
    desk.user("second", "viewer", ["gate"])
    with desk.logged_in("root", "admin", see_people=True) as client:
        client.post("/api/tokens", json={"label": "x"})
        client.post("/api/validation", json={"stream": "gate", "place": "door", "from_ms": 0, "to_ms": 9, "truth": 1})
        client.post("/api/validation/sheets", json={"stream": "gate", "intervals": 3, "length_s": 1})
        asked = client.get("/api/validation/sheets/1").json()["asked"]
        body = {"revision": 0, "counts": [1] * len(asked)}
        assert client.put("/api/validation/sheets/1/intervals/1", json=body).status_code == 200
        described = client.get("/api/openapi.json").json()
        for address, shape in addresses.items():
            TypeAdapter(shape).validate_json(client.get(address).content, strict=True)
    named = {
        path
        for path, methods in described["paths"].items()
        for method, entry in methods.items()
        if method == "get" and "application/json" in entry["responses"]["200"]["content"] and "/export/" not in path
    }
    asked = {re.sub(r"\?.*", "", address) for address in addresses}
    for path in named:
        pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
        assert any(pattern.fullmatch(address) for address in asked), path
        assert "$ref" in described["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
