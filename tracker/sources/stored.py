"""Recordings in object storage as seekable files: large reads, so that each byte is fetched about once."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError, SourceError, install_command, mask

if TYPE_CHECKING:
    from tracker.sources.address import Address

__all__ = ["STORAGE", "open_stored"]

STORAGE = ("s3", "gs", "gcs", "abfs", "abfss", "az")
"""Schemes of pyarrow's file systems."""
BUFFER = 1 << 20
"""Bytes per read: FFmpeg asks for 32 kB at a time and seeks to the index of MP4 at the end; without a buffer a clip of
2 MB costs 29 times its bytes, with this one at most 3 times."""


def open_stored(address: Address) -> io.BufferedReader:
    """The file, from its beginning.

    Args:
        address: Of one of the schemes of :data:`STORAGE`; what pyarrow takes as options of a store may follow ``?``.

    Raises:
        ConfigError: pyarrow is not installed.
        SourceError: It is not there, or may not be read.
    """
    try:
        from pyarrow import fs
    except ImportError as missing:
        problem = "expected the package pyarrow for object storage, found none"
        raise ConfigError(address.name, problem, install_command("parquet")) from missing
    try:
        system, path = fs.FileSystem.from_uri(address.target)
        stored = system.open_input_file(path)
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
