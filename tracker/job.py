"""What a user asked for enters (sources, model, outputs); tracked streams, their files and an outcome of each leave.

This is the wiring that ``track``, ``segment`` and ``demo`` share. Outputs are opened before anything is decoded, so
that a mistake in a path costs no time, and closed whatever happens, so that what is done is kept.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from rich.text import Text

from tracker.config import CameraMotionChoice, fill_in
from tracker.errors import ConfigError, TrackerError
from tracker.interrupt import interruptible
from tracker.pipeline import Pipeline, Summary
from tracker.segment.device import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import Console

    from tracker.associate.spool import Spool
    from tracker.associate.tracker import Tracker
    from tracker.pipeline import Associator, WarpEstimator
    from tracker.segment.reid import OnnxEmbedder
    from tracker.segment.session import OnnxSegmenter
    from tracker.sinks.rows import MaskFormat
    from tracker.sources.address import Address
    from tracker.sources.hardware import DecodeChoice
    from tracker.sources.reconnect import Link
    from tracker.sources.source import Source
    from tracker.types import Frame, Sink

__all__ = ["Outcome", "StreamRequest", "run_request"]

DISPLAY_SCORE = 0.3
"""``segment`` keeps instances from here on where nobody asked for another score."""

TITLE_LETTERS = 24

CONFIRM_SCORE = 0.5
"""An identity is given once an instance of its track has this score. On street, retail and traffic this left
38, 20 and 20 identities where 150, 36 and 20 stood without: leaves and goods on shelves that persist at low scores."""

AVERAGE_PRECISION_SCORE = 0.01
"""COCO results hold weak instances as well: average precision is measured over all scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """What to run on which streams; the fields are the options of ``masktrail track`` and ``segment``."""

    sources: list[str]
    associates: bool = True
    model: str = "yolact-nano"
    conf: float | None = None
    iou: float | None = None
    classes: list[str] | None = None
    device: str = "auto"
    stride: int = 1
    limit: int | None = None
    save: Path | None = None
    records: list[Path] | None = None
    coco_images: Path | None = None
    masks: MaskFormat | None = None
    workers: int | None = None
    batch: int | None = None
    fp16: bool = False
    confirm: float = CONFIRM_SCORE
    refine: bool = False
    decode: DecodeChoice = "auto"
    transport: Literal["tcp", "udp"] = "tcp"
    camera_motion: CameraMotionChoice = "auto"
    reid: str | None = None

    @classmethod
    def from_options(cls, options: Mapping[str, Any], *, associates: bool) -> Self:
        """The request from command-line options of the same names; ``--classes car,bus`` is split here.

        Raises:
            ConfigError: An address names an environment variable that is not set.
        """
        names = {item.name for item in fields(cls)}
        chosen = {name: value for name, value in options.items() if name in names}
        chosen["sources"] = [fill_in(source) if "://" in source else source for source in chosen["sources"]]
        listed = [name.strip() for group in chosen.get("classes") or [] for name in group.split(",") if name.strip()]
        return cls(**(chosen | {"classes": listed or None, "associates": associates}))

    @property
    def score_threshold(self) -> float | None:
        """The lowest score the segmenter keeps; ``None`` = the model's own, which the tracker wants low."""
        if self.conf is not None or self.associates:
            return self.conf
        exports_coco = any(path.name.endswith(".coco.json") for path in self.records or [])
        return AVERAGE_PRECISION_SCORE if exports_coco else DISPLAY_SCORE


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one stream went.

    Attributes:
        name: The stream's name.
        summary: Frames, identities, times.
        stage_ms: Milliseconds per frame by stage; stages overlap, so they add up to more than the wall time.
        outputs: Files that were written.
        failures: Errors that ended an output or the source early; empty when all went well.
        interrupted: Whether the user stopped it.
        notes: What the source had to skip or repair, in words.
    """

    name: str
    summary: Summary
    stage_ms: dict[str, float]
    outputs: list[Path]
    failures: list[TrackerError]
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values for ``--json``."""
        summary = self.summary
        return {
            "source": self.name,
            "frames": summary.frames,
            "instances": summary.instances,
            "identities": dict(summary.identities),
            "media_s": round(summary.media_s, 3),
            "wall_s": round(summary.wall_s, 3),
            "fps": round(summary.frames_per_s, 2),
            "stage_ms": {name: round(ms, 3) for name, ms in self.stage_ms.items()},
            "outputs": [str(path) for path in self.outputs],
            "failures": [str(failure) for failure in self.failures],
            "interrupted": self.interrupted,
            "notes": self.notes,
        }


