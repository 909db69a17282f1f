"""Routes of the session: who is logged in, set up, log in and out, change the own password."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from tracker.dashboard import shapes
from tracker.dashboard.accounts import name_fits
from tracker.dashboard.answers import Body, client_of, context_of, principal_of, secret_of
from tracker.dashboard.guard import ANONYMOUS_CSRF, cookie_name
from tracker.dashboard.passwords import LONGEST_PASSWORD, SHORTEST_PASSWORD, hash_password, matches
from tracker.dashboard.problems import ApiError
from tracker.dashboard.rights import Principal, Right, needs, streams_json
from tracker.dashboard.sessions import ABSOLUTE_S, csrf_of
from tracker.dashboard.shapes import gives
from tracker.version import __version__

__all__ = ["check_password", "router"]

router = APIRouter(prefix="/api", tags=["session"])

COMMON = frozenset({"password", "masktrail", "123456789", "qwertyuiop"})


class Credentials(Body):
    """Name and password."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=LONGEST_PASSWORD)


class FirstAccount(Credentials):
    """The first account, an administrator's."""

    token: str = Field(max_length=100, description="Of the one-time link.")
    see_people: bool = Field(default=False, description="Whether it may see clear pictures and video.")


class PasswordChange(Body):
    """A new password for the account that is logged in."""

    password: str = Field(max_length=LONGEST_PASSWORD, description="The present one.")
    new_password: str = Field(max_length=LONGEST_PASSWORD)


@router.get("/session", responses=gives(shapes.Session))
@needs(Right.PUBLIC)
def session(request: Request) -> JSONResponse:
    """Who is logged in, and the token that changes need as header X-Masktrail-CSRF."""
    context, principal, secret = context_of(request), request.scope["state"]["principal"], secret_of(request)
    return JSONResponse(
        {
            "setup_needed": context.settings.login and context.accounts.empty,
            "user": None if principal is None else user_json(principal),
            "csrf": csrf_of(secret) if secret else ANONYMOUS_CSRF,
            "title": context.settings.title,
            "version": __version__,
        }
    )


@router.post("/setup", responses=gives(shapes.Begun))
@needs(Right.PUBLIC)
def set_up(request: Request, body: FirstAccount) -> Response:
    """Make the first account by the one-time link, and log in."""
    context, client = context_of(request), client_of(request)
    _limit(request, f"setup {client.address}")
    if not context.accounts.empty or not context.set_up.fits(body.token):
        raise ApiError(
            403, "set-up link", "the link that is still good", "one that is over", "start the dashboard again"
        )
    check_name(body.name)
    check_password(body.password, body.name)
    made = context.accounts.add_user(
        body.name,
        role="admin",
        password=hash_password(body.password),
        streams=None,
        see_people=body.see_people,
        first=True,
    )
    if not made:
        raise ApiError(409, "set-up link", "no account yet", "one that was made meanwhile", "log in")
    context.set_up.use()
    context.accounts.note(body.name, "set up", "first administrator", client.address)
    return _begin(request, body.name)


@router.post("/session", responses=gives(shapes.Begun))
@needs(Right.PUBLIC)
def log_in(request: Request, body: Credentials) -> Response:
    """Log in: at most once a second, five times a minute and twenty times an hour, per address and per name."""
    context, client = context_of(request), client_of(request)
    _limit(request, f"address {client.address}", f"name {body.name.lower()}")
    user = context.accounts.user(body.name)
    if not matches(body.password, None if user is None else user.password):
        context.accounts.note(body.name if user else "unknown", "log in refused", "", client.address)
        raise ApiError(401, "name or password", "those of an account", "others", "try again")
    context.logins.forget(f"name {body.name.lower()}")
    context.accounts.note(body.name, "log in", "", client.address)
    if old := secret_of(request):
        context.sessions.end(principal_of(request).session)
        del old
    return _begin(request, body.name)


@router.delete("/session", status_code=204)
@needs(Right.ACCOUNT)
def log_out(request: Request) -> Response:
    """Log out; open sockets of the session are closed."""
    context, principal = context_of(request), principal_of(request)
    context.sessions.end(principal.session)
    context.accounts.note(principal.name, "log out", "", client_of(request).address)
    response = Response(status_code=204)
    _set_cookie(request, response, "", 0)
    return response


@router.post("/session/password", responses=gives(shapes.Begun))
@needs(Right.ACCOUNT)
def change_password(request: Request, body: PasswordChange) -> Response:
    """Change the own password; all other sessions of the account end."""
    context, principal = context_of(request), principal_of(request)
    _limit(request, f"name {principal.name.lower()}")
    user = context.accounts.user(principal.name)
    if user is None or not matches(body.password, user.password):
        raise ApiError(403, "password", "the present one", "another one", "try again")
    check_password(body.new_password, principal.name)
    context.accounts.change_user(principal.name, password=hash_password(body.new_password))
    context.sessions.end_all(principal.name)
    context.logins.forget(f"name {principal.name.lower()}")
    context.accounts.note(principal.name, "password changed", "own", client_of(request).address)
    return _begin(request, principal.name)


def check_name(name: str) -> None:
    """Refuse what is no name of an account."""
    if not name_fits(name):
        expected = "letters, digits and . _ @ -, 64 at most, a letter or digit first"
        raise ApiError(422, "name", expected, "another name", "change it")


def check_password(password: str, name: str) -> None:
    """Refuse what is short, or easily guessed."""
    expected = f"{SHORTEST_PASSWORD} characters or more, not the account's name, not one character again and again"
    low = password.lower()
    weak = name.lower() in low and len(low) < len(name) + SHORTEST_PASSWORD
    weak = weak or len(set(low)) < 4 or any(low.strip("0123456789!.") == word for word in COMMON)
    if len(password) < SHORTEST_PASSWORD or weak:
        raise ApiError(422, "password", expected, "a weaker one", "choose a longer one")


def user_json(principal: Principal) -> dict[str, Any]:
    """Who is logged in, for the page."""
    return {
        "name": principal.name,
        "role": principal.role,
        "streams": streams_json(principal.streams),
        "see_people": principal.see_people,
    }


def _limit(request: Request, *keys: str) -> None:
    wait_s = context_of(request).logins.wait_s(*keys)
    if wait_s > 0:
        seconds = str(int(wait_s) + 1)
        found, remedy = "more attempts", f"wait {seconds} s"
        raise ApiError(429, "log in", "fewer attempts", found, remedy, headers={"retry-after": seconds})


def _begin(request: Request, name: str) -> Response:
    """A new session with its cookie."""
    context, client = context_of(request), client_of(request)
    context.sessions.sweep()
    secret = context.sessions.begin(name, client.address)
    principal = context.sessions.principal(secret)
    if principal is None:
        raise ApiError(409, "account", "one that is there", "one that was removed", "ask an administrator")
    response = JSONResponse({"user": user_json(principal), "csrf": csrf_of(secret)})
    _set_cookie(request, response, secret, int(ABSOLUTE_S))
    return response


def _set_cookie(request: Request, response: Response, secret: str, age_s: int) -> None:
    client = client_of(request)
    response.set_cookie(
        cookie_name(client.scheme, client.host),
        secret,
        max_age=age_s,
        path="/",
        secure=client.scheme == "https",
        httponly=True,
        samesite="strict",
    )
