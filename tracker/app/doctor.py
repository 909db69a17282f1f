"""`masktrail doctor`: versions, devices and codecs of this machine, with remedies."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import itertools
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tracker.errors import DISTRIBUTIONS, TrackerError, install_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracker.inference.openvino_session import OpenVinoSurvey
    from tracker.inference.survey import DeviceSurvey

__all__ = ["Finding", "examine"]

LEAST_ONNXRUNTIME = (1, 25)
"""Before it a model's external weights may be any file that the process can read."""

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Result of one check.

    Attributes:
        name: What was checked.
        state: ``ok``; ``note`` = works, but could be better; ``problem`` = something does not work.
        found: What was found.
        remedy: What to do about it; empty where nothing is wrong.
    """

    name: str
    state: State
    found: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Look at everything masktrail stands on, one finding after another; never raises for what it finds."""
    yield Finding(name="python", state="ok", found=f"{platform.python_version()} at {sys.executable}")
    yield _machine()
    yield from _packages()
    yield _opencv()
    yield from _ffmpeg()
    yield _hardware_decoding()
    yield from _onnxruntime()
    yield from _cuda_really_runs()
    yield _openvino()
    yield from _default_model()
    yield from _extras()


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _machine() -> Finding:
    from tracker.inference.survey import processor_name

    found = f"{platform.system()} {platform.machine()}, {processor_name()}"
    return Finding(name="machine", state="ok", found=found)


def _packages() -> Iterator[Finding]:
    yield _installation()
    wanted = ["numpy", *_opencv_names()[:1], "av", "lap", "filterpy", "pycocotools"]
    versions = {name: _version(name) for name in wanted}
    missing = [name for name, version in versions.items() if version is None]
    yield Finding(
        name="packages",
        state="problem" if missing else "ok",
        found=", ".join(f"{name} {version or 'missing'}" for name, version in versions.items()),
        remedy=f"pip install {' '.join(missing)}" if missing else "",
    )


def _installation() -> Finding:
    """Which wheel is installed, and how much disk it and all that it needs take."""
    names = [name for name in DISTRIBUTIONS if _version(name)]
    if not names:
        return Finding(
            name="masktrail", state="problem", found="run from files, not installed", remedy="pip install -e ."
        )
    if len(names) > 1:
        return Finding(
            name="masktrail",
            state="problem",
            found=f"{' and '.join(names)} are installed side by side; they overwrite each other's files",
            remedy=f"pip uninstall {' '.join(names)} onnxruntime onnxruntime-gpu && pip install one of them",
        )
    needed = _with_requirements(names[0])
    size = sum(map(_size_bytes, needed))
    found = f"{names[0]} {_version(names[0])}; with the {len(needed) - 1} packages that it needs {size / 1e6:,.0f} MB"
    return Finding(name="masktrail", state="ok", found=found)


def _with_requirements(name: str) -> dict[str, importlib.metadata.Distribution]:
    """An installed distribution and all that it needs, extras apart, by name."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [name]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        requirements = [Requirement(text) for text in found[name].requires or []]
        waiting += [one.name for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def _size_bytes(name: str) -> int:
    """Bytes on disk of an installed distribution's files."""
    total = 0
    for file in importlib.metadata.distribution(name).files or ():
        with contextlib.suppress(OSError):
            total += Path(str(file.locate())).stat().st_size
    return total


def _opencv_names() -> list[str]:
    names = ("opencv-python", "opencv-python-headless", "opencv-contrib-python")
    return [name for name in names if _version(name)] or ["opencv-python"]


def _opencv() -> Finding:
    both = _opencv_names()
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as error:
        return Finding(
            name="opencv",
            state="problem",
            found=str(error),
            remedy="on Debian or Ubuntu: apt install libgl1 libglib2.0-0; on Fedora: dnf install mesa-libGL glib2",
        )
    if len(both) > 1:
        return Finding(
            name="opencv",
            state="note",
            found=f"{' and '.join(both)} are installed side by side; they overwrite each other's files",
            remedy=f"pip uninstall {' '.join(both)} && pip install opencv-python",
        )
    return Finding(name="opencv", state="ok", found=f"{cv2.__version__}, libGL and glib found")


