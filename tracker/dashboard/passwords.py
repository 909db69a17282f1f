"""Hashes of passwords by argon2id, one at a time: a hash takes 64 MiB."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

from tracker.errors import ConfigError, install_command

if TYPE_CHECKING:
    from argon2 import PasswordHasher

__all__ = ["LONGEST_PASSWORD", "SHORTEST_PASSWORD", "hash_password", "matches"]

SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 256

_one_at_a_time = threading.Lock()


@cache
def _hasher() -> PasswordHasher:
    try:
        from argon2 import PasswordHasher
    except ImportError:
        problem = "expected argon2-cffi for passwords, found it is not installed"
        raise ConfigError("dashboard", problem, install_command("dashboard")) from None
    return PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)  # RFC 9106 section 4, second choice


def hash_password(password: str) -> str:
    """A password as it may be stored."""
    with _one_at_a_time:
        return _hasher().hash(password)


@cache
def _nobodys() -> str:
    """A hash that no password of a person matches: an unknown name takes as long as a known one."""
    return hash_password("no account has this password\0")


def matches(password: str, stored: str | None) -> bool:
    """Whether a password is the one of a hash; ``None`` = there is no such account, found in the same time."""
    from argon2.exceptions import InvalidHashError, VerificationError

    known = stored if stored is not None else _nobodys()
    with _one_at_a_time:
        try:
            return _hasher().verify(known, password) and stored is not None
        except (VerificationError, InvalidHashError):
            return False
