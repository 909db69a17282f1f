"""HTTP status server: ``/healthz`` (JSON) and ``/metrics`` (Prometheus)."""

from __future__ import annotations

import importlib.util
import ipaddress
import logging
import math
import socket
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from tracker.engine.losses import LOST_SHARE
from tracker.errors import ConfigError, install_command, mask_values
from tracker.service.metrics import Collector, shares

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from tracker.engine.batcher import Batcher
    from tracker.engine.scheduler import Engine
    from tracker.engine.stream import Stream
    from tracker.sinks.base import QueueFigures

__all__ = ["StatusServer", "health"]

logger = logging.getLogger("tracker.live")

STUCK_S = 60.0
"""With frames under way and none finished for this long the program is stuck, and should be restarted."""

NEEDED = ("prometheus_client", "starlette", "uvicorn")


def health(engine: Engine) -> dict[str, Any]:
    """The state of everything as plain values: ``ok``, ``degraded`` (some stream is not well) or ``stuck``.

    Streams that lose a larger share of their frames than :data:`tracker.engine.losses.LOST_SHARE` are named apart.
    """
    served = engine.served
    shared = shares({stream: stream.meter.figures() for stream in served})
    streams = {stream.name: _stream_health(stream, batcher.name, shared[stream]) for stream, batcher in served.items()}
    sick = [
        name
        for name, values in streams.items()
        if values["state"] in {"lost", "failed"}
        or values["output_failures"]
        or any(queue["problem"] for queue in values["queues"])
    ]
    losing = [name for name, values in streams.items() if (values["lost_share"] or 0.0) >= LOST_SHARE]
    status = "stuck" if engine.stuck_s > STUCK_S else "degraded" if sick else "ok"
    models = {batcher.name: _model_health(batcher) for batcher in engine.batchers}
    return {"status": status, "not_well": sick, "losing_frames": losing, "cameras": streams, "models": models}


def _queue_health(queue: QueueFigures) -> dict[str, Any]:
    """Without the place on the disk, which is not for the network."""
    return {name: value for name, value in asdict(queue).items() if name != "kept_in"}


def _stream_health(stream: Stream, model: str, share: float) -> dict[str, Any]:
    figures = stream.meter.figures()
    values: dict[str, Any] = {
        "state": stream.state,
        "problem": stream.problem,
        "output_failures": figures.output_failures,
        "output_problem": figures.output_problem,
        "queues": [_queue_health(queue) for queue in stream.queues],
        "frames": figures.frames,
        "skipped": figures.skipped,
        "interpolated": figures.interpolated,
        "fps": round(figures.fps, 2),
        "age_p50_s": _rounded(figures.age_p50_s),
        "age_p99_s": _rounded(figures.age_p99_s),
        "lost_share": None if figures.losses is None else round(figures.losses.share, 4),
        "lost_share_s": None if figures.losses is None else round(figures.losses.seconds),
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


class StatusServer:
    """Serves a running engine's health and metrics from a thread of its own.

    Args:
        engine: Whose state is served.
        address: ``host:port``; port 0 takes a free one.

    Attributes:
        address: ``host:port`` that is served.

    Raises:
        ConfigError: The address cannot be used, or a package that it needs is not installed.
    """

    def __init__(self, engine: Engine, address: str) -> None:
        host, _, port = address.rpartition(":")
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if absent:
            problem = f"expected {', '.join(NEEDED)}, found no {', '.join(absent)}"
            raise ConfigError("metrics", problem, f"{install_command('live')}, or write `metrics: off`")
        import numpy.ma  # noqa: F401 - percentiles import it at their first call, when there may be no file for it

        from tracker.service.bounded import BACKLOG, bounded_server

        try:
            place = (host.strip("[]"), int(port))
            self._socket = socket.create_server(place, family=family, backlog=BACKLOG)
        except OSError as error:
            problem = f"expected a free address for health and metrics, found: {error.strerror or error}"
            raise ConfigError(f"metrics {address}", problem, "choose another port, or write `metrics: off`") from None
        bound, free_port = self._socket.getsockname()[:2]
        self.address = f"{host}:{free_port}"
        on_loopback = ipaddress.ip_address(bound).is_loopback
        if not on_loopback:
            note = "health and metrics can be read from every machine that reaches this one"
            logger.warning("status open to the network", extra={"address": self.address, "note": note})
        # A page whose name was made to point here (DNS rebinding) has its own name in Host.
        hosts = ["localhost", "127.0.0.1", "[::1]", host] if on_loopback else ["*"]
        self._server = bounded_server(_application(engine, hosts))
        failures: list[OSError] = []
        self._thread = threading.Thread(target=self._serve, args=(failures,), name="status", daemon=True)
        self._thread.start()
        # It opens files of its own and imports modules: later there may be no file left for them.
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.01)
        for failure in failures:
            problem = f"expected a server of health and metrics, found: {failure.strerror or failure}"
            raise ConfigError(f"metrics {address}", problem, "free what it lacks, or write `metrics: off`")

    def close(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(5)

    def _serve(self, failures: list[OSError]) -> None:
        from tracker.service.bounded import serve

        try:
            serve(self._server, self._socket)
        except OSError as failure:
            failures.append(failure)
            self._socket.close()


def _application(engine: Engine, hosts: list[str]) -> ASGIApp:
    """``/healthz`` and ``/metrics`` of an engine, for requests that name one of ``hosts``."""
    from prometheus_client import CollectorRegistry, generate_latest
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route

    registry = CollectorRegistry()
    registry.register(cast("Any", Collector(engine)))

    async def healthz(_: Request) -> Response:
        state = mask_values(health(engine))
        return JSONResponse(state, 503 if state["status"] == "stuck" else 200)

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(generate_latest(registry), media_type="text/plain; version=0.0.4")

    async def other(_: Request, __: Exception) -> Response:
        return PlainTextResponse("try /healthz or /metrics\n", 404)

    application = Starlette(
        routes=[Route("/healthz", healthz), Route("/metrics", metrics)],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
        exception_handlers={404: other},
    )

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        # Starlette answers with 500 and raises on; the server would write the traceback between the log's lines.
        try:
            await application(scope, receive, send)
        except Exception as failure:  # noqa: BLE001 - a fault here must not end what it reports on
            logger.error("status request failed", extra={"problem": f"{type(failure).__name__}: {failure}"})  # noqa: TRY400

    return guarded
