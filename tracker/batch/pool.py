"""Worker processes of this machine: one task at a time each, their ends noticed at once."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from typing import TYPE_CHECKING, Any, Protocol

from tracker.batch.task import Done, Failed, Segmented, Worker
from tracker.errors import ConfigError, TrackerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from tracker.batch.task import ChunkTask, Task
    from tracker.engine.meter import StreamFigures
    from tracker.settings.stream import RunSettings

__all__ = ["Advanced", "Ended", "LocalPool", "Lost", "Pool"]

TELL_S = 0.5
STARTS = 3
"""Deaths of workers that never were ready, after which the batch cannot run here."""
INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM)
"""What ends a batch in order; a terminal sends the first one to its workers as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """How far a task is.

    Attributes:
        key: Of the task.
        frames: Done so far.
        media_s: Media time of the latest.
    """

    key: str
    frames: int
    media_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A task is over.

    Attributes:
        key: Of the task.
        result: ``None`` where it was stopped.
    """

    key: str
    result: Done | Segmented | Failed | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A worker died under a task.

    Attributes:
        key: Of the task.
        node: Where.
        how: In words: ``signal 9``, ``exit status 1``.
        node_lost: The node died or cannot be reached: that is nothing that a recording does.
    """

    key: str
    node: str
    how: str
    node_lost: bool = False


class Pool(Protocol):
    """Workers, wherever they run."""

    @property
    def free(self) -> int:
        """Tasks that would start at once."""
        ...

    @property
    def busy(self) -> int:
        """Tasks under way."""
        ...

    def start(self, task: Task | ChunkTask) -> None:
        """Give a task to a free worker."""
        ...

    def expect(self, tasks: int) -> None:
        """Say how many tasks would start now if there were more workers; of use where there can be more."""
        ...

    def wait(self, timeout_s: float) -> list[Advanced | Ended | Lost]:
        """What happened until now, waiting for the first of it.

        Raises:
            ConfigError: No worker can run.
        """
        ...

    def stop(self) -> None:
        """Have all tasks end without a result; callable from any thread."""
        ...

    def close(self) -> None:
        """End the workers."""
        ...


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Hold interruptions back while a process is started, and have it not see them while it imports.

    Blocked signals are inherited by the process. Here another thread may take the signal, and Python would interrupt
    this one before it has told the process what to do: so the handler only notes it, and it is raised again afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # the first start of a process would start it, and let the signals through
    noted: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():  # which alone handles signals
        set_here = [one for one in INTERRUPTIONS if signal.getsignal(one) is not None]  # not by a library in C
        handlers = {one: signal.signal(one, lambda number, _: noted.append(number)) for one in set_here}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
    try:
        yield
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in noted:
            signal.raise_signal(number)


class _Works(Protocol):
    """What does one task after another: :class:`tracker.batch.task.Worker`, or what has workers itself."""

    def run(
        self, task: Task | ChunkTask, *, progress: Callable[[StreamFigures], None]
    ) -> Done | Segmented | Failed | None:
        """Do a task; ``None`` where it was stopped."""
        ...

    def stop(self) -> None:
        """End the task under way without a result; callable from any thread."""
        ...

    def close(self) -> None:
        """Before its process ends; callable from any thread."""
        ...


