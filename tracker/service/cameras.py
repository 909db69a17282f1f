"""The cameras of a service: the engine with its streams as the file has them, reloaded and saved while they run."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tracker.engine.claims import check_cameras, held_names
from tracker.engine.counting import site_of
from tracker.engine.covered import privacy_notes
from tracker.engine.models import Models, lowest_score
from tracker.engine.opener import Flow, open_stream
from tracker.engine.plan import chosen_classes, plan_camera
from tracker.engine.resume import Resumption
from tracker.engine.scheduler import Engine
from tracker.engine.snapshot import Kept, Snapshots
from tracker.errors import SourceError, TrackerError
from tracker.settings.stream import is_camera
from tracker.sources.address import redact
from tracker.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.engine.journal import Journal
    from tracker.engine.models import Change
    from tracker.engine.plan import StreamPlan
    from tracker.engine.stream import Stream
    from tracker.segment.session import OnnxSegmenter
    from tracker.settings.service import ServiceSettings
    from tracker.settings.stream import CameraSettings

__all__ = ["LiveService", "Onlooker", "result_settings"]

CRASH_SKIP_IDS = 1000
"""Numbers left out after a crash, more than a camera gives between two saves: no number is given twice."""

PLACES = frozenset(
    {
        "name",
        "url",
        "place",
        "model",
        "reid",
        "outline",
        "site",
        "save",
        "records",
        "events",
        "decode",
        "timeout_s",
        "stall_s",
    }
)
"""Settings of a recording that change none of its rows; of models, sites and outputs what counts is looked at."""

logger = logging.getLogger("tracker.live")


class _Running(NamedTuple):
    """A camera as the file had it when it was started, its plan, its stream, and the names of its model's classes."""

    camera: CameraSettings
    plan: StreamPlan
    stream: Stream
    class_names: tuple[str, ...]


class Onlooker(Protocol):
    """Observer of every stream that begins and ends, with its frames through taps."""

    def opened(self, plan: StreamPlan, stream: Stream, class_names: Sequence[str]) -> None:
        """A stream is about to start; an earlier one of its name is over."""
        ...

    def closed(self, name: str, *, continued: bool = False) -> None:
        """A stream was taken out of service."""
        ...


