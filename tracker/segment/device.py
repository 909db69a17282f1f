"""A model file and a device name enter, an ONNX Runtime session that really runs there leaves, with the reason.

A listed provider is not a used provider: ONNX Runtime falls back to the CPU in silence when a library or the driver is
missing, so the driver and the libraries are looked at first and ``session.get_providers()`` afterwards.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "DEVICES",
    "DeviceSurvey",
    "OpenedSession",
    "available_cores",
    "default_threads",
    "open_session",
    "provider_shares",
    "survey",
]

DEVICES = ("auto", "cpu", "cuda", "tensorrt")
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
MAX_DEFAULT_THREADS = 8
BATCH_AXES = ("batch", "batch_size", "N")
FATAL = 4
"""Log severity that keeps ONNX Runtime silent about absent GPU libraries; they are reported here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSurvey:
    """What this machine offers to ONNX Runtime.

    Attributes:
        version: Of ONNX Runtime.
        listed: Providers that the installed build lists, whether they can run or not.
        cuda_version: CUDA version the build was made for, ``None`` for a CPU build.
        driver: What was found of the NVIDIA driver, for example ``CUDA 13.0``; ``None`` = no working driver.
        driver_problem: Why there is no working driver.
        cards: Names of the NVIDIA cards.
        missing: Per device, the first library that could not be loaded; only looked at where there is a driver.
    """

    version: str
    listed: tuple[str, ...]
    cuda_version: str | None = None
    driver: str | None = None
    driver_problem: str = ""
    cards: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    def obstacle(self, device: str) -> tuple[str, str] | None:
        """Why ``cuda`` or ``tensorrt`` cannot run here and the remedy, or ``None`` where nothing speaks against it."""
        if PROVIDERS[device] not in self.listed:
            remedy = (
                "pip uninstall onnxruntime && pip install 'masktrail[cuda]'"
                if sys.platform != "darwin"
                else "use --device cpu"
            )
            return f"onnxruntime {self.version} lists {', '.join(self.listed)}, not {PROVIDERS[device]}", remedy
        if self.driver is None:
            return (
                self.driver_problem,
                "install the NVIDIA driver, check it with `nvidia-smi` (containers: `--gpus all`), or use --device cpu",
            )
        if device in self.missing:
            needs = (
                "tensorrt-cu13" if device == "tensorrt" and "nvinfer" in self.missing[device] else "'masktrail[cuda]'"
            )
            return (
                f"onnxruntime {self.version} needs {self.missing[device]}",
                f"pip install {needs}, or use --device cpu",
            )
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSession:
    """A session and where it runs.

    Attributes:
        session: ``onnxruntime.InferenceSession``.
        device: ``cpu``, ``cuda`` or ``tensorrt``.
        provider: The first of ``session.get_providers()``, asserted to be the device's.
        reason: Why this device, one clause.
        threads: Threads inside an operator on the CPU.
        card: Number of the card on a GPU.
    """

    session: Any
    device: str
    provider: str
    reason: str
    threads: int
    card: int = 0


@functools.cache
def survey() -> DeviceSurvey:
    """Look at ONNX Runtime, the NVIDIA driver and the CUDA libraries; once per process, quietly."""
    import onnxruntime

    version = onnxruntime.__version__
    listed = tuple(onnxruntime.get_available_providers())
    cuda_version = getattr(onnxruntime, "cuda_version", None) or None
    driver, problem, cards = _driver()
    missing = {}
    if driver is not None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(AttributeError, OSError):
            onnxruntime.preload_dlls()
        for device in ("cuda", "tensorrt"):
            if PROVIDERS[device] in listed:
                complaint = _missing_library(Path(onnxruntime.__file__).parent / "capi", device)
                if complaint:
                    missing[device] = complaint
    return DeviceSurvey(
        version=version,
        listed=listed,
        cuda_version=cuda_version,
        driver=driver,
        driver_problem=problem,
        cards=cards,
        missing=missing,
    )


