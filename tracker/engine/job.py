"""A request (sources, model, outputs) enters; its streams, tracked one after another, and an outcome of each leave.

This is the wiring that ``track``, ``segment`` and ``demo`` share. The paths of all outputs are known before anything is
decoded, so that a mistake in one costs no time, and outputs are closed whatever happens, so that what is done is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.engine.outputs import check_outputs, output_addresses
from tracker.engine.stream_job import StreamJob
from tracker.segment.device import available_cores
from tracker.sinks.summary import open_summary

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from tracker.engine.stream_job import Outcome
    from tracker.request import StreamRequest
    from tracker.segment.reid import OnnxEmbedder
    from tracker.segment.session import OnnxSegmenter
    from tracker.sources.address import Address

__all__ = ["run_request"]


def run_request(request: StreamRequest, *, console: Console, summary: Path | None = None) -> list[Outcome]:
    """Run every stream of the request, one after another, each with a tracker of its own.

    Args:
        request: What to do.
        console: Progress and tables go there.
        summary: JSON file of all outcomes.

    Returns:
        One outcome per stream.

    Raises:
        TrackerError: A source, model or output cannot be opened, an output is a source or another output, or the model
            failed.
    """
    from tracker.sources.address import expand_sources

    addresses = expand_sources(request.sources)
    outputs = [output_addresses(request, address, several=len(addresses) > 1) for address in addresses]
    check_outputs(request, addresses, outputs, summary=summary)
    with open_summary(summary) as write_summary:
        outcomes = _run_streams(request, addresses, outputs, console)
        write_summary([outcome.as_json() for outcome in outcomes])
    return outcomes


def _run_streams(
    request: StreamRequest, addresses: list[Address], outputs: list[list[str]], console: Console
) -> list[Outcome]:
    embedder = _embedder(request, console)
    segmenters: dict[tuple[int, int] | None, OnnxSegmenter] = {}
    outcomes = []
    for address, written in zip(addresses, outputs, strict=True):
        size = _probe_size(address)
        if size not in segmenters:
            # One at a time in memory: recordings of one folder mostly share their size.
            segmenters = {size: _segmenter(request, size)}
            console.print(f"[dim]model: {segmenters[size].describe()}[/dim]", highlight=False)
        job = StreamJob(
            request=request,
            address=address,
            outputs=written,
            segmenter=segmenters[size],
            embedder=embedder,
            console=console,
        )
        outcomes.append(job.run())
        if outcomes[-1].interrupted:
            break
    return outcomes


def _probe_size(address: Address) -> tuple[int, int] | None:
    """``(width, height)`` of a video; ``None`` for what should not be opened twice, or has many sizes."""
    from tracker.sources.open import open_source

    if address.kind != "video" or address.once:
        return None
    with open_source(address, want_image=False, queue_size=1, decode="cpu") as source:
        return source.info.size


def _segmenter(request: StreamRequest, size: tuple[int, int] | None) -> OnnxSegmenter:
    from tracker.segment.session import OnnxSegmenter

    workers = request.workers or available_cores()
    return OnnxSegmenter(
        request.model,
        device=request.device,
        score_threshold=request.score_threshold,
        iou_threshold=request.iou,
        classes=request.classes,
        source_size=size,
        threads=max(available_cores() // workers, 1),
        max_batch=request.batch,
        fp16=request.fp16,
    )


def _embedder(request: StreamRequest, console: Console) -> OnnxEmbedder | None:
    """The network of ``--reid``; one for all streams."""
    if request.reid is None or not request.associates:
        return None
    from tracker.segment.reid import OnnxEmbedder

    embedder = OnnxEmbedder(request.reid, device=request.device, threads=1 if request.workers != 1 else None)
    console.print(f"[dim]re-identification: {embedder.describe()}[/dim]", highlight=False)
    return embedder
