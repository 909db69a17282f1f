"""Contact sheet of a run: moments of its annotated videos, counted from the records beside them, as one PNG."""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tracker.errors import ConfigError, SinkError
from tracker.render.annotate import clock_text
from tracker.render.contact_sheet import Moment, Strip, compose, counted
from tracker.sinks.claims import Claim, check_claims
from tracker.sinks.part_file import PartFile, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import av
    from numpy.typing import NDArray

    from tracker.render.site_text import LegendEntry

__all__ = ["strip_of_video", "write_contact_sheet"]


def write_contact_sheet(
    path: str | os.PathLike[str],
    videos: Sequence[str | os.PathLike[str]],
    *,
    moments: int = 8,
    columns: int = 4,
    legends: Mapping[str, Sequence[LegendEntry]] | None = None,
) -> None:
    """Write one PNG with moments of every video.

    Args:
        path: The PNG to write.
        videos: Annotated videos. Where ``street.tracks.jsonl`` or ``street.jsonl`` stands beside
            ``street.tracked.mp4`` or ``street.mp4``, the busiest moments are shown and counted.
        moments: Pictures per video.
        columns: Pictures side by side.
        legends: Final counts of lines and zones by the video's path as in ``videos``:
            :func:`tracker.engine.marks.site_legend`.

    Raises:
        ConfigError: There is no video, or ``moments`` or ``columns`` is below 1.
        SinkError: A video cannot be read back or the PNG cannot be written.
    """
    import cv2

    if not videos or moments < 1 or columns < 1:
        problem = f"expected videos, moments and columns of at least 1, found {len(videos)}, {moments} and {columns}"
        raise ConfigError(path, problem, "change the values")
    check_claims([Claim(path=Path(path))], [Claim(path=Path(video)) for video in videos])
    with PartFile(path) as part:
        found = legends or {}
        strips = [strip_of_video(video, moments=moments, legend=found.get(os.fspath(video), ())) for video in videos]
        sheet = compose(strips, columns=columns)
        try:
            with part.open() as file:
                data = memoryview(cv2.imencode(".png", sheet)[1].tobytes())
                while data:
                    data = data[file.write(data) :]
        except OSError as failure:
            raise refusal(part.path, failure, "write the contact sheet") from failure


def strip_of_video(path: str | os.PathLike[str], *, moments: int, legend: Sequence[LegendEntry] = ()) -> Strip:
    """Moments spread evenly over a video; within each part the busiest one where its records say which that is.

    Raises:
        SinkError: The video cannot be read back.
    """
    import av

    video = Path(path)
    name = video.stem.removesuffix(".tracked")
    presence = _presence([video.with_name(f"{name}.tracks.jsonl"), video.with_name(f"{name}.jsonl")])
    try:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            duration_s = float(container.duration or 0) / av.time_base
            wanted = _targets(duration_s, moments, presence)
            found: list[Moment] = []
            last = None
            for picture in container.decode(stream):
                time_s = float(picture.time or 0.0)
                # Half a tick of slack: times in the records and in the video are rounded differently.
                if len(found) < len(wanted) and time_s >= wanted[len(found)] - 5e-4:
                    found.append(Moment(image=_pixels(picture), time_s=time_s, present=presence.at(time_s)))
                last = picture
            if not found and last is not None:
                found.append(Moment(image=_pixels(last), time_s=0.0))
            size = f"{stream.width} x {stream.height}"
    except (OSError, av.FFmpegError, IndexError) as failure:
        raise SinkError(video, f"expected to read the video back, found: {failure}", "write it again") from failure
    facts = [clock_text(duration_s), size, *presence.totals()]
    return Strip(title=name, subtitle="    ".join(facts), moments=found, legend=legend)


def _pixels(picture: av.VideoFrame) -> NDArray[np.uint8]:
    return np.asarray(picture.to_ndarray(format="bgr24"), dtype=np.uint8)


class _Presence:
    """Which identities are seen when, from a records file."""

    def __init__(self) -> None:
        self.times_s: list[float] = []
        self.present: list[Counter[str]] = []
        self.class_of: dict[int, str] = {}

    def at(self, time_s: float) -> Counter[str]:
        """What was seen at the frame nearest to ``time_s``; nothing where no frame with an identity is near."""
        place = bisect_left(self.times_s, time_s - 2e-3)
        if place < len(self.times_s) and abs(self.times_s[place] - time_s) <= 2e-3:
            return self.present[place]
        return Counter()

    def busiest(self, start_s: float, stop_s: float) -> float | None:
        """The time in ``[start_s, stop_s)`` at which most was seen, the one nearest to the middle among equals."""
        places = range(bisect_left(self.times_s, start_s), bisect_left(self.times_s, stop_s))
        middle_s = (start_s + stop_s) / 2
        best = max(places, key=lambda n: (self.present[n].total(), -abs(self.times_s[n] - middle_s)), default=None)
        return None if best is None else self.times_s[best]

    def totals(self) -> list[str]:
        """How many identities there were, by class."""
        counts = Counter(self.class_of.values())
        return [counted(count, name) for name, count in counts.most_common()]


def _presence(candidates: Sequence[Path]) -> _Presence:
    """What the first of the record files that exists says."""
    presence = _Presence()
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        return presence
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["coasting"]:
                continue
            if not presence.times_s or presence.times_s[-1] != row["time_s"]:
                presence.times_s.append(row["time_s"])
                presence.present.append(Counter())
            presence.present[-1][row["class"]] += 1
            if row["id"] is not None:
                presence.class_of[row["id"]] = row["class"]
    return presence


def _targets(duration_s: float, moments: int, presence: _Presence) -> list[float]:
    """Times of the moments, one in each of equal parts of the video."""
    targets = []
    for number in range(moments):
        start_s, stop_s = duration_s * number / moments, duration_s * (number + 1) / moments
        busiest_s = presence.busiest(start_s, stop_s)
        targets.append((start_s + stop_s) / 2 if busiest_s is None else busiest_s)
    return targets
