"""Link to a running engine: the dashboard's end of the local channel, and what it has heard so far."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.dashboard.engine_view import CameraFacts, EngineView
from tracker.dashboard.recent import RecentContacts
from tracker.dashboard.wire import MessageReader, packed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tracker.dashboard.engine_view import Listener, Wanted
    from tracker.site import Site

__all__ = ["ALIVE_S", "Link"]

ALIVE_S = 5.0
"""How often the engine is told that this process is well."""
GLIMPSE_S = 2.0
"""Longest wait for a single picture."""
LINGER_S = 3.0
"""A camera of which single pictures were asked is encoded for so long after the last request."""
READ_BYTES = 1 << 18

logger = logging.getLogger("tracker.dashboard")


@dataclass(slots=True)
class _Glimpse:
    """A size of which single pictures are asked: the last one, and who waits for the next."""

    until_s: float = 0.0
    jpeg: bytes = b""
    made_s: float = float("-inf")
    waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[bytes]]] = field(default_factory=list)


class Link(EngineView):
    """The engine as the dashboard hears it.

    Args:
        connection: The dashboard's end of a stream socket; closed with the link.
        preview_width: Largest width of pictures, in pixels: more is not asked for.
        preview_fps: Most pictures per second.
        on_end: Called in the link's thread when the engine is gone.
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        preview_width: int = 960,
        preview_fps: float = 5.0,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._connection, self._on_end = connection, on_end
        self._most_px, self._most_fps = preview_width, preview_fps
        self._lock = threading.Lock()
        self._listeners: tuple[Listener, ...] = ()
        self._cameras: dict[str, CameraFacts] = {}
        self._health: dict[str, Any] = {}
        self._present: dict[str, dict[str, dict[str, int]]] = {}
        self._wanted: Wanted = {}
        self._glimpses: dict[tuple[str, int, str], _Glimpse] = {}
        self._told: dict[str, Any] | None = None
        self._ended = threading.Event()
        self._recent = RecentContacts()
        self._threads = [
            threading.Thread(target=self._read, name="link-read", daemon=True),
            threading.Thread(target=self._keep_alive, name="link-alive", daemon=True),
        ]

    def start(self) -> None:
        """Begin to listen."""
        for thread in self._threads:
            thread.start()

    # ---- what the routes ask ---------------------------------------------------------------------------------------

    @property
    def attached(self) -> bool:
        """Whether the engine is there."""
        return not self._ended.is_set()

    def cameras(self) -> dict[str, CameraFacts]:
        """Cameras by name, as the engine said hello with them."""
        return dict(self._cameras)

    def health(self) -> dict[str, Any]:
        """The last health of the engine, a second old at most."""
        return self._health

    async def picture(self, stream: str, *, variant: str, width: int) -> bytes | None:
        """The newest picture; a first one is waited for, those soon after it are at hand."""
        if stream not in self._cameras or self._ended.is_set():
            return None
        key = (stream, self.width(width), variant)
        now_s = time.monotonic()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        with self._lock:
            one = self._glimpses.setdefault(key, _Glimpse())
            one.until_s = now_s + LINGER_S
            if now_s - one.made_s < 1.0:
                return one.jpeg
            one.waiting.append((loop, future))
        self._send_watch()
        try:
            return await asyncio.wait_for(future, GLIMPSE_S)
        except TimeoutError:
            return None
        finally:
            with self._lock:
                one.waiting = [entry for entry in one.waiting if entry[1] is not future]

    def path(self, stream: str, identity: int) -> list[tuple[int, float, float]]:
        """Contacts of an identity in the last ten minutes."""
        return self._recent.path(stream, identity)

    def dry_run(self, stream: str, site: Site, *, seconds: float) -> dict[str, Any] | None:
        """What a site would have counted in the last minutes, beside what the present one counts over them."""
        facts = self._cameras.get(stream)
        if facts is None:
            return None
        return self._recent.dry_run(stream, site, _present_site(facts.site), seconds=seconds)

    def site_saved(self, stream: str) -> None:
        """Have the engine read a camera's site again; ``site_loaded`` or ``site_failed`` follows."""
        self._send(packed("reload", stream=stream))

    def present(self, stream: str) -> Sequence[dict[str, Any]]:
        """Identities in each zone as of the last second of contacts, or the last state."""
        return [
            {"place": place, "class": name, "present": count}
            for place, counts in self._present.get(stream, {}).items()
            for name, count in counts.items()
        ]

    def width(self, asked_px: int) -> int:
        """The width at which the engine makes a picture that is asked for at another one."""
        return min(max(asked_px, 160), self._most_px)

    def fps(self, asked: float) -> float:
        """The same for the rate."""
        return min(max(asked, 0.1), self._most_fps)

    # ---- what the hub asks -----------------------------------------------------------------------------------------

    def follow(self, listener: Listener) -> None:
        """Tell a listener every live message from now on."""
        self._listeners = (*self._listeners, listener)

    def watch(self, wanted: Wanted) -> None:
        """Have the engine make what is wanted, and nothing else."""
        self._wanted = {name: set(sizes) for name, sizes in wanted.items()}
        self._send_watch()

    def close(self) -> None:
        """End the link."""
        self._end(told=False)

    def _send_watch(self) -> None:
        now_s = time.monotonic()
        with self._lock:
            self._glimpses = {key: one for key, one in self._glimpses.items() if one.until_s > now_s or one.waiting}
            wanted: Wanted = {name: set(sizes) for name, sizes in self._wanted.items()}
            for name, width, variant in self._glimpses:
                wanted.setdefault(name, set()).add((width, variant, self._most_fps))
            streams = {
                name: [{"width": width, "variant": variant, "fps": fps} for width, variant, fps in sorted(sizes)]
                for name, sizes in sorted(wanted.items())
            }
            if streams == self._told:
                return
            self._told = streams
        self._send(packed("watch", streams=streams))

    # ---- the channel -----------------------------------------------------------------------------------------------

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(OSError), self._lock:
            self._connection.sendall(message)

    def _keep_alive(self) -> None:
        while not self._ended.wait(ALIVE_S):
            self._send(packed("alive"))
            self._send_watch()  # what lingered is over

    def _read(self) -> None:
        reader = MessageReader()
        try:
            while data := self._connection.recv(READ_BYTES):
                for header, body in reader.feed(data):
                    self._take(header, body)
        except OSError:
            pass
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is not of this version
            problem = f"{type(failure).__name__}: {failure}"
            extra = {"problem": problem, "remedy": "restart the engine where masktrail was updated since its start"}
            logger.error("engine's message not understood", extra=extra)  # noqa: TRY400
        self._end()

    def _take(self, header: dict[str, Any], body: bytes) -> None:
        kind, stream = header["kind"], header.get("stream", "")
        if kind == "contacts":
            facts = self._cameras.get(stream)
            if facts is not None:
                self._recent.add(stream, header, body, class_names=facts.classes)
            return
        if kind == "picture":
            self._hand_out(header, body)
        elif kind == "health":
            self._health = json.loads(body)
            zones = self._health.get("cameras", {})
            self._present = {name: values.get("present", {}) for name, values in zones.items()}
        elif kind == "hello":
            self._cameras = {one["name"]: _facts(one) for one in header["cameras"]}
            self._recent.keep({name: one.scene for name, one in self._cameras.items()})
            self.on_change()
        for listener in self._listeners:
            listener.heard(header, body)

    def _hand_out(self, header: Mapping[str, Any], body: bytes) -> None:
        """Give a picture to the requests that wait for one."""
        key = (header["stream"], header["asked"], header["variant"])
        with self._lock:
            one = self._glimpses.get(key)
            if one is None:
                return
            one.jpeg, one.made_s = body[header["state_bytes"] :], time.monotonic()
            waiting, one.waiting = one.waiting, []
        for loop, future in waiting:
            with contextlib.suppress(RuntimeError):  # the loop is over
                loop.call_soon_threadsafe(_settle, future, one.jpeg)

    def _end(self, *, told: bool = True) -> None:
        if self._ended.is_set():
            return
        self._ended.set()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        if told:
            self._on_end()


def _settle(future: asyncio.Future[bytes], jpeg: bytes) -> None:
    if not future.done():
        future.set_result(jpeg)


def _facts(one: Mapping[str, Any]) -> CameraFacts:
    size = one["size"]
    return CameraFacts(
        name=one["name"],
        size=None if size is None else (int(size[0]), int(size[1])),
        classes=tuple(one["classes"]),
        site=None if one["site"] is None else Path(one["site"]),
        ledgers=tuple(Path(path) for path in one["ledgers"]),
        live=bool(one["live"]),
        scene=int(one["scene"]),
    )


def _present_site(path: Path | None) -> Site | None:
    """The site that counts now; ``None`` where there is none, or none that can be read."""
    from tracker.errors import TrackerError
    from tracker.settings.site_file import read_site

    if path is None or not path.is_file():
        return None
    with contextlib.suppress(TrackerError):
        return read_site(path)
    return None
