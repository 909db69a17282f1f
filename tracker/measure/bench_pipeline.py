"""Benchmark of the pipeline: CPU milliseconds of every stage, and speed against the bare model.

Each stage runs alone over the same frames, so that the process's CPU clock, which counts FFmpeg's, ONNX Runtime's and
x264's own threads too, belongs to that stage. Then the bare network and the whole pipeline run in turn, several times,
and their throughputs are compared as ratios, which survive a noisy machine: once with frames that were decoded before,
which is what the pipeline itself costs, and once from the file.
"""

from __future__ import annotations

import dataclasses
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.associate.tracker import Tracker
from tracker.engine.run import FULL_BATCH_S, serve
from tracker.engine.scheduler import Engine
from tracker.engine.steady import SteadyTracker
from tracker.engine.stream import Stream
from tracker.inference.survey import on_processor, processor_name, survey
from tracker.plugins import open_sink
from tracker.render.annotate import Annotator
from tracker.segment.session import OnnxSegmenter
from tracker.sinks.encoder import VideoEncoder
from tracker.sinks.multi import MultiSink
from tracker.sources.frames import FrameSource
from tracker.sources.open import open_source
from tracker.types import TrackedFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from tracker.types import Frame, Instances, Tracks

__all__ = ["PipelineBench", "StageCost", "bench_pipeline"]

MAX_KEPT_BYTES = 600 << 20
"""Frames are kept in memory between the stages; fewer are used where they are large."""

WARM_UP_FRAMES = 8

