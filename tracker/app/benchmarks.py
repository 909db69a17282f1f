"""`masktrail bench`: benchmarks with their tables, and plain values for JSON."""

from __future__ import annotations

import itertools
import resource
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tracker.app.clips import CLIPS, NoNetworkError, fetch, rendered
from tracker.errors import ConfigError
from tracker.inference.device import available_cores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from tracker.types import Frame, Instances

__all__ = ["run_associate_bench", "run_gpu_bench", "run_memory_bench", "run_pipeline_bench"]

STREAM_FPS = 25
LOOP_S = 10.0
SAMPLES = 20
FLAT_FRACTION = 0.05
"""Memory counts as flat when the second half of a stream adds less than this share."""


def run_pipeline_bench(
    video: str | None,
    *,
    console: Console,
    model: str = "yolact-nano",
    device: str = "auto",
    frames: int = 300,
    rounds: int = 3,
    batch: int | None = None,
) -> dict[str, Any]:
    """Stages, throughputs and ratios of one video; without one, of the traffic clip or a rendered road."""
    from tracker.measure.bench_pipeline import bench_pipeline
    from tracker.measure.tables import pipeline_table

    source = video or _default_video(console)
    with console.status("") as status:
        bench = bench_pipeline(
            source,
            model=model,
            device=device,
            frames=frames,
            rounds=rounds,
            workers=available_cores(),
            batch=batch,
            progress=status.update,
        )
    console.print(pipeline_table(bench))
    return bench.as_json()


def run_gpu_bench(
    video: str | None,
    *,
    console: Console,
    model: str = "yolact-nano",
    device: str = "cuda",
    batch: int | None = None,
    fp16: bool = False,
) -> dict[str, Any]:
    """A card against the CPU, and its speed; the video as for :func:`run_pipeline_bench`.

    Raises:
        ConfigError: ``device`` is no GPU.
        ModelError: The device cannot run here.
    """
    from tracker.measure.bench_gpu import bench_gpu
    from tracker.measure.tables import gpu_table
    from tracker.segment.session import OnnxSegmenter

    if device.partition(":")[0] not in {"cuda", "tensorrt"}:
        offender = f"--device {device}"
        raise ConfigError(offender, "expected cuda or tensorrt: a card is compared with the CPU", "cuda:1 picks a card")
    segmenter = OnnxSegmenter(model, device=device, max_batch=batch, fp16=fp16)
    source = video or _default_video(console)
    with console.status("") as status:
        bench = bench_gpu(segmenter, source, progress=status.update)
    console.print(gpu_table(bench))
    return bench.as_json() | {"agrees": bench.agrees}


def _default_video(console: Console) -> str:
    try:
        return str(fetch(CLIPS[0]))
    except NoNetworkError:
        console.print("No network and no cached clip: measuring on a rendered road.")
        return str(rendered("road"))


def run_associate_bench(*, console: Console, objects: Sequence[int] = (), rounds: int = 3) -> dict[str, Any]:
    """Association alone; see :mod:`tracker.measure.bench_associate`."""
    from tracker.measure.bench_associate import SIZES, bench_associate
    from tracker.measure.tables import association_table

    with console.status("associating synthetic crowds"):
        bench = bench_associate(objects or SIZES, rounds=rounds)
    console.print(association_table(bench))
    return bench.as_json()


class _Replay:
    """A segmenter that knows the answers: the instances of a scene, frame by frame, over and over."""

    network_size = (640, 384)
    keep_aspect = True
    confirmation_score = 0.0
    digest = ""

    def __init__(self, class_names: tuple[str, ...], instances: list[Instances]) -> None:
        self.class_names = class_names
        self._instances = instances

    def segment(self, frames: Sequence[Frame]) -> list[Instances]:
        return [self._instances[frame.index % len(self._instances)] for frame in frames]


def run_memory_bench(*, minutes: float, console: Console) -> dict[str, Any]:
    """Resident memory while the rendered shop clip repeats: association, drawing, H.264 and records all run.

    Every repetition makes new identities, as a busy camera does.

    Returns:
        ``frames``, ``identities``, ``rss_mb`` (samples over the stream), ``growth`` of its second half and ``flat``.
    """
    from tracker.associate.tracker import Tracker
    from tracker.engine.run import serve
    from tracker.engine.scheduler import Engine
    from tracker.engine.steady import SteadyTracker
    from tracker.engine.stream import Stream
    from tracker.plugins import open_sink
    from tracker.segment.session import OnnxSegmenter
    from tracker.sinks.multi import MultiSink
    from tracker.sources.frames import FrameSource
    from tracker.sources.open import open_source

    segmenter = OnnxSegmenter("yolact-nano", device="cpu")
    with open_source(rendered("shop"), network_size=segmenter.network_size) as source:
        loop = [(frame, segmenter.segment([frame])[0]) for frame in itertools.islice(source, int(LOOP_S * STREAM_FPS))]
    total = int(minutes * 60 * STREAM_FPS)
    rss_mb: list[float] = []

    def frames() -> Iterator[Frame]:
        import dataclasses

        for index in range(total):
            if index and index % max(total // SAMPLES, 1) == 0:
                rss_mb.append(resident_mb())
                status.update(f"{index} of {total} frames, {rss_mb[-1]:.0f} MB")
            yield dataclasses.replace(loop[index % len(loop)][0], index=index, time_s=index / STREAM_FPS)
        rss_mb.append(resident_mb())

    with TemporaryDirectory() as folder, console.status("starting") as status:
        names = segmenter.class_names
        files = ("out.mp4", "out.jsonl", "out.mot.txt")
        stream = Stream(
            name="shop",
            open_source=FrameSource(frames()).open,
            stages=[SteadyTracker(Tracker(class_count=len(names)))],
            open_sink=lambda _: MultiSink([open_sink(Path(folder) / file, class_names=names) for file in files]),
        )
        figures = serve(stream, Engine(segmenter=_Replay(names, [instances for _, instances in loop])))
    half = len(rss_mb) // 2
    growth = rss_mb[-1] / rss_mb[half - 1] - 1 if half else 0.0
    console.print(
        f"memory: {figures.frames} frames ({minutes:g} minutes), {figures.identities} identities, "
        f"{rss_mb[half - 1]:.0f} MB at half time, {rss_mb[-1]:.0f} MB at the end ({growth:+.1%})",
        highlight=False,
    )
    return {
        "frames": figures.frames,
        "identities": figures.identities,
        "rss_mb": [round(value, 1) for value in rss_mb],
        "growth": round(growth, 4),
        "flat": growth < FLAT_FRACTION,
    }


def resident_mb() -> float:
    """Resident memory of this process in MB; its peak where the system does not report the present."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
