"""Reader of ncnn models: the layers of a `.param` file with their weights out of the `.bin` file beside it.

The format (Tencent ncnn, `param and model file structure`): a text of one layer a line, `type name inputs outputs
blobs... key=value...`, and the weights of the layers one after the other, each weight with a tag that says how it is
stored, biases without one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tracker.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = "7767517"
FLOAT32_TAGS, FLOAT16_TAG = (0, 0x0002C056), 0x01306B47
ARRAY_KEY = -23300  # keys of lists are this minus the key
WORD_BYTES = 4  # everything in a .bin starts at a multiple of it
START_WITH = "give the .param and the .bin file of one ncnn model in float16 or float32, not the binary .param.bin"

Value = int | float | tuple[float, ...]


class Layer(NamedTuple):
    """One line of a `.param` file."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    values: dict[int, Value]


class Weights:
    """The `.bin` file, read from front to back.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.data = path.read_bytes()
        except OSError as error:
            raise ModelError(path, f"expected a file, found: {error.strerror}", START_WITH) from error
        self.offset = 0

    def tagged(self, count: int, layer: str) -> np.ndarray:
        """The next `count` values (count,), float32, stored as their tag says.

        Raises:
            ModelError: the file ends before, or they are stored in another way (int8, a table).
        """
        tag = int(self.raw(np.dtype("<u4"), 1, layer)[0])
        if tag in FLOAT32_TAGS:
            return self.floats(count, layer)
        if tag != FLOAT16_TAG:
            found = f"expected weights of {layer} in float32 or float16, found storage tag {tag:#010x}"
            raise ModelError(self.path, found, START_WITH)
        values = self.raw(np.dtype("<f2"), count, layer).astype(np.float32)
        self.offset += -self.offset % WORD_BYTES
        return values

    def floats(self, count: int, layer: str) -> np.ndarray:
        """The next `count` values without a tag (count,), float32."""
        return self.raw(np.dtype("<f4"), count, layer).astype(np.float32)

    def raw(self, kind: np.dtype, count: int, layer: str) -> np.ndarray:
        """The next `count` numbers of a kind."""
        end = self.offset + count * kind.itemsize
        if end > len(self.data):
            found = f"expected {end} bytes up to the weights of {layer}, found {len(self.data)}"
            raise ModelError(self.path, found, START_WITH)
        values = np.frombuffer(self.data, kind, count, self.offset)
        self.offset = end
        return values

    def finish(self) -> None:
        """Every byte must have been asked for.

        Raises:
            ModelError: some are left over.
        """
        if self.offset != len(self.data):
            found = f"expected {self.offset} bytes by the layers of the .param file, found {len(self.data)}"
            raise ModelError(self.path, found, START_WITH)


def read_layers(path: Path) -> list[Layer]:
    """The layers of a `.param` file, in the order in which they run.

    Raises:
        ModelError: no such text; or a blob that is made twice, read before it is made, read twice (ncnn has `Split`
            layers for that), or made and never read, but for the last.
    """
    try:
        lines = path.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(path, f"expected a .param text, found: {error}", START_WITH) from error
    if not lines or lines[0].strip() != MAGIC:
        found = repr(lines[0][:20]) if lines else "nothing"
        raise ModelError(path, f"expected {MAGIC} in the first line, found {found}", START_WITH)
    layers = [read_layer(line, f"{path}:{number}") for number, line in enumerate(lines[2:], 3) if line.strip()]
    told = [int(word) if word.isdigit() else -1 for word in lines[1].split()] if len(lines) > 1 else []
    made = Counter(blob for layer in layers for blob in layer.outputs)
    if told != [len(layers), len(made)]:
        counted = f"{len(layers)} layers and {len(made)} blobs"
        raise ModelError(path, f"line 2 says {' '.join(lines[1:2])!r}, and there are {counted}", START_WITH)
    check_wiring(path, layers)
    return layers


def read_layer(line: str, where: str) -> Layer:
    """One line.

    Raises:
        ModelError: it does not read as a layer.
    """
    words = line.split()
    try:
        kind, name = words[:2]
        inputs, outputs = int(words[2]), int(words[3])
        blobs, pairs = words[4 : 4 + inputs + outputs], words[4 + inputs + outputs :]
        values = dict(read_pair(pair) for pair in pairs)
    except (ValueError, IndexError) as error:
        raise ModelError(where, f"expected a layer, found {line.strip()[:80]!r}: {error}", START_WITH) from error
    if len(blobs) != inputs + outputs:
        raise ModelError(where, f"expected {inputs + outputs} blobs of {name}, found {len(blobs)}", START_WITH)
    return Layer(kind, name, tuple(blobs[:inputs]), tuple(blobs[inputs:]), values)


def read_pair(text: str) -> tuple[int, Value]:
    """``4=1``, ``0=2.0`` or ``-23310=2,0.1,0.2`` -> key and value; a list's first number is its length."""
    key, _, value = text.partition("=")
    if int(key) <= ARRAY_KEY:
        count, *numbers = value.split(",")
        if int(count) != len(numbers):
            raise ValueError(f"{text}: {count} numbers wanted")
        return ARRAY_KEY - int(key), tuple(float(number) for number in numbers)
    return int(key), float(value) if any(sign in value for sign in ".e") else int(value)


def check_wiring(path: Path, layers: list[Layer]) -> None:
    """Every blob is made once, before it is read, and read once; the last layer's alone is read by nobody."""
    unread: dict[str, str] = {}
    seen: set[str] = set()
    for layer in layers:
        for blob in layer.inputs:
            if blob not in unread:
                state = "was read already" if blob in seen else "is not made before"
                raise ModelError(path, f"layer {layer.name} reads blob {blob}, which {state}", START_WITH)
            del unread[blob]
        for blob in layer.outputs:
            if blob in seen:
                raise ModelError(path, f"layer {layer.name} makes blob {blob}, which was made already", START_WITH)
            seen.add(blob)
            unread[blob] = layer.name
    left = [blob for blob, maker in unread.items() if maker != layers[-1].name]
    if left:
        raise ModelError(path, f"blob {left[0]} of layer {unread[left[0]]} is read by no layer", START_WITH)
