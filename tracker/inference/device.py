"""Sessions of ONNX Runtime or OpenVINO with a verified device, and the reason for the choice.

A listed provider is not a used provider: ONNX Runtime falls back to the CPU in silence when a library or the driver is
missing, so the driver and the libraries are checked first and ``session.get_providers()`` afterwards.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError, ModelError, install_command
from tracker.inference.openvino_session import OpenVinoSession, survey_openvino
from tracker.inference.providers import cuda_options, engine_folder, tensorrt_options
from tracker.inference.survey import PROVIDERS, TELEMETRY_OFF, available_cores, survey, tensorrt_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracker.inference.providers import Profile

__all__ = [
    "DEVICES",
    "OpenedSession",
    "auto_takes_openvino",
    "available_cores",
    "bare_session",
    "check_options",
    "default_threads",
    "open_session",
    "placement",
    "provider_shares",
]

logger = logging.getLogger("tracker.live.device")

DEVICES = ("auto", "cpu", "cuda", "tensorrt", "openvino")
OPENVINO = "OpenVINO"
"""What stands in the place of a provider of ONNX Runtime."""
MAX_DEFAULT_THREADS = 8
BATCH_AXES = ("batch", "batch_size", "N")
FATAL = 4
"""Log severity that keeps ONNX Runtime silent about absent GPU libraries; they are reported here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSession:
    """A session and where it runs.

    Attributes:
        session: ``onnxruntime.InferenceSession``, or :class:`OpenVinoSession` with those of its methods that are used.
        device: ``cpu``, ``openvino``, ``cuda`` or ``tensorrt``.
        provider: The first of ``session.get_providers()``, asserted to be the device's; ``OpenVINO``.
        reason: Why this device, one clause.
        threads: Threads inside an operator on the CPU.
        card: Number of the card on a GPU.
        graphs: Whether ONNX Runtime was asked to record CUDA graphs.
    """

    session: Any
    device: str
    provider: str
    reason: str
    threads: int
    card: int = 0
    graphs: bool = False


def auto_takes_openvino() -> bool:
    """Whether ``auto`` takes OpenVINO for the network that segments: no card, the package, and bf16.

    A package that is installed and cannot be loaded is told in the log, once per process.
    """
    if survey().obstacle("cuda") is None:
        return False
    found = survey_openvino()
    if found.version is not None and found.problem:
        _warn_once(found.problem)
    return found.pays


@functools.cache
def _warn_once(problem: str) -> None:
    note = f"{problem}; install it again, or remove it"
    logger.warning("device auto takes ONNX Runtime instead of OpenVINO", extra={"problem": note})


def default_threads() -> int:
    """Cores this process may use, at most 8: small networks gain nothing from more."""
    return min(available_cores(), MAX_DEFAULT_THREADS)


def open_session(
    path: Path,
    *,
    label: object,
    device: str = "auto",
    threads: int | None = None,
    fp16: bool = False,
    single_on_cpu: bool = False,
    graphs: bool = False,
    profile: Profile | None = None,
) -> OpenedSession:
    """Open a model on a device.

    Args:
        path: The ``.onnx`` file.
        label: How errors name it.
        device: ``auto``, ``cpu``, ``cuda``, ``tensorrt`` or ``openvino``; ``cuda:1`` picks the second card. ``auto``
            takes CUDA where it runs, else ONNX Runtime on the CPU.
        threads: Threads inside an operator on the CPU; ``None`` = :func:`default_threads`.
        fp16: Let TensorRT compute in half precision.
        single_on_cpu: On the CPU fix an open batch to 1, so that shape arithmetic folds away.
        graphs: On CUDA record graphs where the model can be recorded: every node on the card. Such a session is for
            :class:`tracker.inference.bound.BoundRunner` only; ``session.run`` would replay on freed buffers.
        profile: Shapes for TensorRT and OpenVINO where the file leaves the batch open.

    Raises:
        ConfigError: An unknown device name, or a number of threads below one.
        ModelError: The file is not a model, or the asked device cannot run here.
    """
    check_options(device, threads=threads, fp16=fp16)
    kind, _, card = device.partition(":")
    request = _Request(
        path=path,
        label=label,
        threads=threads or default_threads(),
        single_on_cpu=single_on_cpu,
        fp16=fp16,
        graphs=graphs and kind != "tensorrt",
        profile=profile,
    )
    if kind == "cpu":
        return _on_cpu(request, "asked for")
    if kind == "openvino":
        return _on_openvino(request)
    wanted = "cuda" if kind == "auto" else kind
    opened, problem, remedy = _on_gpu(request, wanted, int(card or 0))
    if opened is not None:
        return opened
    if kind != "auto":
        offender = f"--device {device}"
        raise ModelError(offender, problem, remedy)
    return _on_cpu(request, problem)


