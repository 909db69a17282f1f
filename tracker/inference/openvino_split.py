"""Division of an OpenVINO model into what may be computed in bf16 and what may not.

bf16 has 8 bits of mantissa: pixel 1001 becomes 1000. Asked for bf16, OpenVINO rounds everything between two products,
and so the numbers of pixels and rows that are read after a first product and used before a second one, as the head of
embeddings of yolact-nano does: its embeddings had a median cosine of 0.71 with those of float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["needs_split", "split"]

PRODUCTS = frozenset(
    {
        "Convolution",
        "ConvolutionBackpropData",
        "DeformableConvolution",
        "GroupConvolution",
        "GroupConvolutionBackpropData",
        "MatMul",
    }
)
EXACT = frozenset(
    {
        "Ceiling",
        "Cos",
        "Equal",
        "Floor",
        "FloorMod",
        "Greater",
        "GreaterEqual",
        "Less",
        "LessEqual",
        "Mod",
        "NonMaxSuppression",
        "NonZero",
        "NotEqual",
        "Round",
        "Sin",
        "TopK",
    }
)
"""Operators that make of a small difference of their inputs a large one."""
SOURCES = frozenset({"Constant", "Parameter", "ShapeOf"})


def needs_split(model: Any) -> bool:
    """Whether a model computes anything that may not be in bf16."""
    return next(_exact(model), None) is not None


def split(openvino: Any, model: Any) -> tuple[Any, Any, int] | None:
    """Cut a model in two; it must not be used afterwards.

    The second part holds what is computed from products for exact operators and conversions to integers, these, and all
    that follows.

    Args:
        openvino: The package.
        model: ``openvino.Model``.

    Returns:
        The first part, whose last outputs are the second's inputs in order; the second part; the number of the first
        part's own outputs. ``None`` where there is nothing for a second part.
    """
    second = _after(_before(_exact(model)))
    if not second:
        return None
    parameters: dict[tuple[str, int], Any] = {}
    passed: list[Any] = []
    for node in second.values():
        for used in node.inputs():
            source = used.get_source_output()
            maker = source.get_node()
            if maker.get_type_name() == "Constant" or _name(maker) in second:
                continue
            key = _name(maker), source.get_index()
            if key not in parameters:
                parameters[key] = openvino.opset13.parameter(source.get_partial_shape(), source.get_element_type())
                passed.append(source)
            used.replace_source_output(parameters[key].output(0))
    results = model.get_results()
    own = [result for result in results if _name(result) not in second]
    handed_over = [openvino.opset13.result(source) for source in passed]
    first_part = openvino.Model([*own, *handed_over], model.get_parameters(), "in bf16")
    second_part = openvino.Model([one for one in results if _name(one) in second], [*parameters.values()], "in f32")
    return first_part, second_part, len(own)


def _exact(model: Any) -> Iterator[Any]:
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        to_whole_numbers = kind == "Convert" and not node.output(0).get_element_type().is_real()
        if (to_whole_numbers or kind in EXACT) and any(one.get_element_type().is_real() for one in node.inputs()):
            yield node


def _before(nodes: Iterator[Any]) -> dict[str, Any]:
    """By name, the nodes and what their inputs of real numbers are computed by, back to the nearest products."""
    found: dict[str, Any] = {}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if _name(node) in found or node.get_type_name() in PRODUCTS | SOURCES:
            continue
        found[_name(node)] = node
        real = (one for one in node.inputs() if one.get_element_type().is_real())
        waiting += [one.get_source_output().get_node() for one in real]
    return found


def _after(nodes: dict[str, Any]) -> dict[str, Any]:
    """By name, the nodes and all that is computed from them."""
    found = dict(nodes)
    waiting = list(nodes.values())
    while waiting:
        for output in waiting.pop().outputs():
            for target in output.get_target_inputs():
                node = target.get_node()
                if _name(node) not in found:
                    found[_name(node)] = node
                    waiting.append(node)
    return found


def _name(node: Any) -> str:
    return str(node.get_friendly_name())
