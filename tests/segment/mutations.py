"""Mutations of small ONNX files and their manifests, and what the library makes of each.

The bulk runs without a trial in one worker process, since a trial costs a second; a file that ends the worker, or takes
it longer than a limit, must be refused by the trial.

As a script it tries many: ``python -m tests.segment.mutations 1000``.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from tests.segment.models import constant_model, end2end_model
from tests.sources.mutations import mutated as bytes_mutated
from tracker.errors import TrackerError
from tracker.inference import trial

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
HANG_S = 60.0
"""A good file takes a few milliseconds; so much passes for a machine under load."""

MANIFEST = """\
name = "m"
version = "1"
classes = ["person", "car"]
score_threshold = 0.2
confirmation_score = 0.5
iou_threshold = 0.4
files = ["m.onnx"]
[input]
layout = "NHWC"
dtype = "uint8"
channels = "BGR"
resize = "letterbox-top-left"
pad_value = 114
height = 96
width = 160
[card]
note = [1, 2.5, true, "x"]
"""
# fmt: off
PIECES = (
    "=", "[", "]", "{", '"', "'", "\n", ".", "#", "\\u0000", "\x1b", "1e999", "nan", "inf", "-1", "{}",
    "0x" + "f" * 5000, "9" * 5000, "true", "[[" * 400, "a.b.c = 1\n", '"""', "é", "\ufeff", "1979-05-27", "1e400", "[]",
)
TOML_VALUES = (
    "0", "-1", "nan", "inf", "-inf", "true", '""', "[]", "{}", "[[]]", "[1]", "[nan, 1, 1]", "1e308", "1_0", "-0.0",
    "3", "0x" + "f" * 5000, "0b" + "1" * 20_000, "[0x" + "f" * 5000 + "]", "1979-05-27T07:32:00Z", "12:00:00", "16384",
    "0.5", "[" * 300 + "]" * 300, '"\\u0007"', '"\\u202e"', "'''\nx\n'''", '["a", "a"]', '["a"]', "{ a = 1 }",
    "[1, 1, 1]", '"yolo"', '"NCHW"', '"x"', '"float32"', '"stretch"', '"RGB"', '"end2end-1"', '"384x640"',
)
VALUES = (0, 1, -1, 2, 7, 1 << 31, (1 << 63) - 1, -(1 << 63))
TEXTS = ("", "x", "\x1b[31m", "[/b]", "nan", "[" * 200, "{}", "[]", "null", '{"0": 1}', "9" * 30, "-1", "\u2028")
# fmt: on


def seeds(folder: Path) -> list[Path]:
    """Small good files of every contract, with computed and with constant outputs."""
    rng = np.random.default_rng(3)
    dense = rng.random((1, 4 + 2 + 8, 60), np.float32)
    dense[:, :4] *= 90
    grid = rng.random((1, 8, 24, 40), np.float32)
    kept = np.zeros((1, 6, 6 + 8), np.float32)
    kept[0, 0, :6], kept[0, :, 6:] = [10, 10, 60, 50, 0.9, 1], 1
    notes = {"names": "{0: 'a', 1: 'b'}", "stride": "32", "imgsz": "[96, 160]"}
    shape = (1, 3, 96, 160)
    flat = {
        "boxes": np.array([[10, 10, 60, 50], [80, 20, 120, 90]], np.float32),
        "labels": np.array([1, 3], np.int64),
        "scores": np.array([0.9, 0.6], np.float32),
        "masks": rng.random((2, 1, 96, 160), np.float32),
    }
    field = rng.normal(0, 4, (1, 8, 24, 40)).astype(np.float32)
    query = {"logits": rng.normal(0, 3, (1, 8, 81)).astype(np.float32), "masks": field}
    cate = np.zeros((1, 3872, 2), np.float32)
    cate[0, ::300] = 0.5
    solo = {"cate": cate, "kernels": rng.normal(0, 1, (1, 3872, 8)).astype(np.float32), "features": field}
    return [
        constant_model(folder / "flat.onnx", flat, input_shape=(3, 96, 160)),
        constant_model(folder / "query.onnx", query, input_shape=shape),
        constant_model(folder / "solo.onnx", solo, input_shape=shape),
        end2end_model(folder / "end2end.onnx"),
        end2end_model(folder / "batch.onnx", embeddings=5, open_batch=True),
        constant_model(folder / "dense.onnx", {"p": dense, "g": grid}, input_shape=shape, metadata=notes),
        constant_model(folder / "kept.onnx", {"p": kept, "g": grid}, input_shape=shape, metadata=notes),
    ]


