"""Runs of recordings that are started on the page: one at a time, each in a process of its own.

A run that tracks writes into a hidden folder beside its recording. Its files get their names when it is over, and only
where nothing has these names; until then, and when it is cancelled or killed, the folder of results is as it was. A run
that counts writes its ledgers as ``masktrail analyse`` does, each of them whole or not at all. What was under way or
waited when the dashboard ended is known as interrupted to the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tracker.dashboard.accounts import now_ms
from tracker.dashboard.problems import ApiError, of_tracker_error
from tracker.dashboard.run_book import Kind, Left, RunBook
from tracker.errors import TrackerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracker.dashboard.counting import CountPlan
    from tracker.dashboard.recordings import Recording, Recordings

__all__ = ["Run", "Runs", "State"]

logger = logging.getLogger("tracker.dashboard")

State = Literal["queued", "running", "done", "failed", "interrupted"]
END_S = 5.0
MOST_RUNS = 1000
WORK = ".masktrail-run-"
CHILD = "tracker.service.recording_child"


@dataclass(slots=True)
class Run:
    """One run.

    Attributes:
        name: Of the recording.
        video: The file that is read: the recording, or records of its tracks.
        by: Who started it.
        asked_ms: When.
        kind: Whether the recording is tracked, or counted from its records.
        plan: How it is counted.
        state: How far it is.
        frames, total: Frames that are done and that the recording announces; ``None`` = it does not say.
        left_s: Seconds that it takes yet, as far as that is known.
        refined: Share of the second pass that is done; ``None`` before it.
        problem: Why it failed, or what went wrong though there are results: ``what``, ``expected``, ``found``,
            ``remedy``.
    """

    name: str
    video: Path
    by: str
    asked_ms: int
    kind: Kind = "track"
    plan: CountPlan | None = field(default=None, repr=False)
    state: State = "queued"
    frames: int = 0
    total: int | None = None
    left_s: float | None = None
    refined: float | None = None
    problem: dict[str, str] | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is to come by itself."""
        return self.state in {"done", "failed", "interrupted"}


