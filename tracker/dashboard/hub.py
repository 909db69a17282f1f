"""Hub of live viewers: the newest state and picture to everybody who looks, at the pace at which each one draws.

A picture goes out only while its viewer has credits for the camera; every drawn picture gives one back. What waits for
a slow viewer is replaced by the newest, so that it costs neither memory nor anybody else's time, and what nobody draws
any more is not encoded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

from tracker.dashboard.pace import Pace
from tracker.dashboard.viewer import Watch
from tracker.dashboard.wire import compact, picture_message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tracker.dashboard.engine_view import Wanted
    from tracker.dashboard.viewer import Viewer

__all__ = ["MOST_WATCHED", "Hub", "WatchError"]

MOST_WATCHED = 64
STALLED_S = 30.0
"""A viewer that takes nothing for so long is cut."""
LOOK_S = 1.0
COUNTS_S = 1.5
"""From an event to the counts that have it: the ledger commits once a second."""

logger = logging.getLogger("tracker.dashboard")

FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""Mistakes of ours; what else ends a viewer is its connection."""

_HEALTH = (
    *("state", "problem", "fps", "age_p50_s", "silence_s", "living", "identities", "dropped", "reconnects"),
    "lost_share",
)
"""What viewers are told of a camera's health every second; the rest is asked for."""


class WatchError(ValueError):
    """A message of a viewer that cannot be followed; says what was expected."""