def structure_mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A file that parses, with one thing in it changed: a shape, a number, a name, a node, a note, weights."""
    model = onnx.ModelProto.FromString(data)
    graph = model.graph
    kind = int(rng.integers(8))
    if kind == 0 and model.metadata_props:
        note = model.metadata_props[int(rng.integers(len(model.metadata_props)))]
        note.value = _text_mutated(note.value, rng, TEXTS)
    elif kind == 1:
        tensor = graph.initializer[int(rng.integers(len(graph.initializer)))]
        tensor.dims.append(int(rng.choice(VALUES))) if rng.random() < 0.3 else _replace(tensor.dims, rng)
    elif kind == 2:
        tensor = graph.initializer[int(rng.integers(len(graph.initializer)))]
        tensor.raw_data = bytes_mutated(tensor.raw_data, rng) if len(tensor.raw_data) > 8 else rng.bytes(8)
    elif kind == 3:
        tensor = graph.initializer[int(rng.integers(len(graph.initializer)))]
        values = np.frombuffer(tensor.raw_data, onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).copy()
        strange = [np.nan, np.inf, -np.inf, -1, 1e30, 0] if values.dtype.kind == "f" else [-1, 0, 99, 1 << 30]
        with np.errstate(all="ignore"):
            values[rng.random(values.size) < 0.3] = np.array(strange, np.float64)[rng.integers(len(strange))].astype(
                values.dtype
            )
        tensor.raw_data = values.tobytes()
    elif kind == 4:
        node = graph.node[int(rng.integers(len(graph.node)))]
        node.op_type = str(rng.choice(["Loop", "NonZero", "Identity", "Tile", "ConstantOfShape", "Gather", "x"]))
    elif kind == 5:
        info = [*graph.output, *graph.input][int(rng.integers(len(graph.output) + len(graph.input)))]
        sizes = info.type.tensor_type.shape.dim
        sizes[int(rng.integers(len(sizes)))].dim_value = int(rng.choice(VALUES))
    elif kind == 6:
        del graph.output[int(rng.integers(len(graph.output)))]
    else:
        node = graph.node[int(rng.integers(len(graph.node)))]
        names = node.input if rng.random() < 0.7 else node.output
        if names:
            names[int(rng.integers(len(names)))] = str(rng.choice(["", "frames", "one", "batch", "boxes_value"]))
    return model.SerializeToString()


def _replace(sizes: Any, rng: np.random.Generator) -> None:
    if sizes:
        sizes[int(rng.integers(len(sizes)))] = int(rng.choice(VALUES))


def _text_mutated(text: str, rng: np.random.Generator, pieces: tuple[str, ...]) -> str:
    place, length = int(rng.integers(len(text) + 1)), int(rng.integers(0, 8))
    piece = pieces[int(rng.integers(len(pieces)))]
    return piece if rng.random() < 0.2 else text[:place] + piece + text[place + length :]


def manifest_mutated(rng: np.random.Generator) -> bytes:
    """A manifest with one or two values, or places, replaced by what is hard to read."""
    text = MANIFEST
    for _ in range(int(rng.integers(1, 3))):
        lines = text.splitlines()
        rows = [row for row, line in enumerate(lines) if " = " in line]
        if rows and rng.random() < 0.6:
            row = int(rng.choice(rows))
            lines[row] = f"{lines[row].partition(' = ')[0]} = {TOML_VALUES[int(rng.integers(len(TOML_VALUES)))]}"
            text = "\n".join(lines)
        else:
            text = _text_mutated(text, rng, PIECES)
    data = text.encode()
    return bytes_mutated(data, rng) if rng.random() < 0.1 else data


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three bits turned: the file often still parses."""
    changed = bytearray(data)
    for place in rng.integers(len(changed), size=int(rng.integers(1, 4))).tolist():
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def mutations(folder: Path, count: int, seed: int) -> Iterator[Path]:
    """``count`` damaged models, one at a time: bytes, structure and manifest in turn; each stands until the next."""
    rng = np.random.default_rng(seed)
    files = [path.read_bytes() for path in seeds(folder)]
    path = folder / "m.onnx"
    for number in range(count):
        data = files[number // 3 % len(files)]
        path.with_suffix(".toml").unlink(missing_ok=True)
        if number % 3 == 0:
            path.write_bytes((bytes_mutated if rng.random() < 0.3 else flipped)(data, rng))
        elif number % 3 == 1:
            path.write_bytes(structure_mutated(data, rng))
        else:
            path.write_bytes(files[0])
            path.with_suffix(".toml").write_bytes(manifest_mutated(rng))
        yield path


def verdict(path: Path) -> str:
    """``passed``, ``problems`` (told by the check) or ``refused``; anything else is a fault, in words."""
    from tests.segment.test_session import picture
    from tracker.app.console import foreign
    from tracker.segment.check import check_model
    from tracker.segment.session import OnnxSegmenter

    try:
        report = check_model(path)
        assert "\x1b" not in "".join(foreign(value) for _, value in report.rows())
        outcome = "passed" if report.passed else "problems"
        [instances] = OnnxSegmenter(path).segment([picture((160, 96))])
    except TrackerError as error:
        if not error.remedy or "Traceback" in str(error) or len(str(error)) > 3000:
            return f"FAULT an error without a remedy, or too long: {str(error)[:200]}"
        return "refused"
    except Exception as error:  # noqa: BLE001 - what is looked for
        import traceback

        return f"FAULT {type(error).__name__}: {str(error)[:200]} at {traceback.format_exc().splitlines()[-4:-1]}"
    width, height = 160, 96
    if not np.isfinite(instances.boxes).all() or not ((instances.scores >= 0) & (instances.scores <= 1)).all():
        return "FAULT boxes or scores that are no numbers"
    if len(instances) and (instances.boxes.min() < 0 or (instances.boxes > [width, height] * 2).any()):
        return "FAULT boxes outside the picture"
    return outcome


class Worker:
    """A process that judges one path after another, without trials; it is replaced when it ends."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def judge(self, path: Path) -> str:
        """The verdict, or ``ended`` where the process did, or ``hung`` where it had to be ended."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.segment.mutations", "--worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, trial.SWITCH: "off", "PYTHONPATH": str(ROOT)},
            )
            self._ask()  # ready
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(str(path)).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._ask()
        if answer in {"ended", "hung"}:
            self.close()
        return answer

    def _ask(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], HANG_S)[0]:
            return "hung"
        line = self._process.stdout.readline()
        return str(json.loads(line)) if line.endswith(b"\n") else "ended"

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def judged(path: Path, worker: Worker) -> str:
    """The verdict of the worker; of a file that it cannot survive, what the library says with its trial."""
    said = worker.judge(path)
    if said not in {"ended", "hung"}:
        return said
    switch = os.environ.pop(trial.SWITCH, None)
    try:
        found = verdict(path)
    finally:
        if switch is not None:
            os.environ[trial.SWITCH] = switch
    return "refused by the trial" if found == "refused" else f"FAULT {said} in the worker, with a trial: {found}"


