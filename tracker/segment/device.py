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

__all__ = ["DEVICES", "DeviceSurvey", "OpenedSession", "default_threads", "open_session", "provider_shares", "survey"]

DEVICES = ("auto", "cpu", "cuda", "tensorrt")
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
MAX_DEFAULT_THREADS = 8
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


def default_threads() -> int:
    """Cores this process may use, at most 8: small networks gain nothing from more."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(available, MAX_DEFAULT_THREADS))


def open_session(
    path: Path, *, label: object, device: str = "auto", threads: int | None = None, fp16: bool = False
) -> OpenedSession:
    """Open a model on a device.

    Args:
        path: The ``.onnx`` file.
        label: How errors name it.
        device: ``auto``, ``cpu``, ``cuda`` or ``tensorrt``; ``cuda:1`` picks the second card. ``auto`` takes CUDA where
            it runs.
        threads: Threads inside an operator on the CPU; ``None`` = :func:`default_threads`.
        fp16: Let TensorRT compute in half precision.

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
    threads = threads or default_threads()
    if kind == "cpu":
        return _on_cpu(path, label, threads, "asked for")
    here = survey()
    wanted = "cuda" if kind == "auto" else kind
    obstacle = here.obstacle(wanted)
    number = int(card or 0)
    if obstacle is None and number >= len(here.cards):
        obstacle = (
            f"there is no card {number}, found {len(here.cards)}: {', '.join(here.cards)}",
            "count cards from 0",
        )
    if obstacle is None:
        session, complaint = _try_gpu(path, label, wanted, threads, _gpu_options(wanted, number, fp16=fp16))
        if session is not None:
            reason = f"{here.cards[number]}, driver {here.driver}" + ("" if kind == "auto" else ", asked for")
            return OpenedSession(
                session=session, device=wanted, provider=PROVIDERS[wanted], reason=reason, threads=threads, card=number
            )
        obstacle = (f"{PROVIDERS[wanted]} did not start: {complaint}", "see `masktrail doctor`, or use --device cpu")
    if kind != "auto":
        offender = f"--device {device}"
        raise ModelError(offender, *obstacle)
    return _on_cpu(path, label, threads, obstacle[0])


def _on_cpu(path: Path, label: object, threads: int, reason: str) -> OpenedSession:
    session = _create(path, label, "cpu", threads)
    return OpenedSession(session=session, device="cpu", provider=PROVIDERS["cpu"], reason=reason, threads=threads)


def _gpu_options(device: str, card: int, *, fp16: bool) -> dict[str, str]:
    if device == "cuda":
        return {"device_id": str(card)}
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    cache = base / "masktrail" / "tensorrt"
    return {
        "device_id": str(card),
        "trt_fp16_enable": str(fp16),
        # An engine takes minutes to build; keyed by model, build and card by ONNX Runtime itself.
        "trt_engine_cache_enable": "True",
        "trt_timing_cache_enable": "True",
        "trt_engine_cache_path": str(cache),
    }


def _try_gpu(path: Path, label: object, device: str, threads: int, options: dict[str, str]) -> tuple[Any, str]:
    """A session that really runs on the GPU, or ``None`` and why not; a broken model file raises as on the CPU."""
    try:
        session = _create(path, label, device, threads, options)
    except ModelError as error:
        _create(path, label, "cpu", threads)  # raises if the file and not the device is at fault
        return None, error.problem
    used = session.get_providers()
    if used[0] != PROVIDERS[device]:
        return None, f"the session runs on {', '.join(used)}"
    return session, ""


def _create(path: Path, label: object, device: str, threads: int, options: dict[str, str] | None = None) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = FATAL
    # Idle workers that spin take the core from the decoder and the encoder (see bench figures in tests/bench).
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if device != "cpu":
        settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    chain: list[Any] = [PROVIDERS["cpu"]]
    if device != "cpu":
        chain.insert(0, (PROVIDERS[device], options or {}))
    if device == "tensorrt":
        chain.insert(1, (PROVIDERS["cuda"], {"device_id": (options or {}).get("device_id", "0")}))
    try:
        with _quiet() if device != "cpu" else contextlib.nullcontext():
            return onnxruntime.InferenceSession(str(path), settings, providers=chain, enable_fallback=0)
    except Exception as error:
        raise _load_error(path, label, error, onnxruntime.__version__) from error


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