def run_request(request: StreamRequest, *, console: Console) -> list[Outcome]:
    """Run every stream of the request, one after another, each with a tracker of its own.

    Args:
        request: What to do.
        console: Progress and tables go there.

    Returns:
        One outcome per stream.

    Raises:
        TrackerError: A source, model or output cannot be opened, or the model failed.
    """
    from tracker.sources.address import expand_sources

    addresses = expand_sources(request.sources)
    outputs = [_outputs(request, address, several=len(addresses) > 1) for address in addresses]
    embedder = _embedder(request, console)
    segmenters: dict[tuple[int, int] | None, OnnxSegmenter] = {}
    outcomes = []
    for address, paths in zip(addresses, outputs, strict=True):
        size = _probe_size(address)
        if size not in segmenters:
            # One at a time in memory: recordings of one folder mostly share their size.
            segmenters = {size: _segmenter(request, size)}
            console.print(f"[dim]model: {segmenters[size].describe()}[/dim]", highlight=False)
        with _spooling(request, address, paths) as spool:
            outcomes.append(
                _run_stream(request, address, paths, segmenters[size], embedder=embedder, spool=spool, console=console)
            )
        if outcomes[-1].interrupted:
            break
    return outcomes


def _outputs(request: StreamRequest, address: Address, *, several: bool) -> list[Path]:
    """The files of one stream: the video first, then the records, with ``{name}`` filled in."""
    name = Path(address.name).stem or "stream"
    if address.kind in {"network", "camera"}:
        name = "".join(letter if letter.isalnum() else "-" for letter in address.name.rpartition("://")[2]).strip("-")
    paths = []
    if request.save is not None:
        folder = request.save.is_dir() or str(request.save).endswith(("/", os.sep))
        paths.append(request.save / f"{name}.mp4" if folder or _lacks_name(request.save, several) else request.save)
    for path in request.records or []:
        if _lacks_name(path, several):
            raise ConfigError(
                f"--records {path}",
                "expected one file per stream, found one path for several streams",
                f"write {{name}} where the stream's name goes: {path.with_name('{name}' + path.suffix)}",
            )
        paths.append(path)
    return [Path(str(path).replace("{name}", name)) for path in paths]


def _lacks_name(path: Path, several: bool) -> bool:  # noqa: FBT001 - a plain predicate
    return several and "{name}" not in str(path)


def _probe_size(address: Address) -> tuple[int, int] | None:
    """``(width, height)`` of a video; ``None`` for what should not be opened twice, or has many sizes."""
    from tracker.sources.open import open_source

    if address.kind != "video":
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


def _flow(request: StreamRequest, segmenter: OnnxSegmenter, *, is_live: bool) -> dict[str, int]:
    """Batches in flight and frames in each: a recording's frames wait for each other, a camera's do not."""
    if is_live:
        return {"workers": 1, "batch_size": 1}
    on_cpu = segmenter.device == "cpu"
    workers = request.workers or (available_cores() if on_cpu else segmenter.slots)
    return {"workers": workers, "batch_size": segmenter.batch_size}


def _short_title(name: str) -> str:
    """The file's name, or the end of an address, so that the progress line keeps room for its figures."""
    title = Path(name).name or name
    return title if len(title) <= TITLE_LETTERS else f"...{title[3 - TITLE_LETTERS :]}"


def _link_teller(console: Console) -> Callable[[Link], None]:
    """Says when a camera is lost and when it is back, once each."""
    state = "live"

    def tell(link: Link) -> None:
        nonlocal state
        if link.state == "lost" and state != "lost":
            text = f"connection lost ({link.problem}); connecting anew until it is back, Ctrl-C ends it"
            console.print(Text(text, "yellow"))
        elif link.state == "live" and (state == "lost" or link.note):
            console.print(Text(link.note or "connected again", "yellow"))
        state = link.state

    return tell


