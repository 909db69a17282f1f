"""A request and one of its streams enter; the paths of its outputs and, opened, the outputs themselves leave."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import ConfigError, TrackerError
from tracker.request import DISPLAY_SCORE
from tracker.sinks.claims import Claim, check_claims

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from tracker.refine.spool import Spool
    from tracker.request import StreamRequest
    from tracker.sources.address import Address
    from tracker.types import Sink

__all__ = ["check_outputs", "open_output", "open_outputs", "output_paths"]


def output_paths(request: StreamRequest, address: Address, *, several: bool) -> list[Path]:
    """The files of one stream: the video first, then the records, with ``{name}`` filled in.

    Raises:
        ConfigError: There are ``several`` streams, and all of them would write to one path.
    """
    name = Path(address.name).stem or "stream"
    if address.kind in {"network", "camera"}:
        name = "".join(letter if letter.isalnum() else "-" for letter in address.name.rpartition("://")[2]).strip("-")
    paths = []
    if request.save is not None:
        folder = request.save.is_dir() or str(request.save).endswith(("/", os.sep))
        paths.append(request.save / f"{name}.mp4" if folder or _lacks_name(request.save, several) else request.save)
    for path in request.records or []:
        if _lacks_name(path, several):
            raise ConfigError(
                f"--records {path}",
                "expected one file per stream, found one path for several streams",
                f"write {{name}} where the stream's name goes: {path.with_name('{name}' + path.suffix)}",
            )
        paths.append(path)
    return [Path(str(path).replace("{name}", name)) for path in paths]


def _lacks_name(path: Path, several: bool) -> bool:  # noqa: FBT001 - a plain predicate
    return several and "{name}" not in str(path)


def check_outputs(
    request: StreamRequest, addresses: Sequence[Address], outputs: Sequence[list[Path]], *, summary: Path | None = None
) -> None:
    """Look at every file of a request before any work; see :func:`tracker.sinks.claims.check_claims`.

    Args:
        request: What is to be run; its models and its COCO file are read.
        addresses: Its streams.
        outputs: The :func:`output_paths` of each.
        summary: The file of ``--json``.
    """
    from tracker.segment.zoo import model_files

    claims = []
    for address, paths in zip(addresses, outputs, strict=True):
        options = ["--save"] * (request.save is not None) + ["--records"] * len(request.records or [])
        claims += [Claim(path=path, who=f"{who}, {address.name}") for path, who in zip(paths, options, strict=True)]
    if summary is not None:
        claims.append(Claim(path=summary, who="--json"))
    inputs = [Claim(path=file, who="source") for address in addresses for file in address.local_files]
    inputs += [Claim(path=file, who="--model") for file in model_files(request.model)]
    inputs += [Claim(path=file, who="--reid") for file in (model_files(request.reid) if request.reid else ())]
    inputs += [Claim(path=request.coco_images, who="--coco")] if request.coco_images is not None else []
    check_claims(claims, inputs)


def open_output(
    request: StreamRequest,
    address: Address,
    fps: float,
    class_names: Sequence[str],
    path: Path,
    *,
    coasting: bool | None = None,
) -> Sink:
    """One output of a stream of ``fps`` frames per second.

    Raises:
        SinkError: It cannot be written there.
        ConfigError: A suffix or an option that does not exist.
    """
    from tracker.render.annotate import Annotator
    from tracker.sinks.open import open_sink

    return open_sink(
        path,
        class_names=class_names,
        frame_rate=fps / request.stride,
        annotator=Annotator(lowest_score=DISPLAY_SCORE if request.conf is None else 0.0),
        masks=request.masks,
        image_names=address.kind == "images",
        coasting=coasting,
        coco_annotations=request.coco_images,
    )


def open_outputs(
    paths: list[Path], opener: Callable[[Path], Sink], *, spool: Spool | None, console: Console
) -> Sink | None:
    """Every output of one stream as one sink; one that dies is reported at the end and does not stop the others."""
    from tracker.sinks.multi import MultiSink

    if not paths and spool is None:
        return None
    sinks: list[Sink] = []
    try:
        for path in paths:
            sinks.append(opener(path))  # noqa: PERF401 - those opened must be closed when the next one cannot be
    except TrackerError:
        MultiSink(sinks).abort()
        raise
    if spool is not None:
        sinks.append(spool.sink)
    return MultiSink(
        sinks, on_error=lambda failure: console.print(f"[red]output lost[/red]: {failure}", highlight=False)
    )
