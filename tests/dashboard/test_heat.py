"""Heatmaps by the API: seconds as the store has them, pictures over masked stills, privacy zones, the ground."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.analytics.walks import through
from tests.dashboard.clients import Desk, PlayedEngine
from tests.dashboard.test_measures import SITE
from tests.heats import START_MS, heat_store
from tests.sinks.ledgers import crossing, write_ledger
from tracker.formats.event_store import open_store
from tracker.formats.heat_tiles import heat_sum, read_tiles
from tracker.render.privacy_paint import FILL

ZONE = "privacy:\n  - {name: window, polygon: [[0.0, 0.0], [0.5, 0.0], [0.5, 0.5], [0.0, 0.5]]}\n"
HOUR_MS = 3_600_000


class PictureEngine(PlayedEngine):
    """An engine whose masked pictures are white."""

    async def picture(self, stream, *, variant, width):
        self.asked.append((stream, variant))
        return cv2.imencode(".jpg", np.full((720, 1280, 3), 255, np.uint8))[1].tobytes()


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "gate.yaml").write_text(SITE.replace("version: 1", "version: 2") + ZONE)
    store = tmp_path / "heat.sqlite"
    for stream in ("gate", "vault"):
        heat_store(store, {1: through((1, 0.6, 0.6), (9, 0.8, 0.8))}, stream=stream, duration_s=10.0, start_ms=START_MS)
        write_ledger(store, [crossing(1, stream=stream)])
    made = Desk(tmp_path / "dash", engine=PictureEngine(tmp_path, "gate", "vault", "quiet"), ledgers=[store])
    yield made
    made.close()


def decoded(answer) -> np.ndarray:
    assert answer.headers["content-type"] == "image/png"
    return cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)


def test_figures_are_those_of_the_store(desk, tmp_path):
    with open_store(tmp_path / "heat.sqlite") as connection:
        expected = heat_sum(read_tiles(connection, "gate"))
    with desk.logged_in("ann", "viewer", ["gate", "quiet"]) as client:
        found = client.get("/api/streams/gate/heatmap").json()
        visits = client.get("/api/streams/gate/heatmap?measure=visits").json()
        later = client.get(f"/api/streams/gate/heatmap?from_ms={START_MS + HOUR_MS}").json()
        quiet = client.get("/api/streams/quiet/heatmap").json()
        assert client.get("/api/streams/vault/heatmap").status_code == 404
    assert found["sum"] == pytest.approx(expected.grid("seconds").sum(), abs=1e-3)
    assert found["sum"] > 7
    assert 0 < found["top"] <= expected.grid("seconds").max() + 1e-3
    assert visits["sum"] == expected.grid("visits").sum()
    assert (found["from_ms"], found["to_ms"], found["ground"]) == (START_MS, START_MS + HOUR_MS, True)
    for nothing in (later, quiet):
        assert (nothing["sum"], nothing["from_ms"], nothing["classes"]) == (None, None, [])


def test_the_picture_is_drawn_on_the_masked_still_without_privacy_zones(desk):
    with desk.logged_in("ann", "viewer", ["gate", "quiet"]) as client:
        image = decoded(client.get("/api/streams/gate/heatmap/picture"))
        assert client.get("/api/streams/quiet/heatmap/picture").status_code == 404
        assert client.get("/api/streams/vault/heatmap/picture").status_code == 404
    assert desk.context.engine.asked == [("gate", "masked")]
    still = image[:720]
    dimmed = np.dot(FILL, (0.114, 0.587, 0.299)) * 0.62
    assert np.allclose(still[20:300, 20:600], dimmed, atol=3), "the zone is filled"
    assert np.allclose(still[20:300, 700:1200], 255 * 0.62, atol=3), "the still is seen beside it"
    along = still[432:580, 768:1030].astype(int)
    assert np.ptp(along, axis=2).max() > 60, "colours where time was spent"


def test_the_ground_from_above_and_where_it_is_not_known(desk):
    with desk.logged_in() as client:
        assert decoded(client.get("/api/streams/gate/heatmap/picture?ground=true")).shape[0] > 300
        refused = client.get("/api/streams/vault/heatmap/picture?ground=true")
    assert refused.status_code == 422
    assert refused.json()["error"]["what"] == "ground"


def test_a_picture_that_cannot_be_read_leaves_a_plain_ground(desk, monkeypatch):
    async def broken(*_, **__):
        return b"no picture"

    monkeypatch.setattr(desk.context.engine, "picture", broken)
    with desk.logged_in() as client:
        image = decoded(client.get("/api/streams/gate/heatmap/picture"))
    assert (image[5, 5] == image[300, 1200]).all()
