"""Source addresses as users type them, expanded to single streams, credentials kept out of every name."""

from __future__ import annotations

import difflib
import glob
import os
import re
import stat
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from tracker import plugins
from tracker.errors import SourceError, mask, system_refusals
from tracker.sources.picture_files import is_animated_png
from tracker.sources.schemes import check_scheme

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "CAMERA_SETTINGS",
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Address",
    "SourceLike",
    "expand_sources",
    "is_pipe",
    "redact",
    "shown_name",
]

IMAGE_SUFFIXES = frozenset(
    ".avif .bmp .jpe .jpeg .jpg .jp2 .pbm .pgm .png .pnm .ppm .tga .tif .tiff .webp".split()  # noqa: SIM905 - reads as a list
)
"""Suffixes that make a file of a folder an image. GIF is a video: it has times."""

VIDEO_SUFFIXES = frozenset(
    ".264 .265 .3g2 .3gp .apng .asf .avi .divx .dv .f4v .flv .gif .h264 .h265 .hevc .ivf .m2t .m2ts .m2v"  # noqa: SIM905
    " .m4v .mjpeg .mjpg .mkv .mov .mp4 .mpeg .mpg .mts .mxf .nut .obu .ogv .rm .rmvb .ts .vob .webm .wmv .y4m".split()
)
"""Suffixes that make a file of a folder a video. A file that is named directly is opened whatever its suffix."""

_SECRET_KEYS = re.compile(r"pass|pwd|token|secret|key|auth|sig|user|login|cred|session|streamid", re.IGNORECASE)
_SECRET_IN_PATH = re.compile(rf"([^/&;=]*(?:{_SECRET_KEYS.pattern})[^/&;=]*)=[^/&;]*", re.IGNORECASE)
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
_MISTYPED = re.compile(r":[^:@/\s][^@\s]*@")  # a password where a slash or the scheme is missing: rtsp:/me:it@host
_DEVICE = re.compile(r"^(?P<device>\d+|/dev/video\d+)(?P<query>\?.*)?$", re.DOTALL)

KINDS = ("video", "images", "camera", "network")
"""Kinds of sources that this package reads itself."""

CAMERA_SETTINGS = {
    "size": (re.compile(r"\d{1,5}x\d{1,5}"), "1280x720"),
    "fps": (re.compile(r"\d+(\.\d+)?"), "30"),
    "format": (re.compile(r"[A-Za-z0-9_]{3,16}"), "mjpeg"),
}
"""What can be asked of a webcam: how it must look, and an example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One stream that can be opened.

    Attributes:
        kind: How it is read: ``video``, ``images``, ``camera``, ``network`` (by FFmpeg), or the URL scheme that another
            package reads; a name of :data:`tracker.plugins.SOURCES`.
        name: What messages, records and ``Frame.source`` say; free of credentials.
        target: What FFmpeg opens; may hold credentials and is therefore not part of ``repr``.
        files: The images of an image sequence, in order; empty for every other kind.
        settings: What is asked of a webcam, ``size``, ``fps`` or ``format`` with its value.
        once: It can be opened a single time and read from start to end: a pipe or standard input.
    """

    kind: str
    name: str
    target: str = field(repr=False)
    files: tuple[Path, ...] = field(default=(), repr=False)
    settings: tuple[tuple[str, str], ...] = ()
    once: bool = False

    @property
    def local_files(self) -> tuple[Path, ...]:
        """The files that are read; empty for cameras and addresses."""
        return (*self.files, Path(self.target)) if self.kind in {"video", "images"} else ()

    def asking(self, **settings: str | None) -> Address:
        """The same webcam with settings: ``size``, ``fps``, ``format``; those that are ``None`` stay as they are.

        Raises:
            SourceError: It is no webcam.
        """
        given = {key: value for key, value in settings.items() if value is not None}
        if given and self.kind != "camera":
            problem = f"expected a webcam for {' and '.join(given)}, found another source"
            raise SourceError(self.name, problem, "only webcams can be asked for them; remove them")
        return replace(self, settings=tuple(({**dict(self.settings), **given}).items()))


STDIN = Path("/dev/stdin")

SourceLike = str | int | os.PathLike[str] | Address


