"""Reference of the API in Markdown, from the routes themselves: rights, parameters, bodies."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["api_page"]

_PAGE = """\
# API of the dashboard

Written by `masktrail settings api`; change the routes in `tracker/dashboard/routes/`, then run `masktrail settings
api --out docs/reference/dashboard-api.md`. Guide: [dashboard](../guide/dashboard.md). The live socket `/api/live` has
a [page of its own](live-socket.md).

Programs send `Authorization: Bearer mtk_...` with a token; pages send their cookie, and changes also `Origin`, JSON
and `X-Masktrail-CSRF` with `csrf` of `GET /api/session`. Unknown parameters and keys are refused. A parameter with a
star may be given several times. Times end in `_ms` (UTC in milliseconds since 1970, or media time where `utc` is
false), durations in `_s`; places in a picture are shares of its width and height. `null` in counts: the camera was
out, and nothing was counted.

An error is `{{"error": {{"what", "expected", "found", "remedy"}}}}` with status 400, 401 (not logged in), 403
(without the right), 404 (not there, or not to be seen), 409 (changed meanwhile), 413, 422 (does not fit), 429 (too
often) or 503 (ledgers are still being read).

Rights: `view` every role, `operate` operators and administrators, `admin` administrators, `people` accounts and
tokens that may see people, `account` people and not tokens, `public` everybody. The same for machines: `GET
/api/openapi.json`.

{topics}
"""


def api_page() -> str:
    """The page; an application is made for it that serves nothing."""
    from tracker.dashboard.app import make_app
    from tracker.dashboard.context import Context
    from tracker.dashboard.guard import Guard
    from tracker.settings.dashboard import DashboardSettings

    with tempfile.TemporaryDirectory() as folder:
        context = Context(DashboardSettings(folder=str(Path(folder) / "dashboard")))
        try:
            guard = make_app(context)
            assert isinstance(guard, Guard)  # noqa: S101 - what it is
            return _PAGE.format(topics="\n\n".join(_topics(guard)))
        finally:
            context.close()


def _topics(guard: Any) -> Iterator[str]:
    from tracker.dashboard.rights import right_of

    described = guard.application.openapi()
    topics: dict[str, list[str]] = {}
    for route in guard.routes:
        for method in sorted(getattr(route, "methods", None) or ()):
            entry = described["paths"].get(route.path, {}).get(method.lower())
            if entry is None:
                continue
            lines = [f"| `{method} {route.path}` | {right_of(route)} | {_text(entry)} |"]
            topics.setdefault(entry["tags"][0], []).extend(lines)
            topics[entry["tags"][0]] += [f"| | | {one} |" for one in _inputs(entry, described["components"]["schemas"])]
    for topic, lines in topics.items():
        yield "\n".join([f"## {topic.capitalize()}", "", "| request | right | |", "|---|---|---|", *lines])


def _text(entry: Mapping[str, Any]) -> str:
    return " ".join(entry["description"].split()).replace("|", "\\|")


def _inputs(entry: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    asked = [
        _field(one["name"], one["schema"], required=one.get("required", False), schemas=schemas)
        for one in entry.get("parameters", [])
        if one["in"] == "query"
    ]
    if asked:
        yield f"query: {', '.join(asked)}"
    content = entry.get("requestBody", {}).get("content", {}).get("application/json")
    if content is not None:
        schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
        required = schema.get("required", ())
        body = [
            _field(name, one, required=name in required, schemas=schemas) for name, one in schema["properties"].items()
        ]
        yield f"body: {', '.join(body)}"


def _field(name: str, schema: Mapping[str, Any], *, required: bool, schemas: Mapping[str, Any]) -> str:
    """A name with its words or range, and its default where it has one."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    forms = [form for form in schema.get("anyOf", [schema]) if form.get("type") != "null"]
    star = any(form.get("type") == "array" for form in forms)
    form = forms[0].get("items", forms[0]) if star and len(forms) == 1 else forms[0]
    words = form.get("enum") or ([form["const"]] if "const" in form else [])
    notes = ["/".join(map(str, words))] if words else []
    low = form.get("minimum", form.get("exclusiveMinimum"))
    high = form.get("maximum", form.get("exclusiveMaximum"))
    if low is not None and high is not None and max(abs(low), abs(high)) < 10**10:
        notes.append(f"{low:.12g} to {high:.12g}")
    if schema.get("default") not in (None, [], ""):
        default = schema["default"]
        flag = isinstance(default, bool)
        shown = ", ".join(default) if isinstance(default, list) else str(default).lower() if flag else default
        notes.append(f"default {shown}")
    if required:
        notes.append("required")
    told = f" ({'; '.join(notes)})" if notes else ""
    return f"`{name}`" + "\\*" * star + told
