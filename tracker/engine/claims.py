"""Output claims of a service's cameras: which files each writes and reads, checked before a model is opened."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.config import is_camera
from tracker.errors import SourceError
from tracker.segment.zoo import model_files
from tracker.sinks.base import files_of
from tracker.sinks.claims import Claim, check_claims
from tracker.sinks.exclusive import check_free, reserved
from tracker.sources.address import expand_sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tracker.config import CameraConfig, LiveConfig

__all__ = ["camera_outputs", "check_cameras", "held_names"]


def camera_outputs(camera: CameraConfig) -> list[str]:
    """Every output's address with ``{name}`` filled in, the video first; ``{time}`` stands for itself."""
    wanted = [*([camera.save] if camera.save else []), *camera.records]
    return [output.replace("{name}", camera.name) for output in wanted]


def check_cameras(config: LiveConfig, added: Sequence[CameraConfig], running: Sequence[CameraConfig] = ()) -> None:
    """Look at the outputs of cameras that are to be added.

    Args:
        config: The whole file.
        added: New or changed cameras.
        running: Those that run on.

    Raises:
        SinkError: See :func:`tracker.sinks.claims.check_claims`; offenders are named by line. Or another process keeps
            the state of a camera of this name in this folder.
    """
    outputs = [claim for camera in added for claim in _written(camera)]
    inputs = [claim for camera in (*added, *running) for claim in _read(camera)]
    if config.path is not None:
        inputs.append(Claim(path=Path(config.path), who="the settings"))
    check_claims(outputs, inputs, running=[claim for camera in running for claim in _written(camera)])
    for camera in added if config.state is not None else ():
        check_free(Path(config.state or "") / camera.name)


@contextlib.contextmanager
def held_names(config: LiveConfig, camera: CameraConfig) -> Iterator[None]:
    """Hold a camera's outputs, and its name in the folder of states, against other processes.

    Raises:
        SinkError: Another process has one of them.
    """
    state = [Path(config.state) / camera.name] if config.state is not None else []
    with reserved(*files_of(camera_outputs(camera)), *state):
        yield


def _written(camera: CameraConfig) -> Iterator[Claim]:
    for path in files_of(camera_outputs(camera)):
        yield Claim(path=path, who=_place(camera))


def _read(camera: CameraConfig) -> Iterator[Claim]:
    files = [*model_files(camera.model), *(model_files(camera.reid) if camera.reid else [])]
    if not is_camera(camera.url):
        with contextlib.suppress(SourceError):  # told when it is opened
            files += [file for address in expand_sources(camera.url) for file in address.local_files]
    for file in files:
        yield Claim(path=file, who=_place(camera))


def _place(camera: CameraConfig) -> str:
    return f"{camera.place}, {camera.name}" if camera.place else camera.name
