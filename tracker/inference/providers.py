"""Options of ONNX Runtime's CUDA and TensorRT providers for a model, a card and a precision."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Profile", "cuda_options", "engine_folder", "tensorrt_options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Input shapes that a TensorRT engine is built for; its kernels are chosen for the largest batch.

    Attributes:
        shapes: By input name, the shape of one sample, without the batch.
        smallest_batch: Fewest samples of one run.
        largest_batch: Most samples of one run, and the usual number.
    """

    shapes: Mapping[str, tuple[int, ...]]
    smallest_batch: int
    largest_batch: int

    def shape(self, batch: int) -> str:
        """One profile shape as TensorRT's options write it, inputs separated by commas."""
        return ",".join(f"{name}:{'x'.join(map(str, (batch, *shape)))}" for name, shape in self.shapes.items())


def cuda_options(card: int, *, graphs: bool) -> dict[str, str]:
    """Options of ``CUDAExecutionProvider``; with ``graphs`` every node must be able to run on the card."""
    return {"device_id": str(card)} | ({"enable_cuda_graph": "1"} if graphs else {})


def tensorrt_options(card: int, *, fp16: bool, profile: Profile | None, folder: Path | None) -> dict[str, str]:
    """Options of ``TensorrtExecutionProvider``.

    Args:
        card: Number of the card.
        fp16: Let layers compute in half precision.
        profile: Shapes of an input that the file leaves open, so that no batch makes TensorRT build again.
        folder: Where engines and timings are kept; ``None`` = they are built anew each time.
    """
    options = {"device_id": str(card), "trt_fp16_enable": str(fp16)}
    if folder is not None:
        options |= {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(folder),
        }
    if profile is not None:
        options |= {
            "trt_profile_min_shapes": profile.shape(profile.smallest_batch),
            "trt_profile_opt_shapes": profile.shape(profile.largest_batch),
            "trt_profile_max_shapes": profile.shape(profile.largest_batch),
        }
    return options


def engine_folder(
    model: Path, *, runtime: str, tensorrt: str, card: str, fp16: bool, profile: Profile | None = None
) -> Path | None:
    """The folder of one model's engines, made if need be; ``None`` where nothing can be written.

    An engine fits the very model, versions, card and precision that it was built with and fails or computes something
    else on others, so all of them are in the folder's name: ``$XDG_CACHE_HOME/masktrail/tensorrt/<key>``.

    Args:
        model: The ``.onnx`` file, of which the SHA-256 counts.
        runtime: Version of ONNX Runtime.
        tensorrt: Version of TensorRT.
        card: The card's name.
        fp16: Whether layers may compute in half precision.
        profile: Shapes that it is built for.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(model.read_bytes()).hexdigest()[:16]
    shapes = "" if profile is None else f"-{profile.shape(profile.largest_batch)}-{profile.smallest_batch}"
    key = f"{digest}-ort{runtime}-trt{tensorrt}-{card}-{'fp16' if fp16 else 'fp32'}{shapes}"
    folder = base / "masktrail" / "tensorrt" / re.sub(r"[^A-Za-z0-9.-]+", "-", key)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder
