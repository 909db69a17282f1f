"""Limits of a process that runs for weeks: pools of the C library, freed pages, open files.

glibc makes a pool for every thread that finds the others busy, and each holds on to what its threads once needed at the
same time. The growth ends, but only after days, and looks like a leak until then.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from typing import Any

__all__ = ["give_back", "limit_pools", "raise_file_limit"]

M_ARENA_MAX = -8
POOLS = 2
"""Python holds its own lock while it allocates, so that threads seldom meet here."""


def limit_pools() -> bool:
    """Have at most two pools from now on; whether the C library knows how."""
    library = _glibc()
    return library is not None and library.mallopt(M_ARENA_MAX, POOLS) == 1


def give_back() -> bool:
    """Return free pages to the system, a few milliseconds; whether the C library knows how."""
    library = _glibc()
    if library is None:
        return False
    library.malloc_trim(0)
    return True


def raise_file_limit() -> None:
    """Allow as many open files as the system grants: every output holds its part file, and a lock on its name."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _glibc() -> Any:
    """The C library where it is GNU's, else ``None``."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
