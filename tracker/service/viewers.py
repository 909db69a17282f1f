"""The engine's side of its dashboard: taps of all streams, previews of what is watched, and what the page is told.

A tap notes the frame's contacts and events and keeps the newest frame that is due; it never waits. One thread of lower
priority makes states and pictures of what is looked at, within a budget of processor time while cameras drop
frames, and once a second sends contacts and health.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.dashboard.contact_log import note_of, pack
from tracker.dashboard.pace import Pace
from tracker.dashboard.wire import compact, event_message, packed
from tracker.errors import mask_values
from tracker.service.budget import Budget
from tracker.service.preview import CameraPreview, Encoded, Size, Variant
from tracker.service.status import health

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracker.dashboard.contact_log import ContactNote
    from tracker.engine.plan import StreamPlan
    from tracker.engine.scheduler import Engine
    from tracker.engine.stream import Stream
    from tracker.service.channel import Channel
    from tracker.settings.dashboard import DashboardSettings
    from tracker.types import TrackedFrame

__all__ = ["Viewers", "Watched"]

TICK_S = 1.0
NOTES = 512
"""Frames whose contacts wait for the next tick, at most: ten seconds' worth at 50 fps."""
GATHER_S = 0.03
"""Frames that are due within this time are worked on together: one after another costs less than each for itself, with
cold caches."""
SHORT_S = 0.05
"""Wait for processor time where the budget has none."""
NICENESS = 5
"""Of the thread that encodes: where the processor is full, frames come before pictures."""
WIDTHS = (160, 1920)

logger = logging.getLogger("tracker.live")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What is wanted of a camera: pictures, states without pictures, and how often; ``None`` = nothing."""

    sizes: frozenset[Size] = frozenset()
    alone: bool = False
    every_s: float | None = None


@dataclass(slots=True, kw_only=True)
class Watched:
    """One camera as its viewers have it.

    Attributes:
        name: Of the camera.
        stream: Its present stream.
        classes: Names of its model's classes.
        site: Its site's file.
        ledgers: Stores of its events.
        live: It is a camera, not a recording.
        scene: Number that changes when its identities do not go on.
        preview: Its encoder.
        sizes: Pictures that are looked at.
        alone: States are wanted without pictures.
        pace: Of the frames that are shown; ``None`` = it has no viewer.
    """

    name: str
    stream: Stream
    classes: tuple[str, ...]
    site: Path | None
    ledgers: tuple[Path, ...]
    live: bool
    scene: int
    preview: CameraPreview
    sizes: frozenset[Size] = frozenset()
    alone: bool = False
    pace: Pace | None = None
    newest: TrackedFrame | None = None
    notes: deque[ContactNote] = field(default_factory=lambda: deque(maxlen=NOTES))

    def wants_images(self, tracked: TrackedFrame) -> bool:
        """Whether a viewer has more pixels than the segmenter's input has."""
        letterbox = tracked.frame.letterbox
        content_px = 0 if letterbox is None else letterbox.content_size[0]
        return any(min(size.width, tracked.frame.size[0]) > content_px for size in self.sizes)

    def facts(self) -> dict[str, Any]:
        """What the dashboard is told of it."""
        size = self.stream.source.info.size if self.stream.opened else (0, 0)
        return {
            "name": self.name,
            "size": list(size) if min(size) > 0 else None,
            "classes": list(self.classes),
            "site": None if self.site is None else str(self.site),
            "ledgers": [str(path) for path in self.ledgers],
            "live": self.live,
            "scene": self.scene,
        }


