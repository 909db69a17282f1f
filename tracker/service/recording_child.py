"""The process of a run that was started on the page: ``python -m tracker.service.recording_child``.

Its first line of input is the task as JSON, its output one JSON object a line: progress, and at the end what came of
it. The input stays open while the run is wanted: at its end, which comes with the dashboard's, the process ends too.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.engine.analyse import analyse
from tracker.engine.recorded import Reading
from tracker.engine.run import Listener, Run
from tracker.errors import TrackerError
from tracker.settings.runs_file import run_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracker.engine.meter import StreamFigures
    from tracker.sources.decoded import SourceInfo

__all__ = ["main"]

NICENESS = 10
"""Pages and cameras come before recordings where the processor is full."""
TOLD_S = 0.5


def main() -> int:
    """Track or count one recording; 1 = what was told last says why it failed."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever prints, prints into the log
    os.nice(NICENESS)

    def tell(**facts: Any) -> None:
        told.write(json.dumps(facts) + "\n")

    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    folder = Path(task["folder"])
    os.chdir(folder)  # the stream is called by the recording's path in the folder
    try:
        if "count" in task:
            return _count(task["count"], tell)
        work = Path(task["work"])
        with (work / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return _run(task, work, tell)
    except TrackerError as failure:
        tell(offender=failure.offender, problem=failure.problem, remedy=failure.remedy)
    except OSError as failure:
        tell(offender=folder.name, problem=str(failure.strerror or failure), remedy="")
    return 1


def _run(task: dict[str, Any], work: Path, tell: Callable[..., None]) -> int:
    folder, name = Path(task["folder"]), task["name"]
    suffixes = {"save": "tracked.mp4", "records": "tracks.jsonl", "events": "events.jsonl"}
    outputs = {field: str(work / f"{name}.{suffix}") for field, suffix in suffixes.items()}
    settings = run_settings(folder, task["video"], name=name, outputs=outputs)
    [outcome] = Run(settings, listener=_Teller(tell)).run()
    for failure in outcome.failures[:1]:
        tell(offender=failure.offender, problem=failure.problem, remedy=failure.remedy)
    tell(frames=outcome.figures.frames, total=outcome.figures.frames, over=True)
    return 1 if outcome.failures else 0


def _count(task: dict[str, Any], tell: Callable[..., None]) -> int:
    """Write every ledger anew, as ``masktrail analyse`` does."""
    told_s = 0.0

    def progress(frames: int, seconds: float) -> None:
        nonlocal told_s
        del seconds
        if time.monotonic() - told_s >= TOLD_S:
            told_s = time.monotonic()
            tell(frames=frames)

    reading = Reading(stream=task["stream"])
    frames = 0
    for ledger in task["ledgers"]:
        found = analyse(
            [task["records"]],
            task["site"],
            ledger["path"],
            revise=ledger["revise"],
            reading=reading,
            progress=progress,
        )
        frames = found.frames
    tell(frames=frames, total=frames, over=True)
    return 0


class _Teller(Listener):
    """Tells how far a run is."""

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell
        self._total: int | None = None
        self._at_s = 0.0

    def started(self, name: str, info: SourceInfo, frame_count: int | None) -> None:
        del name, info
        self._total = frame_count
        self._tell(frames=0, total=frame_count)

    def progressed(self, name: str, figures: StreamFigures) -> None:
        del name
        if time.monotonic() - self._at_s >= TOLD_S:
            self._at_s = time.monotonic()
            self._tell(frames=figures.frames, total=self._total, fps=figures.frames_per_s)

    def refined(self, name: str, done: int, total: int) -> None:
        del name
        if time.monotonic() - self._at_s >= TOLD_S:
            self._at_s = time.monotonic()
            self._tell(refined=done / max(total, 1))


def _end_with_input() -> None:
    """The run is cancelled: end at once, with its unfinished files."""
    while sys.stdin.read(1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
