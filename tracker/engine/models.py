"""Cameras' settings enter; the models they name leave as batchers of an engine, one session for each.

A model is opened for the first camera that names it and closed when the last one is gone. All of its cameras share the
session, which lets through what the least strict of them wants; each camera filters for itself.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.engine.batcher import Batcher
from tracker.inference.device import available_cores, provider_shares

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tracker.config import CameraConfig, LiveConfig
    from tracker.engine.scheduler import LiveEngine
    from tracker.segment.reid import OnnxEmbedder
    from tracker.segment.session import OnnxSegmenter
    from tracker.types import Frame, Instances

__all__ = ["Models", "Plan"]

logger = logging.getLogger("tracker.live")

GPU_WORKERS = 2
"""While one batch is on the card, the next is packed and the last is decoded."""


@dataclass(frozen=True, slots=True)
class ModelKey:
    """What makes a session another one."""

    path: Path
    iou: float | None


@dataclass(slots=True, kw_only=True)
class _Served:
    """A session in use and the lowest score that it lets through."""

    batcher: Batcher
    segmenter: OnnxSegmenter
    lowest: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Sessions that were opened for a change of cameras and are not in use yet, with their lowest scores."""

    sessions: dict[ModelKey, tuple[OnnxSegmenter, float]]


class Models:
    """The sessions of a service.

    Args:
        config: Device, batch and workers; ``cameras`` are looked at by :meth:`plan` only.
    """

    def __init__(self, config: LiveConfig) -> None:
        self._config = config
        self._served: dict[ModelKey, _Served] = {}
        self._embedders: dict[str, OnnxEmbedder] = {}

    def plan(self, cameras: Sequence[CameraConfig]) -> Plan:
        """Open what these cameras need beyond what is open; what is in use stays as it is.

        Raises:
            TrackerError: A model cannot be used.
        """
        wanted: dict[ModelKey, list[CameraConfig]] = {}
        for camera in cameras:
            wanted.setdefault(_key(camera), []).append(camera)
        sessions = {}
        for key, users in wanted.items():
            lowest = min(lowest_score(camera) for camera in users)
            served = self._served.get(key)
            if served is None or lowest < served.lowest:
                sessions[key] = (self._open(users[0], lowest), lowest)
        for camera in cameras:
            if camera.reid is not None and camera.reid not in self._embedders:
                self._embedders[camera.reid] = self._open_embedder(camera.reid)
        return Plan(sessions)

    def embed(self, camera: CameraConfig) -> Callable[[Frame, Instances], Instances] | None:
        """What gives a camera's instances embeddings; cameras that name the same network share its session."""
        return None if camera.reid is None else self._embedders[camera.reid].embed

    def segmenter(self, camera: CameraConfig, plan: Plan | None = None) -> OnnxSegmenter:
        """The session of a camera, now or once a plan is carried out."""
        key = _key(camera)
        if plan is not None and key in plan.sessions:
            return plan.sessions[key][0]
        return self._served[key].segmenter

    def workers(self, plan: Plan) -> int:
        """Batches to have under way at the same time: one per core on the CPU, two with a GPU."""
        on_cpu = all(segmenter.device == "cpu" for segmenter, _ in plan.sessions.values())
        return self._config.workers or (available_cores() if on_cpu else GPU_WORKERS)

    def carry_out(self, plan: Plan, engine: LiveEngine) -> None:
        """Put the opened sessions to work."""
        for key, (segmenter, lowest) in plan.sessions.items():
            served = self._served.get(key)
            if served is not None:
                engine.replace_session(served.batcher, segmenter)
                served.segmenter, served.lowest = segmenter, lowest
                continue
            batcher = Batcher(
                segmenter,
                name=str(segmenter.file.label) + ("" if key.iou is None else f" iou {key.iou:g}"),
                batch_size=min(self._config.batch or segmenter.batch_size, segmenter.batch_size),
                batch_wait_s=self._config.batch_wait_s,
                device=segmenter.device,
                gpu_share=_gpu_share(segmenter),
            )
            engine.add_model(batcher)
            self._served[key] = _Served(batcher=batcher, segmenter=segmenter, lowest=lowest)

    def batcher(self, camera: CameraConfig) -> Batcher:
        """The batcher that serves a camera."""
        return self._served[_key(camera)].batcher

    def close_unused(self, engine: LiveEngine, running: Sequence[CameraConfig]) -> list[str]:
        """Close every session without a stream that runs, and every network for appearance that no camera names.

        Args:
            engine: What serves the streams.
            running: The cameras whose streams run.

        Returns:
            Names of the sessions.
        """
        named = {camera.reid for camera in running}
        self._embedders = {name: embedder for name, embedder in self._embedders.items() if name in named}
        unused = [key for key, served in self._served.items() if all(stream.over for stream in served.batcher.streams)]
        closed = [self._served.pop(key) for key in unused]
        for served in closed:
            engine.close_model(served.batcher)
        return [served.batcher.name for served in closed]

    def _open_embedder(self, model: str) -> OnnxEmbedder:
        from tracker.segment.reid import OnnxEmbedder

        embedder = OnnxEmbedder(model, device=self._config.device, threads=1)
        logger.info("re-identification", extra={"model": embedder.describe()})
        return embedder

    def _open(self, camera: CameraConfig, lowest: float) -> OnnxSegmenter:
        from tracker.segment.session import OnnxSegmenter

        workers = self._config.workers or available_cores()
        return OnnxSegmenter(
            camera.model,
            device=self._config.device,
            score_threshold=lowest,
            iou_threshold=camera.iou,
            threads=max(available_cores() // workers, 1),
            max_batch=self._config.batch,
        )


def lowest_score(camera: CameraConfig) -> float:
    """The lowest score that a camera looks at: its own setting, else the model's."""
    from tracker.segment.session import DEFAULT_SCORE_THRESHOLD
    from tracker.segment.zoo import find_model

    if camera.conf is not None:
        return camera.conf
    manifest = find_model(camera.model).manifest
    noted = manifest.score_threshold if manifest is not None else None
    return DEFAULT_SCORE_THRESHOLD if noted is None else noted


def _gpu_share(segmenter: OnnxSegmenter) -> float:
    """Share of the graph's operators that runs on the GPU: what a provider does not know runs on the CPU in silence."""
    if segmenter.device == "cpu":
        return 0.0
    shares = provider_shares(segmenter.session)
    return 1.0 - shares.get("CPUExecutionProvider", 0.0) if shares else float("nan")


def _key(camera: CameraConfig) -> ModelKey:
    from tracker.segment.zoo import find_model

    return ModelKey(find_model(camera.model).path.resolve(), camera.iou)