def redact(address: str) -> str:
    """The address without passwords, tokens and the like, fit for logs and records.

    >>> redact("rtsp://admin:hunter2@10.0.0.7:554/stream1?channel=2")
    'rtsp://admin:***@10.0.0.7:554/stream1?channel=2'
    >>> redact("https://host/cam.m3u8?token=abc&quality=hd")
    'https://host/cam.m3u8?token=***&quality=hd'
    >>> redact("rtsp://10.0.0.7:554/user=admin&password=hunter2&channel=1.sdp")
    'rtsp://10.0.0.7:554/user=***&password=***&channel=1.sdp'
    >>> redact("clips/street.mp4")
    'clips/street.mp4'
    """
    address = mask(address)
    match = _SCHEME.match(address)
    if match is None:
        return address
    scheme, rest = address[: match.end()], address[match.end() :]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user = ""
    if "@" in authority:
        user, _, host = authority.rpartition("@")
        rest = host + rest[len(authority) :]
    elif "@" in rest and ":" in authority and not authority.rpartition(":")[2].isdigit():
        user, _, rest = rest.rpartition("@")  # a password with an unescaped slash, question mark or hash
    if user:
        user = user.partition(":")[0] + ":***@" if ":" in user else "***@"
    base, mark, query = rest.partition("?")
    base = _SECRET_IN_PATH.sub(r"\1=***", base)
    for key, value in parse_qsl(query, keep_blank_values=False):
        if _SECRET_KEYS.search(key):
            query = re.sub(rf"(^|[&;]){re.escape(key)}=[^&;#]*", rf"\g<1>{key}=***", query) if value else query
    return f"{scheme}{user}{base}{mark}{query}"


