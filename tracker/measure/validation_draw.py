"""Drawing of intervals to count by eye, from a ledger and a video: the sheet, the clips, and the page."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tracker.analytics.corrections import Corrections
from tracker.engine.marks import site_marks
from tracker.errors import ConfigError, SinkError
from tracker.formats.ledger import read_events
from tracker.measure.validation import draw_intervals, light_of, moment_ms, passage
from tracker.measure.validation_plan import Timeline, asked_of, strata_of
from tracker.measure.validation_sheet import COLUMNS, sheet_text
from tracker.render.annotate import clock_text
from tracker.render.count_page import CountPage, Span, render_count_page
from tracker.render.cut_out import draw_marks
from tracker.render.privacy_paint import fill_zones
from tracker.sinks.encoder import VideoEncoder
from tracker.sinks.part_file import write_whole
from tracker.site import Site
from tracker.sources.open import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

    from tracker.events import Event
    from tracker.measure.validation import Clock, Interval
    from tracker.render.site_marks import SiteMarks

__all__ = ["Drawn", "draw_validation", "events_of"]

CLIP_WIDTH_PX = 960
CLIP_CRF = 26
SAMPLES = 3
"""Pictures per interval whose brightness is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What was drawn.

    Attributes:
        intervals: In order of time.
        asked: Line, direction and class of each count.
        sheet, page: The files.
        clips: How many clips were cut.
    """

    intervals: Sequence[Interval]
    asked: Sequence[tuple[str, str, str]]
    sheet: Path
    page: Path
    clips: int


def events_of(ledger: str | os.PathLike[str], stream: str | None) -> tuple[str, list[Event]]:
    """A stream of a ledger and its events, under their final classes.

    Args:
        ledger: The file.
        stream: Whose; may be left out where the ledger has one only.

    Raises:
        ConfigError: The stream is not there, or one of several must be named.
    """
    events = list(read_events(ledger))
    names = sorted({event.stream for event in events})
    if stream is None and len(names) != 1:
        problem = f"expected a ledger of one stream, found {', '.join(names) or 'none'}"
        raise ConfigError(ledger, problem, "name one with --stream")
    if stream is not None and stream not in names:
        raise ConfigError("--stream", f"expected one of {', '.join(names)}, found {stream!r}", "name one of them")
    corrections = Corrections.of(events)
    chosen = names[0] if stream is None else stream
    return chosen, [corrections.apply(event) for event in events if event.stream == chosen]


def draw_validation(
    ledger: str | os.PathLike[str],
    folder: Path,
    *,
    rng: np.random.Generator,
    zone: ZoneInfo,
    video: Path | None = None,
    site: Site | None = None,
    stream: str | None = None,
    count: int = 20,
    length_s: float = 60.0,
    progress: Callable[[str], None] = lambda _words: None,
) -> Drawn:
    """Draw intervals by hour and light, and write what a person needs to count in them.

    Args:
        ledger: Whose counts are checked.
        folder: For ``count.csv``, ``count.html`` and ``clips/``; made, and it must not have a sheet.
        rng: Draws.
        zone: Of the hours.
        video: The recording; without it there are no clips and strata are hours only.
        site: Adds lines, zones and classes that the ledger has nothing of.
        stream: Of the ledger.
        count: How many intervals.
        length_s: Of each.
        progress: Called with what is done at the time.

    Raises:
        TrackerError: The ledger or video cannot be read, or the folder not written.
    """
    name, events = events_of(ledger, stream)
    passed = {(event.place, event.direction or "entered") for event in events if passage(event)}
    asked = asked_of(passed, (event.class_name for event in events if event.identity), site)
    length_ms = round(length_s * 1000)
    lights: dict[int, str] = {}
    last_ms = 0
    if video is not None:
        progress("brightness")
        lights, last_ms = _lights(video, length_ms)
    timeline = _timeline(events, zone, video_ms=last_ms if video is not None else None)
    strata = strata_of(timeline, length_ms, lights)
    intervals = draw_intervals(strata, from_ms=timeline.from_ms, length_ms=length_ms, count=count, rng=rng)
    sheet, page = folder / "count.csv", folder / "count.html"
    if sheet.exists():
        raise ConfigError(sheet, "expected a new folder, found a sheet, which may be filled in", "name another --out")
    _make_folder(folder / "clips" if video is not None else folder)
    times = [_time_text(timeline, one.from_ms, one.to_ms) for one in intervals]
    text = sheet_text(intervals, asked, stream=name, clock=timeline.clock, times=times)
    clips: dict[int, str] = {}
    if video is not None:
        progress("clips")
        clips = _cut(video, intervals, folder, site or Site())
    write_whole(page, render_count_page(_page(name, _numbered(asked, site), intervals, text, clips)).encode())
    write_whole(sheet, text.encode())
    return Drawn(intervals=intervals, asked=asked, sheet=sheet, page=page, clips=len(clips))


def _time_text(timeline: Timeline, from_ms: int, to_ms: int) -> str:
    """An interval for people."""
    media = f"{clock_text(from_ms / 1000)} to {clock_text(to_ms / 1000)}" if timeline.clock == "media" else ""
    moment = timeline.moment(from_ms)
    local = "" if moment is None else moment.isoformat(sep=" ", timespec="seconds")
    return ", ".join(part for part in (media, local) if part)


def _timeline(events: Sequence[Event], zone: ZoneInfo, *, video_ms: int | None) -> Timeline:
    """Of the video by media time; else between the ledger's first and last row, by its wall clock where it has one."""
    known = [event for event in events if event.utc_ms is not None]
    offset = None if not known else round((known[0].utc_ms or 0) - known[0].time_s * 1000)
    if video_ms is not None:
        return Timeline(clock="media", from_ms=0, to_ms=video_ms, utc_from_ms=offset, zone=zone)
    clock: Clock = "utc" if len(known) == len(events) else "media"
    times = [at_ms for event in events if (at_ms := moment_ms(event, clock)) is not None]
    return Timeline(clock=clock, from_ms=min(times), to_ms=max(times) + 1, utc_from_ms=offset, zone=zone)


