"""Live socket of the fake dashboard: pictures by credits, states, counts, events."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import time
from typing import TYPE_CHECKING, Any

from tests.dashboard.fake_answers import FakeState

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from tests.dashboard.fake_world import Camera


class FakeLive(FakeState):
    """The route ``/api/live``."""

    async def live(self, socket: WebSocket) -> None:
        user = self.user(socket)
        if user is None or self.drop_sockets:
            await socket.close(1008)
            return
        await socket.accept()
        watched: list[dict[str, Any]] = []
        credit: dict[str, int] = {}

        async def listen() -> None:
            while True:
                message = json.loads(await socket.receive_text())
                if "watch" in message:
                    may = [one.id for one in self.allowed(user)]
                    watched[:] = [one for one in message["watch"] if one["stream"] in may]
                    credit.update({one["stream"]: 2 for one in watched})
                elif message.get("ack") in credit:
                    credit[message["ack"]] = min(2, credit[message["ack"]] + 1)

        listener = asyncio.create_task(listen())
        seen_s = time.time()
        sent: dict[str, int] = {}
        try:
            while not (listener.done() or self.drop_sockets):
                now_s = time.time()
                for wish in list(watched):
                    await self._send(socket, self.cameras[wish["stream"]], wish, credit, sent)
                    for event in self.cameras[wish["stream"]].events_between(seen_s, now_s):
                        await socket.send_text(json.dumps({"type": "event", "event": event}))
                    await socket.send_text(
                        json.dumps(
                            {
                                "type": "counts",
                                "stream": wish["stream"],
                                "places": self.summary(self.cameras[wish["stream"]])["today"],
                            }
                        )
                    )
                seen_s = now_s
                await asyncio.sleep(1 / 5)
        except Exception:  # noqa: BLE001 - the page went away
            pass
        finally:
            listener.cancel()
            with contextlib.suppress(Exception):
                await socket.close()

    async def _send(
        self, socket: WebSocket, one: Camera, wish: dict[str, Any], credit: dict[str, int], sent: dict[str, int]
    ) -> None:
        index, loop, at_s = one.now()
        t_ms = round(at_s * 1000)
        if sent.get(one.id) == t_ms:
            return
        sent[one.id] = t_ms
        await socket.send_text(json.dumps(one.state(index, loop, at_s)))
        if wish.get("pictures", True) and credit.get(one.id, 0) > 0:
            credit[one.id] -= 1
            head = json.dumps(
                {"stream": one.id, "t_ms": t_ms, "variant": wish["variant"], "width": 640, "height": 360}
            ).encode()
            await socket.send_bytes(
                struct.pack(">I", len(head)) + head + one.frame(index)[1 if wish["variant"] == "clear" else 0]
            )
