"""One long recording at a time: chunks segmented by all workers, associated in one ordered pass."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.batch.chunks import cut
from tracker.batch.pool import Advanced, Ended, Lost
from tracker.batch.spool import Spool, SpooledModels, read_spool
from tracker.batch.task import ChunkTask, Failed, Segmented, Worker, scratch_folder
from tracker.engine.run import FULL_BATCH_S
from tracker.errors import SinkError, TrackerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracker.batch.chunks import Chunk
    from tracker.batch.pool import Pool
    from tracker.batch.task import Done, Task
    from tracker.engine.meter import StreamFigures
    from tracker.settings.stream import RunSettings

__all__ = ["CHUNK_S", "SplitWorker"]

CHUNK_S = 10.0
"""Shortest length of a chunk; cameras send a key frame every 0.5 to 10 s."""
AHEAD = 4
"""Chunks per worker that may be done or under way before the pass has come to them."""
TRIES = 3
"""Workers that a chunk may cost; then the pass segments it."""
POLL_S = 0.1
CLOSE_S = 10.0
"""Longest wait for the end of a recording that was stopped."""


class SplitWorker:
    """Does one recording at a time, its chunks segmented by the workers of a pool.

    It runs in a process of its own (:class:`tracker.batch.pool.LocalPool`): the pass decodes, and a recording that ends
    its process must not end the batch.

    Args:
        settings: Of the batch.
        open_pool: Gives the pool of workers.
        chunk_s: Shortest length of a chunk.
        scratch: Folder for chunks; ``None`` = the system's.
    """

    def __init__(
        self,
        settings: RunSettings,
        *,
        open_pool: Callable[[RunSettings], Pool],
        chunk_s: float = CHUNK_S,
        scratch: str | None = None,
    ) -> None:
        self._settings, self._chunk_s, self._scratch = settings, chunk_s, scratch
        self._pool = open_pool(settings)
        self._whole: _Whole | None = None
        self._stopped = False
        self._at_work = threading.Lock()

    def run(
        self, task: Task | ChunkTask, *, progress: Callable[[StreamFigures], None]
    ) -> Done | Segmented | Failed | None:
        """Do one recording; ``None`` where it was stopped.

        Raises:
            TrackerError: No worker of the pool can run.
            TypeError: It is a chunk of a recording.
        """
        if isinstance(task, ChunkTask):
            message = "expected a recording, found a chunk"
            raise TypeError(message)
        with self._at_work:
            whole = _Whole(task, self._settings, self._pool, chunk_s=self._chunk_s, progress=progress)
            self._whole = whole
            if self._stopped:
                return None
            try:
                whole.begin(self._scratch)
                while (ended := whole.step()) is None:
                    pass
            except SinkError as failure:
                return Failed(problem=str(failure), everywhere=True)
            finally:
                whole.end()
            return ended.result

    def stop(self) -> None:
        """End the task under way without a result; callable from any thread."""
        self._stopped = True
        if self._whole is not None:
            self._whole.stop()
        self._pool.stop()

    def close(self) -> None:
        """End the workers of the pool; callable from any thread."""
        self.stop()
        if self._at_work.acquire(timeout=CLOSE_S):
            self._pool.close()


class _Whole:
    """One recording: the cutter and the pass in threads, its chunks under way."""

    def __init__(
        self,
        task: Task,
        settings: RunSettings,
        pool: Pool,
        *,
        chunk_s: float,
        progress: Callable[[StreamFigures], None],
    ) -> None:
        self._task, self._pool, self._chunk_s = task, pool, chunk_s
        self._progress = progress
        self._ahead = AHEAD
        self._spool = Spool()
        self._cut: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
        self._next: deque[Chunk] = deque()
        self._tries: dict[str, int] = {}
        self._running: dict[str, Chunk] = {}
        self._ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self._stack = contextlib.ExitStack()
        self._stopped = threading.Event()
        models = SpooledModels(settings.replace(workers=1), batch_wait_s=FULL_BATCH_S, spool=self._spool)
        self._worker = Worker(settings, models=models, notes=self._notes)
        self._threads: list[threading.Thread] = []

    def begin(self, scratch: str | None) -> None:
        folder = self._stack.enter_context(scratch_folder(scratch))
        self._start_thread("pass", lambda: self._pass(folder))

    def step(self) -> Ended | None:
        """Give chunks to free workers, and take what they give back; the end of the pass, once it is there."""
        self._ahead = AHEAD * max(self._pool.free + self._pool.busy, 1)
        while not self._cut.empty():
            self._next.append(self._cut.get())
        last = self._spool.at + self._ahead
        while self._next and self._pool.free and self._next[0].number <= last:
            self._start(self._next.popleft())
        self._pool.expect(sum(chunk.number <= last for chunk in self._next))
        attends = bool(self._running or self._next)  # also to those that start: only in a wait they become free
        for event in self._pool.wait(POLL_S) if attends else ():
            self._take(event)
        with contextlib.suppress(queue.Empty):
            return self._ended.get(timeout=0.0 if attends else POLL_S)
        return None

    def stop(self) -> None:
        self._stopped.set()
        self._worker.stop()
        self._spool.close()

    def end(self) -> None:
        """Wait for the threads, and clear the chunks away."""
        self._stopped.set()
        self._spool.close()
        for thread in self._threads:
            thread.join()
        self._stack.close()

    def _start_thread(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _cut_all(self, address: str, folder: Path) -> None:
        try:
            for chunk in cut(address, folder, chunk_s=self._chunk_s):
                if self._stopped.is_set():
                    return
                self._spool.know(chunk)
                self._cut.put(chunk)
                self._spool.wait_at(chunk.number - 2 * self._ahead)
        except (TrackerError, OSError):
            pass  # the pass segments the rest, and says what is wrong with the recording if it cannot be read
        finally:
            self._spool.know_all()

    def _pass(self, folder: Path) -> None:
        result: Done | Segmented | Failed | None
        try:
            address = self._worker.fetch(self._task.recording, folder)
            self._start_thread("cut", lambda: self._cut_all(address, folder))
            result = self._worker.run(self._task, address=address, progress=self._progress)
        except TrackerError as failure:
            result = Failed(problem=str(failure))
        except Exception as fault:  # noqa: BLE001 - whatever it is, the pass is over
            result = Failed(problem=f"{self._task.key}: {type(fault).__name__}: {fault}")
        self._ended.put(Ended(key=self._task.key, result=result))

    def _notes(self) -> list[str]:
        """What a person should know of the chunks."""
        if not self._spool.found:
            return ["not split: no chunk of it could be used"]
        if not self._spool.missed:
            return []
        total = self._spool.found + self._spool.missed
        return [f"{self._spool.missed} of {total} frames were segmented in the pass: no chunk gave the same pictures"]

    def _start(self, chunk: Chunk) -> None:
        key = f"{self._task.key}/{chunk.number}"
        self._running[key] = chunk
        out, settings = str(chunk.path.with_suffix(".spool")), self._task.settings
        images = (settings.reid or settings.outline) is not None  # what of a batch looks at whole pictures
        self._pool.start(ChunkTask(key=key, chunk=chunk, settings=settings, images=images, out=out))

    def _take(self, event: Advanced | Ended | Lost) -> None:
        chunk = None if isinstance(event, Advanced) else self._running.pop(event.key, None)
        if chunk is None:
            return
        if isinstance(event, Lost):
            self._tries[event.key] = self._tries.get(event.key, 0) + 1
            if self._tries[event.key] < TRIES and not self._stopped.is_set():
                self._next.appendleft(chunk)
                return
        instances = {}
        if isinstance(event, Ended) and isinstance(event.result, Segmented):
            spooled = Path(event.result.path)
            instances = read_spool(spooled)
            spooled.unlink(missing_ok=True)
        chunk.path.unlink(missing_ok=True)
        self._spool.arrive(chunk.number, instances)
