"""OpenVINO on the processor: whether bf16 is there, and compiled models with the methods of ONNX Runtime's sessions.

The package depends on ``openvino-telemetry``, which reports every import to Google Analytics and keeps an identifier in
the home folder. It is hidden while OpenVINO is imported, so that OpenVINO takes the stub of its own
(``openvino/tools/ovc/telemetry_utils.py``). Models are read and compiled by the C++ runtime, which reports nothing.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import queue
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.inference.openvino_split import needs_split, split
from tracker.inference.survey import available_cores, processor_flags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

    from tracker.inference.providers import Profile

__all__ = ["OpenVinoSession", "OpenVinoSurvey", "load_problem", "survey_openvino"]

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""OpenVINO names BF16 on processors of AVX-512 that emulate it, too: one of these flags must be there as well."""

PLUGIN = "CPU"
TELEMETRY = "openvino_telemetry"

_importing = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVinoSurvey:
    """OpenVINO on this machine.

    Attributes:
        version: Of the installed package; ``None`` = not installed.
        bf16: Whether the processor computes in bf16: its flags and, where the package is installed, OpenVINO say so.
        problem: Why OpenVINO cannot be used; empty where it can.
    """

    version: str | None
    bf16: bool
    problem: str = ""

    @property
    def precision(self) -> str:
        """Precision of the computation, as OpenVINO names it."""
        return "bf16" if self.bf16 else "f32"

    @property
    def pays(self) -> bool:
        """Whether it can be used and is faster than ONNX Runtime, which it is in bf16 only."""
        return self.bf16 and not self.problem


@functools.cache
def survey_openvino() -> OpenVinoSurvey:
    """Examine package and processor; once per process. OpenVINO is imported where it is installed and bf16 is there.

    Without bf16 nothing but ``--device openvino`` wants it: :func:`load_problem` says whether it could be imported.
    """
    flags = bool(BF16_FLAGS & processor_flags())
    try:
        version = importlib.metadata.version("openvino")
    except importlib.metadata.PackageNotFoundError:
        return OpenVinoSurvey(version=None, bf16=flags, problem="the package openvino is not installed")
    try:
        named = flags and "BF16" in _load().Core().get_property(PLUGIN, "OPTIMIZATION_CAPABILITIES")
    except Exception as error:  # noqa: BLE001 - a wheel for another system fails in the loader, a broken one anywhere
        return OpenVinoSurvey(version=version, bf16=False, problem=_does_not_load(version, error))
    return OpenVinoSurvey(version=version, bf16=named)


def load_problem(version: str) -> str:
    """Why an installed OpenVINO cannot be imported; empty where it can."""
    try:
        _load().Core()
    except Exception as error:  # noqa: BLE001 - as above
        return _does_not_load(version, error)
    return ""


def _does_not_load(version: str, error: Exception) -> str:
    return f"openvino {version} does not load: {_last_line(error)}"


def _load() -> ModuleType:
    """The package, imported without its telemetry; what was in ``sys.modules`` is there again afterwards."""
    with _importing:
        if "openvino" in sys.modules:
            return sys.modules["openvino"]
        hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == TELEMETRY}
        modules: dict[str, Any] = sys.modules
        modules[TELEMETRY] = None  # an import of it is an ImportError
        try:
            return importlib.import_module("openvino")
        finally:
            del sys.modules[TELEMETRY]
            sys.modules.update(hidden)


