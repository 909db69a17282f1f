"""Names of streams in the API: parts of addresses, never folders of this machine; one for each stream."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.dashboard.clients import Desk
from tests.sinks.ledgers import crossing, write_ledger

NAMES = ["/videos/of/mall/morning.mp4", "../clips/morning.mp4", "C:\\videos\\noon.mp4", "gate", "..", "/videos/"]
SHOWN = ["morning.mp4", "morning.mp4 (2)", "noon.mp4", "gate", "stream", "videos"]


@pytest.fixture
def desk(tmp_path):
    paths = []
    for number, name in enumerate(NAMES):
        path = tmp_path / "runs" / f"{number}.events.jsonl"
        path.parent.mkdir(exist_ok=True)
        paths.append(write_ledger(path, [crossing(number, stream=name)]))
    made = Desk(tmp_path / "dashboard", ledgers=paths)
    yield made
    made.close()


def test_a_stream_that_is_a_path_is_its_last_part(desk) -> None:
    client = desk.logged_in()
    events = client.get("/api/events").json()["events"]
    assert sorted(event["stream"] for event in events) == sorted(SHOWN)
    for number, shown in enumerate(SHOWN):
        [event] = client.get("/api/events", params={"stream": shown}).json()["events"]
        assert event["at_ms"] % 100_000 == crossing(number).utc_ms % 100_000
        assert event["key"].startswith(shown + "|crossing|")


def test_every_stream_can_be_addressed(desk) -> None:
    client = desk.logged_in()
    listed = [one["id"] for one in client.get("/api/streams").json()["streams"]]
    assert sorted(listed) == sorted(SHOWN)
    for name in listed:
        answer = client.get(f"/api/streams/{quote(name, safe='')}")
        assert answer.status_code == 200, name
        assert answer.json()["id"] == name


def test_no_answer_names_a_folder(desk) -> None:
    client = desk.logged_in()
    for path in ("/api/streams", "/api/events", "/api/counts?by=stream", "/api/recordings", "/api/export/events.csv"):
        assert "/videos/of" not in client.get(path).text
        assert "clips" not in client.get(path).text