class LiveService:
    """The engine with its cameras as the file has them.

    Args:
        config: Checked settings.
        resume: Resume recordings where an earlier run was cut off, and leave out those that are done.
        onlooker: Sees the streams; their frames carry ground contacts for it.

    Raises:
        TrackerError: A model, a recording or an output cannot be used.
    """

    def __init__(self, config: ServiceSettings, *, resume: bool = False, onlooker: Onlooker | None = None) -> None:
        self._resume = resume
        self._onlooker = onlooker
        self._config = config
        self._models = Models(config, batch_wait_s=config.batch_wait_s)
        plans = [self._plan(camera) for camera in config.cameras]
        change = self._change(config, plans)
        self.engine = Engine(workers=self._models.workers([segmenter for segmenter, _ in change.sessions.values()]))
        self._models.carry_out(change, self.engine)
        self._snapshots = (
            Snapshots(Path(config.state), max_age_s=config.state_max_age_s) if config.state is not None else None
        )
        self._running: dict[str, _Running] = {}
        self._journals: dict[str, Journal] = {}
        self._failures: list[TrackerError] = []
        self._held: dict[str, contextlib.ExitStack] = {}
        try:
            for camera, plan in zip(config.cameras, plans, strict=True):
                self._add(camera, plan, self._kept(camera, plan))
        except BaseException:
            self._let_go(*self._held)
            raise

    def reload(self, config: ServiceSettings) -> None:
        """Change the cameras to those of the file; unchanged ones run on with their identities.

        A camera that changed is restarted; where it shows the same scene through the same model, with its identities,
        else with new ones under numbers that were not given yet. So does one that had failed, changed or not.

        Raises:
            TrackerError: A new or changed camera or its model cannot be used; nothing has been changed then.
        """
        wanted = {camera.name: camera for camera in config.cameras}
        failed = {name for name, one in self._running.items() if one.stream.state == "failed"}
        changed = [
            name
            for name, one in self._running.items()
            if name in failed or wanted.get(name) != one.camera or site_of(one.camera) != one.plan.site
        ]
        added = [camera for name, camera in wanted.items() if name in changed or name not in self._running]
        plans = {camera.name: self._plan(camera) for camera in added}
        going_on = [one.plan for name, one in self._running.items() if name not in changed and not one.stream.over]
        change = self._change(config, list(plans.values()), going_on)
        self._models.carry_out(change, self.engine)
        kept: dict[str, Kept] = {}
        for name in changed:
            before, _, stream, _ = self._running.pop(name)
            after = wanted.get(name)
            goes_on = after is not None and is_camera(before.url)
            same = after is not None and _same_scene(before, after) and name not in failed
            stream.continued = goes_on and same  # what its tracker failed on may still be in there
            self.engine.remove(stream)
            self._let_go(name)
            if self._onlooker is not None:
                self._onlooker.closed(name, continued=goes_on and same)
            if name not in failed or name not in wanted:
                self._failures += stream.failures
            if goes_on and (state := stream.snapshot()) is not None:
                kept[name] = Kept(state=state, elapsed_s=stream.meter.figures().silence_s, numbers_only=not same)
        for camera in added:
            try:
                plan = plans[camera.name]
                self._add(camera, plan, kept.get(camera.name) or self._kept(camera, plan))
            except TrackerError as failure:  # in spite of all checks before: the other cameras are still wanted
                logger.error("camera not started", extra={"camera": camera.name, "problem": str(failure)})  # noqa: TRY400
                self._failures.append(failure)
        self.release()
        words = "device batch workers metrics log batch_wait_ms state fp16 retention report"
        differs = [name for name in words.split() if getattr(config, name) != getattr(self._config, name)]
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

    @property
    def plans(self) -> list[StreamPlan]:
        """Of the cameras that are there now."""
        return [one.plan for one in list(self._running.values())]

    def release(self) -> None:
        """Close the sessions that no running stream uses any more."""
        for batcher in self._models.let_go([one.plan for one in self._running.values() if not one.stream.over]):
            self.engine.close_model(batcher)
            logger.info("model closed", extra={"model": batcher.name})

    def save_states(self, *, final: bool = False) -> None:
        """Write every camera's identities to disk, where the settings ask for it; ``final``: none will come after."""
        for camera, _, stream, class_names in self._running.values():
            if self._snapshots is not None and is_camera(camera.url) and (state := stream.snapshot()) is not None:
                facts = {"final": final, "class_names": list(class_names)}
                saved = self._snapshots.save(camera.name, state, facts=facts)
                if saved and (journal := self._journals.get(camera.name)) is not None:
                    journal.forget(state["events"])

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
                    "lost_share": None if figures.losses is None else round(figures.losses.share, 4),
                    "living": figures.living,
                    "identities": figures.identities,
                },
            )

    @property
    def recordings_done(self) -> bool:
        """Whether all streams are recordings, and are over and written."""
        if self.engine.failed or any(is_camera(one.camera.url) for one in self._running.values()):
            return False
        return all(stream.over and stream.written for stream in self.engine.streams)

    def close(self) -> int:
        """Stop everything and complete all outputs.

        Returns:
            The exit status.
        """
        for camera, _, stream, _ in self._running.values():
            stream.continued = self._snapshots is not None and is_camera(camera.url)
        try:
            self.engine.close()
        except Exception as failure:  # noqa: BLE001 - the one thing that ends all streams
            logger.critical("stopped by a failure", extra={"problem": f"{type(failure).__name__}: {failure}"})
            return 3
        finally:
            self._let_go(*self._held)
        self.save_states(final=True)
        failures = self._failures + [failure for stream in self.engine.streams for failure in stream.failures]
        return 1 if failures else 0

    def _change(
        self, config: ServiceSettings, added: Sequence[StreamPlan], running: Sequence[StreamPlan] = ()
    ) -> Change:
        """Check everything that can be wrong with the streams to be added, and open the models that are missing."""
        check_cameras(config, added, running)
        change = self._models.change([*running, *added])
        for role, description in change.opened:
            logger.info(role, extra={"model": description})
        for plan in added:
            chosen_classes(plan, self._models.segmenter(plan, change).class_names)
        return change

    def _add(self, camera: CameraSettings, plan: StreamPlan, kept: Kept | None) -> None:
        batcher, segmenter = self._models.batcher(plan), self._models.segmenter(plan)
        self._let_go(camera.name)
        self._held[camera.name] = contextlib.ExitStack()
        self._held[camera.name].enter_context(held_names(self._config, plan))
        resumption = self._resumption(camera, segmenter)
        if resumption is not None and not self._resume:
            resumption.restart()
        elif resumption is not None and resumption.done:
            logger.info("already done", extra={"camera": camera.name})
            return
        self._journals.pop(camera.name, None)
        if self._snapshots is not None and is_camera(camera.url) and (plan.site or camera.analytics):
            self._journals[camera.name] = self._snapshots.journal(camera.name)
        stream = open_stream(
            plan,
            segmenter=segmenter,
            embedder=self._models.embedder(plan),
            outliner=self._models.outliner(plan),
            lowest_score=lowest_score(plan),
            flow=Flow(
                queue_frames=max(4, 2 * batcher.batch_size),
                max_in_flight=batcher.batch_size * (self.engine.workers + 1),
            ),
            kept=kept,
            resumption=resumption,
            journal=self._journals.get(camera.name),
        )
        for note in privacy_notes(plan):
            logger.warning("privacy", extra={"camera": camera.name, "problem": note})
        self._running[camera.name] = _Running(camera, plan, stream, segmenter.class_names)
        if self._onlooker is not None:
            self._onlooker.opened(plan, stream, segmenter.class_names)
        self.engine.add(stream, batcher)

    def _plan(self, camera: CameraSettings) -> StreamPlan:
        plan = plan_camera(camera)
        return plan if self._onlooker is None else replace(plan, shows_contacts=True)

    def _let_go(self, *names: str) -> None:
        """Release the names of cameras' outputs and states."""
        for name in names:
            if (held := self._held.pop(name, None)) is not None:
                held.close()

    def _kept(self, camera: CameraSettings, plan: StreamPlan) -> Kept | None:
        """What an earlier run left of a camera's identities."""
        if self._snapshots is None or not is_camera(camera.url):
            return None
        loaded = self._snapshots.load(camera.name)
        if loaded is None:
            return None
        other = loaded.numbers_only
        if not other and loaded.facts.get("class_names") != list(self._models.segmenter(plan).class_names):
            other = True
            logger.warning("state of other classes", extra={"camera": camera.name})
        skip_ids = 0 if loaded.facts.get("final") else CRASH_SKIP_IDS
        return Kept(state=loaded.state, elapsed_s=loaded.elapsed_s, skip_ids=skip_ids, numbers_only=other)

    def _resumption(self, camera: CameraSettings, segmenter: OnnxSegmenter) -> Resumption | None:
        """Where a recording's chunks are, and everything its rows depend on."""
        if self._config.state is None or is_camera(camera.url) or camera.policy == "latest":
            return None
        key = {
            "recording": _recording(camera.url),
            "model": [segmenter.file.digest(), _digest(camera.reid), _outline_digest(camera.outline)],
            "settings": result_settings(camera),
            "site": site_of(camera),
            "version of masktrail": __version__,
        }
        return Resumption(Path(self._config.state), camera.name, key)