def _tracker(request: StreamRequest, segmenter: OnnxSegmenter) -> Tracker:
    from tracker.associate.tracker import Tracker

    return Tracker(class_count=len(segmenter.class_names), confirm_score=request.confirm)


def _camera_motion(request: StreamRequest) -> WarpEstimator | None:
    """An estimator of its own for every stream, or ``None`` where nobody wants one.

    Raises:
        ConfigError: ``camera_motion`` is neither of its values.
    """
    if request.camera_motion not in get_args(CameraMotionChoice):
        problem = f"expected auto or off, found {request.camera_motion!r}"
        raise ConfigError("--camera-motion", problem, "choose one of the two")
    if request.camera_motion == "off" or not request.associates:
        return None
    from tracker.associate.camera import CameraMotion

    return CameraMotion()


def _embedder(request: StreamRequest, console: Console) -> OnnxEmbedder | None:
    """The network of ``--reid``; one for all streams."""
    if request.reid is None or not request.associates:
        return None
    from tracker.segment.reid import OnnxEmbedder

    embedder = OnnxEmbedder(request.reid, device=request.device, threads=1 if request.workers != 1 else None)
    console.print(f"[dim]re-identification: {embedder.describe()}[/dim]", highlight=False)
    return embedder


def _run_stream(
    request: StreamRequest,
    address: Address,
    paths: list[Path],
    segmenter: OnnxSegmenter,
    *,
    embedder: OnnxEmbedder | None,
    spool: Spool | None,
    console: Console,
) -> Outcome:
    from tracker.live.sized import SizedTracker
    from tracker.progress import StreamProgress, summary_table
    from tracker.second_pass import SecondPass
    from tracker.segment.reid import EmbeddingSegmenter
    from tracker.sources.notes import notes
    from tracker.sources.open import open_steady

    draws, camera_motion = request.save is not None, _camera_motion(request)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(
            open_steady(
                address,
                network_size=segmenter.network_size,
                keep_aspect=segmenter.keep_aspect,
                want_image=draws or embedder is not None,
                stride=request.stride,
                decode=request.decode,
                rtsp_transport=request.transport,
                on_link=_link_teller(console),
            )
        )
        if spool is not None and source.info.is_live:
            raise _needs_an_end(address)
        opener = functools.partial(_open_output, request, address, source.info.fps, segmenter.class_names)
        sink = _open_sinks(paths, opener, spool=spool, console=console)
        progress = stack.enter_context(
            StreamProgress(
                console=console,
                title=_short_title(address.name),
                frame_count=_frames_to_come(source, request),
                shows_identities=request.associates,
            )
        )
        frames: Iterator[Frame] = itertools.islice(source, request.limit)
        tracker: Associator | None = _tracker(request, segmenter) if request.associates else None
        if tracker is not None and source.info.is_live:
            tracker = sized = SizedTracker(tracker)
            frames = sized.watch(frames)
        pipeline = Pipeline(
            source=frames,
            segmenter=segmenter if embedder is None else EmbeddingSegmenter(segmenter, embedder),
            tracker=tracker,
            camera_motion=camera_motion,
            sink=sink,
            on_frame=progress,
            **_flow(request, segmenter, is_live=source.info.is_live),
        )
        interrupted, failures = _run(pipeline, source, sink)
    remarks = notes(source.info, source.counters)
    if spool is not None and interrupted:
        remarks.append("no second pass, because the first was interrupted: this is the online result")
    elif spool is not None and not failures:
        second = SecondPass(
            spool=spool,
            class_names=segmenter.class_names,
            open_sink=functools.partial(opener, coasting=True),
            pictures=functools.partial(_pictures, request, address),
        )
        rewritten = second.replace(paths, console=console)
        interrupted = rewritten.interrupted
        if rewritten.identities is not None:
            pipeline.summary.identities = rewritten.identities
        elif interrupted:
            remarks.append("second pass interrupted: this is the online result")
        else:
            failures.append(TrackerError("second pass", rewritten.problem, "the online result stands"))
    outcome = Outcome(
        name=address.name,
        summary=pipeline.summary,
        stage_ms=_stage_ms(pipeline.summary, source),
        outputs=[path for path in paths if path.exists()],
        failures=failures,
        interrupted=interrupted,
        notes=remarks,
    )
    console.print(summary_table(address.name, outcome.summary, outcome.stage_ms))
    for path in outcome.outputs:
        console.print(f"  wrote {path}", highlight=False)
    for note in outcome.notes:
        console.print(f"  [yellow]note[/yellow]: {note}", highlight=False)
    for failure in failures:
        console.print(f"  [red]failed[/red]: {failure}", highlight=False)
    return outcome


