"""Sessions of the models that streams name: one for all streams of the same model, open for as long as one runs.

A shared session lets through what the least strict of its streams wants; each stream filters for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.engine.batcher import Batcher
from tracker.errors import SourceError
from tracker.inference.device import available_cores, provider_shares
from tracker.inference.survey import on_processor
from tracker.sources.stored import STORAGE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tracker.engine.plan import StreamPlan
    from tracker.engine.scheduler import Engine
    from tracker.segment.promptable.outliner import Outliner
    from tracker.segment.reid import OnnxEmbedder
    from tracker.segment.session import OnnxSegmenter
    from tracker.settings.stream import DeviceSettings
    from tracker.sources.address import Address

__all__ = ["Change", "Models"]


@dataclass(frozen=True, slots=True)
class ModelKey:
    """What makes a session another one.

    Attributes:
        path: Of the file.
        iou_threshold: Overlap at which suppression acts; ``None`` = the model's own.
        source_size: ``(width, height)`` of the pictures, for files whose input size is chosen by it; else ``None``.
    """

    path: Path
    iou_threshold: float | None
    source_size: tuple[int, int] | None


@dataclass(slots=True, kw_only=True)
class _Served:
    """A session in use and the lowest score that it lets through."""

    batcher: Batcher
    segmenter: OnnxSegmenter
    lowest: float


@dataclass(frozen=True, slots=True)
class Change:
    """What was opened for a change of streams.

    Attributes:
        sessions: Not in use yet, with their lowest scores.
        opened: What is new, for a person: the role of a network and its description.
    """

    sessions: dict[ModelKey, tuple[OnnxSegmenter, float]]
    opened: list[tuple[str, str]]


class Models:
    """The sessions of an engine.

    Args:
        device: Where models run, how many frames at once.
        batch_wait_s: Longest wait for a batch to fill.
        cores: That this process is to use, where others share the machine; ``None`` = all that it may use.
    """

    def __init__(self, device: DeviceSettings, *, batch_wait_s: float, cores: int | None = None) -> None:
        self._device = device
        self._batch_wait_s = batch_wait_s
        self._share = cores
        self._cores = cores or available_cores()
        self._served: dict[ModelKey, _Served] = {}
        self._embedders: dict[str, OnnxEmbedder] = {}
        self._outliners: dict[str, Outliner] = {}
        self._sizes: dict[Address, tuple[int, int] | None] = {}

    def change(self, plans: Sequence[StreamPlan]) -> Change:
        """Open what these streams need beyond what is open; what is in use stays as it is.

        Raises:
            TrackerError: A model cannot be used.
        """
        self._sizes = {address: size for address, size in self._sizes.items() if size is not None}  # try again
        wanted: dict[ModelKey, list[StreamPlan]] = {}
        for plan in plans:
            wanted.setdefault(self._key(plan), []).append(plan)
        sessions: dict[ModelKey, tuple[OnnxSegmenter, float]] = {}
        opened: list[tuple[str, str]] = []
        for key, users in wanted.items():
            lowest = min(lowest_score(plan) for plan in users)
            served = self._served.get(key)
            if served is None or lowest < served.lowest:
                sessions[key] = (self._open(users[0], key, lowest), lowest)
                opened.append(("model", sessions[key][0].describe()))
        for plan in plans:
            reid = _reid(plan)
            if reid is not None and reid not in self._embedders:
                self._embedders[reid] = self._open_embedder(reid)
                opened.append(("re-identification", self._embedders[reid].describe()))
            folder = plan.settings.outline
            if folder is not None and folder not in self._outliners:
                self._outliners[folder] = self._open_outliner(folder)
                opened.append(("outlines", self._outliners[folder].describe()))
        return Change(sessions, opened)

    def open_alone(self, plan: StreamPlan) -> OnnxSegmenter:
        """A session as a stream would have it, without an engine: one batch at a time, with all cores of the process.

        Raises:
            TrackerError: The model cannot be used.
        """
        return self._open(plan, self._key(plan), lowest_score(plan), workers=1)

    def embedder(self, plan: StreamPlan) -> OnnxEmbedder | None:
        """What gives a stream's instances embeddings; streams that name the same network share its session."""
        reid = _reid(plan)
        return None if reid is None else self._embedders[reid]

    def outliner(self, plan: StreamPlan) -> Outliner | None:
        """What outlines a stream's tracks; streams that name the same folder share its sessions."""
        return None if plan.settings.outline is None else self._outliners[plan.settings.outline]

    def segmenter(self, plan: StreamPlan, change: Change | None = None) -> OnnxSegmenter:
        """The session of a stream, now or once a change is carried out."""
        key = self._key(plan)
        if change is not None and key in change.sessions:
            return change.sessions[key][0]
        return self._served[key].segmenter

    def workers(self, segmenters: Sequence[OnnxSegmenter]) -> int:
        """Batches to have under way at the same time: one per core on the CPU, what a GPU has a use for."""
        if all(on_processor(segmenter.device) for segmenter in segmenters):
            return self._device.workers or self._cores
        return self._device.workers or max(segmenter.useful_workers for segmenter in segmenters)

    def carry_out(self, change: Change, engine: Engine) -> None:
        """Put the opened sessions to work."""
        for key, (segmenter, lowest) in change.sessions.items():
            served = self._served.get(key)
            if served is not None:
                engine.replace_session(served.batcher, segmenter)
                served.segmenter, served.lowest = segmenter, lowest
                continue
            batcher = Batcher(
                segmenter,
                name=str(segmenter.file.label) + ("" if key.iou_threshold is None else f" iou {key.iou_threshold:g}"),
                batch_size=min(self._device.batch or segmenter.batch_size, segmenter.batch_size),
                batch_wait_s=self._batch_wait_s,
                device=segmenter.device,
                gpu_share=_gpu_share(segmenter),
            )
            engine.add_model(batcher)
            self._served[key] = _Served(batcher=batcher, segmenter=segmenter, lowest=lowest)

    def batcher(self, plan: StreamPlan) -> Batcher:
        """The batcher that serves a stream."""
        return self._served[self._key(plan)].batcher

    def let_go(self, running: Sequence[StreamPlan]) -> list[Batcher]:
        """Release every session and every network for appearance and outlines that no running stream uses.

        Args:
            running: The streams that run or are about to.

        Returns:
            The batchers of the sessions, which the engine is to close.
        """
        named = {_reid(plan) for plan in running}
        self._embedders = {name: embedder for name, embedder in self._embedders.items() if name in named}
        folders = {plan.settings.outline for plan in running}
        self._outliners = {name: outliner for name, outliner in self._outliners.items() if name in folders}
        used = {self._key(plan) for plan in running}
        return [self._served.pop(key).batcher for key in list(self._served) if key not in used]

    def _key(self, plan: StreamPlan) -> ModelKey:
        from tracker.segment.zoo import find_model

        size = self._size(plan.address)
        file = find_model(plan.settings.model, source_size=size)
        return ModelKey(file.path.resolve(), plan.settings.iou_threshold, None if file.variant else size)

    def _size(self, address: Address) -> tuple[int, int] | None:
        """``(width, height)`` of a video; ``None`` for what should not be opened twice, or has many sizes."""
        if address.kind not in {"video", *STORAGE} or address.once:
            return None
        if address not in self._sizes:
            self._sizes[address] = _probe_size(address)
        return self._sizes[address]

    def _open_embedder(self, model: str) -> OnnxEmbedder:
        from tracker.segment.reid import OnnxEmbedder

        threads = self._share if self._device.workers == 1 else 1
        return OnnxEmbedder(model, device=self._device.device, threads=threads)

    def _open_outliner(self, folder: str) -> Outliner:
        from tracker.segment.promptable.outliner import Outliner

        return Outliner(folder, device=self._device.device, threads=self._share)

    def _open(self, plan: StreamPlan, key: ModelKey, lowest: float, *, workers: int | None = None) -> OnnxSegmenter:
        from tracker.segment.session import OnnxSegmenter

        workers = workers or self._device.workers or self._cores
        return OnnxSegmenter(
            plan.settings.model,
            device=self._device.device,
            score_threshold=lowest,
            iou_threshold=key.iou_threshold,
            source_size=self._size(plan.address),
            threads=max(self._cores // workers, 1),
            max_batch=self._device.batch,
            fp16=self._device.fp16,
        )


def lowest_score(plan: StreamPlan) -> float:
    """The lowest score that a stream uses: its own setting, else the model's."""
    from tracker.segment.session import DEFAULT_SCORE_THRESHOLD
    from tracker.segment.zoo import find_model

    if plan.lowest_score is not None:
        return plan.lowest_score
    manifest = find_model(plan.settings.model).manifest
    noted = manifest.score_threshold if manifest is not None else None
    return DEFAULT_SCORE_THRESHOLD if noted is None else noted


def _reid(plan: StreamPlan) -> str | None:
    """The network for appearance, where there are identities that it could serve."""
    return plan.settings.reid if plan.looks_for_tracks else None


def _probe_size(address: Address) -> tuple[int, int] | None:
    """``(width, height)`` of a video; ``None`` where it cannot be opened, which is an error once it is to be read."""
    from tracker.sources.open import open_source

    try:
        with open_source(address, want_image=False, queue_size=1, decode="cpu") as source:
            return source.info.size
    except SourceError:
        return None


def _gpu_share(segmenter: OnnxSegmenter) -> float:
    """Share of the graph's operators that runs on the GPU: what a provider does not know runs on the CPU silently."""
    if on_processor(segmenter.device):
        return 0.0
    shares = provider_shares(segmenter.session)
    return 1.0 - shares.get("CPUExecutionProvider", 0.0) if shares else float("nan")