def _same_scene(before: CameraSettings, after: CameraSettings) -> bool:
    """Whether a camera's identities go on after its settings were changed."""
    return (before.url, before.model, before.reid) == (after.url, after.model, after.reid)


def result_settings(camera: CameraSettings) -> dict[str, Any]:
    """The settings that a recording's rows depend on: not where it lies, where it is written and what decodes it."""
    chosen = {name: value for name, value in camera.chosen().items() if name not in PLACES}
    outputs = [camera.save, *camera.records, *camera.events]
    names = [None if output is None else redact(output) if "://" in output else Path(output).name for output in outputs]
    return chosen | {"outputs": names}


def _recording(url: str) -> list[tuple[str, int, int]]:
    """Name, size and time of change of every file of a recording; of one file without its name.

    Raises:
        SourceError: It is not there.
    """
    path = Path(url.removeprefix("file://"))
    try:
        if path.is_dir():
            files = sorted(entry for entry in path.iterdir() if entry.is_file())
            return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        if path.is_file():
            facts = path.stat()
            return [("", facts.st_size, facts.st_mtime_ns)]
    except OSError as error:
        raise SourceError(url, f"expected a recording, found: {error.strerror}", "check the path") from None
    return []


def _digest(model: str | None) -> str | None:
    """Of the network for appearance."""
    from tracker.segment.zoo import find_model

    return None if model is None else find_model(model).digest()


def _outline_digest(folder: str | None) -> str | None:
    """Of the networks for outlines."""
    from tracker.segment.promptable.folder import find_folder

    return None if folder is None else find_folder(folder).digest()
