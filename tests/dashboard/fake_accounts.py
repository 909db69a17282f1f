"""Accounts, tokens and log of the fake dashboard."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from tests.dashboard.fake_answers import FakeState, refusal

if TYPE_CHECKING:
    from starlette.requests import Request


class FakeAccounts(FakeState):
    """Routes of administrators."""

    async def accounts(self, request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse({"users": [one | {"created_ms": 1795860000000} for one in self.users.values()]})
        body = await request.json()
        if body["name"] in self.users:
            return refusal(409, "name", "a new one", "one that is taken", "choose another one")
        self.passwords[body["name"]] = body.pop("password")
        self.users[body["name"]] = body
        return JSONResponse(body, 201)

    async def account(self, request: Request) -> Response:
        name = request.path_params["name"]
        if request.method == "DELETE":
            self.users.pop(name, None)
            return Response(status_code=204)
        body = await request.json()
        self.passwords[name] = body.pop("password", self.passwords[name])
        self.users[name] |= body
        return JSONResponse(self.users[name])

    async def machine_tokens(self, request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse({"tokens": self.tokens})
        made = {
            "id": len(self.tokens) + 1,
            "created_ms": round(time.time() * 1000),
            "expires_ms": None,
            "used_ms": None,
            **await request.json(),
        }
        self.tokens.append(made)
        return JSONResponse({"id": made["id"], "token": "mt_3fV0aexample"}, 201)

    async def machine_token(self, request: Request) -> Response:
        self.tokens = [one for one in self.tokens if one["id"] != int(request.path_params["number"])]
        return Response(status_code=204)

    async def log(self, request: Request) -> Response:
        rows = [
            ("ada", "log in", ""),
            ("ada", "site saved", "entrance revision 3"),
            ("val", "log in refused", ""),
            ("ada", "user added", "val"),
        ]
        return JSONResponse(
            {
                "log": [
                    {
                        "at_ms": 1795860000000 - 600_000 * n,
                        "row": n,
                        "name": who,
                        "what": what,
                        "detail": more,
                        "address": "192.168.1.20",
                    }
                    for n, (who, what, more) in enumerate(rows)
                ]
            }
        )
