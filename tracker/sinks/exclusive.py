"""Exclusive temporary files beside an output: unguessable names, never followed, locked as long as their process lives.

A file is created with ``O_CREAT | O_EXCL | O_NOFOLLOW`` under ``.<name>.<16 hex digits>.part`` (or ``.lock``, an empty
file that only reserves the name) and holds an advisory lock (flock(2)), which the system releases however the process
ends. So every such file shows whether its writer is alive:

- One that is locked belongs to a living process: the name is taken, and later processes are refused.
- One that is not locked is a left-over of a killed process. It is removed by the next run that writes the same output,
  if it belongs to the same user; nothing else is. Parts of rotating outputs have names of their own, so theirs stay.

Where the file system knows no locks, names are still exclusive and unguessable; nothing is refused or removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ExclusiveFile", "check_free", "reserved", "staged_name"]

LONGEST_NAME_BYTES = 180
"""Of an output's name inside a temporary one, which may have 255: longer ones are cut and distinguished by a digest."""

FOLDER_LOCK_S = 2.0
"""Longest wait for the folder's lock, which is held for a listing and the creation of one file. A holder that keeps it
longer is no run of masktrail (``flock FOLDER masktrail ...`` in a script, say), and is not waited for."""

_own: set[tuple[int, int]] = set()
"""Device and inode of every exclusive file that this process holds."""
_own_lock = threading.Lock()


class ExclusiveFile:
    """A file of this process alone, under a temporary name beside an output.

    Args:
        target: The output, links resolved; the file is created in its folder.
        ending: ``part`` for a file that will become the output, ``lock`` for one that only reserves the name.
        sibling: A second part file of an output that this process holds already.
        shown: How messages name the output.

    Attributes:
        path: The temporary name.

    Raises:
        SinkError: Another process writes this output, or this one does with another part file.
        OSError: The system refuses.
    """

    def __init__(self, target: Path, *, ending: str = "part", sibling: bool = False, shown: Path | None = None) -> None:
        self.path = target.with_name(f".{_short(target.name)}.{secrets.token_hex(8)}.{ending}")
        with _folder(target.parent) as folder:
            refuses = ending == "part" and not sibling
            _look_around(target, folder, shown=shown or target, own_part_refuses=refuses, clean=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(self.path.name, flags, 0o666, dir_fd=folder)
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.identity = _identity(os.fstat(self._fd))
            with _own_lock:
                _own.add(self.identity)
        self._release = weakref.finalize(self, _let_go, self._fd, self.identity)

    @property
    def fd(self) -> int:
        """The open file; writers take a duplicate."""
        return self._fd

    def stands(self) -> bool:
        """Whether the temporary name still leads to this file."""
        try:
            return _identity(os.lstat(self.path)) == self.identity
        except OSError:
            return False

    def release(self) -> None:
        """Close the file and give up the lock; safe to call twice."""
        self._release()

    def remove(self) -> None:
        """Remove the file, unless the name leads to another one by now, and :meth:`release` it."""
        if self._release.alive and self.stands():
            with contextlib.suppress(OSError):
                self.path.unlink()
        self.release()


@contextlib.contextmanager
def reserved(*targets: Path) -> Iterator[None]:
    """Hold the names of outputs, against other processes, for as long as the block runs.

    Args:
        targets: Outputs; what cannot be held since its folder is missing or not writable, or since it is a device, a
            pipe or a folder, is left to its opener.

    Raises:
        SinkError: Another process writes one of them.
    """
    with contextlib.ExitStack() as stack:
        # In one order, so that of two processes with the same outputs one gets all of them.
        for resolved, target in sorted((Path(os.path.realpath(target)), target) for target in targets):
            if not resolved.exists() or resolved.is_file():
                with contextlib.suppress(OSError):
                    stack.callback(ExclusiveFile(resolved, ending="lock", shown=target).remove)
        yield


def check_free(target: Path) -> None:
    """Check whether another process writes an output; nothing is created or removed.

    Args:
        target: The output, as the user wrote it.

    Raises:
        SinkError: One does; the message names its temporary file.
    """
    resolved = Path(os.path.realpath(target))
    with contextlib.suppress(OSError), _folder(resolved.parent) as folder:
        _look_around(resolved, folder, shown=target, own_part_refuses=False, clean=False)


def staged_name(target: Path) -> Path:
    """An unguessable name with an output's suffix, beside its file, under which a second version becomes whole.

    Its user holds the output's name (see :func:`reserved`): one that is found by the next holder is a left-over.
    """
    return Path(os.path.realpath(target)).with_name(f".refined-{secrets.token_hex(8)}-{target.name}")


def _short(name: str) -> str:
    data = os.fsencode(name)
    if len(data) <= LONGEST_NAME_BYTES:
        return name
    return data[: LONGEST_NAME_BYTES - 20].decode("utf-8", "ignore") + "~" + hashlib.sha256(data).hexdigest()[:12]


def _identity(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino


def _let_go(fd: int, identity: tuple[int, int]) -> None:
    with _own_lock:
        _own.discard(identity)
    with contextlib.suppress(OSError):
        os.close(fd)


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[int]:
    """The folder, opened and locked, so that of two processes one sees the other's file."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        give_up_s = time.monotonic() + FOLDER_LOCK_S
        while time.monotonic() < give_up_s:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.005)
            except OSError:  # a file system without locks
                break
            else:
                break
        yield fd
    finally:
        os.close(fd)


def _look_around(target: Path, folder: int, *, shown: Path, own_part_refuses: bool, clean: bool) -> None:
    """Refuse where another process writes the output, and remove what killed processes of this user left of it."""
    temporary = re.compile(rf"\.{re.escape(_short(target.name))}\.[0-9a-f]{{16}}\.(?P<ending>part|lock)")
    staged = re.compile(rf"\.{{1,2}}refined-[0-9a-f]{{16}}-{re.escape(target.name)}(\.[0-9a-f]{{16}}\.part)?")
    left_over = []
    for name in os.listdir(folder):
        if not name.startswith("."):
            continue
        if (found := temporary.fullmatch(name)) is None:
            left_over += [name] if staged.fullmatch(name) else []
            continue
        state = _state(name, folder)
        if state == "foreign" or (state == "own" and own_part_refuses and found["ending"] == "part"):
            writer = "another process" if state == "foreign" else "this process"
            problem = f"expected to be the only one that writes it, found that {writer} does ({name})"
            raise SinkError(shown, problem, "wait until it is done, or name another file")
        if state == "dead":
            left_over.append(name)
    for name in left_over if clean else ():
        _remove_own(name, folder)


def _state(name: str, folder: int) -> str:
    """``own`` (of this process), ``foreign`` (of a living one), ``dead``, or ``unknown``."""
    try:
        # A pipe that was planted there is opened without waiting, a link not at all.
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return "unknown"
    try:
        facts = os.fstat(fd)
        with _own_lock:
            if _identity(facts) in _own:
                return "own"
        if not stat.S_ISREG(facts.st_mode):
            return "unknown"
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as failure:
        return "foreign" if failure.errno in {errno.EWOULDBLOCK, errno.EACCES} else "unknown"
    else:
        return "dead"
    finally:
        os.close(fd)


def _remove_own(name: str, folder: int) -> None:
    with contextlib.suppress(OSError):
        facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid():
            os.unlink(name, dir_fd=folder)
