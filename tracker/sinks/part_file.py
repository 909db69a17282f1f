"""Atomic output file: written under an exclusive temporary name and renamed when it is whole.

Everything is written to ``.<name>.<16 hex digits>.part`` in the same folder (see :mod:`tracker.sinks.exclusive`), so
that a reader never sees half a file and two processes never share one. Devices and pipes (``/dev/stdout``, a FIFO)
cannot be renamed over and are written directly. The part file is opened once: writers and readers have a
duplicate of that descriptor, so that nothing is ever found by its name again.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import weakref
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self, TextIO

from tracker.errors import SinkError
from tracker.sinks.exclusive import ExclusiveFile
from tracker.sinks.pipe_reader import PipeFile, open_for_reader, stream_end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = ["KEPT", "PartFile", "check_place", "refusal", "without_rows", "write_whole"]

KEPT = "what was written is kept"
NOTHING_KEPT = "nothing of use had been written yet, and what stood there stays"
REMEDIES = {
    errno.ENOSPC: f"free space on the disk or choose another folder; {KEPT}",
    errno.EDQUOT: f"free some of your quota or choose another folder; {KEPT}",
    errno.EFBIG: f"the limit on file sizes is reached: raise `ulimit -f`; {KEPT}",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.EACCES: "change the folder's permissions or choose another folder",
    errno.EPERM: "change the folder's permissions or choose another folder",
    errno.EPIPE: "the reader of this pipe went away: start it again",
    errno.ETIMEDOUT: "let the reader of this pipe take what is written, or name a file",
}


def refusal(path: Path, failure: OSError, doing: str) -> SinkError:
    """The system's refusal as an error that names the file and the remedy."""
    reason = failure.strerror or str(failure)
    remedy = REMEDIES.get(failure.errno or 0, "check the path and the disk, or choose another folder")
    return SinkError(path, f"expected to {doing}, found: {reason}", remedy)


def without_rows(error: SinkError) -> SinkError:
    """The same refusal of a file of which nothing is published."""
    return SinkError(error.offender, error.problem, error.remedy.replace(KEPT, NOTHING_KEPT))


