"""FFmpeg targets, demuxers and options by protocol, time-outs included."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from tracker.sources.schemes import PROTOCOLS, check_scheme

if TYPE_CHECKING:
    from tracker.sources.address import Address

__all__ = ["container_options", "is_endless", "permissions"]

PLAYLISTS = frozenset({"concat", "dash", "hls", "imf", "sdp", "webm_dash_manifest"})
"""Formats that name other files or addresses. A file of one of them would be read as another user's video."""

_CAMERA_FORMATS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}

_CAMERA_OPTIONS = {
    "v4l2": {"size": "video_size", "fps": "framerate", "format": "input_format"},
    "avfoundation": {"size": "video_size", "fps": "framerate", "format": "pixel_format"},
    "dshow": {"size": "video_size", "fps": "framerate", "format": "vcodec"},
}
"""What FFmpeg's camera demuxers call a webcam's settings."""


def container_options(
    address: Address, *, timeout_s: float, rtsp_transport: str, pipe: int | None = None
) -> tuple[str, str | None, dict[str, str]]:
    """What to hand to ``av.open``: target, demuxer (``None`` = by content) and demuxer options.

    Args:
        address: Of kind ``video``, ``camera`` or ``network``.
        timeout_s: Longest wait on a socket.
        rtsp_transport: ``tcp`` or ``udp``.
        pipe: The descriptor of a pipe that was opened for it; standard input where that cannot be done.
    """
    if address.kind == "video":
        return (
            f"pipe:{pipe or 0}" if address.once else f"file:{Path(address.target)}",
            None,
            {},
        )  # "file:" keeps a colon in a name from being read as a protocol
    if address.kind == "camera":
        demuxer = _CAMERA_FORMATS.get(sys.platform, "v4l2")
        return address.target, demuxer, {_CAMERA_OPTIONS[demuxer][key]: value for key, value in address.settings}
    timeout_us = str(int(timeout_s * 1e6))
    scheme = address.target.partition("://")[0].lower()
    if scheme in {"rtsp", "rtsps"}:
        return address.target, None, {"rtsp_transport": rtsp_transport, "timeout": timeout_us}
    if scheme == "srt":
        return address.target, None, {"timeout": timeout_us, "connect_timeout": str(int(timeout_s * 1e3))}
    if scheme in {"udp", "tcp"}:
        return address.target, None, {"timeout": timeout_us}
    return address.target, None, {"rw_timeout": timeout_us}


def permissions(address: Address, *, playlists: bool = False) -> dict[str, str]:
    """Demuxer options that keep FFmpeg from opening anything but what was named.

    Args:
        address: Of any kind but ``images``.
        playlists: Whether an address may answer with a playlist.

    Raises:
        SourceError: The address has a scheme that is not opened.
    """
    if address.kind == "camera":
        return {}
    if address.kind == "network":
        protocols = PROTOCOLS[check_scheme(address.target, address.name)]
    else:
        protocols = "pipe" if address.once else "file"
    allowed = {"protocol_whitelist": protocols}
    return allowed if playlists else allowed | {"format_whitelist": ",".join(sorted(av.formats_available - PLAYLISTS))}


def is_endless(address: Address, container: Any) -> bool:
    """Whether an open network stream is live: neither its length nor (playlists aside) its size is known.

    An RTSP stream always is: recorders announce the length of what they have kept so far, and go on.
    """
    if address.kind != "network":
        return False
    if container.format.name == "rtsp":
        return True
    return (container.duration or 0) <= 0 and (container.format.name in {"hls", "dash"} or container.size <= 0)
