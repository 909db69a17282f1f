"""A batch array enters, the network's output arrays leave; the one place that calls ONNX Runtime per frame."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

from tracker.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["BoundRunner", "PlainRunner", "Runner"]


class Runner(Protocol):
    """Runs the network on one batch."""

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Outputs by name."""
        ...


class PlainRunner:
    """``session.run``: host arrays in, fresh host arrays out. The CPU's runner: nothing to copy, nothing to bind.

    Args:
        session: ``onnxruntime.InferenceSession``.
        label: How errors name the model.
        input_name: The image input.
        output_names: Outputs to fetch.
    """

    def __init__(self, session: Any, *, label: object, input_name: str, output_names: Sequence[str]) -> None:
        self._session = session
        self._label = label
        self._input_name = input_name
        self._output_names = list(output_names)

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Outputs by name for one batch.

        Raises:
            ModelError: ONNX Runtime failed, for example for want of memory.
        """
        try:
            values = self._session.run(self._output_names, {self._input_name: batch})
        except Exception as error:
            raise _run_error(self._label, batch, error) from error
        return dict(zip(self._output_names, values, strict=True))


class BoundRunner:
    """IO binding with device buffers that stay in place: one upload, one run, one download per output.

    Input buffers are allocated once per batch shape and refilled, so that addresses stay fixed as CUDA graphs need.
    Works with ``device_type="cpu"`` too, which is how it is tested without a GPU.

    Args:
        session: ``onnxruntime.InferenceSession``.
        label: How errors name the model.
        input_name: The image input.
        output_names: Outputs to fetch.
        device_type: ``cuda`` or ``cpu``.
        device_id: Which card.
    """

    def __init__(
        self,
        session: Any,
        *,
        label: object,
        input_name: str,
        output_names: Sequence[str],
        device_type: str,
        device_id: int = 0,
    ) -> None:
        self._session = session
        self._label = label
        self._input_name = input_name
        self._output_names = list(output_names)
        self._device = (device_type, device_id)
        self._bindings: dict[tuple[int, ...], tuple[Any, Any]] = {}
        self._lock = threading.Lock()  # the device buffers serve one run at a time

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Outputs by name for one batch.

        Raises:
            ModelError: ONNX Runtime failed, for example for want of memory.
        """
        try:
            with self._lock:
                binding, value = self._binding(batch)
                value.update_inplace(batch)
                self._session.run_with_iobinding(binding)
                outputs = [output.numpy() for output in binding.get_outputs()]
        except Exception as error:
            raise _run_error(self._label, batch, error) from error
        return dict(zip(self._output_names, outputs, strict=True))

    def _binding(self, batch: NDArray[Any]) -> tuple[Any, Any]:
        """The binding for a batch's shape and its input on the device."""
        bound = self._bindings.get(batch.shape)
        if bound is None:
            import onnxruntime

            value = onnxruntime.OrtValue.ortvalue_from_numpy(batch, *self._device)
            binding = self._session.io_binding()
            binding.bind_ortvalue_input(self._input_name, value)
            for name in self._output_names:
                binding.bind_output(name, *self._device)
            bound = self._bindings[batch.shape] = (binding, value)
        return bound


def _run_error(label: object, batch: NDArray[Any], error: Exception) -> ModelError:
    complaint = str(error).splitlines()[0].rsplit(" : ", 1)[-1]
    return ModelError(
        label,
        f"the network failed on a batch {batch.shape} of {batch.dtype}: {complaint}",
        "see `masktrail models check`; for want of memory use a smaller batch or variant",
    )