def shown_name(path: str | os.PathLike[str]) -> str:
    r"""A path as text that can be printed and stored: bytes that are no UTF-8 are written as ``\xe9``.

    >>> shown_name("b\udce9.png")
    'b\\xe9.png'
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@system_refusals(SourceError)
def expand_sources(source: SourceLike | Sequence[SourceLike]) -> list[Address]:
    """The single streams that a source stands for; nothing is opened.

    A folder or pattern of images is one stream; each of several videos is a stream of its own, with a tracker of its
    own. In a list, images that stand side by side form one stream.

    Args:
        source: A file, folder, pattern (``*``, ``?``, ``[]``, ``**``), camera number or device, address, or a list of
            them. What a camera is asked for may follow: ``0?size=1280x720&fps=30&format=mjpeg``.

    Returns:
        At least one address, folders and patterns in natural order (``img2`` before ``img10``).

    Raises:
        SourceError: When nothing is there, a folder or pattern holds both images and videos, or a camera is asked for
            something that is none of its settings.
    """
    if isinstance(source, Address):
        return [source]
    if isinstance(source, int):
        return [_camera(source)]
    if isinstance(source, (str, os.PathLike)):
        return _expand_text(os.fspath(source))
    return _expand_list(source)


def _expand_list(sources: Sequence[SourceLike]) -> list[Address]:
    if len(sources) == 1:
        return expand_sources(sources[0])
    addresses: list[Address] = []
    images: list[Path] = []
    for source in sources:
        if isinstance(source, (str, os.PathLike)) and _is_image(Path(source)) and Path(source).is_file():
            images.append(Path(source))
            continue
        addresses += [*_images(images), *expand_sources(source)]
        images = []
    addresses += _images(images)
    if not addresses:
        problem = "expected at least one source, found an empty list"
        raise SourceError(sources, problem, "name a video, folder, camera or address")
    pipes = [address.target for address in addresses if address.once]
    for address in addresses:
        if address.once and pipes.count(address.target) > 1:
            problem = f"expected a pipe to be named once, found it {pipes.count(address.target)} times"
            raise SourceError(address.name, problem, "a pipe cannot be read twice: save it first, and name the file")
    return addresses


def _expand_text(text: str) -> list[Address]:
    text = text.removeprefix("file://")
    path = Path(text).expanduser()
    if scheme := _SCHEME.match(text):
        return [_network(text, scheme[0].removesuffix("://").lower())]
    if (camera := _DEVICE.match(text)) and (text.startswith("/") or not path.exists()):
        device, settings = camera["device"], _camera_settings(text, camera["query"] or "")
        if device.startswith("/"):
            return [Address(kind="camera", name=device, target=device, settings=settings)]
        return [replace(_camera(int(device)), settings=settings)]
    if path.is_dir():
        return _expand_files(text, (entry for entry in path.iterdir() if entry.is_file()), "folder")
    if path.exists() or text == "-":
        return [_file(text, path)]
    if glob.has_magic(text):
        found = (Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207 - absolute patterns too
        return _expand_files(text, (match for match in found if match.is_file()), "pattern")
    raise _not_there(text, path)


def _network(text: str, scheme: str) -> Address:
    """A network address, which another package reads where it has the scheme."""
    if scheme not in KINDS and scheme in plugins.SOURCES.names:
        return Address(kind=scheme, name=redact(text), target=text)
    check_scheme(text, redact(text))
    return Address(kind="network", name=redact(text), target=text)


def _file(text: str, path: Path) -> Address:
    """A file that was named by itself, or a pipe."""
    if text == "-" and not path.exists():
        return Address(kind="video", name="stdin", target=str(STDIN), once=not STDIN.is_file())
    once = is_pipe(path)
    if _is_image(path) and not once and not _is_moving(path):
        return Address(kind="images", name=shown_name(text), target=str(path), files=(path,))
    return Address(kind="video", name=shown_name(text), target=str(path), once=once)


def _not_there(text: str, path: Path) -> SourceError:
    shown = _MISTYPED.sub(":***@", shown_name(text))
    if path.is_symlink():
        problem = f"expected a video or a folder, found a link that leads to nothing ({shown_name(path.readlink())})"
        return SourceError(shown, problem, "correct the link, or name the file itself")
    return SourceError(
        shown, "expected a video, a folder, a pattern or an address, found no such file", _suggestion(path)
    )


def _expand_files(text: str, entries: Iterable[Path], what: str) -> list[Address]:
    """Images as one stream, or videos as one stream each."""
    files = sorted((entry for entry in entries if not entry.name.startswith(".")), key=_natural)
    images = [file for file in files if _is_image(file)]
    videos = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
    if images and videos:
        raise SourceError(
            text,
            f"expected images or videos, found {len(images)} images and {len(videos)} videos in this {what}",
            f"choose with a pattern, such as *{images[0].suffix} or *{videos[0].suffix}",
        )
    if images:
        return [Address(kind="images", name=shown_name(text), target=text, files=tuple(images))]
    if videos:
        return [Address(kind="video", name=shown_name(video), target=str(video)) for video in videos]
    raise SourceError(
        text,
        f"expected images or videos in this {what}, found {f'{len(files)} other files' if files else 'no file'}",
        "name a folder that holds jpg, png, mp4 or the like directly, or use a pattern such as 'folder/**/*.jpg'",
    )


def _images(files: list[Path]) -> list[Address]:
    if not files:
        return []
    name = str(files[0]) if len(files) == 1 else os.path.commonpath([file.parent for file in files]) or "."
    return [Address(kind="images", name=shown_name(name), target=name, files=tuple(files))]


def _camera(number: int) -> Address:
    if number < 0:
        raise SourceError(
            number, "expected a camera number from 0, found a negative one", "name the camera 0, 1, ... or /dev/video0"
        )
    target = f"/dev/video{number}" if sys.platform.startswith("linux") else str(number)
    return Address(kind="camera", name=target if target.startswith("/") else f"camera {number}", target=target)


def _camera_settings(text: str, query: str) -> tuple[tuple[str, str], ...]:
    settings = parse_qsl(query.removeprefix("?"), keep_blank_values=True)
    examples = "&".join(f"{key}={example}" for key, (_, example) in CAMERA_SETTINGS.items())
    for key, value in settings:
        if key not in CAMERA_SETTINGS or CAMERA_SETTINGS[key][0].fullmatch(value) is None:
            problem = f"expected settings of a camera after the question mark, found {key}={value}"
            raise SourceError(text, problem, f"write them like this: {text.partition('?')[0]}?{examples}")
    return tuple(settings)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _is_moving(path: Path) -> bool:
    """Whether an image file is an animated PNG, which is read as a video; FFmpeg knows its times."""
    if path.suffix.lower() != ".png":
        return False
    try:
        with path.open("rb") as file:
            return is_animated_png(file.read(1 << 16))
    except OSError:  # told when it is opened
        return False


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """A sort key under which ``img2`` comes before ``img10``."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.split(r"(\d+)", str(path).casefold())
        if part
    ]


def _suggestion(path: Path) -> str:
    """A remedy for a file that is not there: its likeliest misspelling, or the place where the path breaks off."""
    parent = path.parent
    if not parent.is_dir():
        while not parent.is_dir():
            parent = parent.parent
        return f"check the path: only {parent.resolve()} exists"
    names = [entry.name for entry in parent.iterdir()]
    close = sorted(name for name in names if name.rpartition(".")[0] == path.name)[:1]  # the suffix was forgotten
    close = close or difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)
    return f"did you mean {parent / close[0]}?" if close else f"check the name; the folder is {parent.resolve()}"


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Whether what lies there can be read a single time only: a pipe, a socket, a terminal."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a plain call for a plain question
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)
