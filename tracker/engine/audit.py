"""Audit of a recording from its tracks: evidence in one pass, cut-outs in a second one beside the video."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.analytics.audit_trail import AuditTrail
from tracker.analytics.near_misses import NEAR
from tracker.engine.audit_json import audit_values
from tracker.engine.audit_rows import audit_page, wanted_pictures
from tracker.engine.marks import site_marks
from tracker.engine.recorded import Reading, open_input
from tracker.engine.saved import tracked_frames
from tracker.errors import ConfigError, SourceError
from tracker.formats.instances import is_saved_instances, open_saved
from tracker.render.annotate import clock_text
from tracker.render.audit_page import Picture, render_page
from tracker.render.cut_out import cut_out, jpeg_of
from tracker.render.privacy_paint import without_zones
from tracker.settings.stream import StreamSettings
from tracker.sinks.claims import Claim, check_claims
from tracker.sinks.part_file import write_whole
from tracker.sources.open import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from tracker.engine.audit_rows import Wanted
    from tracker.engine.recorded import RecordedInput
    from tracker.render.site_marks import SiteMarks
    from tracker.site import Site
    from tracker.types import Frame, TrackedFrame

__all__ = ["AuditOutcome", "audit_recorded", "audit_saved", "cut_outs"]

MOST_PICTURED = 80
"""Rows of a page that get cut-outs: two each, some 10 kB apiece."""
STILL_WIDTH_PX = 1280
LATEST_S = 1.0
"""How much later than asked for a picture may be."""
EPSILON_S = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOutcome:
    """What an audit found.

    Attributes:
        frames: Frames looked at.
        counted: Events that lines and zones counted.
        missed: Near misses by reason.
        pictured: Rows with cut-outs.
    """

    frames: int
    counted: int
    missed: Counter[str]
    pictured: int


def audit_saved(
    path: str | os.PathLike[str],
    site_path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    video: str | os.PathLike[str] | None = None,
    pictures: bool = False,
    near: float = NEAR,
    start_at: datetime | None = None,
    values: str | os.PathLike[str] | None = None,
    progress: Callable[[int], None] = lambda _frames: None,
) -> AuditOutcome:
    """Count a recording by its saved instances, and write what was counted and what was not as a page.

    Args:
        path: The file, ``*.instances``.
        site_path: Of the site.
        out: The page, ``*.html``.
        video: The recording itself, for a still of the scene and for cut-outs.
        pictures: Show cut-outs; they need the video.
        near: What is close, in picture heights.
        start_at: When the recording began.
        values: The same as JSON, for the dashboard.
        progress: Called with the frames done.

    Raises:
        DetectionsError: The instances cannot be read.
        SourceError: The video cannot be read, or is another recording.
        SinkError: The page cannot be written.
        ConfigError: The site does not fit, or an option is missing.
    """
    return audit_recorded(
        [path],
        site_path,
        out,
        video=video,
        pictures=pictures,
        near=near,
        settings=StreamSettings(start_at=start_at),
        values=values,
        progress=progress,
    )


def audit_recorded(
    paths: Sequence[str | os.PathLike[str]],
    site_path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    video: str | os.PathLike[str] | None = None,
    pictures: bool = False,
    near: float = NEAR,
    settings: StreamSettings | None = None,
    reading: Reading | None = None,
    values: str | os.PathLike[str] | None = None,
    progress: Callable[[int], None] = lambda _frames: None,
) -> AuditOutcome:
    """The same from saved instances or from rows of records.

    Args:
        paths: As for :func:`tracker.engine.analyse.analyse`.
        site_path: As for :func:`audit_saved`, like ``out``, ``video`` and ``near``.
        out: The same.
        video: The same.
        pictures: The same; cut-outs need saved instances.
        near: The same.
        settings: ``start_at`` and ``gap_s``.
        reading: What the files do not say.
        values: The same.
        progress: The same.

    Raises:
        TrackerError: As for :func:`audit_saved`.
    """
    from tracker.settings.site_file import read_site

    files = [Path(path) for path in paths]
    saved = is_saved_instances(files[0])
    if pictures and video is None:
        problem = "expected the recording for the cut-outs, found none: saved instances hold no pictures"
        raise ConfigError("--pictures", problem, "name it with --video, or leave --pictures out")
    if pictures and not saved:
        problem = "expected saved instances, whose silhouettes the cut-outs show, found rows"
        raise ConfigError(f"--pictures with {files[0]}", problem, "audit the .instances, or leave --pictures out")
    read = [*(Claim(path=path) for path in files), Claim(path=Path(site_path), named_by="--site")]
    read += [] if video is None else [Claim(path=Path(video), named_by="--video")]
    written = [Claim(path=Path(out), named_by="--out")]
    written += [] if values is None else [Claim(path=Path(values), named_by="--json")]
    check_claims(written, read)
    settings = (settings or StreamSettings()).replace(site=os.fspath(site_path))
    with open_input(files, read_site(site_path), settings, reading or Reading()) as source:
        trail, frames, first = _evidence(files[0], source, near, progress)
        warnings = list(source.notes)
    still: bytes | None = None
    found: dict[str, tuple[Picture, ...]] = {}
    if not saved:
        warnings.append("Rows hold identities only: detections that never became one are not among the near misses.")
    if video is not None:
        with open_source(os.fspath(video)) as pictured:
            still = _still(pictured, first.size, video, trail.site)
    if pictures and video is not None:
        wanted = wanted_pictures(trail, MOST_PICTURED)
        found = cut_outs(wanted, _pictured(files[0], video), trail.site)
        warnings.append("Pictures of people may be inside: keep and share this page as you would the video.")
    page = audit_page(trail, size=first.size, still=still, pictures=found, warnings=warnings)
    write_whole(out, render_page(page).encode())
    if values is not None:
        write_whole(values, json.dumps(audit_values(trail), ensure_ascii=False).encode("utf-8", "backslashreplace"))
    missed: Counter[str] = Counter()
    for place in trail.places.values():
        missed.update({reason: sample.total for reason, sample in place.missed.items()})
    counted = sum(place.sums.total() for place in trail.places.values())
    return AuditOutcome(frames=frames, counted=counted, missed=missed, pictured=len(found))


def _evidence(
    path: Path, source: RecordedInput, near: float, progress: Callable[[int], None]
) -> tuple[AuditTrail, int, Frame]:
    """What was counted and what was not, the number of frames, and the first of them."""
    settings = source.settings
    stream = Path(source.stream).name or source.stream
    trail = AuditTrail(source.site, stream=stream, near=near, start_utc_ms=settings.start_ms, gap_s=settings.gap_s)
    first, done = None, 0
    for done, tracked in enumerate(source.counted(), 1):
        first = first or tracked.frame
        trail.process(tracked, tracked.events)
        progress(done)
    if first is None:
        raise SourceError(path, "expected frames, found none", "segment the recording again")
    trail.close(source.closing())
    return trail, done, first


def cut_outs(wanted: Sequence[Wanted], frames: Iterable[TrackedFrame], site: Site) -> dict[str, tuple[Picture, ...]]:
    """Pictures before and after, from tracked frames with images, in one pass over them.

    Args:
        wanted: Of which identities, and when.
        frames: In order of time, with the identities that were asked for.
        site: Its lines and zones are drawn.
    """
    marks = site_marks(site)
    waiting = [(one.before_s, one.time_s, one) for one in wanted if one.identity]
    waiting += [(one.after_s, one.after_s + LATEST_S, one) for one in wanted if one.identity]
    waiting += [(one.time_s, one.time_s + LATEST_S, one) for one in wanted if not one.identity]
    waiting.sort(key=lambda entry: entry[0])
    found: dict[str, list[Picture]] = defaultdict(list)
    active: list[tuple[float, float, Wanted]] = []
    for tracked in frames:
        now_s = tracked.frame.time_s
        while waiting and waiting[0][0] <= now_s + EPSILON_S:
            active.append(waiting.pop(0))
        for entry in list(active):
            picture = _picture(entry[2], tracked, marks, site)
            if picture is not None:
                found[entry[2].key].append(picture)
            if picture is not None or now_s >= entry[1]:
                active.remove(entry)
        if not waiting and not active:
            break
    return {key: tuple(pictures) for key, pictures in found.items()}


def _picture(wanted: Wanted, tracked: TrackedFrame, marks: SiteMarks, site: Site) -> Picture | None:
    """What was asked for, if the identity is in this frame."""
    frame, tracks = tracked.frame, tracked.tracks
    row = None
    if wanted.identity:
        rows = [] if tracks is None else tracks.detection_rows[tracks.ids == wanted.identity].tolist()
        if not rows or rows[0] < 0:
            return None
        row = rows[0]
    if frame.image is None:
        return None
    point = wanted.point[0] * frame.size[0], wanted.point[1] * frame.size[1]
    jpeg, size = cut_out(without_zones(frame.image, site.never_shown), tracked.instances, row, point, marks=marks)
    apart_s = frame.time_s - wanted.time_s
    when = "before" if apart_s < 0 else "after"
    caption = f"{abs(apart_s):.1f} s {when}, at {clock_text(frame.time_s)}"
    return Picture(jpeg=jpeg, size=size, caption=caption if abs(apart_s) >= 0.05 else f"At {clock_text(frame.time_s)}")


def _pictured(path: str | os.PathLike[str], video: str | os.PathLike[str]) -> Iterator[TrackedFrame]:
    """Tracked frames again, now with the pictures of the video."""
    with Path(path).open("rb") as file, open_source(os.fspath(video)) as source:
        model, saved = open_saved(path, file)
        pictures = iter(source)
        frame: Frame | None = None
        for tracked in tracked_frames(model, saved):
            while frame is None or frame.index < tracked.frame.index:
                frame = next(pictures, None)
                if frame is None:
                    return
            if frame.index == tracked.frame.index:
                yield replace(tracked, frame=frame)


def _still(source: Iterable[Frame], size: tuple[int, int], video: str | os.PathLike[str], site: Site) -> bytes | None:
    """The first picture, made smaller, without the site's privacy zones."""
    frame = next(iter(source), None)
    if frame is None or frame.image is None:
        return None
    if frame.size != size:
        found = f"{frame.size[0]} x {frame.size[1]}"
        problem = f"expected the recording that was segmented, {size[0]} x {size[1]}, found one of {found}"
        raise SourceError(video, problem, "name that recording")
    return jpeg_of(without_zones(frame.image, site.never_shown), most_width_px=STILL_WIDTH_PX)
