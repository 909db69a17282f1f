"""Named tensors of an ONNX file: declared inputs and outputs, and samples for trial runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["FileInfo", "Inputs", "TensorInfo", "declared", "tensor_info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One input or output as the file declares it.

    Attributes:
        name: The tensor's name in the graph.
        dtype: NumPy's name of the element type, for example ``float32``.
        shape: Sizes; ``None`` where the file leaves a dimension open.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} ({sizes}) {self.dtype}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """Declarations of an ONNX file.

    Attributes:
        inputs: Declared inputs, in the file's order.
        outputs: Declared outputs, in the file's order.
        metadata: The file's ``metadata_props``.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """A sample of every named input, from which batches of any size are made for trial runs.

    Attributes:
        sample: By input name, ``(1, ...)`` in the element type that the network takes.
        fixed_batch: The batch where the file takes no other, else ``None``.
    """

    sample: Mapping[str, NDArray[Any]]
    fixed_batch: int | None = None

    def batch(self, count: int) -> dict[str, NDArray[Any]]:
        """The sample ``count`` times over: ``(count, ...)`` by input name."""
        return {name: np.repeat(value, count, axis=0) for name, value in self.sample.items()}


def declared(session: Any, *, label: object) -> FileInfo:
    """What the file of an ``onnxruntime.InferenceSession`` declares.

    Raises:
        ModelError: Names or notes in it, ``label``'s, are no UTF-8.
    """
    try:
        return FileInfo(
            inputs=tuple(tensor_info(tensor.name, tensor.type, tensor.shape) for tensor in session.get_inputs()),
            outputs=tuple(tensor_info(tensor.name, tensor.type, tensor.shape) for tensor in session.get_outputs()),
            metadata=dict(session.get_modelmeta().custom_metadata_map),
        )
    except UnicodeDecodeError as error:
        problem = f"expected names and metadata in UTF-8, found the byte 0x{error.object[error.start]:02x}"
        raise ModelError(label, problem, "export the file again") from None


def tensor_info(name: str, kind: str, shape: Sequence[object]) -> TensorInfo:
    """A tensor as ONNX Runtime names its type (``tensor(float)``) and sizes, texts and ``None`` where they are open."""
    dtype = kind.removeprefix("tensor(").removesuffix(")")
    names = {"float": "float32", "double": "float64"}
    return TensorInfo(
        name=name,
        dtype=names.get(dtype, dtype),
        shape=tuple(size if isinstance(size, int) else None for size in shape),
    )
