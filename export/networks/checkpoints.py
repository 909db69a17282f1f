"""Checkpoints of other people's training code: read without running what is in them, loaded to the last key."""

from __future__ import annotations

import contextlib
import pickle
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from tracker.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

SHOWN = 4  # keys that an error names
WRAPPERS = ("state_dict", "model", "model_state_dict")  # mmdetection; detectron2 and timm; many training scripts
NUMPY_PARTS = frozenset({"_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer"})


class ArrayUnpickler(pickle.Unpickler):
    """Reads detectron2's `.pkl` files: dictionaries of NumPy arrays, and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        """Allow what an array is made of."""
        if module.split(".", maxsplit=1)[0] == "numpy" and name in NUMPY_PARTS:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        message = f"{module}.{name}"
        raise pickle.UnpicklingError(message)


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a `.pth`, `.pt`, `.bin`, `.safetensors` or `.pkl` file, out of its wrapping.

    Raises:
        ModelError: No such file, or no state dict.
    """
    state: Any
    try:
        if path.suffix == ".pkl":
            with path.open("rb") as file:
                state = ArrayUnpickler(file, encoding="latin1").load()
        elif path.suffix == ".safetensors":
            state = read_safetensors(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})"
        raise ModelError(path, problem, "check the path, or try --weights random:0") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, AttributeError) as error:
        problem = f"expected a checkpoint, found something else ({(str(error).splitlines() or ['?'])[0]})"
        raise ModelError(path, problem, "give the file as its publisher wrote it") from error
    for name in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    if isinstance(state, dict):
        state = {
            key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in state.items()
        }
        state = {key: value for key, value in state.items() if not key.startswith("__")}  # detectron2: __author__
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        found = ", ".join(map(str, list(state)[:SHOWN])) if isinstance(state, dict) else type(state).__name__
        raise ModelError(
            path, f"expected a state dict (name -> tensor), found {found}", "save `net.state_dict()` alone"
        )
    if all(key.startswith("module.") for key in state):  # training on several GPUs
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Hugging Face's format."""
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise ModelError(path, "expected the package safetensors, found none", "pip install safetensors") from error
    return dict(load_file(path))


def renamed(state: dict[str, Tensor], rules: Iterable[tuple[str, str]]) -> dict[str, Tensor]:
    """Keys after the first rule that fits each: a regular expression of the whole key, and what it becomes."""
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    result = {}
    for key, value in state.items():
        for pattern, replacement in compiled:
            if pattern.fullmatch(key):
                result[pattern.sub(replacement, key)] = value
                break
        else:
            result[key] = value
    return result


def detectron_body(body: str) -> list[tuple[str, str]]:
    """Rules from detectron2's names of a ResNet to torchvision's under a prefix (a replacement: dots as they are)."""
    stem = r"backbone\.bottom_up\.stem\.conv1"
    rules = [(rf"{stem}\.norm\.(.+)", rf"{body}.bn1.\1"), (rf"{stem}\.weight", f"{body}.conv1.weight")]
    for stage in range(4):
        before, after = rf"backbone\.bottom_up\.res{stage + 2}\.(\d+)", rf"{body}.layer{stage + 1}.\1"
        rules += [
            (rf"{before}\.conv(\d)\.norm\.(.+)", rf"{after}.bn\2.\3"),
            (rf"{before}\.conv(\d)\.weight", rf"{after}.conv\2.weight"),
            (rf"{before}\.shortcut\.norm\.(.+)", rf"{after}.downsample.1.\2"),
            (rf"{before}\.shortcut\.weight", rf"{after}.downsample.0.weight"),
        ]
    return rules


def load_strict(
    build: Callable[[], nn.Module],
    state: dict[str, Tensor],
    *,
    label: object,
    ignored: str = r"(?!)",
    remedy: str,
    on_meta: bool = True,
) -> nn.Module:
    """A network with every key of a state dict, ready for export.

    Args:
        build: makes the network.
        state: under the network's names.
        label: how errors name the file.
        ignored: regular expression of keys that are of training only.
        remedy: for a state dict that does not fit.
        on_meta: build on the meta device, so that nothing is initialised in vain; for networks without buffers that a
            state dict leaves out.

    Raises:
        ModelError: Keys are missing, unknown or of another shape; the first of each are named.
    """
    with torch.device("meta") if on_meta else contextlib.nullcontext():
        network = build()
    wanted = {key: value for key, value in network.state_dict().items() if not re.fullmatch(ignored, key)}
    state = {key: value for key, value in state.items() if not re.fullmatch(ignored, key)}
    for key in wanted.keys() - state.keys():
        if key.endswith("num_batches_tracked"):  # frozen batch norms have none; not used outside training
            state[key] = torch.tensor(0)
    found = [
        ("missing", sorted(wanted.keys() - state.keys())),
        ("unknown", sorted(state.keys() - wanted.keys())),
        (
            "of another shape",
            [
                f"{key} {tuple(state[key].shape)} instead of {tuple(value.shape)}"
                for key, value in wanted.items()
                if key in state and state[key].shape != value.shape
            ],
        ),
    ]
    problem = "; ".join(f"{len(keys)} keys {kind}: {listed(keys)}" for kind, keys in found if keys)
    if problem:
        raise ModelError(label, problem, remedy)
    network.load_state_dict(state, strict=False, assign=True)  # what is ignored is missing
    return network.float().requires_grad_(requires_grad=False).eval()


def listed(keys: list[str]) -> str:
    """The first few."""
    return ", ".join(keys[:SHOWN]) + (", ..." if len(keys) > SHOWN else "")


def randomised(network: nn.Module, seed: int) -> nn.Module:
    """A network with random weights that keep activations within bounds, for trials of export, parity and speed.

    Residuals of ResNet's bottlenecks (`bn3`) grow by a tenth a block.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if not value.is_floating_point():
                continue
            if key.endswith("running_var") or (value.ndim == 1 and key.endswith("weight")):
                value.uniform_(0.5, 1.0, generator=generator)
            elif value.ndim > 1:
                value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=generator)
            else:
                value.normal_(0, 0.05, generator=generator)
            if key.endswith("bn3.weight"):
                value.mul_(0.3)
    return network.requires_grad_(requires_grad=False).eval()
