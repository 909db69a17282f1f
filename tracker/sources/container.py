"""Opening of FFmpeg's demuxer for a file, a pipe, a camera or a network address."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import av
import av.error

from tracker.errors import SourceError
from tracker.sources import problems
from tracker.sources.guarded_files import OPTIONS, GuardedFiles
from tracker.sources.protocols import container_options, permissions
from tracker.sources.redirects import follow, is_inside, is_playlist
from tracker.sources.schemes import check_scheme
from tracker.sources.stored import STORAGE, open_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tracker.sources.address import Address
    from tracker.sources.hardware import Accelerator

__all__ = ["open_container"]

NO_REDIRECTS = {"max_redirects": "0"}


def open_container(
    address: Address,
    *,
    timeout_s: float,
    rtsp_transport: str,
    ffmpeg_options: Mapping[str, str],
    accelerator: Accelerator | None,
    pipe: int | None,
) -> Any:
    """FFmpeg's demuxer of the address, or the error that explains why not.

    Args:
        address: Of kind ``video``, ``camera`` or ``network``.
        timeout_s: Longest wait for a network stream, camera or pipe, on opening and on each read.
        rtsp_transport: ``tcp`` or ``udp``.
        ffmpeg_options: Further options of the demuxer.
        accelerator: The device that is to decode, ``None`` for the CPU.
        pipe: The descriptor of a pipe that was opened for it.

    Raises:
        SourceError: It cannot be opened.
    """
    if address.kind in STORAGE:
        return _open_stored(address, ffmpeg_options, accelerator)
    problems.check_file(address)
    settings = accelerator.settings() if accelerator is not None else None
    target, file_format, options = container_options(
        address, timeout_s=timeout_s, rtsp_transport=rtsp_transport, pipe=pipe
    )
    # FFmpeg asks Python for the time on every wait when a timeout is set: not for files, which cannot hang
    timeout = None if address.kind == "video" and not address.once else (timeout_s, timeout_s)

    def attempt(target: str, allowed: Mapping[str, str], opens: GuardedFiles | None = None) -> Any:
        chosen = {**options, **allowed, **ffmpeg_options, **(OPTIONS if opens is not None else {})}
        return av.open(target, format=file_format, options=chosen, timeout=timeout, hwaccel=settings, io_open=opens)

    started_s = time.monotonic()
    failure: SourceError  # raised outside "except", so that no traceback holds FFmpeg's message with the password
    try:
        if _is_elsewhere(address):
            return _open_elsewhere(address, attempt, timeout_s)
        return attempt(target, permissions(address, playlists=address.kind == "network"))
    except problems.READ_ERRORS as error:
        failure = problems.explain_open(address, error, timeout_s=timeout_s, waited_s=time.monotonic() - started_s)
    raise failure


def _open_stored(address: Address, ffmpeg_options: Mapping[str, str], accelerator: Accelerator | None) -> Any:
    """A recording in object storage."""
    file = open_stored(address)
    try:
        settings = accelerator.settings() if accelerator is not None else None
        return av.open(file, options=dict(ffmpeg_options), hwaccel=settings)
    except problems.READ_ERRORS as error:
        file.close()
        problem = f"expected a video, found: {error}"
    raise SourceError(address.name, problem, "check that it is one, and whole")


def _is_elsewhere(address: Address) -> bool:
    """Whether an address is HTTP on another machine, whose answers must not lead back to this one."""
    if address.kind != "network" or check_scheme(address.target, address.name) not in {"http", "https"}:
        return False
    try:
        return not is_inside(urlsplit(address.target).hostname)
    except ValueError:  # a password with brackets, which FFmpeg takes
        return True


def _open_elsewhere(address: Address, attempt: Callable[..., Any], timeout_s: float) -> Any:
    """Open an HTTP address without letting FFmpeg go where it is sent: redirects and playlists are looked at first.

    A stream that is neither is opened at once, since some cameras take a single connection.
    """
    playlist = is_playlist(address.target)
    if not playlist:
        try:
            return attempt(address.target, permissions(address) | NO_REDIRECTS)
        except (av.error.HTTPUnauthorizedError, av.error.HTTPNotFoundError, TimeoutError, ConnectionRefusedError):
            raise
        except problems.READ_ERRORS:
            answer = follow(address.target, address.name, timeout_s)
            if answer is None:
                raise
    else:
        answer = follow(address.target, address.name, timeout_s)
    target = address.target if answer is None else answer.target
    if playlist or (answer is not None and answer.is_playlist):
        guard = GuardedFiles(address.name, timeout_s)
        return attempt(target, permissions(address, playlists=True), guard)
    return attempt(target, permissions(address) | NO_REDIRECTS)
