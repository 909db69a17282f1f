"""Routes of administrators: accounts, tokens of machines, and the log of what was changed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from tracker.dashboard import shapes
from tracker.dashboard.accounts import User, now_ms
from tracker.dashboard.answers import Body, Question, context_of, note, principal_of
from tracker.dashboard.passwords import LONGEST_PASSWORD, hash_password
from tracker.dashboard.problems import ApiError, no_such
from tracker.dashboard.rights import MOST_STREAMS, Right, Role, needs, streams_json
from tracker.dashboard.routes.account import check_name, check_password
from tracker.dashboard.shapes import gives
from tracker.dashboard.tokens import Token

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["administration"])

DAY_MS = 86_400_000

Stream = Annotated[str, Field(min_length=1, max_length=500)]
Streams = Literal["*"] | Annotated[list[Stream], Field(max_length=MOST_STREAMS)]


class Rights(Body):
    """What an account or a token may see."""

    streams: Streams = Field(default=[], description='Streams that may be seen; "*" = all.')
    see_people: bool = Field(default=False, description="Clear pictures, cut-outs and video.")


class NewUser(Rights):
    """A new account."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=LONGEST_PASSWORD)
    role: Role = "viewer"


class UserChange(Body):
    """What is to be other; what is left out stays."""

    role: Role | None = None
    streams: Streams | None = None
    see_people: bool | None = None
    password: str | None = Field(default=None, max_length=LONGEST_PASSWORD)


class NewToken(Rights):
    """A new token."""

    label: str = Field(min_length=1, max_length=80)
    role: Literal["viewer", "operator"] = "viewer"
    days: int | None = Field(default=365, ge=1, le=3650, description="After so many it ends; null = never.")


class LogQuestion(Question):
    """A page of the log."""

    before: Annotated[int | None, Field(ge=1, le=2**62)] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 200


@router.get("/users", responses=gives(shapes.Users))
@needs(Right.ADMIN)
def users(request: Request) -> JSONResponse:
    """All accounts."""
    return JSONResponse({"users": [_user(user) for user in context_of(request).accounts.users()]})


@router.post("/users", status_code=201, responses=gives(shapes.UserShape, 201))
@needs(Right.ADMIN)
def add_user(request: Request, body: NewUser) -> JSONResponse:
    """Make an account."""
    context = context_of(request)
    check_name(body.name)
    check_password(body.password, body.name)
    made = context.accounts.add_user(
        body.name,
        role=body.role,
        password=hash_password(body.password),
        streams=_set(body.streams),
        see_people=body.see_people,
    )
    if not made:
        raise ApiError(409, "name", "a new name", "that of an account", "choose another one")
    note(request, "account made", f"{body.name}: {_rights(body.role, body.streams, see_people=body.see_people)}")
    return JSONResponse(_user(_known(request, body.name)), 201)


@router.patch("/users/{name}", responses=gives(shapes.UserShape))
@needs(Right.ADMIN)
def change_user(request: Request, name: str, body: UserChange) -> JSONResponse:
    """Change an account; its sessions end, and its open sockets with them."""
    context, user = context_of(request), _known(request, name)
    if body.role is not None and body.role != "admin":
        _keep_an_admin(request, user)
    changes: dict[str, Any] = {}
    if body.role is not None:
        changes["role"] = body.role
    if body.streams is not None:
        changes["streams"] = _set(body.streams)
    if body.see_people is not None:
        changes["see_people"] = body.see_people
    if body.password is not None:
        check_password(body.password, name)
        changes["password"] = hash_password(body.password)
    if changes:
        context.accounts.change_user(name, **changes)
        # An administrator's own page goes on, unless the password is another one now.
        own = principal_of(request).session if name == principal_of(request).name and body.password is None else ""
        context.sessions.end_all(name, but=own)
        if own:
            context.sessions.on_end({own})  # its open sockets have the rights of before
        note(request, "account changed", f"{name}: {_changes(body)}")
    return JSONResponse(_user(_known(request, name)))


