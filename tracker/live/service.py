"""A file of cameras enters; the running service leaves: signals, reload, health, logs, and an exit status.

Exit status for supervisors: 0 stopped by a signal or all recordings done, 1 a stream or an output failed for good,
2 refused to start (settings, model, outputs: starting again does not help), 3 the model failed while running.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import socket
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.config import is_camera, load_live_config
from tracker.errors import ConfigError, TrackerError
from tracker.job import CONFIRM_SCORE
from tracker.live.build import build_stream, check_camera
from tracker.live.engine import LiveEngine
from tracker.live.logs import set_up_logging
from tracker.live.resume import Resumption
from tracker.live.snapshot import Snapshots
from tracker.live.status import STUCK_S, StatusServer
from tracker.segment.device import available_cores
from tracker.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracker.config import CameraConfig, LiveConfig
    from tracker.live.stream import Stream
    from tracker.segment.session import OnnxSegmenter

__all__ = ["LiveService", "run_live"]

REPORT_S = 60.0
"""How often the log says how every stream is doing."""

SAVE_S = 5.0
"""How often identities are written to disk: what a crash costs at most."""

CRASH_SKIP_IDS = 1000
"""Numbers left out after a crash, more than a camera gives in :data:`SAVE_S`: nobody gets another's number."""

POLL_S = 0.25

logger = logging.getLogger("tracker.live")


class LiveService:
    """The engine with its cameras as the file has them.

    Args:
        config: Checked settings.
        segmenter: The shared model.
        resume: Go on with recordings where an earlier run was cut off, and leave out those that are done.
    """

    def __init__(self, config: LiveConfig, segmenter: OnnxSegmenter, *, resume: bool = False) -> None:
        self._resume = resume
        self._config = config
        self._segmenter = segmenter
        on_cpu = segmenter.device == "cpu"
        workers = config.workers or (available_cores() if on_cpu else 2)
        self._batch = min(config.batch or segmenter.batch_size, segmenter.batch_size)
        for camera in config.cameras:
            check_camera(camera, segmenter.class_names)
        self.engine = LiveEngine(
            segmenter=segmenter, batch_size=self._batch, batch_wait_s=config.batch_wait_s, workers=workers
        )
        self._snapshots = (
            Snapshots(Path(config.state), max_age_s=config.state_max_age_s) if config.state is not None else None
        )
        self._running: dict[str, tuple[CameraConfig, Stream]] = {}
        self._failures: list[TrackerError] = []
        for camera in config.cameras:
            self._add(camera)

    def reload(self, config: LiveConfig) -> None:
        """Make the cameras what the file says now; those that did not change run on with their identities.

        Raises:
            TrackerError: A new or changed camera cannot be used; nothing has been changed then.
        """
        wanted = {camera.name: camera for camera in config.cameras}
        changed = [name for name, (camera, _) in self._running.items() if wanted.get(name) != camera]
        added = [camera for name, camera in wanted.items() if name in changed or name not in self._running]
        for camera in added:
            check_camera(camera, self._segmenter.class_names)
        for name in changed:
            _, stream = self._running.pop(name)
            self.engine.remove(stream)
            self._failures += stream.failures
        for camera in added:
            self._add(camera)
        fixed = ("model", "device", "iou", "batch", "workers", "metrics", "log", "batch_wait_s", "state")
        differs = [name for name in fixed if getattr(config, name) != getattr(self._config, name)]
        if differs:
            logger.warning("settings that need a restart", extra={"settings": ", ".join(differs)})
        gone = [name for name in changed if name not in wanted]
        logger.info(
            "reloaded",
            extra={
                "started": [camera.name for camera in added],
                "stopped": gone,
                "unchanged": len(self._running) - len(added),
            },
        )

    def save_states(self, *, final: bool = False) -> None:
        """Write every camera's identities to disk, where the settings ask for it; ``final``: none will come after."""
        for camera, stream in self._running.values():
            if self._snapshots is not None and is_camera(camera.url) and (state := stream.tracker_state()) is not None:
                self._snapshots.save(camera.name, state | {"final": final})

    def report(self) -> None:
        """Log one line per stream."""
        for stream in self.engine.streams:
            figures = stream.meter.figures()
            logger.info(
                "figures",
                extra={
                    "camera": stream.name,
                    "state": stream.state,
                    "fps": round(figures.fps, 2),
                    "age_p99_ms": round(figures.age_p99_s * 1000, 1) if figures.frames else None,
                    "living": figures.living,
                    "identities": figures.identities,
                },
            )

    def close(self) -> int:
        """Stop everything and complete all outputs.

        Returns:
            The exit status.
        """
        try:
            self.engine.close()
        except TrackerError as failure:
            logger.critical("model failed", extra={"problem": str(failure)})
            return 3
        self.save_states(final=True)
        failures = self._failures + [failure for stream in self.engine.streams for failure in stream.failures]
        return 1 if failures else 0

    def _add(self, camera: CameraConfig) -> None:
        from tracker.associate.tracker import Tracker

        resumption = self._resumption(camera)
        if resumption is not None and not self._resume:
            resumption.restart()
        elif resumption is not None and resumption.done:
            logger.info("already done", extra={"camera": camera.name})
            return
        stream = build_stream(
            camera,
            resumption=resumption,
            segmenter=self._segmenter,
            tracker=lambda: Tracker(class_count=len(self._segmenter.class_names), confirm_score=CONFIRM_SCORE),
            queue_frames=max(4, 2 * self._batch),
            max_in_flight=self._batch * self.engine.workers,
        )
        kept = self._snapshots.load(camera.name) if self._snapshots is not None and is_camera(camera.url) else None
        if kept is not None:
            stream.restore(kept[0], elapsed_s=kept[1], skip_ids=0 if kept[0]["final"] else CRASH_SKIP_IDS)
        self._running[camera.name] = (camera, stream)
        self.engine.add(stream)

    def _resumption(self, camera: CameraConfig) -> Resumption | None:
        """Where a recording's chunks are, and everything its rows depend on."""
        if self._config.state is None or is_camera(camera.url) or camera.policy == "latest":
            return None
        facts = Path(camera.url).stat() if Path(camera.url).is_file() else None
        key = {
            "camera": {item.name: getattr(camera, item.name) for item in fields(camera)},
            "file": (facts.st_size, facts.st_mtime_ns) if facts is not None else None,
            "model": self._segmenter.describe(),
            "iou": self._config.iou,
            "version": __version__,
        }
        return Resumption(Path(self._config.state), camera.name, key)