class OpenVinoSession:
    """A compiled model with the methods of ``onnxruntime.InferenceSession`` that are used here.

    May be called from several threads at once: there is one infer request for each stream, and as many streams as calls
    of ``threads`` threads have room on the cores. Further calls wait.

    Args:
        path: The ``.onnx`` file. ONNX Runtime has read it before, which refuses weights outside the model's folder.
        declared: ``onnxruntime.InferenceSession`` of the file, for inputs, outputs and metadata; it is not kept.
        threads: Threads inside an operator.
        profile: Shapes where the file leaves dimensions open: smaller batches are filled up to the largest. ``None`` =
            dimensions stay open, and a model that would have to be divided is computed in float32.

    Attributes:
        precision: ``bf16`` or ``f32``.
        streams: Calls that run at the same time.

    Raises:
        RuntimeError: OpenVINO cannot read or compile it; the message is one line.
    """

    def __init__(self, path: Path, *, declared: Any, threads: int, profile: Profile | None = None) -> None:
        survey = survey_openvino()
        self.precision = survey.precision
        self._inputs = [SimpleNamespace(name=one.name, type=one.type, shape=one.shape) for one in declared.get_inputs()]
        self._outputs = [
            SimpleNamespace(name=one.name, type=one.type, shape=one.shape) for one in declared.get_outputs()
        ]
        self._metadata = dict(declared.get_modelmeta().custom_metadata_map)
        self._batch = None if profile is None else profile.largest_batch
        self.streams = max(available_cores() // threads, 1)
        try:
            model = _read(path, profile)
            self._parts = self._compile(model, threads)
            self._taken = {name for port in self._parts[0].compiled.inputs for name in port.get_names()}
            self._free: queue.SimpleQueue[_Requests] = queue.SimpleQueue()
            for _ in range(self.streams):
                self._free.put(_Requests(self._parts))
        except Exception as error:
            raise RuntimeError(_last_line(error)) from error

    def _compile(self, model: Any, threads: int) -> list[_Part]:
        """The model in one part, or in two where it has to be."""
        openvino = _load()
        core = openvino.Core()
        names = {one.name for one in self._outputs}

        def part(model: Any, precision: str, own: int) -> _Part:
            compiled = core.compile_model(model, PLUGIN, self._properties(threads, precision))
            ports = {name: port for port in compiled.outputs[:own] for name in port.get_names() & names}
            return _Part(compiled=compiled, ports=ports, own=own)

        parts = None
        if self.precision == "bf16":
            if model.is_dynamic():
                self.precision = "f32" if needs_split(model) else self.precision
            else:
                parts = split(openvino, model)
        if parts is None:
            return [part(model, self.precision, len(model.outputs))]
        first, second, own = parts
        return [part(first, self.precision, own), part(second, "f32", len(second.outputs))]

    def _properties(self, threads: int, precision: str) -> dict[str, Any]:
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": str(self.streams),
            "INFERENCE_NUM_THREADS": threads * self.streams,
            "INFERENCE_PRECISION_HINT": precision,
            # Two processes that pin their threads pin them to the same cores.
            "ENABLE_CPU_PINNING": False,
            # As with ONNX Runtime the threads asked for are the threads that run, on virtual cores too.
            "ENABLE_HYPER_THREADING": True,
        }

    def run(self, output_names: Sequence[str] | None, feeds: Mapping[str, NDArray[Any]], _options: Any = None) -> Any:
        """Copies of the named outputs, ``None`` = all in the file's order, of inputs by name.

        Raises:
            RuntimeError: OpenVINO failed; the message is one line.
        """
        count = 0 if self._batch is None else len(next(iter(feeds.values())))
        missing = 0 if self._batch is None else max(self._batch - count, 0)
        given = {name: _filled(value, missing) for name, value in feeds.items() if name in self._taken}
        requests = self._free.get()
        try:
            found = requests.run(given)
            names = [one.name for one in self._outputs] if output_names is None else output_names
            return [np.array(found[name][:count] if missing else found[name]) for name in names]
        except Exception as error:
            raise RuntimeError(_last_line(error)) from error
        finally:
            self._free.put(requests)

    def get_inputs(self) -> list[Any]:
        """Name, type and shape of every input, as ONNX Runtime gives them."""
        return self._inputs

    def get_outputs(self) -> list[Any]:
        """Name, type and shape of every output, as ONNX Runtime gives them."""
        return self._outputs

    def get_modelmeta(self) -> Any:
        """The file's metadata, as ONNX Runtime gives it."""
        return SimpleNamespace(custom_metadata_map=self._metadata)

    def placement(self) -> str:
        """Convolutions and products in the precision, as a text.

        >>> session.placement()  # doctest: +SKIP
        'OpenVINO, 131 of 135 convolutions and products in bf16'
        """
        graphs = [part.compiled.get_runtime_model() for part in self._parts]
        nodes = [node.get_rt_info() for graph in graphs for node in graph.get_ordered_ops()]
        precisions = Counter(
            node["runtimePrecision"].astype(str)
            for node in nodes
            if "layerType" in node and node["layerType"].astype(str) in PRODUCTS
        )
        count, total = precisions[self.precision], precisions.total()
        return f"OpenVINO, {count} of {total} convolutions and products in {self.precision}"


PRODUCTS = frozenset({"Convolution", "Deconvolution", "FullyConnected", "MatMul"})
"""Layers of a compiled graph that hold nearly all of its arithmetic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A compiled part of a model.

    Attributes:
        compiled: ``openvino.CompiledModel``.
        ports: The model's own outputs in it, by name.
        own: How many those are; the outputs after them are the next part's inputs.
    """

    compiled: Any
    ports: Mapping[str, Any]
    own: int


class _Requests:
    """An infer request of every part, for one call at a time."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = [(part, part.compiled.create_infer_request()) for part in parts]

    def run(self, given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Views of all outputs by name, valid until the next call."""
        found: dict[str, NDArray[Any]] = {}
        handed_over: list[Any] = []
        for part, request in self._parts:
            for port, tensor in zip(part.compiled.inputs if handed_over else (), handed_over, strict=True):
                request.set_tensor(port, tensor)
            # Not infer(): it would run in the calling thread, which may share its stream with another one's.
            request.start_async({} if handed_over else given, share_inputs=True)
            request.wait()
            found |= {name: request.get_tensor(port).data for name, port in part.ports.items()}
            handed_over = [request.get_tensor(port) for port in part.compiled.outputs[part.own :]]
        return found


def _read(path: Path, profile: Profile | None) -> Any:
    """``openvino.Model`` of a file, with constants folded and at the largest batch."""
    openvino = _load()
    # Not Core.read_model(): of a file not named .onnx it asks the readers of all formats, some of which print.
    reader = openvino.frontend.FrontEndManager().load_by_framework("onnx")
    model = reader.convert(reader.load(str(path)))
    if profile is not None:
        sizes = {name: [profile.largest_batch, *shape] for name, shape in profile.shapes.items()}
        model.reshape({name: openvino.PartialShape(shape) for name, shape in sizes.items()})
    manager = importlib.import_module("openvino.passes").Manager()
    manager.register_pass(importlib.import_module("openvino.passes").ConstantFolding())
    manager.run_passes(model)
    return model


def _filled(value: NDArray[Any], missing: int) -> NDArray[Any]:
    """A batch with its last sample repeated as often as samples are missing, contiguous."""
    if missing:
        value = np.concatenate([value, np.repeat(value[-1:], missing, axis=0)])
    return np.ascontiguousarray(value)


def _last_line(error: Exception) -> str:
    """OpenVINO's messages name source files in all lines but the last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("-- ") if lines else type(error).__name__
