"""HTTP status server: ``/healthz`` (JSON) and ``/metrics`` (Prometheus)."""

from __future__ import annotations

import json
import logging
import math
import socket
import sys
import threading
import time
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

from tracker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracker.engine.batcher import Batcher
    from tracker.engine.meter import StreamFigures
    from tracker.engine.scheduler import LiveEngine
    from tracker.engine.stream import Stream

__all__ = ["StatusServer", "health"]

logger = logging.getLogger("tracker.live")

STUCK_S = 60.0
"""With frames under way and none finished for this long the program is sick, and should be started anew."""

CLIENT_S = 10.0
"""A client that says nothing for so long is left: connections that nobody closes would be threads for ever."""

STATES = ("connecting", "live", "lost", "ended", "failed")


def health(engine: LiveEngine) -> dict[str, Any]:
    """The state of everything as plain values: ``ok``, ``degraded`` (some stream is not well) or ``stuck``."""
    served = engine.served
    shares = _shares({stream: stream.meter.figures() for stream in served})
    streams = {stream.name: _stream_health(stream, batcher.name, shares[stream]) for stream, batcher in served.items()}
    sick = [name for name, values in streams.items() if values["state"] in {"lost", "failed"}]
    status = "stuck" if engine.stuck_s > STUCK_S else "degraded" if sick else "ok"
    models = {batcher.name: _model_health(batcher) for batcher in engine.batchers}
    return {"status": status, "not_well": sick, "cameras": streams, "models": models}


def _shares(figures: dict[Stream, StreamFigures]) -> dict[Stream, float]:
    """Each stream's share of the time that the models have worked, since the start."""
    spent_s = {stream: values.stage_s.get("segment", 0.0) for stream, values in figures.items()}
    total_s = sum(spent_s.values())
    return {stream: seconds / total_s if total_s > 0 else 0.0 for stream, seconds in spent_s.items()}


def _stream_health(stream: Stream, model: str, share: float) -> dict[str, Any]:
    figures = stream.meter.figures()
    values: dict[str, Any] = {
        "state": stream.state,
        "problem": stream.problem,
        "frames": figures.frames,
        "fps": round(figures.fps, 2),
        "age_p50_s": _rounded(figures.age_p50_s),
        "age_p99_s": _rounded(figures.age_p99_s),
        "silence_s": round(figures.silence_s, 2),
        "living": figures.living,
        "identities": figures.identities,
        "stage_ms": {stage: round(1000 * spent_s / figures.frames, 2) for stage, spent_s in figures.stage_s.items()},
        "model": model,
        "model_share": round(share, 4),
    }
    if stream.opened:
        info, counters = stream.source.info, stream.source.counters
        values |= {"size": list(info.size), "codec": info.codec, "time_from": info.time_from, "decoder": info.decoder}
        values |= asdict(counters)
    return values


def _model_health(batcher: Batcher) -> dict[str, Any]:
    return {
        "device": batcher.device,
        "gpu_share": _rounded(batcher.gpu_share),
        "cameras": len(batcher.streams),
        "batches": batcher.batches,
        "frames_per_batch": round(batcher.batched_frames / max(batcher.batches, 1), 2),
        "batch_ms": round(1000 * batcher.cost_s, 2),
    }


def _rounded(value: float) -> float | None:
    """Four digits; ``None`` where there is nothing yet, since JSON knows no NaN."""
    return None if math.isnan(value) else round(value, 4)


