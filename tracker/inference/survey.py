"""Survey of this machine for ONNX Runtime: processor, driver, GPUs, and missing libraries."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import importlib.util
import io
import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import install_command

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DRIVER",
    "PROVIDERS",
    "TELEMETRY_OFF",
    "DeviceSurvey",
    "available_cores",
    "on_processor",
    "processor_flags",
    "processor_name",
    "survey",
    "tensorrt_version",
]

TELEMETRY_OFF = "ORT_DISABLE_TELEMETRY"
"""Environment variable that ONNX Runtime reads once, when it is imported."""

# From 1.29 on ONNX Runtime's wheels for Linux and macOS report sessions to Microsoft and keep an identifier under
# ~/.cache/Microsoft. A value that is set already stays.
os.environ.setdefault(TELEMETRY_OFF, "1")

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
TENSORRT_PACKAGES = ("tensorrt-cu13", "tensorrt-cu12", "tensorrt")
TENSORRT_LIBRARIES = ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSurvey:
    """Devices and libraries of this machine for ONNX Runtime.

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
        """Why ``cuda`` or ``tensorrt`` cannot run here and the remedy, or ``None`` where no obstacle was found."""
        if PROVIDERS[device] not in self.listed:
            remedy = (
                f"pip uninstall onnxruntime && {install_command('cuda')}"
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
            return (
                f"onnxruntime {self.version} needs {self.missing[device]}",
                f"{self._installing(device)}, or use --device cpu",
            )
        return None

    def _installing(self, device: str) -> str:
        """The command for the missing library; TensorRT's wheels are named after the CUDA version that they are for."""
        if device == "tensorrt" and "nvinfer" in self.missing[device]:
            return f"pip install tensorrt-cu{(self.cuda_version or '13').partition('.')[0]}"
        return install_command("cuda")


@functools.cache
def survey() -> DeviceSurvey:
    """Examine ONNX Runtime, the NVIDIA driver and the CUDA libraries; once per process, without log output."""
    import onnxruntime

    listed = tuple(onnxruntime.get_available_providers())
    driver, problem, cards = _driver()
    missing = {}
    if driver is not None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(AttributeError, OSError):
            onnxruntime.preload_dlls()
        _preload_tensorrt()
        for device in ("cuda", "tensorrt"):
            if PROVIDERS[device] in listed:
                complaint = _missing_library(Path(onnxruntime.__file__).parent / "capi", device)
                if complaint:
                    missing[device] = complaint
    return DeviceSurvey(
        version=onnxruntime.__version__,
        listed=listed,
        cuda_version=getattr(onnxruntime, "cuda_version", None) or None,
        driver=driver,
        driver_problem=problem,
        cards=cards,
        missing=missing,
    )


def _driver() -> tuple[str | None, str, tuple[str, ...]]:
    """The driver's CUDA version, else the problem, and the names of the cards, asked from the driver library itself."""
    try:
        library = ctypes.CDLL(DRIVER)
    except OSError:
        return None, f"no NVIDIA driver ({DRIVER} not found)", ()
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


def _preload_tensorrt() -> None:
    """Load TensorRT's libraries from its wheel: ``onnxruntime.preload_dlls`` knows CUDA's and cuDNN's only."""
    found = importlib.util.find_spec("tensorrt_libs")
    for folder in found.submodule_search_locations or () if found else ():
        for name in TENSORRT_LIBRARIES:
            with contextlib.suppress(OSError):
                ctypes.CDLL(str(Path(folder) / name), mode=ctypes.RTLD_GLOBAL)


def _missing_library(folder: Path, device: str) -> str | None:
    """The loader's error for a provider's library, ``None`` where it loads or its name is not known here."""
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


def tensorrt_version() -> str:
    """TensorRT's version, from the loaded library, else from the installed wheel; ``unknown`` where neither has it."""
    with contextlib.suppress(OSError, AttributeError):
        number = ctypes.CDLL(TENSORRT_LIBRARIES[0]).getInferLibVersion()  # 101303 is 10.13.3 since TensorRT 10
        return f"{number // 10000}.{number // 100 % 100}.{number % 100}"
    for package in TENSORRT_PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(package)
    return "unknown"


def on_processor(device: str) -> bool:
    """Whether a device of a session computes on the processor, not on a card.

    >>> [on_processor(device) for device in ("cpu", "openvino", "cuda:1")]
    [True, True, False]
    """
    return device in {"cpu", "openvino"}


def available_cores() -> int:
    """Cores this process may use, which a container may limit below what the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    """The processor's own name, with the usable cores."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    cores = available_cores()
    return f"{name}, {cores} core{'s' if cores > 1 else ''}"


@functools.cache
def processor_flags() -> frozenset[str]:
    """Instruction sets of an x86 processor, by the names of Linux; empty on other systems and processors."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
    return frozenset()
