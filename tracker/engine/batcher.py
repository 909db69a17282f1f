"""Batches over the streams of one model, and each model's fair share of the machine.

A batch takes up to ``batch_size`` frames from the streams that have one: first those with the fewest frames under way,
among them the one that was served longest ago. When fewer wait, it is held for at most ``batch_wait_s``: a slow or dead
camera has no frame, and so takes no part and holds no other up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracker.engine.stream import Stream
    from tracker.types import Segmenter

__all__ = ["Batcher", "Turns"]


class Batcher:
    """The streams of one model. Belongs to an engine, and is touched under the engine's lock only.

    Args:
        segmenter: The model.
        name: How health, metrics and logs call it.
        batch_size: Most frames per call.
        batch_wait_s: Longest wait for a batch to fill once a first frame is there.
        device: Where the model runs, for health.
        gpu_share: Share of the model's operators that runs on a GPU, for health and metrics.

    Attributes:
        segmenter: May be replaced by another session of the same model; ``None`` once the model is closed.
        streams: Those that are served.
        in_flight: Batches under way.
        progress_s: When a batch was begun or finished last, on the monotonic clock.
        batches: Calls so far.
        batched_frames: Frames in them.
        busy_s: Seconds in them, summed over workers.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        name: str = "model",
        batch_size: int = 1,
        batch_wait_s: float = 0.005,
        device: str = "cpu",
        gpu_share: float = 0.0,
    ) -> None:
        if batch_size < 1:
            message = f"Batcher: expected a batch_size of at least 1, found {batch_size}"
            raise ValueError(message)
        self.segmenter: Segmenter | None = segmenter
        self.name = name
        self.streams: list[Stream] = []
        self.in_flight = 0
        self.progress_s = 0.0
        self.batches = 0
        self.batched_frames = 0
        self.busy_s = 0.0
        self.batch_size = batch_size
        self.device = device
        self.gpu_share = gpu_share
        self._batch_wait_s = batch_wait_s
        self._waiting_since_s: float | None = None
        self._turn = 0

    @property
    def cost_s(self) -> float:
        """Seconds that a batch takes, on average; 0 before the first."""
        return self.busy_s / self.batches if self.batches else 0.0

    @property
    def weight(self) -> int:
        """Streams that want a share of the machine: a camera that is away wants none."""
        return max(sum(stream.state == "live" for stream in self.streams), 1)

    def due_s(self, now_s: float) -> float | None:
        """When its next batch is to be run, at ``now_s`` or later; ``None`` while no frame waits."""
        waiting = 0
        for stream in self.streams:
            waiting += stream.takeable
            if waiting >= self.batch_size:
                self._waiting_since_s = None
                return now_s
        if waiting == 0:
            self._waiting_since_s = None
            return None
        if not any(stream.growing for stream in self.streams):
            return now_s  # the rest of recordings: nothing would come of waiting
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s
        return max(self._waiting_since_s + self._batch_wait_s, now_s)

    def take(self) -> list[Stream]:
        """The streams to take a frame from, once each or more, with those frames reserved."""
        batch: list[Stream] = []
        self._waiting_since_s = None
        while len(batch) < self.batch_size and (stream := self._choose()) is not None:
            batch.append(stream)
        return batch

    def _choose(self) -> Stream | None:
        ready = [stream for stream in self.streams if stream.takeable > 0]
        if not ready:
            return None
        stream = min(ready, key=lambda candidate: (candidate.in_flight, candidate.served))
        self._turn += 1
        stream.served = self._turn
        stream.in_flight += 1
        stream.reserved += 1
        return stream


class Turns:
    """Divides the machine between models: every camera has the same claim to its time, whatever its model costs.

    Start-time fair queueing (Goyal, Vin and Cheng 1996): a model's next turn is at the virtual time at which its last
    one ended, and a turn lasts its cost divided by the model's cameras. An idle model accumulates no claim.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._ends: dict[Batcher, float] = {}

    def begin(self, due: list[Batcher]) -> tuple[Batcher, float]:
        """The model whose turn it is among those with a batch, and the charge for it until its real cost is known."""
        batcher = min(due, key=lambda candidate: self._ends.get(candidate, 0.0))
        self._now = max(self._now, self._ends.get(batcher, 0.0))
        charged = batcher.cost_s / batcher.weight
        self._ends[batcher] = self._now + charged
        return batcher, charged

    def end(self, batcher: Batcher, charged: float, seconds: float) -> None:
        """Put the cost that was measured in the place of what was charged."""
        if batcher in self._ends:
            self._ends[batcher] += seconds / batcher.weight - charged

    def forget(self, batcher: Batcher) -> None:
        """The model is gone."""
        self._ends.pop(batcher, None)
