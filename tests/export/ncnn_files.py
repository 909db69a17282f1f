"""A NanoDet-Plus in small as ncnn's two files: every kind of layer that the real one has, and random weights."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

FLOAT16_TAG = 0x01306B47
LEAKY = "9=2 -23310=1,1.000000e-01"
ROWS = 80 + 4 * 8


class NcnnWriter:
    """Lines of a `.param` and bytes of a `.bin`, and the weights by layer for a reference."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.data = b""
        self.weights: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.random = np.random.default_rng(4)

    def layer(self, kind: str, name: str, inputs: str, outputs: str, settings: str = "") -> None:
        """One line; blobs separated by blanks."""
        blobs = [*inputs.split(), *outputs.split()]
        counts = f"{len(inputs.split())} {len(outputs.split())}"
        self.lines.append(f"{kind:24s} {name:16s} {counts} {' '.join(blobs)} {settings}".rstrip())

    def convolution(
        self, name: str, source: str, channels: tuple[int, int], *, kernel=1, stride=1, groups=1, after="", half=True
    ) -> None:
        """A convolution that makes a blob of its own name, padded so that only the stride makes it smaller."""
        fan = channels[0] // groups
        weight = self.random.normal(0, 1.0 / np.sqrt(fan * kernel**2), (channels[1], fan, kernel, kernel))
        weight = weight.astype(np.float16 if half else np.float32).astype(np.float32)
        bias = self.random.normal(0, 0.1, channels[1]).astype(np.float32)
        self.weights[name] = (weight, bias)
        stored = weight.astype("<f2").tobytes() if half else weight.astype("<f4").tobytes()
        self.data += struct.pack("<I", FLOAT16_TAG if half else 0) + stored + b"\0" * (-len(stored) % 4)
        self.data += bias.astype("<f4").tobytes()
        kind = "Convolution" if groups == 1 else "ConvolutionDepthWise"
        grouped = f" 7={groups}" if groups > 1 else ""
        settings = f"0={channels[1]} 1={kernel} 3={stride} 4={kernel // 2} 5=1 6={weight.size}{grouped} {after}"
        self.layer(kind, name, source, name, settings)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """The two files."""
        blobs = sum(int(line.split()[3]) for line in self.lines)
        param, binary = folder / "small.param", folder / "small.bin"
        param.write_text("\n".join(["7767517", f"{len(self.lines)} {blobs}", *self.lines]) + "\n")
        binary.write_bytes(self.data)
        return param, binary


def small_nanodet() -> NcnnWriter:
    """The network; `reference` in `test_nanodet.py` computes the same in PyTorch."""
    made = NcnnWriter()
    made.layer("Input", "data", "", "data")
    made.convolution("stem", "data", (3, 5), kernel=3, stride=2, after="9=1")  # 135 weights: an odd number of float16
    made.layer("Pooling", "pool", "stem", "pool", "1=3 2=2 3=1 5=1")
    made.convolution("third", "pool", (5, 8), kernel=3, stride=2, after=LEAKY)
    made.layer("ShuffleChannel", "shuffled", "third", "shuffled", "0=2")
    made.layer("Split", "s0", "shuffled", "s0a s0b")
    made.layer("Crop", "left", "s0a", "left", "-23309=1,0 -23310=1,4 -23311=1,0")
    made.layer("Crop", "right", "s0b", "right", "-23309=1,4 -23310=1,8 -23311=1,0")
    made.convolution("deep", "right", (4, 4), kernel=5, groups=4, half=False)
    made.layer("Concat", "p3", "left deep", "p3")
    made.layer("Split", "s1", "p3", "s1a s1b s1c")
    made.convolution("p4", "s1a", (8, 8), kernel=3, stride=2, groups=8, after=LEAKY)
    made.layer("Split", "s2", "p4", "s2a s2b s2c")
    made.layer("Interp", "up", "s2a", "up", "0=2 1=2.000000e+00 2=2.000000e+00")
    made.layer("BinaryOp", "sum", "s1b up", "sum")
    made.layer("Concat", "both", "sum s1c", "both")
    made.convolution("p5", "s2b", (8, 8), kernel=3, stride=2, after=LEAKY)
    made.layer("Split", "s3", "p5", "s3a s3b")
    made.convolution("p6", "s3a", (8, 8), kernel=3, stride=2)
    for name, source, channels in (("h3", "both", 16), ("h4", "s2c", 8), ("h5", "s3b", 8), ("h6", "p6", 8)):
        made.convolution(name, source, (channels, ROWS))
        made.layer("Slice", f"{name}cut", name, f"{name}c {name}d", "-23300=2,80,-233")
        made.layer("Sigmoid", f"{name}sig", f"{name}c", f"{name}s")
        made.layer("Concat", f"{name}cat", f"{name}s {name}d", f"{name}r")
        made.layer("Reshape", f"{name}flat", f"{name}r", f"{name}f", f"0=-1 1={ROWS}")
    made.layer("Concat", "all", "h3f h4f h5f h6f", "rows", "0=1")
    made.layer("Permute", "turned", "rows", "output", "0=1")
    return made
