"""Runs of an ONNX Runtime session: named host arrays to named host arrays, on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tracker.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["PlainRunner", "Runner", "run_error"]


class Runner(Protocol):
    """Runs a network; may be called from several threads at once."""

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name, for the caller to keep, of one batch of every input by name."""
        ...

    def run_bare(self, feeds: Mapping[str, NDArray[Any]]) -> None:
        """The network alone, which a benchmark compares with. On a GPU without copies to and from the card."""
        ...


class PlainRunner:
    """``session.run``: host arrays in, fresh host arrays out. On the CPU there is nothing to copy and nothing to bind.

    Args:
        session: ``onnxruntime.InferenceSession``.
        label: How errors name the model.
        output_names: Outputs to fetch.
    """

    def __init__(self, session: Any, *, label: object, output_names: Sequence[str]) -> None:
        self._session = session
        self._label = label
        self._output_names = list(output_names)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name for one batch.

        Raises:
            ModelError: ONNX Runtime failed, for example for want of memory.
        """
        try:
            values = self._session.run(self._output_names, feeds)
        except Exception as error:
            raise run_error(self._label, feeds, error) from error
        return dict(zip(self._output_names, values, strict=True))

    def run_bare(self, feeds: Mapping[str, NDArray[Any]]) -> None:
        """``session.run`` with the outputs dropped."""
        self._session.run(self._output_names, feeds)


def run_error(label: object, feeds: Mapping[str, NDArray[Any]], error: Exception) -> ModelError:
    """An error of ONNX Runtime about a run, in one line."""
    complaint = str(error).splitlines()[0].rsplit(" : ", 1)[-1]
    batch = ", ".join(f"{value.shape} of {value.dtype}" for value in feeds.values())
    return ModelError(
        label,
        f"the network failed on a batch {batch}: {complaint}",
        "see `masktrail models check`; for want of memory use a smaller batch or variant",
    )