def serve() -> None:
    """Judge paths from stdin, one a line, within the limits of memory that a trial has."""
    import resource

    out = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    sys.stdin.reconfigure(errors="strict")  # type: ignore[union-attr]
    import onnxruntime  # noqa: F401 - before the limit, as in a trial

    resource.setrlimit(resource.RLIMIT_AS, (12_000_000_000, 12_000_000_000))
    os.write(out, b'"ready"\n')
    for line in sys.stdin:
        os.write(out, json.dumps(verdict(Path(json.loads(line)))).encode() + b"\n")


def main(count: int, seed: int) -> None:
    """Try ``count`` mutations and tell what they came to."""
    tally: collections.Counter[str] = collections.Counter()
    slowest = (0.0, 0)
    worker = Worker()
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(worker):
        for number, path in enumerate(mutations(Path(folder), count, seed)):
            started_s = time.monotonic()
            outcome = judged(path, worker)
            if outcome.startswith("FAULT"):
                sys.stdout.write(f"{number} {outcome}\n")
                kept = Path(tempfile.gettempdir()) / f"fault-{seed}-{number}"
                kept.with_suffix(".onnx").write_bytes(path.read_bytes())
                if path.with_suffix(".toml").exists():
                    kept.with_suffix(".toml").write_bytes(path.with_suffix(".toml").read_bytes())
            tally[outcome.split()[0] if outcome.startswith("FAULT") else outcome] += 1
            slowest = max(slowest, (time.monotonic() - started_s, number))
    sys.stdout.write(f"{dict(tally)}, slowest {slowest[0]:.2f} s (number {slowest[1]})\n")


if __name__ == "__main__":
    if sys.argv[1] == "--worker":
        serve()
    else:
        main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