def _driver() -> tuple[str | None, str, tuple[str, ...]]:
    """The driver's CUDA version, else the problem, and the names of the cards, asked from the driver library itself."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return None, f"no NVIDIA driver ({name} not found)", ()
    status = library.cuInit(0)
    count, version = ctypes.c_int(0), ctypes.c_int(0)
    if status == 0:
        library.cuDriverGetVersion(ctypes.byref(version))
        status = library.cuDeviceGetCount(ctypes.byref(count))
    if status != 0 or count.value == 0:
        return None, f"the NVIDIA driver reports no usable card (cuInit gave {status})", ()
    cards = []
    for number in range(count.value):
        text = ctypes.create_string_buffer(128)
        library.cuDeviceGetName(text, len(text), number)
        cards.append(text.value.decode("utf-8", "replace"))
    return f"CUDA {version.value // 1000}.{version.value % 1000 // 10}", "", tuple(cards)


def _missing_library(folder: Path, device: str) -> str | None:
    """The loader's complaint about a provider's library, ``None`` where it loads or its name is not known here."""
    if sys.platform != "linux":
        return None
    for name in ("shared", device):
        library = folder / f"libonnxruntime_providers_{name}.so"
        if library.exists():
            try:
                ctypes.CDLL(str(library), mode=os.RTLD_GLOBAL | os.RTLD_LAZY)
            except OSError as error:
                return str(error).split(": cannot open", maxsplit=1)[0]
    return None


def available_cores() -> int:
    """Cores this process may use, which a container may limit below what the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
) -> OpenedSession:
    """Open a model on a device.

    Args:
        path: The ``.onnx`` file.
        label: How errors name it.
        device: ``auto``, ``cpu``, ``cuda`` or ``tensorrt``; ``cuda:1`` picks the second card. ``auto`` takes CUDA where
            it runs.
        threads: Threads inside an operator on the CPU; ``None`` = :func:`default_threads`.
        fp16: Let TensorRT compute in half precision.
        single_on_cpu: On the CPU fix an open batch to 1, so that shape arithmetic folds away.

    Raises:
        ConfigError: An unknown device name, or a number of threads below one.
        ModelError: The file is not a model, or the asked device cannot run here.
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
    request = _Request(path=path, label=label, threads=threads or default_threads(), single_on_cpu=single_on_cpu)
    if kind == "cpu":
        return _on_cpu(request, "asked for")
    wanted = "cuda" if kind == "auto" else kind
    opened, problem, remedy = _on_gpu(request, wanted, int(card or 0), fp16=fp16)
    if opened is not None:
        return opened
    if kind != "auto":
        offender = f"--device {device}"
        raise ModelError(offender, problem, remedy)
    return _on_cpu(request, problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """The file to open and what holds on any device."""

    path: Path
    label: object
    threads: int
    single_on_cpu: bool


def _on_cpu(request: _Request, reason: str) -> OpenedSession:
    return OpenedSession(
        session=_create(request, "cpu"),
        device="cpu",
        provider=PROVIDERS["cpu"],
        reason=reason,
        threads=request.threads,
    )


def _on_gpu(request: _Request, device: str, card: int, *, fp16: bool) -> tuple[OpenedSession | None, str, str]:
    """A session that really runs on the card, else the problem and its remedy; a broken file raises as on the CPU."""
    here = survey()
    obstacle = here.obstacle(device)
    if obstacle is not None:
        return None, *obstacle
    if card >= len(here.cards):
        return None, f"there is no card {card}, found {len(here.cards)}: {', '.join(here.cards)}", "count cards from 0"
    remedy = "see `masktrail doctor`, or use --device cpu"
    try:
        session = _create(request, device, _gpu_options(device, card, fp16=fp16))
    except ModelError as error:
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
    )
    return opened, "", ""


def _gpu_options(device: str, card: int, *, fp16: bool) -> dict[str, str]:
    if device == "cuda":
        return {"device_id": str(card)}
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    cache = base / "masktrail" / "tensorrt"
    with contextlib.suppress(OSError):  # a home that cannot be written costs the engine cache, not the run
        cache.mkdir(parents=True, exist_ok=True)
    return {
        "device_id": str(card),
        "trt_fp16_enable": str(fp16),
        # An engine takes minutes to build; keyed by model, build and card by ONNX Runtime itself.
        "trt_engine_cache_enable": "True",
        "trt_timing_cache_enable": "True",
        "trt_engine_cache_path": str(cache),
    }


def _create(request: _Request, device: str, options: dict[str, str] | None = None) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = request.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = FATAL
    # Idle workers that spin take the core from decoder and encoder: yolact-nano on two shared cores took 61 ms of CPU a
    # frame with spinning and 32 ms without. All graph optimisations (the default): 26 ms, without the last level 41 ms.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    chain: list[Any] = [PROVIDERS["cpu"]]
    if device == "cpu":
        if request.single_on_cpu:
            for axis in BATCH_AXES:  # 2 to 6 % less CPU time for yolact-nano; names that a file lacks are ignored
                settings.add_free_dimension_override_by_name(axis, 1)
    else:
        settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
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
    """One line for what ONNX Runtime says in five."""
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
    return ModelError(
        label, f"onnxruntime {version} cannot load it: {complaint}", "export with opset 17 or 18, or update onnxruntime"
    )


def provider_shares(session: Any) -> dict[str, float]:
    """Share of the graph's nodes per provider, for sessions on a GPU; empty where ONNX Runtime did not record it."""
    try:
        parts = session.get_provider_graph_assignment_info()
    except Exception:  # noqa: BLE001 - older versions lack it, newer ones have their own type for nothing recorded
        return {}
    counts: Counter[str] = Counter()
    for part in parts:
        counts[part.ep_name] += len(part.get_nodes())
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()} if total else {}