def check_options(device: str, *, threads: int | None, fp16: bool) -> None:
    """Refuse what no device has, before anything is opened.

    Raises:
        ConfigError: An unknown device name, a number of threads below one, or half precision without TensorRT.
    """
    kind, _, card = device.partition(":")
    if kind not in DEVICES or (card and (kind not in {"cuda", "tensorrt"} or not card.isdigit())):
        offender = f"--device {device}"
        raise ConfigError(offender, "no such device", f"one of {', '.join(DEVICES)}, cuda:1")
    if threads is not None and threads < 1:
        offender = f"--threads {threads}"
        raise ConfigError(offender, "expected at least 1", "leave it out for one per core")
    if fp16 and kind != "tensorrt":
        offender = f"--fp16 --device {device}"
        problem = "half precision is computed by TensorRT"
        raise ConfigError(offender, problem, "use --device tensorrt, or a file exported in half precision")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """The file to open and the options that hold on any device."""

    path: Path
    label: object
    threads: int
    single_on_cpu: bool = False
    fp16: bool = False
    graphs: bool = False
    profile: Profile | None = None


def bare_session(path: Path, *, label: object) -> Any:
    """A session opened quickly on the CPU: for reading the file's declarations, not for running it.

    Raises:
        ModelError: The file is not a model.
    """
    return _create(_Request(path=path, label=label, threads=1), "cpu", optimised=False)


def _on_cpu(request: _Request, reason: str) -> OpenedSession:
    return OpenedSession(
        session=_create(request, "cpu"),
        device="cpu",
        provider=PROVIDERS["cpu"],
        reason=reason,
        threads=request.threads,
    )


def _on_openvino(request: _Request) -> OpenedSession:
    """A compiled model; a broken file raises as on the CPU."""
    found = survey_openvino()
    if found.problem:
        remedy = install_command("openvino") if found.version is None else "install it again, or use --device cpu"
        raise ModelError("--device openvino", found.problem, remedy)
    declared = _create(request, "cpu", optimised=False)
    try:
        session = OpenVinoSession(request.path, declared=declared, threads=request.threads, profile=request.profile)
    except RuntimeError as error:
        problem = f"openvino {found.version} cannot compile it: {error}"
        remedy = "use --device cpu: ONNX Runtime runs it"
        if "can't protect" in str(error):
            remedy += ", or let the process make code while it runs (systemd: MemoryDenyWriteExecute=false)"
        raise ModelError(request.label, problem, remedy) from error
    slower = "" if found.bf16 else ", since the processor has no bf16: --device cpu is faster"
    return OpenedSession(
        session=session,
        device="openvino",
        provider=OPENVINO,
        reason=f"OpenVINO {found.version} in {found.precision}{slower}",
        threads=request.threads,
    )


def _on_gpu(request: _Request, device: str, card: int) -> tuple[OpenedSession | None, str, str]:
    """A session that really runs on the card, else the problem and its remedy; a broken file raises as on the CPU."""
    here = survey()
    obstacle = here.obstacle(device)
    if obstacle is not None:
        return None, *obstacle
    if card >= len(here.cards):
        return None, f"there is no card {card}, found {len(here.cards)}: {', '.join(here.cards)}", "count cards from 0"
    remedy = "see `masktrail doctor`, or use --device cpu"
    options = _gpu_options(request, device, card)
    try:
        session = _create(request, device, options)
    except ModelError as error:
        # Graphs are refused, for example, where a node has to run on the CPU. A model of several TensorRT engines wants
        # shapes for what flows between them too; without any it finds them itself while batches are tried out.
        easier = dataclasses.replace(request, graphs=False, profile=None)
        if easier != request:
            return _on_gpu(easier, device, card)
        _create(request, "cpu")  # raises if the file and not the device is at fault
        return None, f"{PROVIDERS[device]} did not start: {error.problem}", remedy
    used = session.get_providers()
    if used[0] != PROVIDERS[device]:
        return None, f"{PROVIDERS[device]} did not start: the session runs on {', '.join(used)}", remedy
    opened = OpenedSession(
        session=session,
        device=device,
        provider=PROVIDERS[device],
        reason=f"{here.cards[card]}, driver {here.driver}",
        threads=request.threads,
        card=card,
        graphs=request.graphs,
    )
    return opened, "", ""


def _gpu_options(request: _Request, device: str, card: int) -> dict[str, str]:
    if device == "cuda":
        return cuda_options(card, graphs=request.graphs)
    here = survey()
    folder = engine_folder(
        request.path,
        runtime=here.version,
        tensorrt=tensorrt_version(),
        card=here.cards[card],
        fp16=request.fp16,
        profile=request.profile,
    )
    return tensorrt_options(card, fp16=request.fp16, profile=request.profile, folder=folder)