class Viewers:
    """Everything between the engine's streams and the dashboard's process.

    Args:
        settings: Of the dashboard.
        sites: Folder of the sites that are drawn; ``None`` = there is none.

    Attributes:
        reloads: Names of cameras whose site was saved; taken by the thread that reloads.
        spoken_s: When the dashboard was last heard of, ``time.monotonic()``.
        engine: Whose health is told, once there is one.
    """

    def __init__(
        self,
        settings: DashboardSettings,
        *,
        sites: Path | None = None,
    ) -> None:
        self.reloads: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.spoken_s = time.monotonic()
        self.engine: Engine | None = None
        self._settings, self._sites = settings, sites
        self._lock = threading.Lock()
        self._cameras: dict[str, Watched] = {}
        self._wanted: dict[str, _Wish] = {}
        self._channel: Channel | None = None
        self._told: list[dict[str, Any]] | None = None
        self._scenes: Counter[str] = Counter()
        self._awake = threading.Event()
        self._budget = Budget()
        self._first = self._dropped = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="previews", daemon=True)
        self._thread.start()

    # ---- the engine's streams --------------------------------------------------------------------------------------

    def opened(self, plan: StreamPlan, stream: Stream, class_names: Sequence[str]) -> None:
        """A camera's stream is about to start; one of the same name is over."""
        outputs = [Path(output) for output in plan.outputs if plan.kind_of(output) == ".sqlite"]
        one = Watched(
            name=stream.name,
            stream=stream,
            classes=tuple(class_names),
            site=self._site_of(plan),
            ledgers=tuple(outputs),
            live=plan.address.kind in {"camera", "network"},
            scene=self._scenes[stream.name],
            preview=CameraPreview(
                self._settings.delay_s,
                never_clear=plan.settings.privacy != "none",
                zones=() if plan.site is None else plan.site.never_shown,
            ),
        )
        with self._lock:
            self._cameras[one.name] = one
            self._apply(one)
        stream.taps.add(lambda tracked: self._tap(one, tracked))

    def _site_of(self, plan: StreamPlan) -> Path | None:
        if plan.settings.site is not None:
            return Path(plan.settings.site)
        return None if self._sites is None else self._sites / f"{plan.name}.yaml"

    def closed(self, name: str, *, continued: bool = False) -> None:
        """A camera's stream was taken out of service; ``continued``: another one goes on with its identities."""
        with self._lock:
            self._scenes[name] += not continued
            self._cameras.pop(name, None)

    def _tap(self, one: Watched, tracked: TrackedFrame) -> None:
        """In the thread that tracks: note what is small, keep the newest."""
        if self._channel is None:
            return
        if (note := note_of(tracked)) is not None:
            one.notes.append(note)
        for event in tracked.events:
            self._tell(packed("event", compact(event_message(event)), stream=one.name))
        pace = one.pace
        if pace is not None and pace.is_due(tracked.frame.time_s):
            one.newest = tracked
            self._awake.set()

    # ---- the dashboard's process -----------------------------------------------------------------------------------

    def attach(self, channel: Channel) -> None:
        """Talk to a dashboard that was just started; it watches nothing yet."""
        with self._lock:
            self._wanted, self._told = {}, None
            for one in self._cameras.values():
                one.notes.clear()
                self._apply(one)
            self._channel = channel
            self.spoken_s = time.monotonic()
        self._greet()

    def detach(self) -> None:
        """The dashboard is gone: nothing is made any more."""
        with self._lock:
            self._channel, self._wanted = None, {}
            for one in self._cameras.values():
                self._apply(one)

    def heard(self, header: Mapping[str, Any], _body: bytes) -> None:
        """A message of the dashboard, in the channel's thread.

        Raises:
            ValueError: It is none that it may send.
        """
        self.spoken_s = time.monotonic()
        kind = header["kind"]
        if kind == "watch":
            self.watch(header["streams"])
        elif kind == "reload":
            self.reloads.put(str(header["stream"]))
        elif kind != "alive":
            message = f"expected watch, reload or alive, found {kind!r}"
            raise ValueError(message)

    def watch(self, streams: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Make states of these cameras from now on, and the pictures that are listed: width, variant, fps.

        Raises:
            ValueError: A value that no page asks for.
        """
        wanted: dict[str, _Wish] = {}
        for name, listed in streams.items():
            sizes: set[Size] = set()
            alone, fps = False, 0.0
            for entry in listed:
                fps = max(fps, float(entry["fps"]))
                width = int(entry.get("width") or 0)
                alone |= not width
                if width:
                    variant: Variant = "clear" if entry["variant"] == "clear" else "masked"
                    shown = min(max(width, WIDTHS[0]), self._settings.preview_width, WIDTHS[1])
                    sizes.add(Size(width=shown, variant=variant))
            fps = min(max(fps, 0.1), self._settings.preview_fps)
            wanted[name] = _Wish(sizes=frozenset(sizes), alone=alone, every_s=1 / fps)
        with self._lock:
            self._wanted = wanted
            for one in self._cameras.values():
                self._apply(one)

    def site_loaded(self, name: str, revision: int) -> None:
        """A camera counts by the site of this revision from here on."""
        self._tell(packed("site_loaded", stream=name, revision=revision))

    def site_failed(self, name: str, problem: str) -> None:
        """A saved site cannot be used; the camera goes on as before."""
        self._tell(packed("site_failed", stream=name, problem=problem))

    def close(self) -> None:
        """End the thread; the streams may go on."""
        self.detach()
        self._closed = True
        self._awake.set()
        self._thread.join(5)

    def _apply(self, one: Watched) -> None:
        """Bring a camera to what is wanted of it, under the lock."""
        wish = self._wanted.get(one.name, _Wish())
        one.sizes, one.alone = wish.sizes, wish.alone
        one.pace = None if wish.every_s is None else Pace(wish.every_s)
        if one.pace is None:
            one.newest = None
            one.stream.show_images(wanted=False)

    # ---- the thread that encodes -----------------------------------------------------------------------------------

    def _run(self) -> None:
        _lower_priority()
        self._budget = Budget()
        tick_s = time.monotonic()
        waiting = False
        while not self._closed:
            if waiting:
                time.sleep(SHORT_S)
            elif self._awake.wait(max(tick_s + TICK_S - time.monotonic(), 0.01)) and not self._closed:
                time.sleep(GATHER_S)
            self._awake.clear()
            try:
                waiting = not self._make_previews()
                if time.monotonic() >= tick_s + TICK_S:
                    tick_s = time.monotonic()
                    self._tick()
                    self._budget.skip()  # contacts and health are no previews
            except Exception as failure:
                logger.exception("previews", extra={"problem": f"{type(failure).__name__}: {failure}"})

    def _make_previews(self) -> bool:
        """Work on the newest frames, camera after camera; whether there was time for all of them."""
        with self._lock:
            cameras = list(self._cameras.values())
        for place in range(len(cameras)):
            one = cameras[(self._first + place) % len(cameras)]
            if one.newest is not None and self._budget.exhausted:
                self._first = (self._first + place) % len(cameras)  # the next one to have its turn
                return False
            tracked, one.newest = one.newest, None
            if tracked is None or one.pace is None:
                continue
            one.preview.watch(one.sizes)
            one.stream.show_images(wanted=one.wants_images(tracked))
            state, pictures = one.preview.take(tracked, rest=self._rest(one, tracked))
            if one.alone:
                self._tell(packed("state", state, stream=one.name), newest_of=("state", one.name))
            for picture in pictures:
                self._tell(_picture(one.name, picture), newest_of=(one.name, picture.size))
        return True

    def _rest(self, one: Watched, tracked: TrackedFrame) -> dict[str, Any]:
        age_s = time.monotonic() - tracked.frame.arrived_s
        return {
            "stream": one.name,
            "present": one.stream.present(),
            "fps": round(one.stream.meter.rate(), 1),
            "age_s": round(age_s, 3),
        }

    def _tick(self) -> None:
        if self._channel is None:
            return
        self._look_for_drops()
        self._greet()
        with self._lock:
            cameras = list(self._cameras.values())
        for one in cameras:
            notes = [one.notes.popleft() for _ in range(len(one.notes))]
            for batch in _of_one_size(notes):
                header, body = pack(batch)
                self._tell(packed("contacts", body, stream=one.name, **header))
        if self.engine is not None:
            state = mask_values(health(self.engine))
            for one in cameras:
                state["cameras"].get(one.name, {})["present"] = one.stream.present()
            self._tell(packed("health", compact(state)), newest_of="health")

    def _look_for_drops(self) -> None:
        """While cameras drop frames there is too little of something, and frames come before pictures."""
        with self._lock:
            streams = [one.stream for one in self._cameras.values()]
        dropped = sum(stream.source.counters.dropped for stream in streams if stream.opened)
        self._budget.limited = dropped > self._dropped
        self._dropped = dropped

    def _greet(self) -> None:
        """Tell which cameras there are, where that has changed."""
        with self._lock:
            facts = [one.facts() for one in self._cameras.values()]
        if facts != self._told:
            self._told = facts
            self._tell(packed("hello", cameras=facts))

    def _tell(self, message: bytes, *, newest_of: object = None) -> None:
        channel = self._channel
        if channel is not None:
            channel.put(message, newest_of=newest_of)


def _picture(name: str, picture: Encoded) -> bytes:
    width, height = picture.shown
    return packed(
        "picture",
        picture.state + picture.jpeg,
        stream=name,
        t_ms=picture.t_ms,
        variant=picture.size.variant,
        asked=picture.size.width,
        width=width,
        height=height,
        state_bytes=len(picture.state),
    )


def _of_one_size(notes: Sequence[ContactNote]) -> list[list[ContactNote]]:
    """Runs of frames of one picture size; a camera may change its own."""
    runs: list[list[ContactNote]] = []
    for note in notes:
        if runs and runs[-1][-1].size == note.size:
            runs[-1].append(note)
        else:
            runs.append([note])
    return runs


def _lower_priority() -> None:
    """Of this thread alone, where the system has such a thing (Linux)."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
