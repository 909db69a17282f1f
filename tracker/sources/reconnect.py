"""Reconnecting camera source: stall detection, retries, one clock.

Each connection is opened and read in a thread of its own. FFmpeg's time-outs end most waits; what they do not cover
(name resolution, drivers) cannot be interrupted at all, so a connection that falls silent is abandoned and replaced:
its thread closes it when the call returns, and everything that it still delivers is discarded.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import numpy as np

from tracker import plugins
from tracker.errors import ConfigError, SourceError
from tracker.sources.address import expand_sources
from tracker.sources.connection import Connection, ConnectionsClock, Probe
from tracker.sources.decoded import SourceCounters, SourceInfo
from tracker.sources.limits import MAX_PIXELS
from tracker.sources.live_clock import LiveClock
from tracker.sources.retries import Ending, Retries
from tracker.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tracker.sources.address import Address
    from tracker.sources.decoded import Decoder, Picture
    from tracker.sources.hardware import DecodeChoice

__all__ = ["Link", "ReconnectingDecoder", "is_playlist", "open_live"]

HUNG_CONNECTIONS = 4
"""Most connections that hang at the same time; no further one is made before one of them ends."""

PLAYLIST_SILENCE_S = 30.0
"""Playlists deliver a segment of 2 to 10 s at once and then nothing until the next."""

PROBE_OPTIONS = {"analyzeduration": "1000000"}
"""FFmpeg probes 5 s of a stream before it begins; one is enough for a picture, and recovery waits for it. Not
``fflags=nobuffer``: it drops the probed packets, and with them the key frame that the first picture needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A change of a camera's connection.

    Attributes:
        state: ``live`` (frames come), ``lost`` (it broke off or could not be made) or ``ended`` (no live stream: over).
        problem: Why it was lost, free of credentials.
        stalled: Whether it was given up because no frame came.
        retry_s: Seconds to the next attempt, where one follows.
        note: Further facts about a live connection, for example that its clock was rejected.
    """

    state: Literal["live", "lost", "ended"]
    problem: str = ""
    stalled: bool = False
    retry_s: float | None = None
    note: str = ""


def is_playlist(address: Address) -> bool:
    """Whether the address is an HLS or DASH playlist, which delivers in bursts."""
    return re.split(r"[?#]", address.target, maxsplit=1)[0].lower().endswith((".m3u8", ".mpd"))


class ReconnectingDecoder:
    """A decoder over any number of connections; ends only with a stream that turns out to be a recording.

    Args:
        opener: Makes a connection: blocks until its first picture is there, or raises.
        name: The stream's name, free of credentials.
        stall_s: Seconds without a picture after which a connection is given up.
        open_s: Seconds that opening may take on top of that.
        retry_s: Shortest and longest delay before an attempt; doubled with each failure, and jittered by a quarter.
        generator: Where the jitter comes from.
        probe: Probe to run while the server is unreachable; ``None`` = none.
        max_drift_s: See :class:`tracker.sources.live_clock.LiveClock`.
        patient: Whether to wait for a stream that was never available; else its first failure is raised.
        on_link: Called on every change of the connection, in the reading thread; must not wait.
    """

    def __init__(
        self,
        opener: Callable[[], Decoder],
        *,
        name: str,
        stall_s: float,
        open_s: float,
        retry_s: tuple[float, float] = (1.0, 30.0),
        generator: np.random.Generator | None = None,
        probe: Probe | None = None,
        max_drift_s: float = 5.0,
        patient: bool = True,
        on_link: Callable[[Link], None] | None = None,
    ) -> None:
        self.workers: ConnectionsClock = ConnectionsClock()
        self._opener = opener
        self._stall_s = stall_s
        self._open_s = open_s
        self._retries = Retries(retry_s, generator if generator is not None else np.random.default_rng())
        self._probe = probe
        self._patient = patient
        self._on_link = on_link
        self._clock = LiveClock(max_drift_s=max_drift_s)
        self._closing = threading.Event()
        self._connection: Connection | None = None
        self._connected = False
        self._hung: list[Connection] = []
        self._counting = threading.Lock()
        self._past = SourceCounters()  # of connections that are over
        self._latest = SourceInfo(
            name=name,
            size=(0, 0),
            fps=0.0,
            frame_count=None,
            duration_s=None,
            is_live=True,
            codec="",
            time_from="stamps",
        )

    @property
    def info(self) -> SourceInfo:
        """The latest connection's description; ``size`` is ``(0, 0)`` and ``fps`` 0 before the first one."""
        return self._latest

    @property
    def counters(self) -> SourceCounters:
        """Sums over all connections."""
        with self._counting:
            connection, past = self._connection, self._past
        total = replace(past, clock_takeovers=self._clock.takeovers)
        if connection is not None and connection.decoder is not None:
            _add(total, connection.decoder.counters)
        return total

    def pictures(self) -> Iterator[Picture]:
        """Pictures of one connection after another, with continuing indexes and times, until :meth:`interrupt`.

        Raises:
            SourceError: A recording on the network broke off, or the stream was never available and ``patient`` is
                false.
        """
        closed = False
        delay_s = 0.0
        while self._await_free_slot():
            connection = self._connect(delay_s, closed=closed)
            begun_s: float | None = None
            ending = Ending("the stream ended")
            try:
                for picture in self._pictures_of(connection, delay_s):
                    if begun_s is None:
                        begun_s = time.monotonic()
                    yield picture
                    del picture
            except Exception as error:  # noqa: BLE001 - whatever befalls one connection, the next one may do better
                ending = self._ending(error)
            recorded = begun_s is not None and not self._latest.is_live
            self._retire(connection, stalled=ending.stalled)
            if self._closing.is_set():
                return
            if ending.failure is not None and (recorded or not (self._patient or self._latest.codec)):
                raise ending.failure
            if recorded:
                self._tell(Link(state="ended"))
                return
            delay_s, closed = self._retries.after(ending, begun_s, probe_failed=connection.probe_failed)
            self._tell(Link(state="lost", problem=ending.problem, stalled=ending.stalled, retry_s=delay_s))

    def interrupt(self) -> None:
        """End :meth:`pictures` now, whatever FFmpeg is doing."""
        self._closing.set()
        connection = self._connection
        if connection is not None:
            connection.abandon()

    def close(self) -> None:
        """As :meth:`interrupt`; safe to call twice."""
        self.interrupt()

    def _ending(self, error: Exception) -> Ending:
        """The kind of ending that an error of a connection means."""
        if isinstance(error, SourceError):
            refused = "no server listening" in error.problem
            silent = "no answer" in error.problem or "silence" in error.problem
            return Ending(error.problem, failure=error, refused=refused, silent=silent)
        stalled = isinstance(error, queue.Empty)
        found = f"none for {self._stall_s:g} s" if stalled else f"{type(error).__name__} in the decoder"
        failure = SourceError(self._latest.name, f"expected frames, found {found}", "check the camera and the network")
        problem = f"no frame for {self._stall_s:g} s" if stalled else found
        return Ending(problem, failure=failure, stalled=stalled, silent=stalled)

    def _await_free_slot(self) -> bool:
        """Wait while too many abandoned connections hang; false when closing."""
        while not self._closing.is_set():
            self._hung = [connection for connection in self._hung if connection.alive]
            if len(self._hung) < HUNG_CONNECTIONS:
                return True
            self._closing.wait(0.5)
        return False

    def _connect(self, delay_s: float, *, closed: bool) -> Connection:
        self._clock.begin()
        connection = Connection(self._opener, delay_s=delay_s, probe=self._probe, closed=closed)
        self._past.reconnects += self._connected
        self._connected = True
        self._connection = connection
        self.workers.follow(connection)
        if self._closing.is_set():  # interrupt() may have come before the connection was known
            connection.abandon()
        return connection

    def _pictures_of(self, connection: Connection, delay_s: float) -> Iterator[Picture]:
        """One connection's pictures on the common clock; ``queue.Empty`` when it stalls."""
        first_index = self._past.decoded
        allowed_s = delay_s + self._open_s + self._stall_s
        followed: SourceInfo | None = None
        while (picture := connection.handoff.get(allowed_s)) is not None:
            allowed_s = self._stall_s
            info = self._latest if connection.decoder is None else connection.decoder.info
            if info is not followed:
                self._follow(info, followed)
                followed = info
            time_s = picture.time_s
            if self._latest.is_live:  # a recording arrives as fast as it is read: arrival times say nothing
                time_s = self._clock.time_s(picture.time_s, picture.arrived_s)
            if not self._clock.trusted and self._latest.time_from != "arrival":
                self._latest = replace(self._latest, time_from="arrival")
                self._tell(Link(state="live", note="its clock runs off: times are those of arrival from here on"))
            yield replace(
                picture,
                index=first_index + picture.index,
                time_s=time_s,
                time_from=picture.time_from if self._clock.trusted else "arrival",
            )
            del picture

    def _follow(self, info: SourceInfo, followed: SourceInfo | None) -> None:
        """Copy a connection's description, at its first picture and at every change, and report it."""
        note = ""
        if info.decoder_refused and (followed is None or not followed.decoder_refused):
            note = f"{info.decoder_refused} does not take it: the CPU decodes"
        elif followed is not None and info.time_from != followed.time_from:
            note = "it has no clock: times are those of arrival"
        self._latest = info if self._clock.trusted else replace(info, time_from="arrival")
        if followed is None or note:
            self._tell(Link(state="live", note=note))

    def _retire(self, connection: Connection, *, stalled: bool) -> None:
        """Abandon a connection and add its counts."""
        connection.abandon()
        self._hung.append(connection)
        past = self.counters
        with self._counting:  # counts must never go down for a reader: a scraper takes that for a restart
            self._connection, self._past = None, replace(past, stalls=past.stalls + stalled)

    def _tell(self, link: Link) -> None:
        if self._on_link is not None and not self._closing.is_set():
            self._on_link(link)


