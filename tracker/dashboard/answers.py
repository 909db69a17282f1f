"""What endpoints ask of a request: the context, who asks, from where; and their bodies without unknown keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from tracker.dashboard.context import Context
    from tracker.dashboard.proxies import Client
    from tracker.dashboard.rights import Principal

__all__ = ["Body", "client_of", "context_of", "principal_of", "secret_of"]


class Body(BaseModel):
    """A body whose unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


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