def _create(request: _Request, device: str, options: dict[str, str] | None = None, *, optimised: bool = True) -> Any:
    import onnxruntime

    if os.environ.get(TELEMETRY_OFF) == "1":  # not read on Windows, nor where it was imported before
        onnxruntime.disable_telemetry_events()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = request.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = FATAL
    # Idle workers that spin take the core from decoder and encoder: yolact-nano on two shared cores took 61 ms of CPU a
    # frame with spinning and 32 ms without. All graph optimisations (the default): 26 ms, without the last level 41 ms.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if not optimised:
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    chain: list[Any] = [PROVIDERS["cpu"]]
    if device == "cpu":
        if request.single_on_cpu:
            for axis in BATCH_AXES:  # 2 to 6 % less CPU time for yolact-nano; names that a file lacks are ignored
                settings.add_free_dimension_override_by_name(axis, 1)
    else:
        chain.insert(0, (PROVIDERS[device], options or {}))
    if device == "tensorrt":
        chain.insert(1, (PROVIDERS["cuda"], {"device_id": (options or {}).get("device_id", "0")}))
    try:
        with _quiet() if device != "cpu" else contextlib.nullcontext():
            return onnxruntime.InferenceSession(str(request.path), settings, providers=chain, enable_fallback=0)
    except Exception as error:
        raise _load_error(request.path, request.label, error, onnxruntime.__version__) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's default logger at fatal only, and afterwards at its usual warning level."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(FATAL)
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(2)


def _load_error(path: Path, label: object, error: Exception, version: str) -> ModelError:
    """A message of ONNX Runtime in one line."""
    head = path.read_bytes()[:4] if path.is_file() else b""
    size = path.stat().st_size if path.is_file() else 0
    complaint = str(error).splitlines()[0].rsplit(" : ", 1)[-1].replace(f"Load model from {path} failed:", "").strip()
    if head == b"PK\x03\x04":
        return ModelError(
            label,
            "expected an ONNX model, found a zip archive, as PyTorch's .pt and .pth are",
            "export it to .onnx first",
        )
    if size == 0:
        return ModelError(label, "expected an ONNX model, found an empty file", "download or export it again")
    if "parsing failed" in complaint or "No graph was found" in complaint:
        return ModelError(
            label,
            f"expected an ONNX model, found {size} bytes that are none",
            "give an .onnx file, or see `masktrail models list`",
        )
    return ModelError(label, f"onnxruntime {version} cannot load it: {complaint}", _load_remedy(path, complaint))


def _load_remedy(path: Path, complaint: str) -> str:
    """What helps against a complaint of ONNX Runtime's."""
    absent = re.search(r'[Ee]xternal data path does not exist: "?([^"]+)"?', complaint)
    if absent or ("external" in complaint.lower() and "No such file" in complaint):
        name = Path(absent[1]).name if absent else f"{path.name}.data"
        return f"copy {name} beside {path.name}: the weights are in it, and the two files go together"
    if "external" in complaint.lower() and ("escape" in complaint or "outside" in complaint or "absolute" in complaint):
        return "put the weights beside the model, in its folder, and export it with a relative name"
    unknown = re.search(r"(?:error: |^)([\w.]*):?([A-Za-z]\w*)\(-?\d+\) is not a registered", complaint)
    if unknown and (unknown[2].endswith("_TRT") or unknown[1].startswith("trt")):
        return f"export without the NMS plugin: {unknown[2]} is TensorRT's own, and is in no .onnx for other runtimes"
    if unknown and unknown[1] not in {"", "ai.onnx"}:
        return f"export with standard operators only: {unknown[2]} belongs to {unknown[1]}, which is not here"
    if "external" in complaint.lower():
        return "copy the weights again: they are cut off, or belong to another export"
    return "export with opset 17 or 18, or update onnxruntime"


def provider_shares(session: Any) -> dict[str, float]:
    """Share of the graph's nodes per provider; empty where ONNX Runtime did not record it."""
    counts = _provider_counts(session)
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()} if total else {}


def placement(session: Any) -> str:
    """Where the graph's nodes run, as a text: ``CUDA 99.8 %, CPU 0.174 % of 576 nodes``."""
    if isinstance(session, OpenVinoSession):
        return session.placement()
    counts = _provider_counts(session)
    total = sum(counts.values())
    if not total:
        return "no node recorded by this ONNX Runtime"
    shares = (
        f"{name.removesuffix('ExecutionProvider')} {100 * count / total:.3g} %" for name, count in counts.most_common()
    )
    return f"{', '.join(shares)} of {total} nodes"


def _provider_counts(session: Any) -> Counter[str]:
    """How many nodes each provider took when the graph was divided, before nodes were fused."""
    try:
        parts = session.get_provider_graph_assignment_info()
    except Exception:  # noqa: BLE001 - older versions lack it, newer ones have their own type for nothing recorded
        return Counter()
    counts: Counter[str] = Counter()
    for part in parts:
        counts[part.ep_name] += len(part.get_nodes())
    return counts