@router.delete("/users/{name}", status_code=204)
@needs(Right.ADMIN)
def remove_user(request: Request, name: str) -> Response:
    """Remove an account; its sessions end."""
    context, user = context_of(request), _known(request, name)
    _keep_an_admin(request, user)
    context.sessions.end_all(name)
    context.accounts.remove_user(name)
    note(request, "account removed", name)
    return Response(status_code=204)


@router.get("/tokens", responses=gives(shapes.Tokens))
@needs(Right.ADMIN)
def tokens(request: Request) -> JSONResponse:
    """All tokens of machines, without their secrets."""
    return JSONResponse({"tokens": [_token(token) for token in context_of(request).tokens.all()]})


@router.post("/tokens", status_code=201, responses=gives(shapes.TokenMade, 201))
@needs(Right.ADMIN)
def add_token(request: Request, body: NewToken) -> JSONResponse:
    """Make a token; its secret is in this answer and nowhere else."""
    number, secret = context_of(request).tokens.make(
        body.label,
        role=body.role,
        streams=_set(body.streams),
        see_people=body.see_people,
        created_by=principal_of(request).name,
        expires_ms=None if body.days is None else now_ms() + body.days * DAY_MS,
    )
    rights = _rights(body.role, body.streams, see_people=body.see_people)
    note(request, "token made", f"{number} {body.label}: {rights}")
    return JSONResponse({"id": number, "token": secret}, 201)


@router.delete("/tokens/{token}", status_code=204)
@needs(Right.ADMIN)
def remove_token(request: Request, token: Annotated[int, Path(ge=1, le=2**62)]) -> Response:
    """Remove a token; its open sockets are closed."""
    if not context_of(request).tokens.remove(token):
        raise no_such("token", token)
    note(request, "token removed", str(token))
    return Response(status_code=204)


@router.get("/log", responses=gives(shapes.Log))
@needs(Right.ADMIN)
def log(request: Request, asked: Annotated[LogQuestion, Query()]) -> JSONResponse:
    """What was changed and by whom, the newest first."""
    rows = context_of(request).accounts.log(before=asked.before, limit=asked.limit)
    found = [
        {"row": row.row, "at_ms": row.at_ms, "name": row.name, "address": row.address}
        | {"what": row.what, "detail": row.detail}
        for row in rows
    ]
    return JSONResponse({"log": found, "next": rows[-1].row if len(rows) == asked.limit else None})


def _known(request: Request, name: str) -> User:
    user = context_of(request).accounts.user(name)
    if user is None:
        raise no_such("account", name)
    return user


def _keep_an_admin(request: Request, user: User) -> None:
    """Refuse what would leave no administrator."""
    others = [one for one in context_of(request).accounts.users() if one.role == "admin" and one.name != user.name]
    if user.role == "admin" and not others:
        raise ApiError(409, "account", "another administrator", "none", "make one first")


def _set(streams: Streams) -> frozenset[str] | None:
    return None if streams == "*" else frozenset(streams)


def _rights(role: str, streams: Streams, *, see_people: bool) -> str:
    shown = "all streams" if streams == "*" else f"{len(streams)} streams"
    return f"{role}, {shown}" + (", sees people" if see_people else "")


def _changes(body: UserChange) -> str:
    changed = body.model_dump(exclude_none=True, exclude={"password"})
    if isinstance(changed.get("streams"), list):
        changed["streams"] = f"{len(changed['streams'])} streams"
    words = [f"{name} {value}" for name, value in changed.items()]
    return ", ".join(words + (["password"] if body.password is not None else []))


def _user(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "role": user.role,
        "streams": streams_json(user.streams),
        "see_people": user.see_people,
        "created_ms": user.created_ms,
    }


def _token(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "label": token.label,
        "role": token.role,
        "streams": streams_json(token.streams),
        "see_people": token.see_people,
        "created_by": token.created_by,
        "created_ms": token.created_ms,
        "expires_ms": token.expires_ms,
        "used_ms": token.used_ms,
    }
