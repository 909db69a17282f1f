"""Recordings in object storage as seekable files: large reads, so that each byte is fetched about once."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tracker.errors import ConfigError, SourceError, install_command, mask

if TYPE_CHECKING:
    from tracker.sources.address import Address

__all__ = ["IN_NAMES", "STORAGE", "file_system", "open_stored", "split_query", "well_formed"]

STORAGE = ("s3", "gs", "gcs", "abfs", "abfss", "az")
"""Schemes of pyarrow's file systems."""
BUFFER = 1 << 20
"""Bytes per read: FFmpeg asks for 32 kB at a time and seeks to the index of MP4 at the end; without a buffer a clip of
2 MB costs 29 times its bytes, with this one at most 3 times."""
IN_NAMES = "/:@!$&'()*+,;=~"
"""What a name in an address has as it is; other marks, spaces and letters beyond ASCII are percent-encoded."""


def split_query(uri: str) -> tuple[str, str]:
    """An address of object storage and the options after it; a ``?`` of a pattern or a name is none.

    >>> split_query("s3://videos/a?.mp4?endpoint_override=localhost%3A9000&scheme=http")
    ('s3://videos/a?.mp4', '?endpoint_override=localhost%3A9000&scheme=http')
    """
    options = re.search(r"\?[a-z_]+=[^?]*$", uri)
    return (uri, "") if options is None else (uri[: options.start()], options[0])


def well_formed(uri: str) -> str:
    """The address as people type it, with what addresses must not contain percent-encoded; what is encoded stays.

    >>> well_formed("s3://videos/north gate/#1 50%.mp4"), well_formed("s3://videos/north%20gate")
    ('s3://videos/north%20gate/%231%2050%25.mp4', 's3://videos/north%20gate')
    """
    named, options = split_query(uri)
    scheme, colon, rest = named.partition("://")
    rest = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", quote(rest, safe=IN_NAMES + "%"))
    return f"{scheme}{colon}{rest}{options}"


def file_system(uri: str) -> tuple[Any, str]:
    """pyarrow's file system of an address, and the path in it; ``az`` is pyarrow's ``abfs``.

    Raises:
        ImportError: pyarrow is not installed.
        Exception: What the store's own library raises.
    """
    from pyarrow import fs

    found: tuple[Any, str] = fs.FileSystem.from_uri(re.sub(r"^az://", "abfs://", well_formed(uri), flags=re.IGNORECASE))
    return found


def open_stored(address: Address) -> io.BufferedReader:
    """The file, from its beginning.

    Args:
        address: Of one of the schemes of :data:`STORAGE`; what pyarrow takes as options of a store may follow ``?``.

    Raises:
        ConfigError: pyarrow is not installed.
        SourceError: It is not there, or may not be read.
    """
    try:
        system, path = file_system(address.target)
        stored = system.open_input_file(path)
    except ImportError as missing:
        problem = "expected the package pyarrow for object storage, found none"
        raise ConfigError(address.name, problem, install_command("parquet")) from missing
    except Exception as failure:  # noqa: BLE001 - pyarrow raises what the store's own library does
        problem = f"expected a recording that can be read, found: {mask(str(failure))}"
        raise SourceError(address.name, problem, "check the address, and the credentials in the environment") from None
    return io.BufferedReader(_StoredFile(stored), BUFFER)


class _StoredFile(io.RawIOBase):
    """An open file of pyarrow's as Python's own buffers want it."""

    def __init__(self, stored: Any) -> None:
        self._stored = stored

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self._stored.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            offset += self._stored.size()
        elif whence == io.SEEK_CUR:
            offset += self._stored.tell()
        self._stored.seek(max(offset, 0))
        return int(self._stored.tell())

    def tell(self) -> int:
        return int(self._stored.tell())

    def close(self) -> None:
        if not self.closed:
            self._stored.close()
        super().close()
