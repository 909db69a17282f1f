"""Storage of a batch: folders of this machine and buckets of object stores, through one interface of pyarrow's."""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError, SinkError, SourceError, install_command, mask
from tracker.sources.stored import STORAGE, file_system

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Entry", "NoRoomError", "Place", "is_remote"]

BUFFER = 8 * 2**20
"""Bytes per read of a copy: objects are read once, in large pieces."""


FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
LARGER = "name a larger disk with --scratch"


class NoRoomError(SourceError):
    """There is no room for a copy."""


def is_remote(address: str) -> bool:
    """Whether an address names object storage.

    >>> is_remote("s3://bucket/a.mp4"), is_remote("a.mp4"), is_remote("rtsp://gate/1")
    (True, False, False)
    """
    scheme, colon, _ = address.partition("://")
    return bool(colon) and scheme.lower() in STORAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a place.

    Attributes:
        path: Within its file system.
        size: Bytes.
        stamp: What changes with the content.
    """

    path: str
    size: int
    stamp: str


class Place:
    """A folder, or a prefix of a bucket.

    Args:
        system: pyarrow's file system.
        path: Within it.
        scheme: ``file``, ``s3``, ...
        shown: For messages, free of credentials.
    """

    def __init__(self, system: Any, path: str, *, scheme: str, shown: str) -> None:
        self.system, self.path, self.scheme, self.shown = system, path.rstrip("/"), scheme, shown

    @classmethod
    def of(cls, uri: str) -> Place:
        """The place that a path or a URI names. Credentials come from the environment, or from the URI.

        Raises:
            ConfigError: pyarrow is not installed, or it has no file system for the scheme.
        """
        shown = mask(re.sub(r"//[^/@]*@", "//***@", uri))
        try:
            from pyarrow import fs
        except ImportError as missing:
            problem = "expected the package pyarrow, found none"
            raise ConfigError(shown, problem, install_command("parquet")) from missing
        if not is_remote(uri):
            path = Path(uri.removeprefix("file://")).expanduser().absolute()
            return cls(fs.LocalFileSystem(), path.as_posix(), scheme="file", shown=str(path))
        try:
            system, within = file_system(uri)
        except Exception as failure:  # pyarrow raises what the store's own library does
            problem = f"expected an address of object storage, found: {mask(str(failure))}"
            raise ConfigError(shown, problem, "write s3://bucket/prefix, and check the credentials") from failure
        if not within.strip("/"):
            raise ConfigError(shown, "expected a bucket, found none", "write s3://bucket/prefix")
        return cls(system, within, scheme=uri.partition("://")[0].lower(), shown=shown)

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return self.scheme == "file"

    def at(self, name: str) -> str:
        """Path of a file within the file system."""
        return f"{self.path}/{name}" if name else self.path

    def files(self, below: str = "") -> Iterator[Entry]:
        """All files below a folder, and the file itself if it is one; none if there is nothing.

        Raises:
            SourceError: It cannot be listed.
        """
        from pyarrow import fs

        path = self.at(below)
        try:
            [itself] = self.system.get_file_info([path])
            if itself.type == fs.FileType.File:
                found = [itself]
            else:
                found = self.system.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
        except Exception as failure:
            problem = f"expected a place that can be listed, found: {mask(str(failure))}"
            raise SourceError(self.shown, problem, "check the address and the credentials") from failure
        for one in sorted(found, key=lambda info: info.path):
            if one.type == fs.FileType.File:
                yield Entry(path=one.path, size=one.size or 0, stamp=str(one.mtime_ns or ""))

    def read(self, name: str) -> bytes:
        """A small file whole.

        Raises:
            SourceError: It cannot be read.
        """
        try:
            with self.system.open_input_stream(self.at(name)) as stream:
                return bytes(stream.read())
        except Exception as failure:
            problem = f"expected a file that can be read, found: {mask(str(failure))}"
            raise SourceError(f"{self.shown}/{name}", problem, "check the address and the credentials") from failure

    def write(self, name: str, data: bytes) -> None:
        """A small file, whole or not at all.

        Raises:
            SinkError: It cannot be written.
        """
        with self._writing(name):
            if not self.is_local:
                with self.system.open_output_stream(self.at(name)) as stream:
                    stream.write(data)
                return
            path = Path(self.at(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{uuid.uuid4().hex}.part")
            try:
                part.write_bytes(data)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    def upload(self, file: Path, name: str) -> None:
        """Copy a local file there; a connection that breaks leaves nothing under the name.

        Raises:
            SinkError: It cannot be written.
        """
        with self._writing(name), file.open("rb") as source, self.system.open_output_stream(self.at(name)) as stream:
            while piece := source.read(BUFFER):
                stream.write(piece)

    def download(self, path: str, file: Path) -> None:
        """Copy a file of this file system to a local one, reading each byte once.

        Raises:
            NoRoomError: There is no room for it; nothing is left of the copy.
            SourceError: It cannot be read.
        """
        try:
            [facts] = self.system.get_file_info([path])
            _check_room(f"{self.scheme}://{path}", facts.size or 0, file.parent)
            with self.system.open_input_stream(path) as source, file.open("wb") as target:
                while piece := source.read(BUFFER):
                    target.write(piece)
        except SourceError:
            raise
        except Exception as failure:
            file.unlink(missing_ok=True)
            if isinstance(failure, OSError) and failure.errno in FULL:
                problem = f"expected space for a copy, found: {failure.strerror}"
                raise NoRoomError(f"{self.scheme}://{path}", problem, LARGER) from failure
            problem = f"expected a recording that can be copied, found: {mask(str(failure))}"
            raise SourceError(f"{self.scheme}://{path}", problem, "check that it is there and may be read") from failure

    def remove(self, name: str) -> None:
        """Delete a file; nothing if it is not there."""
        with contextlib.suppress(Exception):
            self.system.delete_file(self.at(name))

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as failure:
            problem = f"expected a place that can be written, found: {mask(str(failure))}"
            raise SinkError(f"{self.shown}/{name}", problem, "check the address, the rights and the space") from failure


def _check_room(shown: str, size: int, folder: Path) -> None:
    """Refuse a copy for which there is no space."""
    free = shutil.disk_usage(folder).free
    if size > free:
        problem = f"expected {size / 1e9:.1f} GB of free space for a copy, found {free / 1e9:.1f} GB"
        raise NoRoomError(shown, problem, LARGER)