def _add(total: SourceCounters, one: SourceCounters) -> None:
    for name in ("decoded", "broken", "concealed", "repaired_times", "missing"):
        setattr(total, name, getattr(total, name) + getattr(one, name))


def open_live(
    source: str | int | Address,
    *,
    name: str | None = None,
    network_size: tuple[int, int] | None = None,
    keep_aspect: bool = True,
    want_image: bool = True,
    small_height: int | None = None,
    stride: int = 1,
    fps: float | None = None,
    policy: Literal["auto", "all", "latest"] = "latest",
    queue_size: int = 1,
    max_age_s: float | None = None,
    timeout_s: float = 5.0,
    stall_s: float = 10.0,
    retry_s: tuple[float, float] = (1.0, 30.0),
    generator: np.random.Generator | None = None,
    rtsp_transport: Literal["tcp", "udp"] = "tcp",
    decode: DecodeChoice = "auto",
    decode_threads: int = 1,
    ffmpeg_options: Mapping[str, str] | None = None,
    max_pixels: int = MAX_PIXELS,
    patient: bool = True,
    on_ready: Callable[[], None] | None = None,
    on_link: Callable[[Link], None] | None = None,
) -> Source:
    """A camera or network stream with reconnection: returns at once, connects in the background after every failure.

    Args:
        source: A camera or a network address.
        name: What frames, records and messages call it; the address without credentials where not given.
        network_size: As for :func:`tracker.sources.open.open_source`.
        keep_aspect: The same.
        want_image: The same.
        small_height: The same.
        stride: The same.
        fps: The same.
        rtsp_transport: The same.
        decode: The same.
        ffmpeg_options: The same.
        max_pixels: The same.
        policy: ``latest`` keeps the newest frame only; with ``all`` a slow consumer makes the camera wait or break off;
            ``auto`` is ``latest`` where the first connection proves to be live, ``all`` for recordings.
        queue_size: Most frames waiting; with 1 a frame's age is bounded by the time between two frames.
        max_age_s: :meth:`Source.poll` skips frames that waited longer.
        timeout_s: Longest wait for an answer on opening and on each read.
        stall_s: Seconds without a frame after which the connection is given up; at least 30 for playlists.
        retry_s: Shortest and longest delay between attempts.
        generator: Where the jitter of the delays comes from.
        decode_threads: FFmpeg's threads; with many cameras one each is best.
        patient: Whether a stream that was never there is waited for; else reading raises its first failure.
        on_ready: Called on the reader's thread when a frame waits.
        on_link: Called on every change of the connection.

    Raises:
        SourceError: The source is a file, folder or several streams.
        ConfigError: The device that is to decode does not work here.
    """
    from tracker.sources import hardware
    from tracker.sources.convert import FrameConverter
    from tracker.sources.decoder import SourceContext

    addresses = expand_sources(source)
    address = addresses[0]
    if len(addresses) > 1 or address.kind not in {"camera", "network"}:
        raise SourceError(address.name, "expected a camera or a network address, found files", "open files as files")
    hardware.choose(decode)  # an error now, not one per connection
    if rtsp_transport not in {"tcp", "udp"}:
        raise ConfigError("transport", f"expected tcp or udp, found {rtsp_transport!r}", "choose one of the two")
    address = replace(address, name=name or address.name)
    silence_s = max(stall_s, PLAYLIST_SILENCE_S) if is_playlist(address) else stall_s
    options = {**(PROBE_OPTIONS if address.kind == "network" else {}), **(ffmpeg_options or {})}

    context = SourceContext(
        timeout_s=timeout_s,
        fps=fps,
        threads=decode_threads,
        decode=decode,
        rtsp_transport=rtsp_transport,
        ffmpeg_options=options,
        max_pixels=max_pixels,
    )
    opener = plugins.SOURCES.load(address.kind)

    def connect() -> Decoder:
        decoder: Decoder = opener(address, context)
        return decoder

    decoder = ReconnectingDecoder(
        connect,
        name=address.name,
        stall_s=silence_s,
        open_s=2 * timeout_s,
        retry_s=retry_s,
        generator=generator,
        probe=_probe(address),
        max_drift_s=60.0 if is_playlist(address) else 5.0,
        patient=patient,
        on_link=on_link,
    )
    return Source(
        decoder=decoder,
        converter=FrameConverter(
            network_size=network_size, keep_aspect=keep_aspect, want_image=want_image, small_height=small_height
        ),
        policy=policy,
        queue_size=queue_size,
        stride=stride,
        max_age_s=max_age_s,
        on_ready=on_ready,
    )


_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935, "rtmps": 443}
"""Schemes that can be probed; a plain TCP server would take the probe for its client."""

_GREETINGS = {"rtsp": b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", "http": b"OPTIONS * HTTP/1.0\r\n\r\n"}
"""Requests without effect. Encrypted protocols and RTMP begin with a longer handshake."""


def _probe(address: Address) -> Probe | None:
    """The probe of an address, ``None`` where its scheme cannot be probed."""
    try:
        parts = urlsplit(address.target)
        scheme = parts.scheme.lower()
        if scheme not in _PORTS or "listen" in parts.query:
            return None
        host, port = parts.hostname, parts.port or _PORTS[scheme]
    except ValueError:  # a password with brackets, which FFmpeg takes; the words of the error quote it
        return None
    return Probe(host, port, _GREETINGS.get(scheme, b"")) if host else None
