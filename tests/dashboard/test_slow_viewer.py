"""Viewers on real sockets that stop reading: bounded memory, and no delay for the one who reads."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from tests.dashboard.served import Served
from tests.dashboard.test_hub import picture
from tests.dashboard.test_live import LiveEngine
from tracker.dashboard.viewer import MOST_WAITING_BYTES

websockets = pytest.importorskip("websockets")

CAMERAS = [f"camera-{number}" for number in range(25)]
PICTURE_BYTES = 15_000
SLOW = 5


async def watch(origin: str, *, reads: bool, over: threading.Event) -> list[float]:
    """Milliseconds from the moment of each picture to its drawing."""
    ages_ms: list[float] = []
    address = origin.replace("http", "ws") + "/api/live"
    async with websockets.connect(address, origin=origin, max_size=None, max_queue=None if reads else 1) as socket:
        await socket.send(json.dumps({"watch": [{"stream": name, "width": 320, "fps": 60} for name in CAMERAS]}))
        while not over.is_set():
            if not reads:
                await asyncio.sleep(0.05)
                continue
            try:
                message = await asyncio.wait_for(socket.recv(), 0.5)
            except TimeoutError:
                continue
            if isinstance(message, bytes):
                header = json.loads(message[4 : 4 + int.from_bytes(message[:4], "big")])
                ages_ms.append(time.time() * 1000 - header["t_ms"])
                await socket.send(json.dumps({"ack": header["stream"]}))
        if not reads:
            socket.transport.abort()
    return ages_ms


@pytest.mark.timeout(120)
def test_viewers_that_stop_reading_delay_nobody(tmp_path) -> None:
    engine = LiveEngine(tmp_path, *CAMERAS)
    engine.health = dict  # said once a second elsewhere
    over = threading.Event()
    with Served(tmp_path / "dashboard", settings={"login": False}, engine=engine) as page:
        hub = page.context.hub
        found: dict[str, Any] = {}

        async def all_viewers() -> None:
            slow = [asyncio.create_task(watch(page.origin, reads=False, over=over)) for _ in range(SLOW)]
            found["ages"] = await watch(page.origin, reads=True, over=over)
            await asyncio.gather(*slow)

        client = threading.Thread(target=lambda: asyncio.run(all_viewers()), daemon=True)
        client.start()
        until_s = time.monotonic() + 60
        while sum(len(one.watches) == 25 for one in hub._viewers) < SLOW + 1 and time.monotonic() < until_s:
            time.sleep(0.05)
        assert sum(len(one.watches) == 25 for one in hub._viewers) == SLOW + 1
        for _ in range(20):  # 4 seconds at 5 pictures a second: 7.5 MB for each viewer
            for name in CAMERAS:
                engine.tell(*picture(name, round(time.time() * 1000), size=PICTURE_BYTES))
            time.sleep(0.2)
        stalled = [one for one in hub._viewers if one.busy_since_s is not None]
        waiting = [one._waiting_bytes for one in hub._viewers]
        over.set()
        client.join(30)
    assert len(stalled) == SLOW
    assert max(waiting) <= MOST_WAITING_BYTES
    ages = sorted(found["ages"])
    assert len(ages) > 25 * 10
    assert ages[len(ages) // 2] < 500
