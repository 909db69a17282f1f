"""A whole dashboard around a rendered scene: page, server, link, previews, counting, ledger; true masks and ids.

Only the segmenter and the tracker are played, by the scene's truth: what is counted is exactly known.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from demos.scenes.catalogue import open_recording
from tracker.dashboard.context import Context
from tracker.dashboard.link import Link
from tracker.dashboard.server import serve
from tracker.engine.counting import counting_stages
from tracker.engine.taps import Taps
from tracker.service.channel import Channel
from tracker.service.viewers import Viewers
from tracker.settings.dashboard import DashboardSettings
from tracker.settings.site_file import read_site
from tracker.settings.stream import StreamSettings
from tracker.sinks.sqlite import SqliteSink
from tracker.sources.decoded import SourceCounters

if TYPE_CHECKING:
    from pathlib import Path

    from demos.scenes.recording import Recording
    from tracker.engine.stage import Stage
    from tracker.types import TrackedFrame


class PlayedCamera:
    """A stream that plays a scene once per :meth:`play`, with the stages that count and the store behind them."""

    def __init__(self, name: str, scene: str, folder: Path) -> None:
        self.name, self.state, self.opened = name, "live", True
        self.recording: Recording = open_recording(scene)
        self.site_path = folder / "sites" / f"{name}.yaml"
        self.store = folder / "events.sqlite"
        self.taps = Taps(name)
        counters = SourceCounters()
        self.source = SimpleNamespace(info=SimpleNamespace(size=self.recording.scene.size), counters=counters)
        self.meter = SimpleNamespace(rate=lambda: 10.0)
        self._sink = SqliteSink(self.store, camera=name)
        self._stages: list[Stage] = []
        self._clock_s = 0.0
        self._first = next(self.recording.tracked(10.0, shaded=True))

    def load_site(self) -> None:
        """Count by the site's file from the next frame on."""
        site = read_site(self.site_path) if self.site_path.exists() else None
        names = self.recording.scene.class_names
        self._stages = counting_stages(self.name, names, contacts=True, site=site, settings=StreamSettings())

    def present(self) -> dict[str, dict[str, int]]:
        """Identities by zone and class."""
        return next((stage.present() for stage in self._stages if hasattr(stage, "present")), {})

    def waiting(self) -> dict[str, int]:
        """Identities by queue."""
        return next((stage.waiting() for stage in self._stages if stage.waiting()), {})

    def show_images(self, *, wanted: bool) -> None:
        """All frames have pictures."""

    def stand(self) -> None:
        """The scene's first moment once more, so that there is a picture before it plays."""
        self._give(self._first, 0.1)

    def play(self, fps: float = 10.0) -> None:
        """The whole scene, not faster than it happens."""
        began_s, offset_s = time.monotonic(), self._clock_s + 1 / fps
        for tracked in self.recording.tracked(fps, shaded=True):
            time.sleep(max(0.0, began_s + tracked.frame.time_s - time.monotonic()))
            self._give(tracked, offset_s + tracked.frame.time_s - self._clock_s)

    def close(self) -> None:
        """End the store."""
        self._sink.close()

    def _give(self, tracked: TrackedFrame, step_s: float) -> None:
        self._clock_s += step_s
        now = datetime.now(UTC)
        frame = replace(
            tracked.frame, time_s=self._clock_s, source=self.name, arrived_s=time.monotonic(), captured_at=now
        )
        tracked = replace(tracked, frame=frame)
        for stage in self._stages:
            tracked = stage.process(tracked)
        self._sink.write(tracked)
        self.taps.give(tracked)


class PlayedService:
    """The engine's and the dashboard's side of one page, joined by a socket pair as in the product."""

    def __init__(self, folder: Path, scene: str = "door", name: str = "entrance") -> None:
        self.camera = PlayedCamera(name, scene, folder)
        self.camera.site_path.parent.mkdir()
        settings = DashboardSettings(address="127.0.0.1:0", folder=str(folder / "dashboard"), delay_s=0.2)
        self.viewers = Viewers(settings, sites=self.camera.site_path.parent)
        plan: Any = SimpleNamespace(
            name=name,
            outputs=(str(self.camera.store),),
            kind_of=lambda output: ".sqlite",
            site=None,
            settings=SimpleNamespace(site=None, privacy="none"),
            address=SimpleNamespace(kind="network"),
        )
        stream: Any = self.camera
        self.viewers.opened(plan, stream, self.camera.recording.scene.class_names)
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours, on_message=self.viewers.heard, on_end=self.viewers.detach)
        self._channel.start()
        self.viewers.attach(self._channel)
        self._link = Link(theirs)
        self._link.start()
        self._context = Context(settings, engine=self._link)
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._address: queue.Queue[str] = queue.Queue()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._serve, daemon=True),
            threading.Thread(target=self._run, daemon=True),
        ]
        self._playing = threading.Event()
        self.played = threading.Event()

    def __enter__(self) -> str:
        for thread in self._threads:
            thread.start()
        return self._address.get(timeout=30)

    def __exit__(self, *problem: object) -> None:
        self._over.set()
        self._loop.call_soon_threadsafe(self._stopped.set)
        for thread in self._threads:
            thread.join(20)
        self.viewers.close()
        self._context.close()
        self.camera.close()

    def play(self) -> None:
        """Let the scene happen once."""
        self._playing.set()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(serve(self._context, announce=self._address.put, stopped=self._stopped))
        self._loop.close()

    def _run(self) -> None:
        """The engine's thread: frames, and saved sites in between."""
        self.camera.load_site()
        while not self._over.wait(0.2):
            with contextlib.suppress(queue.Empty):
                self.viewers.reloads.get_nowait()
                self.camera.load_site()
                self.viewers.site_loaded(self.camera.name, read_site(self.camera.site_path).revision)
            if self._playing.is_set():
                self._playing.clear()
                self.camera.play()
                self.played.set()
            else:
                self.camera.stand()