def _run(pipeline: Pipeline, source: Source, sink: Sink | None) -> tuple[bool, list[TrackerError]]:
    """Run to the end, the first Ctrl-C or a failure of source or sink; the outputs are finished in every case."""
    failures: list[TrackerError] = []
    with interruptible(pipeline.stop, source.close) as interrupted:
        try:
            pipeline.run()
        except TrackerError as failure:
            failures.append(failure)
        finally:
            if sink is not None:
                try:
                    sink.close()
                except TrackerError as failure:
                    failures.append(failure)
    return interrupted.is_set(), failures


@contextlib.contextmanager
def _spooling(request: StreamRequest, address: Address, paths: list[Path]) -> Iterator[Spool | None]:
    """The temporary file of the second pass, where one is asked for."""
    if not request.refine:
        yield None
        return
    if address.kind == "camera":
        raise _needs_an_end(address)
    from tracker.associate.spool import Spool
    from tracker.second_pass import check_replaceable

    check_replaceable(paths)
    with contextlib.closing(Spool()) as spool:
        yield spool


def _needs_an_end(address: Address) -> ConfigError:
    problem = "expected a recording, found a live source: a second pass needs an end"
    return ConfigError(f"--refine with {address.name}", problem, "leave --refine out, or record first")


@contextlib.contextmanager
def _pictures(request: StreamRequest, address: Address) -> Iterator[Iterator[Frame]]:
    """The frames of the first pass again, for drawing."""
    from tracker.sources.open import open_source

    with open_source(address, stride=request.stride, decode=request.decode) as source:
        yield itertools.islice(source, request.limit)


def _open_output(
    request: StreamRequest,
    address: Address,
    fps: float,
    class_names: Sequence[str],
    path: Path,
    *,
    coasting: bool | None = None,
) -> Sink:
    """One output of a stream of ``fps`` frames per second."""
    from tracker.sinks.annotate import Annotator
    from tracker.sinks.open import open_sink

    return open_sink(
        path,
        class_names=class_names,
        frame_rate=fps / request.stride,
        annotator=Annotator(lowest_score=DISPLAY_SCORE if request.conf is None else 0.0),
        masks=request.masks,
        image_names=address.kind == "images",
        coasting=coasting,
        coco_annotations=request.coco_images,
    )


def _open_sinks(
    paths: list[Path], opener: Callable[[Path], Sink], *, spool: Spool | None, console: Console
) -> Sink | None:
    """Every output of one stream as one sink; one that dies is reported at the end and does not stop the others."""
    from tracker.sinks.multi import MultiSink

    if not paths and spool is None:
        return None
    sinks: list[Sink] = []
    try:
        for path in paths:
            sinks.append(opener(path))  # noqa: PERF401 - those opened must be closed when the next one cannot be
    except TrackerError:
        MultiSink(sinks).abort()
        raise
    if spool is not None:
        sinks.append(spool.sink)
    return MultiSink(
        sinks, on_error=lambda failure: console.print(f"[red]output lost[/red]: {failure}", highlight=False)
    )


def _frames_to_come(source: Source, request: StreamRequest) -> int | None:
    """How many frames the run will have, where the container announces it."""
    count = source.info.frame_count
    if count is None:
        return request.limit
    strided = -(-count // request.stride)
    return min(strided, request.limit) if request.limit else strided


def _stage_ms(summary: Summary, source: Source) -> dict[str, float]:
    """Milliseconds per frame of each stage, in the order of the data's way."""
    frames = max(summary.frames, 1)
    times = source.stage_times
    stages = {"decode": times.decode_s + times.convert_s, **summary.stage_s}
    return {name: seconds / frames * 1000 for name, seconds in stages.items()}
