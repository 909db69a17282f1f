"""Outputs of one stream of a request: their addresses, and how each is opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import ConfigError, TrackerError
from tracker.request import DISPLAY_SCORE
from tracker.sinks.base import SinkContext, file_of
from tracker.sinks.claims import Claim, check_claims
from tracker.sinks.pictures import picture_files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from tracker.refine.spool import Spool
    from tracker.request import StreamRequest
    from tracker.sinks.base import Sink
    from tracker.sources.address import Address

__all__ = ["check_outputs", "open_output", "open_outputs", "output_addresses"]


def output_addresses(request: StreamRequest, address: Address, *, several: bool) -> list[str]:
    """Where one stream is written: the video first, then the records, with ``{name}`` filled in.

    Raises:
        ConfigError: There are ``several`` streams, and all of them would write to one file.
    """
    name = Path(address.name).stem or "stream"
    if address.kind not in {"video", "images"}:
        name = "".join(letter if letter.isalnum() else "-" for letter in address.name.rpartition("://")[2]).strip("-")
    addresses = []
    if request.save is not None:
        folder = Path(request.save).is_dir() or request.save.endswith(("/", os.sep))
        if file_of(request.save) is not None and (folder or _lacks_name(request.save, several)):
            addresses.append(str(Path(request.save) / ("{image}.jpg" if address.kind == "images" else f"{name}.mp4")))
        else:
            addresses.append(request.save)
    for output in request.records or []:
        path = file_of(output)
        if path is not None and _lacks_name(output, several):
            raise ConfigError(
                f"--records {output}",
                "expected one file per stream, found one path for several streams",
                f"write {{name}} where the stream's name goes: {path.with_name('{name}' + path.suffix)}",
            )
        addresses.append(output)
    return [output.replace("{name}", name) for output in addresses]


def _lacks_name(output: str, several: bool) -> bool:  # noqa: FBT001 - a plain predicate
    return several and "{name}" not in output


def check_outputs(
    request: StreamRequest, addresses: Sequence[Address], outputs: Sequence[list[str]], *, summary: Path | None = None
) -> None:
    """Look at every file of a request before any work; see :func:`tracker.sinks.claims.check_claims`.

    Args:
        request: What is to be run; its models and its COCO file are read.
        addresses: Its streams.
        outputs: The :func:`output_addresses` of each.
        summary: The file of ``--json``.
    """
    from tracker.segment.zoo import model_files

    claims = []
    for address, written in zip(addresses, outputs, strict=True):
        options = ["--save"] * (request.save is not None) + ["--records"] * len(request.records or [])
        for output, who in zip(written, options, strict=True):
            path = file_of(output)
            if path is not None:
                files = picture_files(path, address.files)
                claims += [Claim(path=file, who=f"{who}, {address.name}") for file in files]
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
    output: str | os.PathLike[str],
    *,
    coasting: bool | None = None,
) -> Sink:
    """One output of a stream of ``fps`` frames per second.

    Raises:
        SinkError: It cannot be written there.
        ConfigError: A suffix or an option that does not exist.
    """
    from tracker.plugins import open_sink
    from tracker.render.annotate import Annotator

    context = SinkContext(
        class_names=class_names,
        frame_rate=fps / request.stride,
        draw=Annotator(lowest_score=DISPLAY_SCORE if request.conf is None else 0.0).draw,
        masks=request.masks,
        image_names=address.kind == "images",
        coasting=coasting,
        coco_annotations=request.coco_images,
    )
    return open_sink(output, context)


def open_outputs(
    addresses: list[str], opener: Callable[[str], Sink], *, spool: Spool | None, console: Console
) -> Sink | None:
    """Every output of one stream as one sink; one that dies is reported at the end and does not stop the others."""
    from tracker.sinks.multi import MultiSink

    if not addresses and spool is None:
        return None
    sinks: list[Sink] = []
    try:
        for address in addresses:
            sinks.append(opener(address))  # noqa: PERF401 - those opened must be closed when the next one cannot be
    except TrackerError:
        MultiSink(sinks).abort()
        raise
    if spool is not None:
        sinks.append(spool.sink)
    return MultiSink(
        sinks, on_error=lambda failure: console.print(f"[red]output lost[/red]: {failure}", highlight=False)
    )
