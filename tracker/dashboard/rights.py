"""Roles, rights per stream, and the mark by which every route declares the right that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["LOCAL", "MOST_STREAMS", "ROLES", "Principal", "Right", "Role", "needs", "right_of", "streams_json"]

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

MOST_STREAMS = 2_000
"""Streams that one user's or token's list may have."""

_Endpoint = TypeVar("_Endpoint", bound="Callable[..., object]")


class Right(StrEnum):
    """What a route needs.

    ``PUBLIC`` needs nothing: the page's own files, and log in. ``VIEW`` is numbers and masked pictures, ``PEOPLE``
    clear pictures, cut-outs and video, ``OPERATE`` sites, audit and validation, ``ADMIN`` users, tokens and the log.
    ``ACCOUNT`` is for people who are logged in, not for tokens.
    """

    PUBLIC = "public"
    ACCOUNT = "account"
    VIEW = "view"
    PEOPLE = "people"
    OPERATE = "operate"
    ADMIN = "admin"


_OF_ROLE: dict[Role, frozenset[Right]] = {
    "viewer": frozenset({Right.PUBLIC, Right.VIEW}),
    "operator": frozenset({Right.PUBLIC, Right.VIEW, Right.OPERATE}),
    "admin": frozenset({Right.PUBLIC, Right.VIEW, Right.OPERATE, Right.ADMIN}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A logged-in user or a machine with a token, with what it may do.

    Attributes:
        name: Of the user, or ``token:ID``.
        role: One of :data:`ROLES`.
        streams: Streams that it may see; ``None`` = all.
        see_people: Whether clear pictures, cut-outs and video are shown.
        session: Hash of the session's identifier; empty of tokens and without a login.
        token: Number of the token; 0 = it is a person.
    """

    name: str
    role: Role
    streams: frozenset[str] | None = None
    see_people: bool = False
    session: str = ""
    token: int = 0

    def may(self, right: Right) -> bool:
        """Whether the role has a right; ``PEOPLE`` is granted apart from the role.

        >>> Principal(name="ann", role="admin").may(Right.PEOPLE)
        False
        """
        if right is Right.PEOPLE:
            return self.see_people
        if right is Right.ACCOUNT:
            return not self.token
        return right in _OF_ROLE[self.role]

    def sees(self, stream: str) -> bool:
        """Whether a stream is among those that it may see."""
        return self.streams is None or stream in self.streams

    def allowed(self, streams: Iterable[str]) -> list[str]:
        """Those of some streams that it may see, in their order."""
        return [stream for stream in streams if self.sees(stream)]


LOCAL = Principal(name="local", role="admin", see_people=True)
"""Everybody, where ``login: false`` is set for this machine's own addresses."""


def streams_json(streams: frozenset[str] | None) -> str | list[str]:
    """Streams of a list as the API has them: ``*`` = all."""
    return "*" if streams is None else sorted(streams)


def needs(right: Right) -> Callable[[_Endpoint], _Endpoint]:
    """Mark an endpoint with the right that it needs; the guard refuses endpoints without a mark."""

    def mark(endpoint: _Endpoint) -> _Endpoint:
        endpoint.needed_right = right  # type: ignore[attr-defined]
        return endpoint

    return mark


def right_of(route: object) -> Right | None:
    """The right that a route needs; ``None`` where it declares none, which nobody has."""
    found = getattr(getattr(route, "endpoint", None), "needed_right", None)
    return found if isinstance(found, Right) else None