def _ffmpeg() -> Iterator[Finding]:
    try:
        av = importlib.import_module("av")
    except ImportError as error:
        yield Finding(name="ffmpeg", state="problem", found=str(error), remedy="pip install 'av<19'")
        return
    libraries = ", ".join(f"{name} {'.'.join(map(str, version))}" for name, version in av.library_versions.items())
    yield Finding(name="ffmpeg", state="ok", found=libraries)
    missing = [
        name for name, mode in (("h264", "r"), ("hevc", "r"), ("libx264", "w")) if not _has_codec(av, name, mode)
    ]
    yield Finding(
        name="codecs",
        state="problem" if missing else "ok",
        found=f"missing: {', '.join(missing)}" if missing else "H.264 and HEVC decoders, libx264 encoder",
        remedy="install PyAV from PyPI (pip install --force-reinstall 'av<19'): its FFmpeg has them" if missing else "",
    )


def _has_codec(av: object, name: str, mode: str) -> bool:
    codec = av.codec.Codec  # type: ignore[attr-defined]
    try:
        codec(name, mode)
    except ValueError:
        return False
    return True


def _hardware_decoding() -> Finding:
    """Decode a clip on each device and ask the decoder where it did: FFmpeg falls back silently."""
    try:
        from tracker.sources.hardware import PIXEL_FORMATS, obstacle, trial
    except ImportError as error:
        return Finding(name="hardware decoding", state="note", found=str(error))
    obstacles = {name: obstacle(name) for name in PIXEL_FORMATS}
    trials = {name: trial(name) for name, why in obstacles.items() if not why}
    if not trials:
        found = "; ".join(f"{name}: {why}" for name, why in obstacles.items())
        return Finding(name="hardware decoding", state="ok", found=f"none, so video is decoded on the CPU ({found})")
    failed = {name: why for name, why in trials.items() if why}
    found = "; ".join(f"{name}: {why or 'decodes H.264'}" for name, why in trials.items())
    remedy = "look at the driver's messages, or decode on the CPU with --decode cpu" if failed else ""
    return Finding(name="hardware decoding", state="note" if failed else "ok", found=found, remedy=remedy)


def _onnxruntime() -> Iterator[Finding]:
    gpu, cpu = _version("onnxruntime-gpu"), _version("onnxruntime")
    try:
        ort = importlib.import_module("onnxruntime")
    except ImportError as error:
        yield Finding(name="onnxruntime", state="problem", found=str(error), remedy="pip install onnxruntime-gpu")
        return
    if gpu and cpu:
        yield Finding(
            name="onnxruntime",
            state="problem",
            found=f"onnxruntime {cpu} and onnxruntime-gpu {gpu} are both installed; the later one hides the GPU",
            remedy="pip uninstall onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu",
        )
        return
    if _release(ort.__version__) < LEAST_ONNXRUNTIME:
        yield Finding(
            name="onnxruntime",
            state="problem",
            found=f"onnxruntime {ort.__version__}, which loads any file that a model names as its weights",
            remedy=f"pip install 'onnxruntime-gpu>={'.'.join(map(str, LEAST_ONNXRUNTIME))}'",
        )
        return
    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in ort.get_available_providers())
    package = f"onnxruntime-gpu {gpu}" if gpu else f"onnxruntime {cpu}"
    yield Finding(name="onnxruntime", state="ok", found=f"{package}, listed providers: {providers}")


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version, as far as they are numbers.

    >>> _release("1.25.0rc1")
    (1, 25)
    """
    return tuple(int(part) for part in itertools.takewhile(str.isdigit, version.split(".")))


def _cuda_really_runs() -> Iterator[Finding]:
    """A listed provider is not a used one: open the default model on it and ask the session."""
    from tracker.inference.device import provider_shares
    from tracker.inference.survey import survey
    from tracker.segment.session import OnnxSegmenter

    found = survey()
    if obstacle := found.obstacle("cuda"):
        problem, remedy = obstacle
        # Without a driver there is most likely no card, and nothing is wrong.
        yield Finding(name="cuda", state="problem" if found.driver else "note", found=problem, remedy=remedy)
        return
    try:
        segmenter = OnnxSegmenter("yolact-nano", device="cuda")
    except TrackerError as error:
        yield Finding(name="cuda", state="problem", found=error.problem, remedy=error.remedy)
        return
    cards = ", ".join(found.cards)
    fell_back = provider_shares(segmenter.session).get("CPUExecutionProvider", 0.0) > 0
    yield Finding(
        name="cuda",
        state="note" if fell_back else "ok",
        found=f"{cards}, {found.driver}: the default model runs on it, {segmenter.placement}; {segmenter.manner}",
        remedy="some operators run on the CPU and make the card wait; try another version of onnxruntime-gpu"
        if fell_back
        else "",
    )
    yield _tensorrt(found)


def _tensorrt(found: DeviceSurvey) -> Finding:
    """Whether TensorRT's libraries load; no engine is built, for that takes minutes."""
    from tracker.inference.survey import tensorrt_version

    if obstacle := found.obstacle("tensorrt"):
        return Finding(name="tensorrt", state="note", found=obstacle[0], remedy=obstacle[1])
    return Finding(name="tensorrt", state="ok", found=f"TensorRT {tensorrt_version()}, for --device tensorrt")


