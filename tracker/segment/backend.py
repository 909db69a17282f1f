"""A model file and a device enter; a session there, what the file takes and gives, and a way to run it leave."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.errors import ModelError
from tracker.segment import contracts
from tracker.segment.decoder import ModelInfo, TensorInfo
from tracker.segment.device import bare_session, open_session, provider_shares
from tracker.segment.memory import CudaMemory
from tracker.segment.providers import CAPTURED_BATCHES, Profile, batch_sizes
from tracker.segment.runner import PlainRunner
from tracker.segment.slots import SlotRunner
from tracker.segment.survey import PROVIDERS

if TYPE_CHECKING:
    from tracker.segment.device import OpenedSession
    from tracker.segment.manifest import InputSpec
    from tracker.segment.memory import Memory
    from tracker.segment.runner import Runner
    from tracker.segment.zoo import ModelFile

__all__ = ["Backend", "BackendRequest", "open_backend"]

GPU_MAX_BATCH = 8

_getting_ready = threading.Lock()
"""While one graph is recorded no other thread may ask the card for memory: sessions get ready one after another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendRequest:
    """What the caller of the segmenter wants of it; see :class:`tracker.segment.session.OnnxSegmenter`."""

    file: ModelFile
    device: str = "auto"
    threads: int | None = None
    fp16: bool = False
    network_size: tuple[int, int] | None = None
    source_size: tuple[int, int] | None = None
    max_batch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A network that is ready to run.

    Attributes:
        opened: The session and where it runs.
        runner: How it is run.
        info: What the file says about itself, with the output sizes of a trial run.
        spec: How pictures become the input, as far as the file and its manifest tell.
        batch: Most frames of one run.
        fixed_batch: Whether the file takes no fewer.
    """

    opened: OpenedSession
    runner: Runner
    info: ModelInfo
    spec: InputSpec
    batch: int
    fixed_batch: bool

    @property
    def slots(self) -> int:
        """Batches worth having under way at the same time; 1 on the CPU, where threads share the cores anyway."""
        return self.runner.slots if isinstance(self.runner, SlotRunner) else 1

    @property
    def manner(self) -> str:
        """How batches are run on a card, for a person; empty on the CPU."""
        if not isinstance(self.runner, SlotRunner):
            return ""
        sizes = ", ".join(map(str, self.runner.sizes))
        graphs = "CUDA graphs" if self.runner.graphs else "no CUDA graphs"
        memory = "page-locked" if self.runner.memory.pinned else "pageable"
        on_cpu = provider_shares(self.opened.session).get(PROVIDERS["cpu"], 0.0)
        fallen = f", {100 * on_cpu:.3g} % of the nodes on the CPU" if on_cpu else ""
        return f"{self.runner.slots} slots, batches of {sizes}, {graphs}, {memory} buffers{fallen}"


def open_backend(request: BackendRequest) -> Backend:
    """Open a file, look at it and get it ready: on a card every batch has been run once when this returns.

    Raises:
        ModelError: Not a model, no image input, or the asked device cannot run here.
        ConfigError: An unknown device, or options that it does not have.
    """
    opened = _open(request, graphs=True)
    try:
        return _ready(request, opened)
    except ModelError as error:
        if opened.device == "cpu":
            raise
        failure = error
    if opened.graphs:
        # A graph that cannot be recorded, or gives something else than a plain run: without graphs neither happens.
        try:
            return _ready(request, _open(request, graphs=False))
        except ModelError as error:
            failure = error
    if request.device != "auto":
        raise failure
    opened = _open(dataclasses.replace(request, device="cpu"), graphs=False)
    return _ready(request, dataclasses.replace(opened, reason=failure.problem))


def _open(request: BackendRequest, *, graphs: bool) -> OpenedSession:
    return open_session(
        request.file.path,
        label=request.file.label,
        device=request.device,
        threads=request.threads,
        fp16=request.fp16,
        single_on_cpu=request.max_batch is None,
        graphs=graphs,
        profile=_profile(request) if request.device.startswith("tensorrt") else None,
    )


def _ready(request: BackendRequest, opened: OpenedSession) -> Backend:
    info, spec = _describe(request, opened.session)
    fixed = info.inputs[0].shape[0]
    batch = fixed or max(request.max_batch or (1 if opened.device == "cpu" else GPU_MAX_BATCH), 1)
    picture, dtype = _picture(info, spec), np.dtype(spec.dtype)
    names: dict[str, Any] = {
        "label": request.file.label,
        "input_name": info.inputs[0].name,
        "output_names": [output.name for output in info.outputs],
    }
    runner: Runner
    if opened.device == "cpu":
        runner = PlainRunner(opened.session, **names)
    else:
        memory, device_type = device_memory(opened)
        with _getting_ready:
            runner = SlotRunner(
                opened.session,
                **names,
                picture=picture,
                dtype=dtype,
                sizes=(fixed,) if fixed else batch_sizes(batch),
                memory=memory,
                device_type=device_type,
                device_id=opened.card,
                graphs=opened.graphs,
            )
    outputs = runner.run(np.zeros((fixed or 1, *picture), dtype))
    shapes = tuple(TensorInfo(name=name, dtype=str(value.dtype), shape=value.shape) for name, value in outputs.items())
    info = dataclasses.replace(info, outputs=shapes)
    return Backend(opened=opened, runner=runner, info=info, spec=spec, batch=batch, fixed_batch=fixed is not None)


def device_memory(opened: OpenedSession) -> tuple[Memory, str]:
    """The memory of the card that a session runs on, and what ONNX Runtime calls that kind of device."""
    return CudaMemory(opened.card), "cuda"


def _describe(request: BackendRequest, session: Any) -> tuple[ModelInfo, InputSpec]:
    """What the file declares, and its input as far as known."""
    info = declared(request.file, session)
    spec = contracts.declared_input(info)
    size = contracts.network_size(info, spec, asked=request.network_size, source_size=request.source_size)
    return dataclasses.replace(info, network_size=size), spec


def _picture(info: ModelInfo, spec: InputSpec) -> tuple[int, ...]:
    width, height = info.network_size
    return (height, width, 3) if spec.layout == "NHWC" else (3, height, width)


def _profile(request: BackendRequest) -> Profile | None:
    """The shapes TensorRT is to build for; ``None`` where the file leaves none open."""
    info, spec = _describe(request, bare_session(request.file.path, label=request.file.label))
    if None not in info.inputs[0].shape:
        return None
    fixed = info.inputs[0].shape[0]
    return Profile(
        input_name=info.inputs[0].name,
        picture=_picture(info, spec),
        smallest_batch=fixed or 1,
        usual_batch=fixed or request.max_batch or GPU_MAX_BATCH,
        largest_batch=fixed or max(CAPTURED_BATCHES[-1], request.max_batch or 0),
    )


def declared(file: ModelFile, session: Any) -> ModelInfo:
    """What an opened file says about itself."""
    return ModelInfo(
        label=file.label,
        inputs=tuple(_tensor(tensor) for tensor in session.get_inputs()),
        outputs=tuple(_tensor(tensor) for tensor in session.get_outputs()),
        metadata=dict(session.get_modelmeta().custom_metadata_map),
        manifest=file.manifest,
    )


def _tensor(value: Any) -> TensorInfo:
    """ONNX Runtime's description of an input or output as ours."""
    dtype = value.type.removeprefix("tensor(").removesuffix(")")
    names = {"float": "float32", "double": "float64"}
    return TensorInfo(
        name=value.name,
        dtype=names.get(dtype, dtype),
        shape=tuple(size if isinstance(size, int) else None for size in value.shape),
    )
