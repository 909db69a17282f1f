"""Opset and operator counts of an .onnx file, read from the protobuf wire without the ``onnx`` package.

Only the few fields that matter are followed (onnx.proto3: ModelProto 7 graph, 8 opset_import, 25 functions; GraphProto
1 node; NodeProto 4 op_type, 5 attribute; AttributeProto 6 g, 11 graphs), weights are skipped by their length.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["GraphSummary", "read_graph"]

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSummary:
    """Operators of a graph.

    Attributes:
        opset: Version of the standard operator set; 0 where the file names none.
        domains: Other operator sets and their versions.
        operators: How often each operator occurs, subgraphs and functions included.
    """

    opset: int
    domains: Mapping[str, int]
    operators: Mapping[str, int]


def read_graph(path: Path) -> GraphSummary:
    """Opset and operators of an ONNX file.

    Raises:
        ModelError: The bytes are not an ONNX model.
    """
    data = memoryview(path.read_bytes())
    opsets: dict[str, int] = {}
    operators: Counter[str] = Counter()
    try:
        for field, value in _fields(data):
            if field == 8 and isinstance(value, memoryview):
                opset = dict(_fields(value))
                domain, version = opset.get(1, b""), opset.get(2, 0)
                opsets[_text(domain)] = version if isinstance(version, int) else 0
            elif field == 7 and isinstance(value, memoryview):
                _count_graph(value, operators)
            elif field == 25 and isinstance(value, memoryview):
                _count_nodes(value, 7, operators)
    except (IndexError, ValueError) as error:
        raise ModelError(
            path, f"expected an ONNX model, found bytes that do not parse ({error})", "give an .onnx file, whole"
        ) from error
    standard = opsets.pop("", opsets.pop("ai.onnx", 0))
    return GraphSummary(opset=standard, domains=opsets, operators=dict(sorted(operators.items())))


def _text(value: object) -> str:
    return bytes(value).decode("utf-8", "replace") if isinstance(value, memoryview | bytes) else ""


def _count_graph(graph: memoryview, operators: Counter[str]) -> None:
    _count_nodes(graph, 1, operators)


def _count_nodes(message: memoryview, node_field: int, operators: Counter[str]) -> None:
    """Count ``op_type`` of every node in ``message`` and of the nodes in the graphs that nodes carry."""
    for field, node in _fields(message):
        if field != node_field or not isinstance(node, memoryview):
            continue
        for node_part, value in _fields(node):
            if node_part == 4:
                operators[_text(value)] += 1
            elif node_part == 5 and isinstance(value, memoryview):
                for attribute_part, graph in _fields(value):
                    if attribute_part in {6, 11} and isinstance(graph, memoryview):
                        _count_graph(graph, operators)


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """``(field number, value)`` of one message; fixed-width numbers are passed over."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        field, wire = key >> 3, key & 7
        if wire == VARINT:
            value, position = _varint(data, position)
            yield field, value
        elif wire == LENGTH:
            size, position = _varint(data, position)
            if position + size > len(data):
                message = f"field {field} reaches past the end"
                raise ValueError(message)
            yield field, data[position : position + size]
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