class PartFile:
    """A file under a temporary name until :meth:`publish`.

    Opening it checks the folder at once, before any work is done. As a context manager it is published when the block
    ends well and discarded when it does not.

    Args:
        path: The final path.

    Attributes:
        path: The final path, as the user wrote it.
        direct: It is a device or a pipe, which is written directly.

    Raises:
        SinkError: The folder is missing or not writable, the path is a folder or a link to a file of another kind,
            another process writes there, or a pipe has no reader and gets none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        check_place(self.path)
        self._file: ExclusiveFile | None = None
        try:
            # A link is written through: the file that it names is replaced, not the link.
            self._target, self.direct = _resolved(self.path)
            if not self.direct:
                _check_link(self.path, self._target)
            self._close_pipe: weakref.finalize[..., PartFile] | None = None
            if self.direct and stat.S_ISFIFO(self._target.stat().st_mode):
                # Opened at once, like a file, by the thread that can be interrupted
                self._end = stream_end()
                self._pipe = open_for_reader(self._target, self.path, self._end)
                self._close_pipe = weakref.finalize(self, os.close, self._pipe)
            if not self.direct:
                self._file = ExclusiveFile(self._target, shown=self.path)
            # From here on the name is held: what stands there now was published before.
            self._before = _identity(self._target)
        except OSError as failure:
            raise refusal(self.path, failure, "write here") from failure

    @property
    def part(self) -> Path:
        """Where the bytes are until then, for messages; the final path itself for devices and pipes."""
        return self._target if self._file is None else self._file.path

    def open(self) -> FileIO:
        """The part file from its beginning, for unbuffered binary reading and writing.

        What the system refuses is known at once. All that is opened shares one place in the file.
        """
        try:
            if self._file is None:
                return self._open_direct()
            file = FileIO(os.dup(self._file.fd), "r+b")
            file.seek(0)
        except OSError as failure:
            raise refusal(self.path, failure, "write here") from failure
        return file

    def open_text(self) -> TextIO:
        """The same for UTF-8 text with plain line ends, buffered."""
        return io.TextIOWrapper(io.BufferedWriter(self.open()), encoding="utf-8", newline="\n")

    def size(self) -> int:
        """Bytes that are on the disk.

        Raises:
            SinkError: The part file was removed or replaced from outside.
        """
        if self._file is None:
            return 0
        if not self._file.stands():
            problem = "expected the part that is being written to be there, found it was removed"
            raise SinkError(self.path, problem, "what was written since its beginning is lost")
        return os.fstat(self._file.fd).st_size

    def sibling(self) -> ExclusiveFile:
        """A second exclusive file beside the part, to be given to :meth:`adopt` or removed.

        Raises:
            OSError: The system refuses.
        """
        return ExclusiveFile(self._target, sibling=True)

    def adopt(self, sibling: ExclusiveFile) -> None:
        """Continue with the sibling instead of the part file, which is removed."""
        before, self._file = self._file, sibling
        if before is not None:
            before.remove()

    @contextlib.contextmanager
    def rewriting(self) -> Iterator[tuple[BinaryIO, BinaryIO]]:
        """What was written so far, to be read, and a new part file, which takes its place when the block ends well.

        Raises:
            OSError: The system refuses; the part file is as it was.
        """
        sibling = self.sibling()
        try:
            copy = FileIO(os.dup(sibling.fd), "r+b")
            with io.BufferedReader(self.open()) as source, io.BufferedWriter(copy) as target:
                yield source, target
        except BaseException:
            sibling.remove()
            raise
        self.adopt(sibling)

    def publish(self, *, keeps_refused: bool = True) -> None:
        """Give the finished part file its final name, replacing what was there when it was opened.

        Args:
            keeps_refused: Keep the part file where the system refuses the rename; false = remove it.

        Raises:
            SinkError: The system refuses the rename, or another file has come to stand under one of the two names
                meanwhile; of these two the latter always keeps the part file.
        """
        if self._file is None:
            self._release_pipe()
            return
        file = self._file
        try:
            os.fsync(file.fd)
            if _identity(file.path) != file.identity:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            now = _identity(self._target)
            if now not in {None, self._before} and not self._target.is_dir():  # of a folder the system says more
                problem = f"expected what stood here at the start, found another file; this result is in {file.path}"
                raise SinkError(self.path, problem, "keep one of the two under another name")
            file.path.replace(self._target)
        except OSError as failure:
            doing = "replace this file"
            if keeps_refused:
                doing = f"rename {file.path.name} to its final name"
            else:
                file.remove()
            raise refusal(self.path, failure, doing) from failure
        finally:
            file.release()

    def discard(self) -> None:
        """Remove the part file; what stands under the final name stays."""
        if self._file is not None:
            self._file.remove()
        self._release_pipe()

    def _release_pipe(self) -> None:
        """A pipe's reader sees the end once no process holds it."""
        if self._close_pipe is not None:
            self._close_pipe()

    def _open_direct(self) -> FileIO:
        if self._close_pipe is not None and self._close_pipe.alive:
            return PipeFile(os.dup(self._pipe), self._end)
        fd = os.open(self._target, os.O_WRONLY | os.O_CLOEXEC)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            problem = "expected a device or a pipe as at the start, found a file"
            raise SinkError(self.path, problem, "leave it alone while it is written")
        return FileIO(fd, "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.publish()
        else:
            self.discard()


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace a file by ``data`` as a whole or not at all; nothing is left beside it where the system refuses.

    Raises:
        SinkError: The system refuses, or another process writes there.
    """
    part = PartFile(path)
    try:
        with part.open() as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
    except OSError as failure:
        part.discard()
        raise refusal(part.path, failure, "write here") from failure
    except BaseException:
        part.discard()
        raise
    part.publish(keeps_refused=False)


def check_place(path: Path) -> None:
    """Check whether a file can be written there; nothing is created.

    Raises:
        SinkError: The folder is missing or not writable, or the path is a folder.
    """
    try:
        target, direct = _resolved(path)
        folder = target.parent
        if target.is_dir():
            raise SinkError(path, "expected a file to write, found a folder", f"add a file name: {path}/out.jsonl")
        if not direct and not folder.is_dir():
            shown = folder if path.is_symlink() else path.parent
            found = "a file" if folder.exists() else "nothing"
            remedy = f"mkdir -p {shown}" if found == "nothing" else "choose another folder"
            raise SinkError(path, f"expected the folder {shown} to exist, found {found}", remedy)
        if not direct and not os.access(folder, os.W_OK | os.X_OK):
            problem = f"expected a writable folder, found {folder} without write permission"
            raise SinkError(path, problem, REMEDIES[errno.EACCES])
    except OSError as failure:
        raise refusal(path, failure, "write here") from failure


def _resolved(path: Path) -> tuple[Path, bool]:
    """The file that a path names, through links, and whether it is a device or a pipe.

    The link of an open pipe (``/dev/stdout``) leads to no name: such a path is taken as it is.
    """
    if path.exists() and not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):
        return path, True
    return Path(os.path.realpath(path)), False


def _check_link(path: Path, target: Path) -> None:
    """Refuse to replace a file of another kind through a link: a ledger by a table."""
    if path.is_symlink() and target.is_file() and target.suffix.lower() != path.suffix.lower():
        problem = f"expected a link to {path.suffix or 'such a file'}, found one to {target}"
        raise SinkError(path, problem, "remove the link, or choose another name")


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of what a name leads to, no links followed; ``None`` where nothing is."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return None
    return facts.st_dev, facts.st_ino
