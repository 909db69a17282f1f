"""Opset, operator counts and files of weights of an .onnx file, read from the wire without the ``onnx`` package.

Only the few fields that matter are followed (onnx.proto3: ModelProto 7 graph, 8 opset_import, 25 functions; GraphProto
1 node, 5 initializer; NodeProto 4 op_type, 5 attribute; AttributeProto 5 t, 6 g, 11 graphs; TensorProto 1 dims, 8 name,
13 external_data, 14 data_location), weights are skipped by their length. What a file says of itself is not believed:
graphs in graphs are followed to a depth, and a tensor that claims more elements than it has bytes for is an error.
"""

from __future__ import annotations

import mmap
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["GraphSummary", "read_graph", "weights_of"]

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

DEEPEST = 32
"""Graphs within graphs (If in Loop in If ...); protobuf itself gives up at a hundred messages in one another."""

ELEMENTS_PER_BYTE = 2
"""At most, in ONNX: of four bits each."""

MOST_ELEMENTS = 1 << 63
"""Where counting ends; a product of a million sizes would take minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSummary:
    """Operators of a graph.

    Attributes:
        opset: Version of the standard operator set; 0 where the file names none.
        domains: Other operator sets and their versions.
        operators: How often each operator occurs, subgraphs and functions included.
        weight_files: Files that hold weights, as the file names them: relative to its folder.
    """

    opset: int
    domains: Mapping[str, int]
    operators: Mapping[str, int]
    weight_files: tuple[str, ...] = ()


@dataclass(slots=True)
class _Seen:
    """What was met on the way through a file."""

    operators: Counter[str] = field(default_factory=Counter)
    weight_files: set[str] = field(default_factory=set)


class _UnusableError(ValueError):
    """The bytes parse, and say what no model may say."""


def read_graph(path: Path) -> GraphSummary:
    """Opset and operators of an ONNX file.

    Raises:
        ModelError: The bytes are not an ONNX model.
    """
    try:
        with path.open("rb") as file:  # mapped: weights are skipped, and never read
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:  # ValueError: an empty file
        raise ModelError(path, f"expected an ONNX model, found none ({error})", "give an .onnx file, whole") from error
    opsets: dict[str, int] = {}
    seen = _Seen()
    try:
        for number, value in _fields(data):
            if number == 8 and isinstance(value, memoryview):
                opset = dict(_fields(value))
                domain, version = opset.get(1, b""), opset.get(2, 0)
                opsets[_text(domain)] = version if isinstance(version, int) else 0
            elif number == 7 and isinstance(value, memoryview):
                _count_graph(value, seen, depth=1)
            elif number == 25 and isinstance(value, memoryview):
                _count_nodes(value, 7, seen, depth=1)
    except _UnusableError as error:
        raise ModelError(path, str(error), "export it again; do not use a file of unknown origin") from error
    except (IndexError, ValueError) as error:
        raise ModelError(
            path, f"expected an ONNX model, found bytes that do not parse ({error})", "give an .onnx file, whole"
        ) from error
    standard = opsets.pop("", opsets.pop("ai.onnx", 0))
    return GraphSummary(
        opset=standard,
        domains=opsets,
        operators=dict(sorted(seen.operators.items())),
        weight_files=tuple(sorted(seen.weight_files)),
    )


def weights_of(path: Path, graph: GraphSummary) -> list[Path]:
    """Files of weights in the folder of a network or below it; ONNX Runtime refuses others."""
    names = (Path(name) for name in graph.weight_files if name.isprintable())
    return [path.parent / name for name in names if not name.is_absolute() and ".." not in name.parts]


def _text(value: object) -> str:
    return bytes(value).decode("utf-8", "replace") if isinstance(value, memoryview | bytes) else ""


def _count_graph(graph: memoryview, seen: _Seen, *, depth: int) -> None:
    if depth > DEEPEST:
        message = f"expected graphs at most {DEEPEST} deep in one another, found more"
        raise _UnusableError(message)
    for number, tensor in _fields(graph):
        if number == 5 and isinstance(tensor, memoryview):
            _check_tensor(tensor, seen)
    _count_nodes(graph, 1, seen, depth=depth)


def _count_nodes(message: memoryview, node_field: int, seen: _Seen, *, depth: int) -> None:
    """Count ``op_type`` of every node in ``message`` and of the nodes in the graphs that nodes carry."""
    for number, node in _fields(message):
        if number != node_field or not isinstance(node, memoryview):
            continue
        for node_part, value in _fields(node):
            if node_part == 4:
                seen.operators[_text(value)] += 1
            elif node_part == 5 and isinstance(value, memoryview):
                for attribute_part, inner in _fields(value):
                    if attribute_part in {6, 11} and isinstance(inner, memoryview):
                        _count_graph(inner, seen, depth=depth + 1)
                    elif attribute_part == 5 and isinstance(inner, memoryview):
                        _check_tensor(inner, seen)


def _check_tensor(tensor: memoryview, seen: _Seen) -> None:
    """A tensor in the file must have bytes for the elements that it claims."""
    elements, name, external, entries = 1, "", False, {}
    for number, value in _fields(tensor):
        if number == 1:
            sizes = [value] if isinstance(value, int) else _varints(value)
            for size in sizes:
                elements = min(elements * size, MOST_ELEMENTS)
        elif number == 8:
            name = _text(value)
        elif number == 13 and isinstance(value, memoryview):
            entry = dict(_fields(value))
            entries[_text(entry.get(1))] = _text(entry.get(2))
        elif number == 14:
            external = value == 1
    if external:
        seen.weight_files.add(entries.get("location", ""))
    elif elements > ELEMENTS_PER_BYTE * len(tensor):
        message = f"expected weights {name!r} of {elements:,} elements, found {len(tensor):,} bytes for them"
        raise _UnusableError(message)


def _varints(packed: memoryview) -> list[int]:
    numbers, position = [], 0
    while position < len(packed):
        number, position = _varint(packed, position)
        numbers.append(number)
    return numbers


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """``(field number, value)`` of one message; fixed-width numbers are passed over."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, position = _varint(data, position)
            yield number, value
        elif wire == LENGTH:
            size, position = _varint(data, position)
            if position + size > len(data):
                message = f"field {number} reaches past the end"
                raise ValueError(message)
            yield number, data[position : position + size]
            position += size
        elif wire in {FIXED64, FIXED32}:
            position += 8 if wire == FIXED64 else 4
        else:
            message = f"wire type {wire} at byte {position}"
            raise ValueError(message)


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            message = f"endless number at byte {position}"
            raise ValueError(message)
