"""A batch array enters, the network's output arrays leave; what every way of running ONNX Runtime has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from tracker.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

__all__ = ["Gate", "PlainRunner", "Runner", "Slot", "run_error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Which rows of large outputs anybody will read.

    Attributes:
        scores: Name of the output ``(B, K)`` that decides.
        threshold: Rows below are not read.
        outputs: Names of the outputs ``(B, K, ...)`` of which only the other rows are.
    """

    scores: str
    threshold: float
    outputs: tuple[str, ...]


class Slot(Protocol):
    """Where one batch is worked on; for one thread at a time."""

    @property
    def buffer(self) -> NDArray[Any] | None:
        """Where batches are best written, ``(most frames, ...)``; ``None`` = any array is as good."""
        ...

    def run(self, batch: NDArray[Any], gate: Gate | None = None) -> Mapping[str, NDArray[Any]]:
        """Outputs by name, valid until the slot is given back; with a gate some of their rows hold anything."""
        ...


class Runner(Protocol):
    """Runs the network."""

    def slot(self) -> AbstractContextManager[Slot]:
        """A slot of the caller's own for the length of a ``with`` block; waits until one is free."""
        ...

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Outputs by name, complete, for the caller to keep."""
        ...

    def run_bare(self, batch: NDArray[Any]) -> None:
        """The network alone: what a benchmark compares with. On a GPU without the copies to and from the card."""
        ...


class PlainRunner:
    """``session.run``: host arrays in, fresh host arrays out. The CPU's runner: nothing to copy, nothing to bind.

    Args:
        session: ``onnxruntime.InferenceSession``.
        label: How errors name the model.
        input_name: The image input.
        output_names: Outputs to fetch.
    """

    buffer = None

    def __init__(self, session: Any, *, label: object, input_name: str, output_names: Sequence[str]) -> None:
        self._session = session
        self._label = label
        self._input_name = input_name
        self._output_names = list(output_names)

    def slot(self) -> Self:
        """Itself: there is nothing that two threads could fight over."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        pass

    def run(self, batch: NDArray[Any], gate: Gate | None = None) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """Outputs by name for one batch.

        Raises:
            ModelError: ONNX Runtime failed, for example for want of memory.
        """
        try:
            values = self._session.run(self._output_names, {self._input_name: batch})
        except Exception as error:
            raise run_error(self._label, batch, error) from error
        return dict(zip(self._output_names, values, strict=True))

    def run_bare(self, batch: NDArray[Any]) -> None:
        """``session.run``, the outputs thrown away."""
        self._session.run(self._output_names, {self._input_name: batch})


def run_error(label: object, batch: NDArray[Any], error: Exception) -> ModelError:
    """One line for what ONNX Runtime says about a run."""
    complaint = str(error).splitlines()[0].rsplit(" : ", 1)[-1]
    return ModelError(
        label,
        f"the network failed on a batch {batch.shape} of {batch.dtype}: {complaint}",
        "see `masktrail models check`; for want of memory use a smaller batch or variant",
    )