LEAST_ROUND_S = 1.0
"""Frames that were decoded before go through again and again until a measurement takes this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """What one stage costs per frame, in milliseconds.

    Attributes:
        cpu_ms: Mean CPU time, every thread of the process counted.
        p50_ms: Median wall time, the stage running alone.
        p99_ms: 99th percentile of the wall time.
    """

    cpu_ms: float
    p50_ms: float
    p99_ms: float


@dataclass(slots=True, kw_only=True)
class PipelineBench:
    """The figures of one run.

    Attributes:
        source: What was run, with its size.
        model: The segmenter's own description.
        device: The card, or the processor, by name.
        batch: Frames of one run of the network.
        workers: Batches under way at the same time, in the bare measurement too.
        frames: Frames that each stage saw.
        stages: Cost by stage name, in the order of the data's way.
        bare_fps: The bare network's best throughput: ``session.run`` on prepared inputs, nothing else; on a card
            without copies to and from it.
        predecoded_fps: Pipeline with JSONL records, on frames that were decoded before.
        records_fps: Pipeline with JSONL records and without video, from the file.
        video_fps: Pipeline with JSONL records and annotated H.264 video.
        predecoded_ratio: Median over rounds of ``predecoded_fps / bare_fps``.
        records_ratio: Median over rounds of ``records_fps / bare_fps``.
        video_ratio: Median over rounds of ``video_fps / bare_fps``.
        pipeline_cpu_ms: CPU per frame of the pipeline with video, all threads.
        unaccounted_cpu_ms: The part of it that no stage explains: queues, Python between the stages, cache misses.
        real_time: ``video_fps`` over the recording's own rate.
    """

    source: str
    model: str
    device: str
    batch: int
    workers: int
    frames: int
    stages: dict[str, StageCost] = field(default_factory=dict)
    bare_fps: float = 0.0
    predecoded_fps: float = 0.0
    records_fps: float = 0.0
    video_fps: float = 0.0
    predecoded_ratio: float = 0.0
    records_ratio: float = 0.0
    video_ratio: float = 0.0
    pipeline_cpu_ms: float = 0.0
    unaccounted_cpu_ms: float = 0.0
    real_time: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return asdict(self)


def bench_pipeline(
    source: str | Path,
    *,
    model: str = "yolact-nano",
    device: str = "auto",
    frames: int = 300,
    rounds: int = 3,
    workers: int = 1,
    batch: int | None = None,
    progress: Callable[[str], None] = lambda _step: None,
) -> PipelineBench:
    """Measure a video.

    Args:
        source: The video.
        model: A name of the zoo or an ``.onnx`` file.
        device: As for ``masktrail track``.
        frames: Most frames to use.
        rounds: How often bare model and pipelines run in turn.
        workers: Batches segmented at once on the CPU, and threads that share the bare network; a card takes two.
        batch: Frames of one run of the network; ``None`` = 8 on a card, 1 on the CPU.
        progress: Called with the name of each step.
    """
    with open_source(source, want_image=False, queue_size=1) as probe:
        info = probe.info
    segmenter = OnnxSegmenter(
        model, device=device, source_size=info.size, threads=1 if workers > 1 else None, max_batch=batch
    )
    if not on_processor(segmenter.device):
        workers = segmenter.useful_workers
    kept = max(min(frames, MAX_KEPT_BYTES // (info.size[0] * info.size[1] * 3 + 750_000)), 16)
    result = PipelineBench(
        source=f"{Path(info.name).name} {info.size[0]} x {info.size[1]}",
        model=segmenter.describe(),
        device=_device_name(segmenter),
        batch=segmenter.batch_size,
        workers=workers,
        frames=kept,
    )
    with TemporaryDirectory() as folder:
        bench = _Bench(Path(folder), str(source), segmenter, kept, workers)
        progress("stages, one at a time")
        bench.measure_stages(result)
        ratios = []
        for number in range(rounds):
            progress(f"round {number + 1} of {rounds}: bare model, decoded frames, records, video")
            ratios.append(bench.measure_round())
    bare, predecoded, records, video, cpu_ms = (np.array(column) for column in zip(*ratios, strict=True))
    for name, fps in (("predecoded", predecoded), ("records", records), ("video", video)):
        setattr(result, f"{name}_fps", float(np.median(fps)))
        setattr(result, f"{name}_ratio", float(np.median(fps / bare)))
    result.bare_fps = float(np.median(bare))
    result.pipeline_cpu_ms = float(np.median(cpu_ms))
    result.unaccounted_cpu_ms = result.pipeline_cpu_ms - sum(stage.cpu_ms for stage in result.stages.values())
    result.real_time = result.video_fps / info.fps
    return result


def _device_name(segmenter: OnnxSegmenter) -> str:
    """The card that the network runs on, else the processor."""
    return processor_name() if on_processor(segmenter.device) else survey().cards[segmenter.card]


class _Bench:
    """One model on one video; what a stage gives is what the next one takes."""

    def __init__(self, folder: Path, source: str, segmenter: OnnxSegmenter, count: int, workers: int) -> None:
        self._folder, self._source, self._segmenter = folder, source, segmenter
        self._count, self._workers = count, workers
        self._frames: list[Frame] = []
        self._inputs: list[dict[str, NDArray[Any]]] = []
        self._passes = 1

    def measure_stages(self, result: PipelineBench) -> None:
        with self._open(want_image=True) as source:
            frames, result.stages["decode"] = _stage(iter(source), self._count)
        self._segmenter.segment(frames[:WARM_UP_FRAMES])
        result.frames = len(frames)
        self._frames = [dataclasses.replace(frame, image=None) for frame in frames]
        size = self._segmenter.batch_size
        self._inputs = [
            {name: value.copy() for name, value in self._segmenter.pack(self._frames[start : start + size]).items()}
            for start in range(0, len(frames), size)
        ]
        segmented: list[Instances]
        segmented, result.stages["segment"] = _stage(self._segmenter.segment([frame])[0] for frame in frames)
        tracker = Tracker(class_count=len(self._segmenter.class_names))
        tracks: list[Tracks]
        tracks, result.stages["associate"] = _stage(
            tracker.update(instances, frame.time_s) for frame, instances in zip(frames, segmented, strict=True)
        )
        tracked = [
            TrackedFrame(frame=frame, instances=instances, tracks=these, class_names=self._segmenter.class_names)
            for frame, instances, these in zip(frames, segmented, tracks, strict=True)
        ]
        annotator = Annotator()
        images: list[NDArray[np.uint8]]
        images, result.stages["draw"] = _stage(annotator.draw(frame) for frame in tracked)
        encoder = VideoEncoder(self._folder / "alone.mp4")
        _, result.stages["encode"] = _stage(_each(encoder.encode, images, [frame.time_s for frame in frames]))
        encoder.finish()
        with self._records("alone.jsonl") as sink:
            _, result.stages["records"] = _stage(_each(sink.write, tracked))

    def measure_round(self) -> tuple[float, float, float, float, float]:
        """Throughput of bare network, pipeline on decoded frames, with records, with video; CPU ms a frame of that."""
        bare = self._bare_fps()
        predecoded = self._predecoded_fps()
        records, _ = self._pipeline_fps(with_video=False)
        video, cpu_ms = self._pipeline_fps(with_video=True)
        return bare, predecoded, records, video, cpu_ms

    def _bare_fps(self) -> float:
        """Doubles the number of passes until they take long enough to be measured."""
        with ThreadPoolExecutor(self._workers) as executor:
            while True:
                started_s = time.perf_counter()
                for _ in executor.map(self._segmenter.run_bare, self._inputs * self._passes):
                    pass
                wall_s = time.perf_counter() - started_s
                if wall_s >= LEAST_ROUND_S:
                    return len(self._frames) * self._passes / wall_s
                self._passes *= max(math.ceil(LEAST_ROUND_S / wall_s), 2)

    def _predecoded_fps(self) -> float:
        count = len(self._frames) * self._passes
        sink = self._records("predecoded.jsonl")
        source = FrameSource(_again(self._frames, self._passes))
        started_s = time.perf_counter()
        self._serve(self._stream(source.open, sink))
        return count / (time.perf_counter() - started_s)

    def _pipeline_fps(self, *, with_video: bool) -> tuple[float, float]:
        records = self._records("pipeline.jsonl")
        video = [open_sink(self._folder / "pipeline.mp4", class_names=())] if with_video else []
        sink = MultiSink([*video, records])
        count = len(self._frames)
        stream = self._stream(
            lambda on_ready, _on_link: self._open(want_image=with_video, on_ready=on_ready), sink, limit=count
        )
        stream.open()
        started_s, cpu_s = time.perf_counter(), time.process_time()
        self._serve(stream)
        wall_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_s
        return count / wall_s, cpu_s / count * 1000

    def _stream(self, open_source: Callable[..., Any], sink: Any, *, limit: int | None = None) -> Stream:
        return Stream(
            name="bench",
            open_source=open_source,
            stages=[SteadyTracker(Tracker(class_count=len(self._segmenter.class_names)))],
            open_sink=lambda _source: sink,
            max_in_flight=self._segmenter.batch_size * (self._workers + 1),
            limit=limit,
        )

    def _serve(self, stream: Stream) -> None:
        """Track a stream to its end and complete its output."""
        batch_size = self._segmenter.batch_size
        engine = Engine(
            segmenter=self._segmenter, batch_size=batch_size, batch_wait_s=FULL_BATCH_S, workers=self._workers
        )
        serve(stream, engine)
        if stream.failures:
            raise stream.failures[0]

    def _open(self, *, want_image: bool, on_ready: Callable[[], None] | None = None) -> Any:
        return open_source(
            self._source,
            like=self._segmenter,
            want_image=want_image,
            on_ready=on_ready,
        )

    def _records(self, name: str) -> Any:
        return open_sink(self._folder / name, class_names=self._segmenter.class_names)


def _each(consume: Callable[..., None], *columns: Sequence[Any]) -> Iterator[None]:
    """Give rows to a consumer, one at each step, so that steps can be timed."""
    for row in zip(*columns, strict=True):
        consume(*row)
        yield


def _again(frames: Sequence[Frame], passes: int) -> Iterator[Frame]:
    """The frames several times over, index and time running on."""
    length_s = 2 * frames[-1].time_s - frames[-2].time_s if len(frames) > 1 else 1.0
    for number in range(passes):
        for frame in frames:
            index, time_s = frame.index + number * len(frames), frame.time_s + number * length_s
            yield frame if number == 0 else dataclasses.replace(frame, index=index, time_s=time_s)


def _stage(work: Iterator[Any], count: int | None = None) -> tuple[list[Any], StageCost]:
    """Run one stage over all frames; what it gave, and its cost."""
    results: list[Any] = []
    walls_s: list[float] = []
    cpu_s = time.process_time()
    while count is None or len(results) < count:
        started_s = time.perf_counter()
        try:
            results.append(next(work))
        except StopIteration:
            break
        walls_s.append(time.perf_counter() - started_s)
    cpu_s = time.process_time() - cpu_s
    walls_ms = np.array(walls_s or [0.0]) * 1000
    p50_ms, p99_ms = np.percentile(walls_ms, [50, 99])
    return results, StageCost(cpu_ms=cpu_s / max(len(results), 1) * 1000, p50_ms=float(p50_ms), p99_ms=float(p99_ms))
