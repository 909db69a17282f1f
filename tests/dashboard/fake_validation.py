"""Validation of the fake dashboard: sheets in a real store, and a ledger of evenly spaced crossings beside them."""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.responses import JSONResponse, Response

from tests.dashboard.fake_answers import FakeState
from tests.sinks.ledgers import crossing, write_ledger
from tracker.dashboard.accounts import AccountStore
from tracker.dashboard.count_sheets import CountSheets, report_of
from tracker.dashboard.ledgers import Ledgers
from tracker.dashboard.problems import ApiError
from tracker.measure.validation import draw_intervals
from tracker.measure.validation_plan import asked_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from tests.dashboard.fake_world import Camera

EVERY_S = 4
"""A car passes every line of a stream in its first direction."""
HOURS = 2


class FakeValidation(FakeState):
    """Routes under ``/api/validation/sheets``."""

    @cached_property
    def count_sheets(self) -> CountSheets:
        self._folder = Path(tempfile.mkdtemp())
        self._ledgers = Ledgers()
        store = AccountStore(self._folder)
        weakref.finalize(self, _remove, self._folder, store, self._ledgers)
        return CountSheets(store)

    async def sheets(self, request: Request) -> Response:
        names = [one.id for one in self.allowed(self.user(request) or {})]
        if request.method == "GET":
            return JSONResponse({"sheets": self.count_sheets.all(names)})
        body, by = await request.json(), (self.user(request) or {})["name"]
        return JSONResponse({"id": self.draw(self.cameras[body["stream"]], body, by)}, 201)

    def draw(self, one: Camera, body: dict[str, Any], by: str) -> int:
        """Draw from the last hours of a camera, or from a whole recording."""
        utc, length_ms = one.kind == "camera", round(body.get("length_s", 60) * 1000)
        duration_s = HOURS * 3600 if utc else one.loop_s
        from_ms = (round(time.time()) - HOURS * 3600) * 1000 if utc else 0
        strata = ["11:00, bright"] * (round(duration_s * 1000) // length_ms)
        rng = np.random.default_rng(1)
        found = draw_intervals(strata, from_ms=from_ms, length_ms=length_ms, count=body["intervals"], rng=rng)
        passed = [(line["name"], line[key]) for line in one.site["lines"] for key in ("to_left", "to_right")]
        events = [
            crossing(
                number,
                stream=one.id,
                place=place,
                direction=way,
                class_name="person",
                time_s=float(second),
                utc_ms=from_ms + second * 1000 if utc else None,
            )
            for second in range(0, int(duration_s), EVERY_S)
            for number, (place, way) in enumerate(passed[::2], second)
        ]
        write_ledger(self._folder / f"{len(events)}-{one.id}.sqlite", events)
        self._ledgers.want(sorted(self._folder.glob("*-*.sqlite")))
        self._ledgers.read()
        clock = "utc" if utc else "media"
        asked = asked_of(passed, ["person"], None)
        return self.count_sheets.add(one.id, found, asked, clock=clock, utc_from_ms=None, seed=1, by=by)

    def _sheet(self, request: Request) -> dict[str, Any]:
        names = [one.id for one in self.allowed(self.user(request) or {})]
        return self.count_sheets.one(int(request.path_params["number"]), names)

    async def sheet(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.count_sheets.remove(self._sheet(request)["id"])
            return Response(status_code=204)
        return JSONResponse(self._sheet(request))

    async def count_interval(self, request: Request) -> Response:
        body, number = await request.json(), int(request.path_params["interval"])
        by = (self.user(request) or {})["name"]
        try:
            revision = self.count_sheets.count(self._sheet(request), number, body["revision"], body["counts"], by=by)
        except ApiError as failure:
            return failure.response()
        return JSONResponse({"revision": revision})

    async def report(self, request: Request) -> Response:
        return JSONResponse(report_of(self._ledgers.history, self._sheet(request)))


def _remove(folder: Path, store: AccountStore, ledgers: Ledgers) -> None:
    ledgers.close()
    store.close()
    shutil.rmtree(folder, ignore_errors=True)
