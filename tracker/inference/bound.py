"""IO binding on a GPU: fixed device buffers for one batch size, replayed as a CUDA graph where the session records.

Other batch sizes are plain runs. One thread runs everything, since ONNX Runtime keeps graphs per thread; while it waits
for the card, other threads pack the next batch and decode the last. With ``device_type="cpu"`` the same code runs on a
CPU, which is how it is tested.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ModelError
from tracker.inference.runner import run_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tracker.inference.tensors import Inputs

__all__ = ["BoundRunner"]

GRAPH, NO_GRAPH = 1, -1
"""``gpu_graph_id`` of the one recorded graph, and the one that keeps ONNX Runtime from recording a run."""
AGREEING_SHARE = 0.98
"""Share of values that a replayed graph must have in common with a plain run: ties at top-k may fall either way."""


class BoundRunner:
    """Runs of one batch size through buffers that stay on the card.

    The bound batch has run before the constructor returns: memory is allocated, kernels are chosen, a graph is recorded
    and verified against a plain run.

    Args:
        session: ``onnxruntime.InferenceSession``.
        label: How errors name the model.
        output_names: Outputs to fetch.
        inputs: A sample of every input.
        batch: The batch to bind; others are run plainly.
        device_type: What ONNX Runtime calls the device: ``cuda`` or ``cpu``.
        device_id: Which card.
        graphs: Record a CUDA graph of the bound batch; the session must have been opened for it.

    Raises:
        ModelError: A run failed, or the graph gave something else than a plain run.
    """

    def __init__(
        self,
        session: Any,
        *,
        label: object,
        output_names: Sequence[str],
        inputs: Inputs,
        batch: int,
        device_type: str,
        device_id: int = 0,
        graphs: bool = False,
    ) -> None:
        self._session, self._label, self._output_names = session, label, list(output_names)
        self._device, self._graphs = (device_type, device_id), graphs
        self.batch = batch
        self._plain_options, self._bound_options = _run_options(NO_GRAPH), _run_options(GRAPH if graphs else NO_GRAPH)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="masktrail-card")
        self._thread.submit(self._prepare, inputs).result()

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name for one batch.

        Raises:
            ModelError: ONNX Runtime failed, for example for want of memory.
        """
        whole = all(len(value) == self.batch for value in feeds.values())
        return self._thread.submit(self._bound if whole else self._plain, feeds).result()

    def run_bare(self, feeds: Mapping[str, NDArray[Any]]) -> None:  # noqa: ARG002 - the bound inputs stay as they are
        """The network on what the bound inputs hold, without copies to and from the card."""
        self._thread.submit(self._session.run_with_iobinding, self._binding, self._bound_options).result()

    def _prepare(self, inputs: Inputs) -> None:
        import onnxruntime

        allocate = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        feeds = inputs.batch(self.batch)
        self._inputs = {
            name: allocate(list(value.shape), value.dtype.type, *self._device) for name, value in feeds.items()
        }
        self._outputs = {
            name: allocate(list(value.shape), value.dtype.type, *self._device)
            for name, value in self._plain(feeds).items()
        }
        self._binding = self._session.io_binding()
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)
        self._bound(feeds)
        if self._graphs:
            other = _noise(feeds)
            expected, replayed = self._plain(other), self._bound(other)
            for name, value in expected.items():
                self._compare(name, value, replayed[name])

    def _plain(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """A run that binds and records nothing."""
        try:
            values = self._session.run(self._output_names, feeds, self._plain_options)
        except Exception as error:
            raise run_error(self._label, feeds, error) from error
        return dict(zip(self._output_names, values, strict=True))

    def _bound(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """A run in the fixed buffers; the outputs are copies."""
        try:
            for name, value in self._inputs.items():
                value.update_inplace(np.ascontiguousarray(feeds[name]))
            self._session.run_with_iobinding(self._binding, self._bound_options)
            return {name: np.array(value.numpy()) for name, value in self._outputs.items()}
        except Exception as error:
            raise run_error(self._label, feeds, error) from error

    def _compare(self, name: str, expected: NDArray[Any], replayed: NDArray[Any]) -> None:
        close = np.isclose(
            replayed.astype(np.float64), expected.astype(np.float64), rtol=1e-2, atol=1e-3, equal_nan=True
        )
        if close.size and close.mean() < AGREEING_SHARE:
            raise ModelError(
                self._label,
                f"the graph of batch {self.batch} gives output {name} as a plain run in {close.mean():.0%} of the "
                "values",
                "it is run without graphs",
            )


def _noise(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The largest input replaced by noise: a recorded run that replays old data shows on it."""
    largest = max(feeds, key=lambda name: feeds[name].size)
    noise = np.random.default_rng(0).integers(0, 256, feeds[largest].shape).astype(feeds[largest].dtype)
    return {**feeds, largest: noise}


def _run_options(graph: int) -> Any:
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph))
    return options
