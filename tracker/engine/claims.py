"""Output claims of streams: which files each writes and reads, checked before a model is opened."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import SinkError
from tracker.segment.zoo import model_files
from tracker.settings.stream import CameraSettings, RunSettings
from tracker.sinks.base import file_of
from tracker.sinks.claims import Claim, check_claims, read_again
from tracker.sinks.exclusive import check_free, reserved
from tracker.sinks.pictures import numbered_files, picture_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tracker.engine.plan import StreamPlan
    from tracker.settings.service import ServiceSettings

__all__ = ["check_cameras", "check_run", "files_of", "held_names"]


def files_of(plan: StreamPlan) -> list[Path]:
    """The outputs of a stream that are files of its own; ``{time}`` stands for itself."""
    outputs = zip(plan.outputs, plan.sink_classes, strict=True)
    return [path for output, sink in outputs if not sink.shared and (path := file_of(output)) is not None]


def check_run(settings: RunSettings, plans: Sequence[StreamPlan], *, summary: Path | None = None) -> None:
    """Check every file of a run before any work; see :func:`tracker.sinks.claims.check_claims`.

    Args:
        settings: What is to be run; its models and its COCO file are read.
        plans: Its streams.
        summary: The file of ``--json``.

    Raises:
        SinkError: See :func:`tracker.sinks.claims.check_claims`.
    """
    inputs = [claim for plan in plans for claim in _read(plan)]
    if settings.coco_annotations is not None:
        inputs.append(Claim(path=Path(settings.coco_annotations), named_by="--coco"))
    claims = [claim for plan in plans for claim in _written(plan, inputs)]
    if summary is not None:
        claims.append(Claim(path=summary, named_by="--json"))
    check_claims(claims, inputs)


def check_cameras(config: ServiceSettings, added: Sequence[StreamPlan], running: Sequence[StreamPlan] = ()) -> None:
    """Check the outputs of cameras that are to be added.

    Args:
        config: The whole file.
        added: New or changed cameras.
        running: Those that run on.

    Raises:
        SinkError: See :func:`tracker.sinks.claims.check_claims`; offenders are named by line. Or another process keeps
            the state of a camera of this name in this folder.
    """
    inputs = [claim for plan in (*added, *running) for claim in _read(plan)]
    if config.path is not None:
        inputs.append(Claim(path=Path(config.path), named_by="the settings"))
    outputs = [claim for plan in added for claim in _written(plan, inputs)]
    check_claims(outputs, inputs, running=[claim for plan in running for claim in _written(plan, inputs)])
    for plan in added if config.state is not None else ():
        check_free(Path(config.state or "") / plan.name)


@contextlib.contextmanager
def held_names(config: ServiceSettings, plan: StreamPlan) -> Iterator[None]:
    """Hold a camera's outputs, and its name in the folder of states, against other processes.

    Raises:
        SinkError: Another process has one of them.
    """
    state = [Path(config.state) / plan.name] if config.state is not None else []
    with reserved(*files_of(plan), *state):
        yield


def _written(plan: StreamPlan, inputs: Sequence[Claim]) -> Iterator[Claim]:
    """The files of a stream's outputs; of those that ``{frame}`` numbers, the ones that would replace an input.

    Raises:
        SinkError: A receiver is named twice.
    """
    settings = plan.settings
    for output, count in Counter(plan.outputs).items():
        if file_of(output) is None and count > 1:
            problem = f"expected each receiver of {plan.name} once, found it {count} times"
            raise SinkError(plan.shown(output), problem, "leave the others out")
    options = ["--save"] * (settings.save is not None) + ["--records"] * len(settings.records)
    options += ["--events"] * len(plan.events)
    for output, option, sink in zip(plan.outputs, options, plan.sink_classes, strict=True):
        path = file_of(output)
        if path is None:
            continue
        images, shared = plan.address.files, sink.shared
        for file in (*picture_files(path, images), *read_again(numbered_files(path, images), inputs)):
            yield Claim(path=file, named_by=_owner(plan, option), shared=shared)


def _read(plan: StreamPlan) -> Iterator[Claim]:
    settings = plan.settings
    for file in plan.address.local_files:
        yield Claim(path=file, named_by=_owner(plan, ""))
    if settings.site is not None:
        yield Claim(path=Path(settings.site), named_by=_owner(plan, "--site"))
    for option, model in (("--model", settings.model), ("--reid", settings.reid), ("--outline", settings.outline)):
        for file in model_files(model) if model is not None else ():
            yield Claim(path=file, named_by=_owner(plan, option))


def _owner(plan: StreamPlan, option: str) -> str:
    """What names a file, for messages: an option of the command, or a camera and its line."""
    settings = plan.settings
    if isinstance(settings, CameraSettings):
        return f"{settings.place}, {settings.name}" if settings.place else settings.name
    if option in {"", "--model", "--outline", "--reid", "--site"}:
        return option or "source"
    return f"{option}, {plan.name}"
