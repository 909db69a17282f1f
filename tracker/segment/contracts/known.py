"""Recognition of a model's output contract, among those of :data:`tracker.plugins.CONTRACTS`.

Metadata and manifest speak first, then shapes; the order of the outputs never matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker import plugins
from tracker.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracker.segment.contracts.contract import Contract, InputMaker
    from tracker.segment.contracts.decoder import Decoder, ModelInfo

__all__ = ["candidates", "extra_inputs", "recognise"]


def candidates(info: ModelInfo) -> list[tuple[Contract, Mapping[str, InputMaker]]]:
    """Contracts that a model may follow as far as its metadata, manifest and inputs tell, with how its inputs are made.

    Raises:
        ModelError: The contract that the file names is unknown, or no contract has such inputs.
    """
    known = plugins.CONTRACTS.names
    asked = info.metadata.get("masktrail.contract") or (info.manifest.contract if info.manifest else None)
    if asked is not None and asked not in known:
        raise ModelError(
            info.label,
            f"contract {asked!r}; this version knows {', '.join(known)}",
            "export the file again with this version, or update masktrail",
        )
    extras = info.inputs[1:]
    contracts: list[Contract] = [plugins.CONTRACTS.load(name) for name in ([asked] if asked else known)]
    made = [(one, makers) for one in contracts if (makers := one.extra_inputs(extras)) is not None]
    if not made:
        raise ModelError(
            info.label,
            f"inputs beside the image that no contract knows how to make: {'; '.join(map(str, extras))}",
            "export the model with an image input, at most with sizes of the picture (B, 2) beside it",
        )
    return made


def extra_inputs(info: ModelInfo) -> Mapping[str, InputMaker]:
    """Makers of the inputs besides the image for a trial run, before the contract is known from the outputs."""
    return candidates(info)[0][1]


def recognise(info: ModelInfo) -> tuple[Decoder, Mapping[str, InputMaker]]:
    """The decoder for a model's outputs and how its inputs beside the image are made.

    Raises:
        ModelError: No known contract fits, or several do; the message lists the outputs found and the contracts.
    """
    possible = candidates(info)
    fitting = [(one, names, makers) for one, makers in possible if (names := one.match(info)) is not None]
    if len(fitting) > 1:
        forms = " or ".join(f"{contract.name} = {contract.form}" for contract, _, _ in fitting)
        raise ModelError(
            info.label,
            f"outputs that fit {len(fitting)} contracts, {forms}: {'; '.join(map(str, info.outputs))}",
            f"write contract = {' or '.join(repr(contract.name) for contract, _, _ in fitting)} in manifest.toml",
        )
    for contract, names, makers in fitting:
        return contract.decoder(info, names), makers
    found = "; ".join(str(output) for output in info.outputs) or "no outputs"
    forms = "; ".join(f"{contract.name} = {contract.form}" for contract, _ in possible)
    raise ModelError(
        info.label,
        f"outputs of no known instance segmentation contract: {found}. Known: {forms}",
        "export an instance segmentation model, whole; docs/guide/models.md lists families and their exports",
    )