class _Collector:
    """Asks the engine at every scrape, so that counting costs the hot path nothing."""

    def __init__(self, engine: LiveEngine) -> None:
        self._engine = engine
        self._begun_s = time.monotonic()

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        streams = self._engine.streams
        figures_of = {stream: stream.meter.figures() for stream in streams}
        figures = {stream.name: values for stream, values in figures_of.items()}
        for name, said, attribute in (
            ("fps", "Frames tracked per second over the last ten seconds", "fps"),
            ("living", "Identities visible or coasting", "living"),
            ("silence_seconds", "Seconds since the latest tracked frame", "silence_s"),
            ("media_seconds", "Media time of the latest frame", "media_s"),
        ):
            family = GaugeMetricFamily(f"masktrail_{name}", said, labels=["camera"])
            for camera, values in figures.items():
                family.add_metric([camera], getattr(values, attribute))
            yield family
        age = GaugeMetricFamily(
            "masktrail_frame_age_seconds", "From a frame's arrival to its tracks", labels=["camera", "quantile"]
        )
        state = GaugeMetricFamily("masktrail_state", "1 for the state it is in", labels=["camera", "state"])
        for stream in streams:
            values = figures[stream.name]
            if values.frames:
                age.add_metric([stream.name, "0.5"], values.age_p50_s)
                age.add_metric([stream.name, "0.99"], values.age_p99_s)
            for name in STATES:
                state.add_metric([stream.name, name], float(stream.state == name))
        yield age
        yield state
        for name, said, attribute in (
            ("frames", "Frames tracked", "frames"),
            ("instances", "Instances segmented", "instances"),
            ("identities", "Identities confirmed", "identities"),
        ):
            counter = CounterMetricFamily(f"masktrail_{name}", said, labels=["camera"])
            for camera, values in figures.items():
                counter.add_metric([camera], getattr(values, attribute))
            yield counter
        yield from self._times(figures_of)
        yield from self._source_counters(streams)
        yield from self._engine_metrics()

    def _times(self, figures: dict[Stream, StreamFigures]) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        stages = CounterMetricFamily("masktrail_stage_seconds", "Seconds per stage", labels=["camera", "stage"])
        for stream, values in figures.items():
            for stage, seconds in values.stage_s.items():
                stages.add_metric([stream.name, stage], seconds)
        yield stages
        said = "Share of the time that the models have worked"
        share = GaugeMetricFamily("masktrail_model_share", said, labels=["camera"])
        for stream, value in _shares(figures).items():
            share.add_metric([stream.name], value)
        yield share

    def _source_counters(self, streams: list[Stream]) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily

        counted = {stream.name: stream.source.counters for stream in streams if stream.opened}
        for name, said in (
            ("decoded", "Frames decoded"),
            ("dropped", "Frames dropped because a newer one was there"),
            ("late", "Frames dropped because they were too old"),
            ("broken", "Packets that could not be decoded"),
            ("concealed", "Frames with patched damage"),
            ("repaired_times", "Time stamps repaired"),
            ("reconnects", "Connections after the first"),
            ("stalls", "Connections given up because no frame came"),
            ("clock_takeovers", "Connections whose clock was not believed"),
        ):
            counter = CounterMetricFamily(f"masktrail_{name}", said, labels=["camera"])
            for camera, counters in counted.items():
                counter.add_metric([camera], getattr(counters, name))
            yield counter

    def _engine_metrics(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        batchers = self._engine.batchers
        for name, said, attribute in (
            ("batches", "Runs of the model", "batches"),
            ("batched_frames", "Frames in them", "batched_frames"),
            ("model_busy_seconds", "Seconds in the model, summed over workers", "busy_s"),
        ):
            counter = CounterMetricFamily(f"masktrail_{name}", said, labels=["model"])
            for batcher in batchers:
                counter.add_metric([batcher.name], getattr(batcher, attribute))
            yield counter
        gpu = GaugeMetricFamily(
            "masktrail_gpu_share", "Share of the model's operators that runs on a GPU", labels=["model", "device"]
        )
        for batcher in batchers:
            gpu.add_metric([batcher.name, batcher.device], batcher.gpu_share)
        yield gpu
        up = GaugeMetricFamily("masktrail_up_seconds", "Seconds since the start")
        up.add_metric([], time.monotonic() - self._begun_s)
        yield up


class _Server(ThreadingHTTPServer):
    """Answers each client in a thread of its own; one that goes away or is silent is no news."""

    daemon_threads = True

    def handle_error(self, _request: Any, _client: Any) -> None:
        """Say in the log what would be a traceback on stderr, between lines that machines read."""
        failure = sys.exception()
        if not isinstance(failure, OSError):
            logger.error("status not told", extra={"problem": f"{type(failure).__name__}: {failure}"})


class _ServerOfV6(_Server):
    address_family = socket.AF_INET6


class StatusServer:
    """Serves a running engine's health and metrics from a thread of its own.

    Args:
        engine: What is looked at.
        address: ``host:port``; port 0 takes a free one.

    Attributes:
        address: ``host:port`` that is served.

    Raises:
        ConfigError: The address cannot be used, or prometheus-client is not installed.
    """

    def __init__(self, engine: LiveEngine, address: str) -> None:
        try:
            from prometheus_client import CollectorRegistry, generate_latest
        except ImportError:
            problem = "expected prometheus-client, found it is not installed"
            raise ConfigError("metrics", problem, "pip install 'masktrail[live]', or write `metrics: off`") from None
        registry = CollectorRegistry()
        registry.register(cast("Any", _Collector(engine)))

        class Handler(BaseHTTPRequestHandler):
            timeout = CLIENT_S

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/healthz":
                    state = health(engine)
                    self._answer(503 if state["status"] == "stuck" else 200, "application/json", json.dumps(state))
                elif path == "/metrics":
                    self._answer(200, "text/plain; version=0.0.4; charset=utf-8", generate_latest(registry).decode())
                else:
                    self._answer(404, "text/plain; charset=utf-8", "try /healthz or /metrics\n")

            def _answer(self, status: int, kind: str, text: str) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Scrapes are no news."""

        host, _, port = address.rpartition(":")
        kind = _ServerOfV6 if host.startswith("[") else _Server
        try:
            self._server = kind((host.strip("[]"), int(port)), Handler)
        except OSError as error:
            problem = f"expected a free address for health and metrics, found: {error.strerror or error}"
            raise ConfigError(f"metrics {address}", problem, "choose another port, or write `metrics: off`") from None
        self.address = f"{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="status", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