class Hub:
    """All viewers of one dashboard, in one event loop.

    Args:
        watch: Told which pictures and states somebody wants, whenever that changes.
        width: The width at which a picture is made that is asked for at another one.
        fps: The same for its rate.
        streams: Names of the cameras now.
        counts: Today's counts of a camera, as the API has them; called in a thread of its own.
    """

    def __init__(
        self,
        *,
        watch: Callable[[Wanted], None],
        width: Callable[[int], int] = lambda asked: asked,
        fps: Callable[[float], float] = lambda asked: asked,
        streams: Callable[[], Mapping[str, Any]] = dict,
        counts: Callable[[str], list[dict[str, Any]]] | None = None,
    ) -> None:
        self._watch, self._width, self._fps, self._streams, self._counts = watch, width, fps, streams, counts
        self._viewers: dict[Viewer, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looking: asyncio.Task[None] | None = None
        self._recount: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def viewers(self) -> int:
        """Open sockets."""
        return len(self._viewers)

    # ---- one socket ------------------------------------------------------------------------------------------------

    async def attend(self, viewer: Viewer, receive: Callable[[], Awaitable[str | None]]) -> None:
        """Serve a viewer until it goes, sends nonsense, or takes nothing any more.

        Args:
            viewer: Accepted.
            receive: Its next message; ``None`` = it is gone.

        Raises:
            WatchError: It sent something that no page sends.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._tasks.clear()  # of a loop that is over: they will never end
            self._looking = None
        self._loop = loop
        sending = asyncio.create_task(viewer.serve())
        listening = asyncio.create_task(self._listen(viewer, receive))
        self._viewers[viewer] = listening
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        tasks = {sending, listening}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._viewers.pop(viewer, None)
            tasks |= self._ended()
            self._refresh()  # before the next wait, which may be cut short when the server stops
            for task in tasks:
                task.cancel()
            # Not by gather: cancelled, it would raise an error of its own, which the server does not know for its own.
            await asyncio.wait(tasks)
        failures = [task.exception() for task in (sending, listening) if not task.cancelled()]
        for failure in failures:
            if isinstance(failure, WatchError):
                raise failure
            if isinstance(failure, FAULTS):
                logger.error("live viewer ended", exc_info=failure)

    def _ended(self) -> set[asyncio.Task[None]]:
        """What runs for viewers and has nobody left to run for; a viewer that comes meanwhile starts its own."""
        if self._viewers:
            return set()
        ended = {*self._tasks, *([] if self._looking is None else [self._looking])}
        self._tasks.clear()
        self._recount.clear()
        self._looking = None
        return ended

    async def _listen(self, viewer: Viewer, receive: Callable[[], Awaitable[str | None]]) -> None:
        while (text := await receive()) is not None:
            self._take(viewer, text)

    def _take(self, viewer: Viewer, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        if not isinstance(message, dict) or not set(message) <= {"watch", "ack"} or len(message) != 1:
            raise WatchError('{"watch": [...]} or {"ack": stream}')
        if "ack" in message:
            if viewer.drawn(str(message["ack"]), self._now_s()):
                self._refresh()
            return
        viewer.watches = self._watches(viewer, message["watch"])
        viewer.drop_unwatched()
        self._refresh()
        self._recount |= set(viewer.watches)
        self._count_soon(0.0)

    def _watches(self, viewer: Viewer, listed: Any) -> dict[str, Watch]:
        """What a viewer may see of what it wants to watch; credits on their way stay with their camera."""
        if not isinstance(listed, list) or len(listed) > MOST_WATCHED:
            raise WatchError(f"a list of at most {MOST_WATCHED} cameras")
        known, found = self._streams(), {}
        for entry in listed:
            if not isinstance(entry, dict) or not set(entry) <= {"stream", "width", "variant", "fps", "pictures"}:
                raise WatchError("stream, width, variant, fps and pictures")
            stream, variant = entry.get("stream"), entry.get("variant", "masked")
            width, fps, pictures = entry.get("width", 640), entry.get("fps", 5), entry.get("pictures", True)
            if variant not in {"masked", "clear"} or not isinstance(pictures, bool):
                raise WatchError("variant masked or clear, pictures true or false")
            if not _is_number(width, 16, 3840) or not _is_number(fps, 0.1, 60):
                raise WatchError("width from 16 to 3840, fps from 0.1 to 60")
            if not isinstance(stream, str) or stream not in known or not viewer.principal.sees(stream):
                continue  # what one may not see is as if it were not there
            if variant == "clear" and pictures and not viewer.principal.see_people:
                raise WatchError("masked pictures, without the right to see people")
            watch = Watch(
                width=self._width(int(width)),
                variant=variant,
                pace=Pace(1000 / self._fps(float(fps))),
                pictures=pictures,
                drawn_s=self._now_s(),
            )
            before = viewer.watches.get(stream)
            if before is not None:
                watch.credits, watch.drawn_s = before.credits, before.drawn_s
            found[stream] = watch
        return found

    # ---- what comes from the engine --------------------------------------------------------------------------------

    def heard(self, header: dict[str, Any], body: bytes) -> None:
        """A live message of the link, in whatever thread."""
        loop = self._loop
        if loop is None or not self._viewers:
            return
        with contextlib.suppress(RuntimeError):  # the loop is over
            loop.call_soon_threadsafe(self._deliver, header, body)

    def _deliver(self, header: dict[str, Any], body: bytes) -> None:
        kind, stream = header["kind"], header.get("stream", "")
        if kind == "picture":
            self._deliver_picture(header, body)
        elif kind == "state":
            self._deliver_state(stream, body)
        elif kind == "event":
            self._tell_watching(stream, f'{{"type":"event","event":{body.decode()}}}')
            self._recount.add(stream)
            self._count_soon(COUNTS_S)
        elif kind == "health":
            self._deliver_health(json.loads(body))
        elif kind in {"site_loaded", "site_failed"}:
            facts = {name: value for name, value in header.items() if name != "kind"}
            self._tell_seeing(stream, compact({"type": kind, **facts}).decode())
        elif kind == "hello":
            for viewer in self._viewers:
                viewer.tell('{"type":"streams"}')

    def _deliver_state(self, stream: str, body: bytes) -> None:
        """To those who want no picture with it: the others get it with the picture that it is of."""
        text = body.decode()
        for viewer in self._viewers:
            watch = viewer.watches.get(stream)
            if watch is not None and not watch.pictures:
                viewer.show_state(stream, text)

    def _deliver_picture(self, header: Mapping[str, Any], body: bytes) -> None:
        stream, size = header["stream"], (header["asked"], header["variant"])
        state, message = "", b""
        for viewer in self._viewers:
            watch = viewer.watches.get(stream)
            if watch is None or not watch.pictures or watch.size != size:
                continue
            if not message:
                cut = header["state_bytes"]
                state = body[:cut].decode()
                facts = {name: header[name] for name in ("stream", "t_ms", "variant", "width", "height")}
                message = picture_message(body[cut:], **facts)
            viewer.show_picture(stream, state, message, t_ms=header["t_ms"])

    def _deliver_health(self, health: Mapping[str, Any]) -> None:
        cameras = {
            name: {key: values.get(key) for key in _HEALTH} for name, values in health.get("cameras", {}).items()
        }
        texts: dict[frozenset[str] | None, str] = {}
        for viewer in self._viewers:
            key = viewer.principal.streams
            if key not in texts:
                shown = {name: values for name, values in cameras.items() if viewer.principal.sees(name)}
                texts[key] = compact({"type": "health", "status": health.get("status"), "cameras": shown}).decode()
            viewer.tell(texts[key])

    def _tell_watching(self, stream: str, text: str) -> None:
        for viewer in self._viewers:
            if stream in viewer.watches:
                viewer.tell(text)

    def _tell_seeing(self, stream: str, text: str) -> None:
        for viewer in self._viewers:
            if viewer.principal.sees(stream):
                viewer.tell(text)

    # ---- counts ----------------------------------------------------------------------------------------------------

    def _count_soon(self, wait_s: float) -> None:
        if self._counts is None or self._tasks or not self._recount or not self._viewers:
            return
        task = asyncio.create_task(self._tell_counts(wait_s))
        self._tasks.add(task)
        task.add_done_callback(self._counted)

    def _counted(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            logger.error("counts not read", extra={"problem": f"{type(failure).__name__}: {failure}"})
        self._count_soon(COUNTS_S)

    async def _tell_counts(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        streams, self._recount = self._recount, set()
        for stream in sorted(streams):
            if self._counts is not None and any(stream in viewer.watches for viewer in self._viewers):
                places = await asyncio.to_thread(self._counts, stream)
                text = compact({"type": "counts", "stream": stream, "places": places}).decode()
                self._tell_watching(stream, text)

    # ---- what is wanted --------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Once a second while somebody is there: who sleeps, and who has to go."""
        while self._viewers:
            await asyncio.sleep(LOOK_S)
            now_s = self._now_s()
            for viewer, listening in list(self._viewers.items()):
                if viewer.busy_since_s is not None and now_s - viewer.busy_since_s > STALLED_S:
                    listening.cancel()
            self._refresh()

    def _refresh(self) -> None:
        now_s = self._now_s()
        wanted: Wanted = {}
        for viewer in self._viewers:
            for name, watch in viewer.wanted(now_s).items():
                wanted.setdefault(name, set()).add((*watch.size, 1000 / watch.pace.every))
        self._watch(wanted)

    def _now_s(self) -> float:
        return 0.0 if self._loop is None else self._loop.time()


def _is_number(value: Any, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