class Runs:
    """The queue of runs.

    Args:
        recordings: The folder.
        allowed: Whether the administrator allows any.
        changed: Called in a thread of its own when files of a run have come.
        book: Of what is not over; ``None`` = the next dashboard knows nothing of it.
    """

    def __init__(
        self, recordings: Recordings, *, allowed: bool, changed: Callable[[], None], book: RunBook | None = None
    ) -> None:
        self.allowed = allowed and recordings.folder is not None
        self._recordings, self._changed = recordings, changed
        self._runs: dict[str, Run] = {}
        self._wake = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._cancelled: set[str] = set()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._book = book
        if self.allowed and book is not None:
            self._recall(book)

    def _recall(self, book: RunBook) -> None:
        """List what was not over when the last dashboard ended, as far as it can be started again."""
        for left in book.left():
            found = self._recordings.of(left.name)
            if found is None or (left.kind == "track" and found.untracked is None):
                book.forget(left.name)
                continue
            run = Run(left.name, left.file, left.by, left.asked_ms, kind=left.kind, state="interrupted")
            self._runs[left.name] = run

    def all(self) -> list[Run]:
        """Every run of this process and those that were interrupted, in the order in which they were asked for."""
        with self._wake:
            return list(self._runs.values())

    def may_run(self, found: Recording | None) -> bool:
        """Whether a recording can be run: it has a video, and nothing that a run writes."""
        return self.allowed and found is not None and found.untracked is not None

    def start(self, found: Recording, by: str) -> Run:
        """Put a recording at the end of the queue.

        Raises:
            ApiError: It is there already, there are too many, or it has results.
        """
        video = found.untracked
        if video is None:
            raise ApiError(409, "run", "a video without results", "none", "move its results elsewhere first")
        return self._queue(Run(name=found.base, video=video.path, by=by, asked_ms=now_ms()))

    def count(self, found: Recording, plan: CountPlan, by: str) -> Run:
        """Put the count of a recording at the end of the queue.

        Raises:
            ApiError: It is there already, or there are too many.
        """
        folder = self._recordings.folder
        assert folder is not None  # noqa: S101 - without one there is no plan
        records = folder / plan.records
        return self._queue(Run(found.base, records, by, now_ms(), kind="count", plan=plan))

    def _queue(self, run: Run) -> Run:
        with self._wake:
            held = self._runs.get(run.name)
            if held is not None and not held.is_over:
                raise ApiError(409, "run", "a recording that does not run yet", "one that does", "wait, or cancel it")
            waiting = sum(not one.is_over for one in self._runs.values())
            if waiting >= MOST_RUNS:
                raise ApiError(409, "run", f"at most {MOST_RUNS} runs", str(waiting), "wait until some are done")
            self._runs.pop(run.name, None)
            self._runs[run.name] = run
            self._note(run)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="runs", daemon=True)
                self._thread.start()
            self._wake.notify_all()
        return run

    def _note(self, run: Run, *, begun: bool = False) -> None:
        if self._book is not None:
            self._book.note(Left(run.name, run.kind, run.video, run.by, run.asked_ms, begun))

    def _forget(self, run: Run) -> None:
        if self._book is not None:
            self._book.forget(run.name)

    def cancel(self, name: str) -> bool:
        """End a run, and forget it with what it has done; whether there was one."""
        with self._wake:
            run = self._runs.get(name)
            if run is None:
                return False
            if run.state == "running":
                self._cancelled.add(name)
                _end(self._process)
            else:
                del self._runs[name]
                self._forget(run)
        return True

    def close(self) -> None:
        """End the run that is under way; the next dashboard knows it, and what waits, as interrupted."""
        with self._wake:
            self._closing = True
            _end(self._process)
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(3 * END_S)

    # ---- the thread -----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._closing and (run := self._next()) is None:
                    self._wake.wait()
                if self._closing:
                    return
                assert run is not None  # noqa: S101 - the loop ends with one
                run.state = "running"
                self._note(run, begun=True)
            try:
                self._one(run)
            except ApiError as refusal:
                run.problem = refusal.error
            except OSError as failure:
                found = failure.strerror or str(failure)
                run.problem = _problem(run.video.parent.name, "a folder that can be written", found)
            except Exception:  # a fault of ours: those that wait are run
                logger.exception("run failed", extra={"recording": run.name})
                run.problem = _problem(run.name, "a run", "a fault")
            self._settle(run)

    def _settle(self, run: Run) -> None:
        """A run has ended: by itself, because it was cancelled, or with the dashboard."""
        with self._wake:
            self._process = None
            if run.name in self._cancelled:
                self._cancelled.discard(run.name)
                del self._runs[run.name]
            elif run.state == "running" and self._closing:
                run.state = "interrupted"
                return
            elif run.state == "running":
                run.state = "failed"
            self._forget(run)

    def _next(self) -> Run | None:
        return next((run for run in self._runs.values() if run.state == "queued"), None)

    def _one(self, run: Run) -> None:
        """One run from its begin to its results; what went wrong is in its ``problem``."""
        if run.plan is not None:
            is_whole = self._served(run, {"count": run.plan.as_json()})
            self._changed()  # of several ledgers some may be written
            run.state = "done" if is_whole else "running"
            return
        _sweep(run.video.parent)
        work = Path(tempfile.mkdtemp(prefix=WORK, dir=run.video.parent))
        try:
            folder = self._recordings.folder
            assert folder is not None  # noqa: S101 - without one nothing is allowed
            task = {"video": str(run.video.relative_to(folder)), "name": run.name, "work": str(work)}
            if self._served(run, task) and run.frames:
                _publish(work, run.video.parent)
                self._changed()
                run.state = "done"
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _served(self, run: Run, task: dict[str, Any]) -> bool:
        """Whether the process went to the end of the recording, or of what can be read of it."""
        with self._wake:
            if self._closing or run.name in self._cancelled:
                return False
            # A session of its own: the terminal's Ctrl-C is for the dashboard, at whose end its input ends.
            self._process = process = subprocess.Popen(  # noqa: S603 - own module
                [sys.executable, "-m", CHILD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        over = False
        with process:
            assert process.stdin is not None  # noqa: S101 - both are pipes
            assert process.stdout is not None  # noqa: S101
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps({"folder": str(self._recordings.folder)} | task) + "\n")
                process.stdin.flush()
            for line in process.stdout:
                if line.endswith("\n"):  # else it was killed while it wrote
                    over |= _note(run, json.loads(line))
        if not over and run.problem is None:
            run.problem = _problem(run.name, "a process that ends by itself", f"status {process.returncode}")
        return over


def _note(run: Run, told: dict[str, Any]) -> bool:
    """Take what the process tells; whether it is over."""
    if "problem" in told:
        run.problem = of_tracker_error(TrackerError(told["offender"], told["problem"], told["remedy"])).error
        return False
    run.frames, run.total = told.get("frames", run.frames), told.get("total", run.total)
    run.refined = told.get("refined")
    fps = told.get("fps")
    run.left_s = max(run.total - run.frames, 0) / fps if run.total and fps else None
    return bool(told.get("over"))


def _problem(what: str, expected: str, found: str) -> dict[str, str]:
    return {"what": what, "expected": expected, "found": found, "remedy": "see the log of the dashboard"}


def _publish(work: Path, folder: Path) -> None:
    """Give the files of a run their names, all of them or none.

    Raises:
        ApiError: One of the names is taken meanwhile.
    """
    made: list[Path] = []
    for file in sorted(path for path in work.iterdir() if path.name != "lock" and not path.name.startswith(".")):
        target = folder / file.name
        try:
            _named(file, target)
        except FileExistsError:
            for one in made:
                one.unlink()
            raise ApiError(409, file.name, "no file of this name", "one that came meanwhile", "move it away") from None
        made.append(target)


def _named(file: Path, target: Path) -> None:
    """Give a file its name without replacing another one, as a move would.

    Raises:
        OSError: The name is taken, or the folder cannot be written.
    """
    try:
        target.hardlink_to(file)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        target.touch(exist_ok=False)
        file.replace(target)


def _sweep(folder: Path) -> None:
    """Remove what runs left that were killed: their folders, which nothing holds any more."""
    for path in folder.glob(f"{WORK}*"):
        if path.is_symlink() or path.stat().st_uid != os.getuid():
            continue
        with contextlib.suppress(OSError), (path / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)


def _end(process: subprocess.Popen[str] | None) -> None:
    """End a process at once: what it has written is in a folder of its own."""
    if process is not None and process.poll() is None:
        process.kill()
