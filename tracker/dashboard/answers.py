"""What endpoints ask of a request: the context, who asks, from where; and their bodies without unknown keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ConfigDict

from tracker.dashboard.problems import no_such

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import HTTPConnection

    from tracker.dashboard.context import Context
    from tracker.dashboard.proxies import Client
    from tracker.dashboard.rights import Principal

__all__ = [
    "Body",
    "Question",
    "allowed_of",
    "client_of",
    "context_of",
    "note",
    "principal_of",
    "secret_of",
    "stream_of",
]


class Body(BaseModel):
    """A body whose unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Question(BaseModel):
    """A query whose unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


def context_of(connection: HTTPConnection) -> Context:
    """The context of the application that a request is for."""
    return cast("Context", connection.app.state.context)


def principal_of(connection: HTTPConnection) -> Principal:
    """Whose request it is; of routes that need a right only."""
    return cast("Principal", connection.scope["state"]["principal"])


def client_of(connection: HTTPConnection) -> Client:
    """From where, and by which address."""
    return cast("Client", connection.scope["state"]["client"])


def secret_of(connection: HTTPConnection) -> str:
    """The session's identifier; empty without a session."""
    return cast("str", connection.scope["state"]["secret"])


def allowed_of(connection: HTTPConnection, named: Sequence[str] = ()) -> list[str]:
    """Streams that a question is about: those that it names, else all; only ones that may be seen.

    Args:
        connection: The request.
        named: Names in the question.

    Raises:
        ApiError: A stream is not there or may not be seen; the answer is the same.
    """
    allowed = principal_of(connection).allowed(context_of(connection).stream_ids())
    if not named:
        return allowed
    known = set(allowed)
    for name in named:
        if name not in known:
            raise no_such("stream", name)
    return list(dict.fromkeys(named))


def stream_of(connection: HTTPConnection, stream: str) -> str:
    """A stream of the path, if it is there and may be seen.

    Raises:
        ApiError: It is not, or may not.
    """
    return allowed_of(connection, [stream])[0]


def note(connection: HTTPConnection, what: str, detail: str = "") -> None:
    """Write into the log who did what."""
    context_of(connection).accounts.note(principal_of(connection).name, what, detail, client_of(connection).address)
