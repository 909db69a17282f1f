"""Network ready to run: an .onnx file opened on a device, tested by trial runs, with its runner chosen."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracker.errors import ModelError
from tracker.inference.bound import BoundRunner
from tracker.inference.device import (
    auto_takes_openvino,
    bare_session,
    check_options,
    open_session,
    provider_shares,
)
from tracker.inference.providers import Profile
from tracker.inference.runner import PlainRunner
from tracker.inference.survey import PROVIDERS, on_processor
from tracker.inference.tensors import TensorInfo, declared
from tracker.inference.trial import try_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tracker.inference.device import OpenedSession
    from tracker.inference.runner import Runner
    from tracker.inference.tensors import FileInfo, Inputs

__all__ = ["Network", "NetworkRequest", "open_network"]

GPU_MAX_BATCH = 8

_getting_ready = threading.Lock()
"""While a graph is recorded no other thread may ask the card for memory: sessions are prepared one after another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRequest:
    """Request for a network.

    Attributes:
        path: The ``.onnx`` file.
        label: How errors name it.
        device: ``auto``, ``cpu``, ``cuda``, ``tensorrt``, ``openvino``; ``cuda:1`` picks a card. ``auto`` takes CUDA,
            then OpenVINO where the processor computes in bf16, then ONNX Runtime on the CPU.
        threads: Threads inside an operator on the CPU; ``None`` = the cores there are, at most 8.
        fp16: Half precision in TensorRT.
        max_batch: Most samples of one run where the file takes any number; ``None`` = 8 on a GPU, 1 on the CPU.
        trusted: Opened without a trial in a process of its own.
    """

    path: Path
    label: object
    device: str = "auto"
    threads: int | None = None
    fp16: bool = False
    max_batch: int | None = None
    trusted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network that is ready to run.

    Attributes:
        opened: The session and where it runs.
        runner: How it is run.
        file: Declarations of the file, with the output sizes of a trial run.
        inputs: A sample of every input.
        batch: Most samples of one run.
    """

    opened: OpenedSession
    runner: Runner
    file: FileInfo
    inputs: Inputs
    batch: int

    @property
    def fixed_batch(self) -> bool:
        """Whether the file takes no fewer samples than ``batch``."""
        return self.inputs.fixed_batch is not None

    @property
    def manner(self) -> str:
        """How batches are run on a GPU, as a text; empty on the processor."""
        if not isinstance(self.runner, BoundRunner):
            return ""
        graph = "a CUDA graph" if self.opened.graphs else "no CUDA graph"
        on_cpu = provider_shares(self.opened.session).get(PROVIDERS["cpu"], 0.0)
        fallen = f", {100 * on_cpu:.3g} % of the nodes on the CPU" if on_cpu else ""
        return f"batches of {self.runner.batch}, {graph}{fallen}"


def open_network(request: NetworkRequest, describe: Callable[[FileInfo], Inputs]) -> Network:
    """Open a file and prepare it: on a GPU its batch has been run when this returns.

    Args:
        request: File, device and options.
        describe: Called with what the file declares; gives a sample of every input, or raises ``ModelError``.

    Raises:
        ModelError: Not a model, or the asked device cannot run here.
        ConfigError: An unknown device, or options that it does not have.
    """
    check_options(request.device, threads=request.threads, fp16=request.fp16)
    if not request.trusted:
        try_model(request.path, label=request.label, describe=describe)
    if request.device == "auto" and auto_takes_openvino():
        try:
            return _ready(request, _on_openvino(request, describe), describe)
        except ModelError as error:
            return _on_cpu(request, describe, error.problem)
    opened = _open(request, describe, graphs=True)
    try:
        return _ready(request, opened, describe)
    except ModelError as error:
        if on_processor(opened.device):
            raise
        failure = error
    if opened.graphs:
        # A graph that cannot be recorded, or gives something else than a plain run: without graphs neither happens.
        try:
            return _ready(request, _open(request, describe, graphs=False), describe)
        except ModelError as error:
            failure = error
    if request.device != "auto":
        raise failure
    return _on_cpu(request, describe, failure.problem)


def _on_openvino(request: NetworkRequest, describe: Callable[[FileInfo], Inputs]) -> OpenedSession:
    """What ``auto`` takes where bf16 is there.

    Raises:
        ModelError: It cannot be compiled, or is computed in float32, in which ONNX Runtime is faster.
    """
    opened = _open(dataclasses.replace(request, device="openvino"), describe, graphs=False)
    if opened.session.precision != "bf16":
        problem = "OpenVINO would compute it in float32, since the file leaves sizes open"
        raise ModelError(request.label, problem, "use --device openvino to have it so")
    return opened


def _on_cpu(request: NetworkRequest, describe: Callable[[FileInfo], Inputs], reason: str) -> Network:
    """What ``auto`` takes in the end, and why."""
    opened = _open(dataclasses.replace(request, device="cpu"), describe, graphs=False)
    return _ready(request, dataclasses.replace(opened, reason=reason), describe)


def _open(request: NetworkRequest, describe: Callable[[FileInfo], Inputs], *, graphs: bool) -> OpenedSession:
    return open_session(
        request.path,
        label=request.label,
        device=request.device,
        threads=request.threads,
        fp16=request.fp16,
        single_on_cpu=request.max_batch is None,
        graphs=graphs,
        profile=_profile(request, describe) if request.device.startswith(("tensorrt", "openvino")) else None,
    )


def _ready(request: NetworkRequest, opened: OpenedSession, describe: Callable[[FileInfo], Inputs]) -> Network:
    file = declared(opened.session, label=request.label)
    inputs = describe(file)
    batch = inputs.fixed_batch or max(request.max_batch or _usual_batch(opened.device), 1)
    names: dict[str, Any] = {"label": request.label, "output_names": [output.name for output in file.outputs]}
    runner: Runner
    if on_processor(opened.device):
        runner = PlainRunner(opened.session, **names)
    else:
        with _getting_ready:
            runner = BoundRunner(
                opened.session,
                **names,
                inputs=inputs,
                batch=batch,
                device_type=device_type(opened),
                device_id=opened.card,
                graphs=opened.graphs,
            )
    outputs = runner.run(inputs.batch(inputs.fixed_batch or 1))
    shapes = tuple(TensorInfo(name=name, dtype=str(value.dtype), shape=value.shape) for name, value in outputs.items())
    file = dataclasses.replace(file, outputs=shapes)
    return Network(opened=opened, runner=runner, file=file, inputs=inputs, batch=batch)


def _usual_batch(device: str) -> int:
    """Most samples of one run where nothing else is asked for."""
    return 1 if on_processor(device) else GPU_MAX_BATCH


def device_type(_opened: OpenedSession) -> str:
    """What ONNX Runtime calls the device whose memory a session on a card takes."""
    return "cuda"


def _profile(request: NetworkRequest, describe: Callable[[FileInfo], Inputs]) -> Profile | None:
    """The shapes TensorRT and OpenVINO are to build for; ``None`` where the file leaves none open."""
    file = declared(bare_session(request.path, label=request.label), label=request.label)
    if all(None not in tensor.shape for tensor in file.inputs):
        return None
    inputs = describe(file)
    if any(len(value) != 1 for value in inputs.sample.values()):  # without an axis for the batch
        return None
    fixed = inputs.fixed_batch
    return Profile(
        shapes={name: value.shape[1:] for name, value in inputs.sample.items()},
        smallest_batch=fixed or 1,
        largest_batch=fixed or request.max_batch or _usual_batch(request.device),
    )