def _lights(video: Path, length_ms: int) -> tuple[dict[int, str], int]:
    """Light of each interval of a video by its number, and the video's length in milliseconds."""
    sums: dict[int, list[float]] = {}
    last_ms = step_ms = 0.0
    next_ms = 0.0
    with open_source(os.fspath(video)) as source:
        for frame in source:
            at_ms = frame.time_s * 1000
            step_ms, last_ms = max(at_ms - last_ms, 0.0), at_ms
            if at_ms >= next_ms and frame.image is not None:
                next_ms = at_ms + length_ms / SAMPLES
                sums.setdefault(int(at_ms // length_ms), []).append(float(_small(frame.image, 64).mean()))
    return {slot: light_of(sum(values) / len(values)) for slot, values in sums.items()}, round(last_ms + step_ms)


def _cut(video: Path, intervals: Sequence[Interval], folder: Path, site: Site) -> dict[int, str]:
    """A clip of each interval; returns their addresses relative to the page."""
    waiting, clips, marks = list(intervals), {}, site_marks(site)
    encoder: VideoEncoder | None = None
    with open_source(os.fspath(video)) as source:
        try:
            for frame in source:
                at_ms = frame.time_s * 1000
                while waiting and at_ms >= waiting[0].to_ms - 0.5:
                    waiting.pop(0)
                    _finish(encoder)
                    encoder = None
                if not waiting:
                    break
                if frame.image is None or at_ms < waiting[0].from_ms - 0.5:
                    continue
                if encoder is None:
                    clips[waiting[0].number] = f"clips/{waiting[0].number:02d}.mp4"
                    path = folder / clips[waiting[0].number]
                    encoder = VideoEncoder(path, crf=CLIP_CRF, frame_rate=source.info.fps or None)
                picture = _small(frame.image, CLIP_WIDTH_PX).copy()
                fill_zones(picture, site.never_shown)
                draw_marks(picture, marks, picture.shape, (0, 0), 1.0)
                _number(picture, marks)
                encoder.encode(picture, frame.time_s, pixel_aspect=frame.pixel_aspect)
        finally:
            _finish(encoder)
    return clips


def _number(picture: NDArray[np.uint8], marks: SiteMarks) -> None:
    """Write the number of each line and zone, and show the way to a line's left."""
    size = np.array(picture.shape[1::-1])
    starts = [line.points[0] for line in marks.lines] + [zone.polygons[0][0] for zone in marks.zones]
    for number, (start, colour) in enumerate(zip(starts, (*marks.line_colours, *marks.zone_colours), strict=True), 1):
        x, y = np.clip(np.array(start) * size + (4, -6), (2, 20), size - 20).astype(int).tolist()
        for shade, width in (((20, 18, 16), 5), (colour, 2)):
            cv2.putText(picture, str(number), (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.7, shade, width, cv2.LINE_AA)
    for line, colour in zip(marks.lines, marks.line_colours, strict=True):
        piece = (len(line.points) - 1) // 2
        first, second = (np.array(point) * size for point in line.points[piece : piece + 2])
        along = (second - first) / max(float(np.hypot(*(second - first))), 1e-9)
        middle = (first + second) / 2
        tip = middle + 22 * np.array([along[1], -along[0]])
        cv2.arrowedLine(picture, middle.astype(int).tolist(), tip.astype(int).tolist(), colour, 2, cv2.LINE_AA, 0, 0.4)


def _finish(encoder: VideoEncoder | None) -> None:
    if encoder is not None:
        encoder.finish()


def _small(image: NDArray[np.uint8], width_px: int) -> NDArray[np.uint8]:
    if image.shape[1] <= width_px:
        return image
    height = max(round(image.shape[0] * width_px / image.shape[1]), 2)
    return np.asarray(cv2.resize(image, (width_px, height), interpolation=cv2.INTER_AREA), np.uint8)


def _numbered(asked: Sequence[tuple[str, str, str]], site: Site | None) -> list[tuple[str, str, str]]:
    """Places with the numbers that they have in the clips."""
    places = [] if site is None else [*(line.name for line in site.lines), *(zone.name for zone in site.zones)]
    numbers = {name: f"{number}. {name}" for number, name in enumerate(places, 1)}
    return [(numbers.get(place, place), direction, class_name) for place, direction, class_name in asked]


def _page(
    name: str, asked: Sequence[tuple[str, str, str]], intervals: Sequence[Interval], text: str, clips: dict[int, str]
) -> CountPage:
    rows = list(csv.reader(io.StringIO(text)))
    return CountPage(
        title=PurePath(name).name or name,
        key=f"masktrail-{hashlib.sha256(text.encode()).hexdigest()[:16]}",
        spans=[
            Span(
                number=one.number,
                time=rows[1 + place * len(asked)][COLUMNS.index("time")],
                stratum=one.stratum,
                clip=clips.get(one.number, ""),
            )
            for place, one in enumerate(intervals)
        ],
        asked=asked,
        columns=COLUMNS,
        rows=[row[:-1] for row in rows[1:]],
        file_name="count.csv",
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        problem = f"expected a folder that can be made, found {failure.strerror or failure}"
        raise SinkError(folder, problem, "name another --out") from failure
