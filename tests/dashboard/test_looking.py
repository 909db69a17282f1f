"""Which cameras see now: live, and in no state in which nothing counts."""

from __future__ import annotations

import time

from tests.dashboard.clients import Desk, PlayedEngine
from tests.sinks.ledgers import crossing, write_ledger
from tracker.dashboard.engine_view import CameraFacts
from tracker.events import Event

STATES = {"gate": "live", "yard": "lost", "dark": "live", "file": "live", "new": "live"}


class Cameras(PlayedEngine):
    def health(self):
        return {"cameras": {name: {"state": state} for name, state in STATES.items()}}


def test_cameras_that_are_live_and_not_dark_look_and_their_counts_are_0_until_now(tmp_path):
    now_ms = time.time_ns() // 1_000_000
    began_ms = now_ms - now_ms % 3_600_000 - 3 * 3_600_000
    night = Event(kind="dark", stream="dark", time_s=1.0, utc_ms=began_ms + 1000)
    rows = [crossing(0.0, stream=name, utc_ms=began_ms) for name in ("gate", "yard", "dark")]
    engine = Cameras(tmp_path, *STATES)
    engine.facts["file"] = CameraFacts(name="file", live=False)
    store = write_ledger(tmp_path / "live.sqlite", [*rows, night])
    desk = Desk(tmp_path / "dash", engine=engine, ledgers=[store])
    looking = desk.context.looking()
    assert set(looking) == {"gate", "new"}
    assert now_ms <= min(looking.values()) <= max(looking.values()) <= time.time_ns() // 1_000_000
    with desk.logged_in() as client:
        span = f"from_ms={began_ms}&to_ms={began_ms + 7_200_000}"
        answer = client.get(f"/api/counts?by=stream&kind=crossing&bin_s=3600&{span}").json()
    found = {one["group"]["stream"]: one["counts"] for one in answer["series"]}
    assert found == {"gate": [1, 0], "yard": [1, None], "dark": [1, None]}
    desk.close()