def run_live(path: Path, *, log: str | None = None, resume: bool = False) -> int:
    """Run the cameras of a file until a signal or until all of them are recordings that are done.

    Args:
        path: The YAML file; see :mod:`tracker.config`.
        log: ``text`` or ``json``, over the file's own choice.
        resume: Go on with recordings where an earlier run was cut off; the settings need a ``state`` folder.

    Returns:
        The exit status; see the module.

    Raises:
        TrackerError: The settings, the model or an output cannot be used.
    """
    if log not in {None, "text", "json"}:
        problem = f"expected text or json, found {log!r}"
        raise ConfigError("--log", problem, "choose one of the two")
    config = load_live_config(path)
    if resume and config.state is None:
        raise ConfigError("--resume", "expected a folder for states, found none in the settings", "add `state: FOLDER`")
    handler = set_up_logging(log or config.log)
    try:
        with _signals() as signals, contextlib.ExitStack() as stack:
            segmenter = _segmenter(config)
            logger.info("model", extra={"model": segmenter.describe()})
            service = LiveService(config, segmenter, resume=resume)
            try:
                if config.metrics is not None:
                    status = StatusServer(service.engine, config.metrics)
                    stack.callback(status.close)
                    logger.info("status", extra={"address": f"http://{status.address}/healthz"})
                _notify("READY=1")
                _loop(service, path, signals)
            finally:
                _notify("STOPPING=1")
                code = service.close()
            service.report()
            logger.info("stopped", extra={"status": code})
            return code
    finally:
        logger.removeHandler(handler)


def _loop(service: LiveService, path: Path, signals: queue.SimpleQueue[int]) -> None:
    """Until a signal to stop, the end of all streams or a failure of the model."""
    report_at_s = time.monotonic() + REPORT_S
    save_at_s = time.monotonic() + SAVE_S
    while service.engine.streams and not service.engine.wait(POLL_S):
        if service.engine.stuck_s < STUCK_S:
            _notify("WATCHDOG=1")
        if time.monotonic() >= report_at_s:
            service.report()
            report_at_s += REPORT_S
        if time.monotonic() >= save_at_s:
            service.save_states()
            save_at_s = time.monotonic() + SAVE_S
        while not signals.empty():
            number = signals.get()
            if number != getattr(signal, "SIGHUP", None):
                logger.info("stopping", extra={"signal": signal.Signals(number).name})
                return
            try:
                service.reload(load_live_config(path))
            except TrackerError as failure:
                logger.error("not reloaded", extra={"problem": str(failure)})  # noqa: TRY400 - expected, no traceback


@contextlib.contextmanager
def _signals() -> Iterator[queue.SimpleQueue[int]]:
    """SIGINT, SIGTERM and SIGHUP as they come; handlers do nothing else, since they interrupt anything."""
    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    arrived: queue.SimpleQueue[int] = queue.SimpleQueue()
    before = {number: signal.signal(number, lambda which, _frame: arrived.put(which)) for number in numbers}
    try:
        yield arrived
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _segmenter(config: LiveConfig) -> OnnxSegmenter:
    """The shared model, with the lowest score that any camera asks for; each camera filters for itself."""
    from tracker.segment.session import DEFAULT_SCORE_THRESHOLD, OnnxSegmenter

    asked = [camera.conf for camera in config.cameras if camera.conf is not None]
    everyone_asked = len(asked) == len(config.cameras)
    workers = config.workers or available_cores()
    return OnnxSegmenter(
        config.model,
        device=config.device,
        score_threshold=None if not asked else min(asked if everyone_asked else [*asked, DEFAULT_SCORE_THRESHOLD]),
        iou_threshold=config.iou,
        threads=max(available_cores() // workers, 1),
        max_batch=config.batch,
    )


def _notify(state: str) -> None:
    """Tell systemd, where it listens (sd_notify(3)): ready, alive, stopping."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.sendall(state.encode())
