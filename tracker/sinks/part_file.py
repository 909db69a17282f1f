"""A path to be enters; a file that appears under its name only when it is whole leaves.

Everything is written to ``.<name>.part`` in the same folder and renamed at the end, so that a reader never sees half
a file. Devices and pipes (``/dev/stdout``, a FIFO) cannot be renamed over and are written directly.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import SinkError

if TYPE_CHECKING:
    from io import FileIO

__all__ = ["PartFile", "refusal"]

REMEDIES = {
    errno.ENOSPC: "free space on the disk or choose another folder; what was written is kept",
    errno.EDQUOT: "free some of your quota or choose another folder; what was written is kept",
    errno.EFBIG: "the limit on file sizes is reached: raise `ulimit -f`; what was written is kept",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EACCES: "change the folder's permissions or choose another folder",
    errno.EPERM: "change the folder's permissions or choose another folder",
    errno.EPIPE: "whoever read this pipe went away: start it again",
}


def refusal(path: Path, failure: OSError, doing: str) -> SinkError:
    """The system's refusal as an error that names the file and the remedy."""
    reason = os.strerror(failure.errno) if failure.errno else str(failure)
    remedy = REMEDIES.get(failure.errno or 0, "check the path and the disk, or choose another folder")
    return SinkError(path, f"expected to {doing}, found: {reason}", remedy)


class PartFile:
    """A file under a temporary name until :meth:`publish`.

    Opening it checks the folder at once, before any work is done.

    Args:
        path: The final path.

    Attributes:
        path: The final path, as the user wrote it.
        part: Where the bytes go until then; the final path itself for devices and pipes.

    Raises:
        SinkError: The folder is missing or not writable, the path is a folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        # A link is written through: the file that it names is replaced, not the link.
        self._target = Path(os.path.realpath(self.path))
        try:
            self.direct = self._target.exists() and not stat.S_ISREG(self._target.stat().st_mode)
            self._check()
            self.part = self._target if self.direct else self._target.with_name(f".{self._target.name}.part")
            if not self.direct:
                self.part.open("wb").close()
        except OSError as failure:
            raise refusal(self.path, failure, "write here") from failure

    def open(self) -> FileIO:
        """The empty part file, opened for unbuffered binary writing: what the system refuses is known at once."""
        try:
            return self.part.open("wb", buffering=0)
        except OSError as failure:
            raise refusal(self.path, failure, "write here") from failure

    def size(self) -> int:
        """Bytes that are on the disk.

        Raises:
            SinkError: The part file was removed by somebody else.
        """
        try:
            return 0 if self.direct else self.part.stat().st_size
        except OSError as failure:
            problem = "expected the part that is being written to be there, found it was removed"
            raise SinkError(self.path, problem, "what was written since its beginning is lost") from failure

    def publish(self) -> None:
        """Give the finished part file its final name, replacing what was there.

        Raises:
            SinkError: The system refuses the rename; the part file is kept.
        """
        if self.direct:
            return
        try:
            with self.part.open("rb") as written:
                os.fsync(written.fileno())
            self.part.replace(self._target)
        except OSError as failure:
            raise refusal(self.path, failure, f"rename {self.part.name} to its final name") from failure

    def discard(self) -> None:
        """Remove the part file; what stands under the final name stays."""
        if not self.direct:
            with contextlib.suppress(OSError):
                self.part.unlink()

    def _check(self) -> None:
        folder = self._target.parent
        if self._target.is_dir():
            raise SinkError(
                self.path, "expected a file to write, found a folder", f"add a file name: {self.path}/out.jsonl"
            )
        if not folder.is_dir():
            found = "a file" if folder.exists() else "nothing"
            remedy = f"mkdir -p {folder}" if found == "nothing" else "choose another folder"
            raise SinkError(self.path, f"expected the folder {folder} to exist, found {found}", remedy)
        if not self.direct and not os.access(folder, os.W_OK | os.X_OK):
            raise SinkError(
                self.path,
                f"expected a writable folder, found {folder} without write permission",
                REMEDIES[errno.EACCES],
            )
