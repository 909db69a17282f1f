"""Source errors with expectation, finding and remedy, free of credentials.

Nothing here quotes FFmpeg's messages about network addresses, since those repeat the address with its password.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av.error

from tracker.errors import SourceError
from tracker.sources.limits import FFMPEG_PIXELS
from tracker.sources.pipes import unreadable_pipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracker.sources.address import Address

__all__ = [
    "READ_ERRORS",
    "check_file",
    "check_pixels",
    "damaged_header",
    "explain_open",
    "explain_read",
    "no_frames",
    "no_images",
    "no_video_stream",
    "not_a_video",
    "not_on_device",
    "out_of_means",
]

READ_ERRORS = (av.error.FFmpegError, OSError, ValueError)
"""What PyAV raises for unreadable data; anything else is a fault of this program."""

_MEANS = {
    errno.ENOMEM: (
        "the system out of memory",
        "close other programs, or give it more memory; smaller pictures and fewer streams at once need less",
    ),
    errno.ENOSPC: ("the disk full", "make room on the disk, then run it again"),
    errno.EMFILE: ("too many open files in this program", "open fewer streams at once, or raise ulimit -n"),
    errno.ENFILE: ("too many open files on this machine", "close other programs, or raise fs.file-max"),
}
"""What a machine can run out of, which says nothing about the file: words and remedy by error number."""

_CONVERT = "if it plays elsewhere, convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"


def check_file(address: Address) -> None:
    """Raise for files that need not even be opened: missing, forbidden, empty."""
    if address.kind != "video" or address.once:
        return
    try:
        status = os.stat(address.target)  # noqa: PTH116 - keeps the user's spelling
    except OSError as error:
        raise SourceError(
            address.name, f"expected a video, found no readable file ({error.strerror})", "check the path"
        ) from error
    if stat.S_ISREG(status.st_mode) and status.st_size == 0:
        raise SourceError(address.name, "expected a video, found an empty file (0 bytes)", "copy or record it again")
    if not os.access(address.target, os.R_OK):
        raise SourceError(
            address.name, "expected a readable video, found no permission to read it", "chmod +r, or ask its owner"
        )


def check_pixels(name: str, size: tuple[int, int], max_pixels: int) -> None:
    """Refuse pictures that are too large, before one is decoded.

    Args:
        name: The stream's name, free of credentials.
        size: ``(width, height)`` that its header announces.
        max_pixels: Most pixels of a picture.

    Raises:
        SourceError: It has more.
    """
    pixels, allowed = size[0] * size[1], min(max_pixels, FFMPEG_PIXELS)
    if pixels <= allowed:
        return
    found = f"{size[0]} x {size[1]} ({pixels / 1e6:.0f} megapixels)"
    remedy = "scale it down or cut it into tiles: vips resize IN OUT 0.25"  # which FFmpeg cannot do with them
    if pixels <= FFMPEG_PIXELS:
        remedy = f"--max-pixels {pixels} (max_pixels: {pixels}) where memory allows it, or scale it down: "
        remedy += "ffmpeg -i IN -vf scale=3840:-2 OUT"
    raise SourceError(name, f"expected pictures of at most {allowed / 1e6:g} megapixels, found {found}", remedy)


def explain_open(address: Address, error: Exception, *, timeout_s: float, waited_s: float) -> SourceError:
    """Why FFmpeg could not open an address."""
    if failure := out_of_means(address.name, error):
        return failure
    if address.once:
        return unreadable_pipe(address)
    if address.kind == "video":
        return _explain_file(address, error)
    if address.kind == "camera":
        return _explain_camera(address, error)
    if waited_s >= 0.9 * timeout_s:  # FFmpeg's protocols give this different names
        error = TimeoutError()
    return _explain_network(address, error, timeout_s)


def explain_read(name: str, error: Exception, timeout_s: float, *, is_pipe: bool = False) -> SourceError:
    """Why a camera, network stream or pipe ended in the middle."""
    if is_pipe:
        silent = isinstance(error, (TimeoutError, av.error.ExitError))
        found = f"silence for {timeout_s:g} s" if silent else f"the pipe broken off ({_brief(error)})"
        return SourceError(name, f"expected more frames, found {found}", "check the program that writes into the pipe")
    if isinstance(error, (TimeoutError, av.error.ExitError)):
        problem = f"expected more frames, found silence for {timeout_s:g} s"
        return SourceError(name, problem, "check the camera and the network, or raise the time-out")
    return SourceError(
        name, f"expected more frames, found the stream broken off ({_brief(error)})", "check the camera and the network"
    )


def out_of_means(name: str, error: BaseException) -> SourceError | None:
    """The error for a machine that ran out of memory, disk or files; ``None`` where something else is the matter."""
    number = errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None)
    if number not in _MEANS:
        return None
    found, remedy = _MEANS[number]
    return SourceError(name, f"expected the next frame, found {found}", remedy)


def damaged_header(name: str, codec: str, error: Exception) -> SourceError:
    """A stream whose decoder cannot be set up from what the container says of it."""
    return SourceError(
        name,
        f"expected a video stream that can be decoded, found a damaged or unusual header of its {codec} stream "
        f"({_brief(error)})",
        f"copy or record it again; {_CONVERT}",
    )


def not_a_video(name: str, found: str) -> SourceError:
    """The file is something else."""
    return SourceError(name, f"expected a video, found {found}", f"name a video file; {_CONVERT}")


def no_video_stream(name: str, container: Any) -> SourceError:
    """A container of sound, or of nothing that can be decoded."""
    kinds = sorted(
        {
            f"{s.type} ({s.codec_context.name})" if s.codec_context else f"{s.type} (unknown codec)"
            for s in container.streams
        }
    )
    found = f"only {', '.join(kinds)}" if kinds else "no stream at all"
    return SourceError(
        name, f"expected a video stream that can be decoded, found {found}", "name a file with pictures in it"
    )


def no_frames(name: str, *, packets: int, broken: int) -> SourceError:
    """A video stream from which nothing comes."""
    found = "a video of zero frames"
    if broken:
        found = f"none in {broken} broken packets"
    elif packets:
        found = f"none in {packets} packets: the stream's header or its first pictures are damaged"
    return SourceError(
        name, f"expected at least one frame, found {found}", "record or copy it again: its pictures are missing"
    )


def not_on_device(name: str, device: str, found: str) -> SourceError:
    """A device that was asked for, and a stream that it does not take."""
    problem = f"expected {device} to decode it, found that it does not take {found}"
    return SourceError(name, problem, "use --decode auto (decode: auto), which lets the CPU step in")


def no_images(name: str, files: Sequence[Path]) -> SourceError:
    """Image files of which none is one."""
    found = "a file that cannot be decoded" if len(files) == 1 else f"{len(files)} files that cannot be decoded"
    if all(file.is_file() and file.stat().st_size == 0 for file in files):
        found = "an empty file (0 bytes)" if len(files) == 1 else f"{len(files)} empty files (0 bytes)"
    return SourceError(
        name, f"expected a readable image, found {found}", "open one in a viewer; copy or export the images again"
    )


def _explain_file(address: Address, error: Exception) -> SourceError:
    with Path(address.target).open("rb") as file:
        start = file.read(512)
    if start[4:8] in {b"ftyp", b"mdat", b"moov", b"wide"}:
        return SourceError(
            address.name,
            "expected a complete MP4 or MOV, found none or a damaged index (moov atom): it was cut off",
            "copy it again, or rebuild the index with a tool such as untrunc; mkv and ts survive being cut off",
        )
    if start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"#EXTM3U", b"ffconcat", b"<MPD")):
        problem = "expected a video, found a playlist, which names other files"
        return SourceError(address.name, problem, "name those files themselves, or the playlist's http address")
    if _is_text(start):
        return not_a_video(address.name, "a text file")
    return not_a_video(address.name, f"data that FFmpeg does not recognise ({_brief(error)})")


def _explain_camera(address: Address, error: Exception) -> SourceError:
    if isinstance(error, FileNotFoundError):
        present = sorted(str(path) for path in Path("/dev").glob("video*"))
        found = f"no such device; present: {', '.join(present)}" if present else "no camera on this machine"
        return SourceError(
            address.name, f"expected a camera, found {found}", "plug it in; in a container pass it with --device"
        )
    if isinstance(error, PermissionError):
        remedy = "add yourself to the group video: sudo usermod -aG video $USER, then log in again"
        return SourceError(address.name, "expected a readable camera, found no permission", remedy)
    remedy = "close other programs that use it; list its sizes with v4l2-ctl --list-formats-ext"
    return SourceError(address.name, f"expected a camera that delivers pictures, found {_brief(error)}", remedy)


def _explain_network(address: Address, error: Exception, timeout_s: float) -> SourceError:
    scheme = address.target.partition("://")[0]
    cases: list[tuple[tuple[type[BaseException], ...], str, str]] = [
        (
            (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError),
            "access refused",
            "check user and password in the address",
        ),
        ((av.error.HTTPNotFoundError,), "no such stream on the server (404)", "check the path in the address"),
        (
            (ConnectionRefusedError,),
            "no server listening there (connection refused)",
            "check host and port, and that the server runs",
        ),
        (
            (TimeoutError, av.error.ExitError),
            f"no answer within {timeout_s:g} s",
            "check host, port and firewall, or raise the time-out",
        ),
        (
            (av.error.ProtocolNotFoundError,),
            f"no support for {scheme}:// in this FFmpeg",
            "PyAV's wheels have no libsrt: build PyAV against an FFmpeg with it, or let a relay turn SRT into UDP: "
            "srt-live-transmit srt://HOST:PORT udp://127.0.0.1:5000 (apt install srt-tools), and open the latter"
            if scheme == "srt"
            else "use rtsp, http, https, rtmp or udp",
        ),
        (
            (av.error.ArgumentError,),
            "an address that cannot be taken apart",
            "write / ? # @ in user or password as %2F %3F %23 %40",
        ),
        (
            (av.error.OSError,),
            "nothing to read (host unknown, connection cut off, or no video there)",
            "check the host's name, the path and the network",
        ),
        (
            (av.error.InvalidDataError,),
            "an answer that is no video",
            "check the path; the address must lead to the stream, not to a page",
        ),
    ]
    for kinds, found, remedy in cases:
        if isinstance(error, kinds):
            return SourceError(address.name, f"expected a video stream, found {found}", remedy)
    return SourceError(
        address.name, f"expected a video stream, found {_brief(error)}", "check the address, the network and the server"
    )


def _brief(error: Exception) -> str:
    """The system's words for an error, without file names or addresses."""
    words = getattr(error, "strerror", None)
    return str(words).lower() if words else type(error).__name__


def _is_text(start: bytes) -> bool:
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:  # not merely a character cut in two
            return False
        text = start[: error.start].decode("utf-8")
    return all(character.isprintable() or character.isspace() for character in text)
