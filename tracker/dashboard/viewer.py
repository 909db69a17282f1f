"""One live viewer: what it watches, what waits for it, and how many pictures are on their way to it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.dashboard.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tracker.dashboard.rights import Principal

__all__ = ["CREDITS", "Viewer", "Watch"]

CREDITS = 2
"""Pictures of one camera on their way to one viewer."""
MOST_TEXTS = 200
"""Events and other messages that wait for one viewer; the oldest go first."""
MOST_WAITING_BYTES = 700_000
"""Pictures that wait for one viewer: beyond this the oldest go, and come again as newer ones."""
ASLEEP_S = 5.0
"""A viewer that draws nothing for so long is not encoded for until it draws again."""


@dataclass(slots=True, kw_only=True)
class Watch:
    """One camera as one viewer watches it."""

    width: int
    variant: str
    pace: Pace
    pictures: bool
    credits: int = CREDITS
    drawn_s: float = 0.0

    @property
    def size(self) -> tuple[int, str]:
        """Width 0 = the state alone."""
        return (self.width, self.variant) if self.pictures else (0, "masked")


class Viewer:
    """One socket: what it watches, and what waits for it.

    Args:
        principal: Whose it is: it is told of nothing that this one may not see.
        send_text: Sends a text and waits until the connection took it.
        send_bytes: The same for pictures.
    """

    def __init__(
        self,
        principal: Principal,
        send_text: Callable[[str], Awaitable[None]],
        send_bytes: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self.principal = principal
        self.watches: dict[str, Watch] = {}
        self.busy_since_s: float | None = None
        self._send_text, self._send_bytes = send_text, send_bytes
        self._texts: deque[str] = deque(maxlen=MOST_TEXTS)
        self._states: OrderedDict[str, str] = OrderedDict()
        self._pictures: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        self._waiting_bytes = 0
        self._awake = asyncio.Event()

    def tell(self, text: str) -> None:
        """Have a message sent; the oldest of too many are dropped."""
        self._texts.append(text)
        self._awake.set()

    def show_state(self, stream: str, text: str) -> None:
        """Have a state without a picture sent, in the place of an older one."""
        self._states[stream] = text
        self._awake.set()

    def show_picture(self, stream: str, state: str, message: bytes, *, t_ms: float) -> None:
        """Have a picture sent with its state, in the place of an older one."""
        watch = self.watches[stream]
        if not watch.pace.is_due(t_ms):
            return
        before = self._pictures.pop(stream, None)
        self._waiting_bytes += len(message) - (0 if before is None else len(before[1]))
        self._pictures[stream] = state, message
        while self._waiting_bytes > MOST_WAITING_BYTES and len(self._pictures) > 1:
            _, (_, dropped) = self._pictures.popitem(last=False)
            self._waiting_bytes -= len(dropped)
        self._awake.set()

    def drawn(self, stream: str, now_s: float) -> bool:
        """A picture of a camera was drawn; returns whether the viewer had been asleep there."""
        watch = self.watches.get(stream)
        if watch is None:
            return False
        asleep = self._is_asleep(watch, now_s)
        watch.credits = min(watch.credits + 1, CREDITS)
        watch.drawn_s = now_s
        self._awake.set()
        return asleep

    def wanted(self, now_s: float) -> dict[str, Watch]:
        """The cameras for which something is to be made now: not those whose pictures are not drawn any more."""
        if self.busy_since_s is not None and now_s - self.busy_since_s > ASLEEP_S:
            return {}
        return {name: watch for name, watch in self.watches.items() if not self._is_asleep(watch, now_s)}

    async def serve(self) -> None:
        """Send what there is, one message after another, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._awake.wait()
            self._awake.clear()
            while (item := self._next()) is not None:
                self.busy_since_s = loop.time()
                for part in item:
                    await (self._send_bytes(part) if isinstance(part, bytes) else self._send_text(part))
                self.busy_since_s = None

    def _next(self) -> tuple[str | bytes, ...] | None:
        if self._texts:
            return (self._texts.popleft(),)
        if self._states:
            return (self._states.popitem(last=False)[1],)
        for stream in self._pictures:
            watch = self.watches.get(stream)
            if watch is None or watch.credits > 0:
                state, message = self._pictures.pop(stream)
                self._waiting_bytes -= len(message)
                if watch is None:
                    return ()
                watch.credits -= 1
                return state, message
        return None

    @staticmethod
    def _is_asleep(watch: Watch, now_s: float) -> bool:
        return watch.pictures and watch.credits == 0 and now_s - watch.drawn_s > ASLEEP_S

    def drop_unwatched(self) -> None:
        """Forget what waits of cameras that are not watched any more."""
        for stream in [name for name in self._pictures if name not in self.watches]:
            self._waiting_bytes -= len(self._pictures.pop(stream)[1])
        for stream in [name for name in self._states if name not in self.watches]:
            del self._states[stream]