def _openvino() -> Finding:
    """Where bf16 is there, open the default model in it and ask the compiled graph."""
    from tracker.inference.openvino_session import load_problem, survey_openvino

    found = survey_openvino()
    if found.version is None:
        if not found.bf16:
            text = "not installed; it is faster on processors with bf16 (AVX512_BF16, AMX), which this one has not"
            return Finding(name="openvino", state="ok", found=text)
        text = "not installed; this processor computes in bf16, with which OpenVINO takes less CPU time"
        return Finding(name="openvino", state="note", found=text, remedy=install_command("openvino"))
    problem = found.problem if found.bf16 or found.problem else load_problem(found.version)
    if problem:
        remedy = "pip install --force-reinstall openvino, or pip uninstall openvino"
        return Finding(name="openvino", state="problem", found=problem, remedy=remedy)
    if not found.bf16:
        text = f"openvino {found.version}; without bf16 in the processor --device auto takes ONNX Runtime"
        return Finding(name="openvino", state="ok", found=text)
    return _openvino_really_runs(found)


def _openvino_really_runs(found: OpenVinoSurvey) -> Finding:
    from tracker.segment.session import OnnxSegmenter

    try:
        segmenter = OnnxSegmenter("yolact-nano", device="openvino")
    except TrackerError as error:
        return Finding(name="openvino", state="problem", found=error.problem, remedy=error.remedy)
    text = f"openvino {found.version}: the default model runs on it; {segmenter.placement.removeprefix('OpenVINO, ')}"
    return Finding(name="openvino", state="ok", found=text)


def _default_model() -> Iterator[Finding]:
    from tracker.segment.check import check_model
    from tracker.segment.zoo import find_model

    try:
        report = check_model(find_model("yolact-nano"))
    except TrackerError as error:
        yield Finding(name="default model", state="problem", found=error.problem, remedy=error.remedy)
        return
    yield Finding(name="default model", state="ok", found=f"{report.headline}; {report.placement}")


def _extras() -> Iterator[Finding]:
    for extra, distribution, purpose in (
        ("parquet", "pyarrow", "--records tracks.parquet"),
        ("eval", "trackeval", "masktrail eval"),
    ):
        version = _version(distribution)
        yield Finding(
            name=f"extra {extra}",
            state="ok" if version else "note",
            found=f"{distribution} {version}" if version else f"{distribution} is not installed ({purpose} needs it)",
            remedy="" if version else install_command(extra),
        )
