"""Prometheus metrics: each is declared once, as a field with its kind and its help, and read at every scrape."""

from __future__ import annotations

import time
from dataclasses import Field, asdict, dataclass, field, fields
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tracker.analytics.monitor import Histogram
from tracker.errors import mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tracker.engine.batcher import Batcher
    from tracker.engine.meter import StreamFigures
    from tracker.engine.scheduler import Engine
    from tracker.engine.stream import Stream

__all__ = ["CameraMetrics", "Collector", "ModelMetrics", "shares"]

STATES = ("connecting", "live", "lost", "ended", "failed")


class _Declared(NamedTuple):
    """Declaration of one metric: its kind, its help, and the labels that distinguish its values."""

    kind: Literal["gauge", "counter", "histogram"]
    said: str
    labels: tuple[str, ...]


def _gauge(said: str, *labels: str) -> Any:
    """A value that goes up and down; with labels the field is a mapping from their values to numbers.

    The key of one label is its value, that of several is a tuple.
    """
    return field(metadata={"metric": _Declared(kind="gauge", said=said, labels=labels)})


def _counter(said: str, *labels: str) -> Any:
    """A sum since the start; ``_total`` is added to its name."""
    return field(metadata={"metric": _Declared(kind="counter", said=said, labels=labels)})


def _histogram(said: str, *labels: str) -> Any:
    """Counts by bucket since the start, as a mapping from the labels' values to histograms."""
    return field(metadata={"metric": _Declared(kind="histogram", said=said, labels=labels)})


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraMetrics:
    """Metrics with the label ``camera``: ``masktrail_`` and the field's name; ``None`` where there is nothing yet."""

    fps: float = _gauge("Frames tracked per second over the last ten seconds")
    living: int = _gauge("Identities visible or coasting")
    silence_seconds: float = _gauge("Seconds since the latest tracked frame")
    media_seconds: float = _gauge("Media time of the latest frame")
    frame_age_seconds: Mapping[str, float] = _gauge("From a frame's arrival to its tracks", "quantile")
    state: Mapping[str, float] = _gauge("1 for the state it is in", "state")
    frames: int = _counter("Frames tracked")
    instances: int = _counter("Instances segmented")
    skipped: int = _counter("Frames tracked that were not segmented: nothing moved, and no track lived")
    interpolated: int = _counter("Frames tracked that were not segmented: they lie between two that were")
    identities: int = _counter("Identities confirmed")
    output_failures: int = _counter("Outputs, or parts of outputs, that could not be written")
    stage_seconds: Mapping[str, float] = _counter("Seconds per stage", "stage")
    model_share: float = _gauge("Share of the time that the models have worked")
    decoded: int | None = _counter("Frames decoded")
    dropped: int | None = _counter("Frames dropped because a newer one was there")
    late: int | None = _counter("Frames dropped because they were too old")
    broken: int | None = _counter("Packets that could not be decoded")
    concealed: int | None = _counter("Frames with patched damage")
    repaired_times: int | None = _counter("Time stamps repaired")
    missing: int | None = _counter("Frames that a recording announced and that never came")
    reconnects: int | None = _counter("Connections after the first")
    stalls: int | None = _counter("Connections given up because no frame came")
    clock_takeovers: int | None = _counter("Connections whose clock was not believed")
    line_crossings: Mapping[tuple[str, ...], int] = _counter(
        "Crossings of lines, by the class at the crossing", "line", "direction", "class"
    )
    zone_present: Mapping[tuple[str, ...], int] = _gauge(
        "Identities in zones, hidden ones included until they are lost", "zone", "class"
    )
    zone_entries: Mapping[tuple[str, ...], int] = _counter(
        "Entries into zones that were seen, by the class at the entry", "zone", "class"
    )
    zone_dwell_seconds: Mapping[tuple[str, ...], Histogram] = _histogram(
        "Seconds of stays that began and ended in view", "zone"
    )
    flows: Mapping[tuple[str, ...], int] = _counter("Identities that took a flow", "flow", "class")
    speed_meters_per_second: Mapping[tuple[str, ...], Histogram] = _histogram(
        "Speeds at lines in m/s", "line", "direction"
    )
    queue_length: Mapping[tuple[str, ...], int] = _gauge("Identities that wait", "queue")
    queue_wait_seconds: Mapping[tuple[str, ...], Histogram] = _histogram("Seconds waited", "queue", "end")
    bay_taken: Mapping[tuple[str, ...], int] = _gauge("1 while a bay is taken", "bay")
    outage: Mapping[tuple[str, ...], int] = _gauge("1 while the camera sees nothing that counts, by why", "kind")
    alert: Mapping[tuple[str, ...], int] = _gauge("1 while an alert rule holds", "rule")
    sink_spool_rows: Mapping[str, int] = _gauge("Rows that wait for the receiver of an output", "sink")
    sink_dropped: Mapping[str, int] = _counter("Rows given up since their spool was full", "sink")
    sink_refused: Mapping[str, int] = _counter("Rows given up since the receiver refused them", "sink")
    sink_problem: Mapping[str, float] = _gauge("1 while the receiver does not take what waits", "sink")
    sink_last_success_timestamp_seconds: Mapping[str, float] = _gauge("When it last confirmed something", "sink")

    @classmethod
    def of(cls, stream: Stream, figures: StreamFigures, share: float) -> CameraMetrics:
        """What a stream says now; ``share``: its part of the models' time."""
        queues = stream.queues
        counted = asdict(stream.source.counters) if stream.opened else dict.fromkeys(_of_the_source())
        return cls(
            fps=figures.fps,
            living=figures.living,
            silence_seconds=figures.silence_s,
            media_seconds=figures.media_s,
            frame_age_seconds={"0.5": figures.age_p50_s, "0.99": figures.age_p99_s} if figures.frames else {},
            state={name: float(stream.state == name) for name in STATES},
            frames=figures.frames,
            instances=figures.instances,
            skipped=figures.skipped,
            interpolated=figures.interpolated,
            identities=figures.identities,
            output_failures=figures.output_failures,
            stage_seconds=figures.stage_s,
            model_share=share,
            line_crossings=_crossings(figures),
            zone_present=_present(stream, figures),
            zone_entries=figures.monitor.entries,
            zone_dwell_seconds=figures.monitor.dwell,
            flows=figures.monitor.flows,
            speed_meters_per_second=figures.monitor.speeds,
            queue_length={(queue,): length for queue, length in stream.waiting().items()},
            queue_wait_seconds=figures.monitor.waits,
            bay_taken=figures.monitor.bays,
            outage=_outages(stream, figures),
            alert=figures.monitor.alerts,
            sink_spool_rows={queue.sink: queue.rows for queue in queues},
            sink_dropped={queue.sink: queue.dropped for queue in queues},
            sink_refused={queue.sink: queue.refused for queue in queues},
            sink_problem={queue.sink: float(bool(queue.problem)) for queue in queues},
            sink_last_success_timestamp_seconds={
                queue.sink: queue.last_success_ms / 1000 for queue in queues if queue.last_success_ms is not None
            },
            **counted,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMetrics:
    """Metrics with the label ``model``."""

    batches: int = _counter("Runs of the model")
    batched_frames: int = _counter("Frames in them")
    model_busy_seconds: float = _counter("Seconds in the model, summed over workers")
    gpu_share: Mapping[str, float] = _gauge("Share of the model's operators that runs on a GPU", "device")

    @classmethod
    def of(cls, batcher: Batcher) -> ModelMetrics:
        """What a model says now."""
        return cls(
            batches=batcher.batches,
            batched_frames=batcher.batched_frames,
            model_busy_seconds=batcher.busy_s,
            gpu_share={batcher.device: batcher.gpu_share},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ProcessMetrics:
    """Metrics without a label of their own."""

    up_seconds: float = _gauge("Seconds since the start")


class Collector:
    """Asks the engine at every scrape, so that counting costs the hot path nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._begun_s = time.monotonic()

    def collect(self) -> Iterator[Any]:
        """Every family of metrics, in the order of the fields."""
        figures = {stream: stream.meter.figures() for stream in self._engine.streams}
        shared = shares(figures)
        cameras = {stream.name: CameraMetrics.of(stream, figures[stream], shared[stream]) for stream in figures}
        yield from _families(CameraMetrics, "camera", cameras)
        yield from _families(ModelMetrics, "model", {one.name: ModelMetrics.of(one) for one in self._engine.batchers})
        up = _ProcessMetrics(up_seconds=time.monotonic() - self._begun_s)
        yield from _families(_ProcessMetrics, "", {"": up})


def shares(figures: Mapping[Stream, StreamFigures]) -> dict[Stream, float]:
    """Each stream's share of the time that the models have worked, since the start."""
    spent_s = {stream: values.stage_s.get("segment", 0.0) for stream, values in figures.items()}
    total_s = sum(spent_s.values())
    return {stream: seconds / total_s if total_s > 0 else 0.0 for stream, seconds in spent_s.items()}


def _crossings(figures: StreamFigures) -> dict[tuple[str, ...], int]:
    """By line, direction and class: as many series as the site has lines and the model has classes, at most."""
    crossings = figures.tally.at_crossing
    return {(*key, name): count for key, counts in crossings.items() for name, count in counts.items()}


def _outages(stream: Stream, figures: StreamFigures) -> dict[tuple[str, ...], int]:
    """By kind; a gap is an event when it is over, and is known before that by the state of the stream."""
    return figures.monitor.outages | {("gap",): int(stream.state in {"lost", "failed"})}


def _present(stream: Stream, figures: StreamFigures) -> dict[tuple[str, ...], int]:
    """By zone and class; zero for classes that were there before, so that an empty zone says so."""
    zones = figures.tally.zones.items()
    seen: list[tuple[str, ...]]
    seen = [(name, of_class) for name, zone in zones for of_class in (*zone.entries, *zone.found_inside)]
    now: dict[tuple[str, ...], int]
    now = {(zone, name): count for zone, counts in stream.present().items() for name, count in counts.items()}
    return dict.fromkeys(seen, 0) | now


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Cumulated counts by upper bound, as Prometheus has them."""
    bounds = [*(f"{bound:g}" for bound in histogram.bounds), "+Inf"]
    return list(zip(bounds, accumulate(histogram.counts), strict=True))


def _of_the_source() -> list[str]:
    from tracker.sources.decoded import SourceCounters

    return [one.name for one in fields(SourceCounters)]


def _families(kind: Any, label: str, rows: Mapping[str, Any]) -> Iterator[Any]:
    """The families of a class of metrics, with a sample for each row, or for each of a mapping's values."""
    for one in fields(kind):
        yield _family(one, label, {name: getattr(values, one.name) for name, values in rows.items()})


def _family(one: Field[Any], label: str, values: Mapping[str, Any]) -> Any:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    declared: _Declared = one.metadata["metric"]
    labels = [name for name in (label, *declared.labels) if name]
    kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
    family = kinds[declared.kind](f"masktrail_{one.name}", declared.said, labels=labels)
    for name, value in values.items():
        told = [mask(name)] if label else []  # a model's path may hold what came from the environment
        if declared.labels:
            for key, number in value.items():
                names = [*told, *((key,) if isinstance(key, str) else key)]
                if isinstance(number, Histogram):
                    family.add_metric(names, _buckets(number), number.total)
                else:
                    family.add_metric(names, number)
        elif value is not None:
            family.add_metric(told, value)
    return family
