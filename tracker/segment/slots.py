"""Batches enter, output arrays leave, by way of a few slots: while one is on the card, others are filled and emptied.

A slot holds everything that one batch in flight needs, allocated once: a page-locked input buffer, the input and the
outputs on the card, page-locked arrays for the outputs, a stream of copies, and for each prepared batch size an IO
binding to the same addresses. Fixed addresses are what a CUDA graph records, so a graph belongs to a slot and a size.
With ``HostMemory`` and ``device_type="cpu"`` the same code runs on a CPU.
"""

from __future__ import annotations

import contextlib
import math
import queue
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ModelError
from tracker.segment.runner import run_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import DTypeLike, NDArray

    from tracker.segment.memory import Memory
    from tracker.segment.runner import Gate

__all__ = ["SLOTS", "SlotRunner"]

SLOTS = 3
"""One is uploaded to or filled, one computed, one downloaded or decoded."""
NO_GRAPH = -1
"""``gpu_graph_id`` that keeps ONNX Runtime from recording a run."""
AGREEING_SHARE = 0.98
"""Share of values that a replayed graph must have in common with a plain run: ties at top-k may fall either way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    """One output: its type and its shape for each prepared batch."""

    dtype: np.dtype[Any]
    shapes: Mapping[int, tuple[int, ...]]

    @property
    def elements(self) -> int:
        return max(math.prod(shape) for shape in self.shapes.values())

    @property
    def batched(self) -> bool:
        """Whether the first axis is the batch; priors, for example, are the same for all pictures."""
        return all(shape and shape[0] == size for size, shape in self.shapes.items())


class SlotRunner:
    """IO binding in a ring of slots.

    Every size is run in every slot before the constructor returns: memory is allocated, kernels are chosen and graphs
    are recorded by then, and a recorded graph has been seen to give what a plain run gives.

    Args:
        session: ``onnxruntime.InferenceSession``.
        label: How errors name the model.
        input_name: The image input.
        output_names: Outputs to fetch.
        picture: Shape of one picture as the network takes it, without the batch.
        dtype: Element type of the input.
        sizes: Batches to prepare, ascending; others are padded to the next.
        memory: The device's memory.
        device_type: What ONNX Runtime calls the device: ``cuda`` or ``cpu``.
        device_id: Which card.
        slots: Batches that may be in flight.
        graphs: Record CUDA graphs; the session must have been opened for it. ONNX Runtime keeps them per thread, so
            one thread runs all batches then; else each runs in its caller's thread.

    Raises:
        ModelError: A run failed, or a graph gave something else than a plain run.
    """

    def __init__(
        self,
        session: Any,
        *,
        label: object,
        input_name: str,
        output_names: Sequence[str],
        picture: tuple[int, ...],
        dtype: DTypeLike,
        sizes: Sequence[int],
        memory: Memory,
        device_type: str,
        device_id: int = 0,
        slots: int = SLOTS,
        graphs: bool = False,
    ) -> None:
        self.session, self.label, self.memory = session, label, memory
        self.input_name, self.picture, self.dtype = input_name, picture, np.dtype(dtype)
        self.sizes, self.device, self.graphs = tuple(sizes), (device_type, device_id), graphs
        self._output_names = list(output_names)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="masktrail-graphs") if graphs else None
        self.outputs = self._look_at_outputs()
        self._slots = [_Slot(self, number) for number in range(slots)]
        self._free: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        for slot in self._slots:
            self._warm_up(slot)
            self._free.put(slot)

    @property
    def slots(self) -> int:
        """Batches that may be in flight."""
        return len(self._slots)

    @contextlib.contextmanager
    def slot(self) -> Iterator[_Slot]:
        """A slot for the length of a ``with`` block; waits until one is free."""
        slot = self._free.get()
        try:
            yield slot
        finally:
            self._free.put(slot)

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Outputs by name for one batch, copied out of the slot.

        Raises:
            ModelError: ONNX Runtime or the driver failed, for example for want of memory.
        """
        with self.slot() as slot:
            return {name: value.copy() for name, value in slot.run(batch).items()}

    def run_bare(self, batch: NDArray[Any]) -> None:
        """The network on whatever a slot's input holds, without copies to and from the card."""
        with self.slot() as slot:
            slot.compute(self.padded(len(batch)))

    def padded(self, count: int) -> int:
        """The prepared batch that takes ``count`` frames."""
        return next(size for size in self.sizes if size >= count)

    def in_turn(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Call ``work`` in the thread that graphs belong to, or right here where there are none."""
        return work(*arguments) if self._executor is None else self._executor.submit(work, *arguments).result()

    def _plain(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """A run that binds and records nothing."""
        options, feed = _run_options(NO_GRAPH), {self.input_name: batch}
        try:
            values = self.in_turn(self.session.run, self._output_names, feed, options)
        except Exception as error:
            raise run_error(self.label, batch, error) from error
        return dict(zip(self._output_names, values, strict=True))

    def _look_at_outputs(self) -> dict[str, _Output]:
        found = {size: self._plain(np.zeros((size, *self.picture), self.dtype)) for size in self.sizes}
        return {
            name: _Output(
                dtype=found[self.sizes[0]][name].dtype, shapes={size: found[size][name].shape for size in self.sizes}
            )
            for name in self._output_names
        }

    def _warm_up(self, slot: _Slot) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (self.sizes[-1], *self.picture)).astype(self.dtype)
        for size in reversed(self.sizes):  # the largest first: it fills all of the input, which padding then reads
            slot.run(np.zeros((size, *self.picture), self.dtype))
            if self.graphs:
                expected, replayed = self._plain(noise[:size]), slot.run(noise[:size])
                for name, value in expected.items():
                    self._compare(size, name, value, replayed[name])

    def _compare(self, size: int, name: str, expected: NDArray[Any], replayed: NDArray[Any]) -> None:
        close = np.isclose(
            replayed.astype(np.float64), expected.astype(np.float64), rtol=1e-2, atol=1e-3, equal_nan=True
        )
        if close.size and close.mean() < AGREEING_SHARE:
            raise ModelError(
                self.label,
                f"the graph of batch {size} gives output {name} as a plain run in {close.mean():.0%} of the values",
                "it is run without graphs",
            )


class _Slot:
    """Buffers and bindings of one batch in flight; addresses never change."""

    def __init__(self, runner: SlotRunner, number: int) -> None:
        import onnxruntime

        self._runner = runner
        self._stream = runner.memory.stream()
        self.buffer = runner.memory.host((runner.sizes[-1], *runner.picture), runner.dtype)
        allocate = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        self._input = allocate(list(self.buffer.shape), runner.dtype.type, *runner.device)
        self._values = {
            name: allocate([output.elements], output.dtype.type, *runner.device)
            for name, output in runner.outputs.items()
        }
        self._hosts = {
            name: runner.memory.host((output.elements,), output.dtype) for name, output in runner.outputs.items()
        }
        self._views = {
            size: {
                name: self._hosts[name][: math.prod(output.shapes[size])].reshape(output.shapes[size])
                for name, output in runner.outputs.items()
            }
            for size in runner.sizes
        }
        self._bindings = {}
        for index, size in enumerate(runner.sizes):
            # A graph replays on the addresses it was recorded with: its number is the slot's and the size's alone.
            graph = 1 + number * len(runner.sizes) + index if runner.graphs else NO_GRAPH
            self._bindings[size] = (self._bind(size), _run_options(graph))

    def run(self, batch: NDArray[Any], gate: Gate | None = None) -> dict[str, NDArray[Any]]:
        """Upload, compute, download; outputs are the slot's own arrays, cut to the batch."""
        count = len(batch)
        try:
            if batch.shape[1:] != self.buffer.shape[1:] or not 0 < count <= len(self.buffer):
                message = f"expected at most {len(self.buffer)} x {self.buffer.shape[1:]}"
                raise ValueError(message)  # noqa: TRY301 - one place words what went wrong with a run
            if not np.may_share_memory(batch, self.buffer):
                self.buffer[:count] = batch
            self._stream.upload(self._input.data_ptr(), self.buffer[:count])
            self._stream.wait()
            size = self._runner.padded(count)
            self.compute(size)
            return self._download(size, count, gate)
        except ModelError:
            raise
        except Exception as error:
            raise run_error(self._runner.label, batch, error) from error

    def compute(self, size: int) -> None:
        """The network on what the input holds; returns when it is done."""
        binding, options = self._bindings[size]
        self._runner.in_turn(self._runner.session.run_with_iobinding, binding, options)

    def _bind(self, size: int) -> Any:
        runner, binding = self._runner, self._runner.session.io_binding()
        shape = [size, *runner.picture]
        binding.bind_input(runner.input_name, *runner.device, runner.dtype.type, shape, self._input.data_ptr())
        for name, output in runner.outputs.items():
            shape = list(output.shapes[size])
            binding.bind_output(name, *runner.device, output.dtype.type, shape, self._values[name].data_ptr())
        return binding

    def _download(self, size: int, count: int, gate: Gate | None) -> dict[str, NDArray[Any]]:
        """Small outputs and scores first; of the large ones then what lies above the last score that counts."""
        views, outputs = self._views[size], self._runner.outputs
        found = {name: view[:count] if outputs[name].batched else view for name, view in views.items()}
        gated = () if gate is None else gate.outputs
        for name, target in found.items():
            if name not in gated:
                self._stream.download(target, self._values[name].data_ptr())
        self._stream.wait()
        if gate is not None:
            used = used_rows(found[gate.scores], gate.threshold)
            for name in gated:
                address, picture_bytes = self._values[name].data_ptr(), found[name][0].nbytes
                for row, rows in enumerate(used):
                    if rows:
                        self._stream.download(found[name][row, :rows], address + row * picture_bytes)
            self._stream.wait()
        return found


def used_rows(scores: NDArray[Any], threshold: float) -> list[int]:
    """How many leading rows reach down to the last score that counts, for each picture.

    >>> used_rows(np.array([[0.9, 0.1, 0.5, 0.0], [0.1, 0.0, 0.0, 0.0]]), 0.3)
    [3, 0]
    """
    counts = scores >= threshold  # (B, K)
    last = counts.shape[1] - counts[:, ::-1].argmax(axis=1)
    return [int(rows) for rows in np.where(counts.any(axis=1), last, 0)]


def _run_options(graph: int) -> Any:
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph))
    return options
