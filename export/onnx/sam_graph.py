"""Graphs of promptable networks: fixed sizes, constants folded, weights beside the file where it would be too large."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnx import helper

from export.onnx.families import OPSET
from export.onnx.to_onnx import check_operators, drop_unused, fold_constants, trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

LARGEST_FILE = 1_800_000_000  # bytes; Protocol Buffers end at 2 GB


def write_promptable(
    module: nn.Module,
    examples: tuple[Tensor, ...],
    path: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    metadata: Mapping[str, str],
) -> None:
    """Export, fold constants, check and write one file; of over 1.8 GB the weights go to `NAME.onnx.data`.

    Raises:
        ValueError: The graph holds an operator whose sizes depend on values, or other inputs.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as made:  # large weights are many files
        traced = Path(made) / path.name
        trace(module, examples, traced, inputs=inputs, outputs=outputs, opset=OPSET)
        large = sum(file.stat().st_size for file in Path(made).iterdir()) > LARGEST_FILE
        model = fold_constants(traced, large=large)
    drop_unused(model.graph)
    found = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in model.graph.input
    }
    wanted = {name: tuple(example.shape) for name, example in zip(inputs, examples, strict=True)}
    if found != wanted:
        message = f"inputs are {found}, expected {wanted}"
        raise ValueError(message)
    check_operators(model)
    helper.set_model_props(model, dict(metadata))
    beside = path.with_name(f"{path.name}.data")
    onnx.save(model, str(path), save_as_external_data=large, location=beside.name if large else None)
    if large:
        beside.chmod(path.stat().st_mode)  # made for its owner alone
    onnx.checker.check_model(str(path), full_check=True)


def file_facts(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Bytes and SHA-256 of files and of weights beside them, by name."""
    facts = {}
    for path in (folder / f"{name}{end}" for name in names for end in ("", ".data")):
        if path.is_file():
            with path.open("rb") as data:
                digest = hashlib.file_digest(data, "sha256").hexdigest()
            facts[path.name.replace(".", "_")] = {"bytes": path.stat().st_size, "sha256": digest}
    return facts