class _Process:
    """One worker process and the task that it has."""

    def __init__(self, settings: RunSettings, card: str | None, open_worker: Callable[[RunSettings], _Works]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self.card = card
        has_none = open_worker is Worker  # processes of its own, which a daemon may not have
        arguments = (theirs, settings, card, open_worker)
        self.process = spawn.Process(target=_work, args=arguments, name="batch worker", daemon=has_none)
        with _held_back():
            self.process.start()
        theirs.close()
        self.ready = False
        self.key: str | None = None

    def send(self, message: Task | ChunkTask | None) -> None:
        with contextlib.suppress(OSError):  # it is dead, which is noticed by its end
            self.pipe.send(message)


class LocalPool:
    """Processes on this machine.

    Args:
        settings: Of the batch.
        processes: How many.
        cards: Where there are several, as ``CUDA_VISIBLE_DEVICES`` names them: each process sees one of them.
        open_worker: Makes what works in a process; can be pickled.
    """

    def __init__(
        self,
        settings: RunSettings,
        *,
        processes: int,
        cards: Sequence[str] = (),
        open_worker: Callable[[RunSettings], _Works] = Worker,
    ) -> None:
        self._settings, self._open_worker = settings, open_worker
        self._workers = [
            _Process(settings, cards[number % len(cards)] if cards else None, open_worker)
            for number in range(processes)
        ]
        self._false_starts = 0

    @property
    def free(self) -> int:
        """Tasks that would start at once."""
        return sum(worker.key is None for worker in self._workers)

    @property
    def busy(self) -> int:
        """Tasks under way."""
        return len(self._workers) - self.free

    def start(self, task: Task | ChunkTask) -> None:
        """Give a task to a free worker, to one that is ready first."""
        worker = min((one for one in self._workers if one.key is None), key=lambda one: not one.ready)
        worker.key = task.key
        worker.send(task)

    def expect(self, tasks: int) -> None:
        """See :class:`Pool`: here there are never more."""

    def wait(self, timeout_s: float) -> list[Advanced | Ended | Lost]:
        """See :class:`Pool`."""
        channels: dict[Any, _Process] = {worker.pipe: worker for worker in self._workers}
        found: list[Advanced | Ended | Lost] = []
        for channel in connection.wait(list(channels), timeout_s):
            found += self._read(channels[channel])
        return found

    def stop(self) -> None:
        """See :class:`Pool`."""
        for worker in self._workers:
            worker.send(None)

    def close(self) -> None:
        """See :class:`Pool`: a closed pipe ends its worker."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _read(self, worker: _Process) -> Iterator[Advanced | Ended | Lost]:
        """All that a worker told; its death is the end of its pipe."""
        try:
            while worker.pipe.poll():
                message = worker.pipe.recv()
                if message == "ready":
                    worker.ready = True
                elif isinstance(message, TrackerError):
                    raise message
                else:
                    if isinstance(message, Ended):
                        worker.key = None
                    yield message
        except (EOFError, OSError):
            yield from self._replace(worker)

    def _replace(self, worker: _Process) -> Iterator[Lost]:
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                how = f"{signal.Signals(-code).name} (signal {-code})"
        if not worker.ready:
            self._false_starts += 1
            if self._false_starts >= STARTS:
                problem = f"expected worker processes that start, found {STARTS} that ended before ({how})"
                raise ConfigError("--processes", problem, "run masktrail doctor; try fewer processes")
        worker.pipe.close()
        self._workers[self._workers.index(worker)] = _Process(self._settings, worker.card, self._open_worker)
        if worker.key is not None:
            yield Lost(key=worker.key, node="this machine", how=how)


def _work(
    pipe: Connection, settings: RunSettings, card: str | None, open_worker: Callable[[RunSettings], _Works]
) -> None:
    """Body of a worker process: tasks in, what becomes of them out; it ends with the other end of its pipe."""
    if card is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = card  # before anything looks for cards
    for number in INTERRUPTIONS:
        signal.signal(number, signal.SIG_IGN)  # the parent decides, and its end is noticed
    tasks: list[Task | ChunkTask] = []
    arrived, lock = threading.Condition(), threading.Lock()

    def receive() -> None:
        while True:
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                worker.close()
                os._exit(0)  # nobody waits for a result any more; attempts that are not committed do not count
            if message is None:
                worker.stop()
                continue
            with arrived:
                tasks.append(message)
                arrived.notify()

    def tell(message: object) -> None:
        with lock, contextlib.suppress(OSError):  # nobody listens any more, which ``receive`` notices
            pipe.send(message)

    try:
        worker = open_worker(settings)
        threading.Thread(target=receive, name="tasks", daemon=True).start()
        tell("ready")
        while True:
            with arrived:
                arrived.wait_for(lambda: bool(tasks))
                task = tasks.pop(0)
            tell(Ended(key=task.key, result=worker.run(task, progress=_Teller(task.key, tell))))
    except TrackerError as failure:
        tell(failure)


class _Teller:
    """Progress of one task, told now and then."""

    def __init__(self, key: str, tell: Any) -> None:
        self._key, self._tell, self._next_s = key, tell, 0.0

    def __call__(self, figures: StreamFigures) -> None:
        if figures.wall_s >= self._next_s:
            self._next_s = figures.wall_s + TELL_S
            self._tell(Advanced(key=self._key, frames=figures.frames, media_s=figures.media_s))
