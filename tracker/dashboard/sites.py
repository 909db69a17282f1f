"""Site files of cameras: read, check, save with a revision, history, differences, formats of other tools."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tracker.dashboard.accounts import now_ms
from tracker.dashboard.problems import ApiError, no_such, of_tracker_error
from tracker.errors import ConfigError
from tracker.settings.site import PLAIN_VERSION, VERSION
from tracker.settings.site_file import SiteConflictError, history_of, parse_site, read_site, write_site
from tracker.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from tracker.dashboard.accounts import AccountStore

__all__ = ["Sites", "difference", "site_json", "site_of_json"]

LISTS = ("lines", "zones", "occluders", "doors", "flows", "privacy", "queues", "footfall", "bays", "alerts")


class Sites:
    """Sites of streams by their files, which only the settings of the service name.

    Args:
        store: Remembers who saved which revision.
    """

    def __init__(self, store: AccountStore) -> None:
        self._store = store
        self._paths: dict[str, Path] = {}
        self._read: dict[str, tuple[tuple[int, int], Site]] = {}
        self._lock = threading.Lock()

    def know(self, paths: Mapping[str, Path]) -> None:
        """Files by stream from now on."""
        self._paths = dict(paths)

    def editable(self, stream: str) -> bool:
        """Whether a stream has a file that may be written."""
        return stream in self._paths

    def of(self, stream: str) -> Site | None:
        """The site of a stream; ``None`` where it has none or its file cannot be read."""
        path = self._paths.get(stream)
        if path is None:
            return None
        try:
            facts = path.stat()
        except OSError:
            return None
        key = facts.st_mtime_ns, facts.st_size
        with self._lock:
            held = self._read.get(stream)
        if held is None or held[0] != key:
            try:
                held = key, read_site(path)
            except ConfigError:
                return None
            with self._lock:
                self._read[stream] = held
        return held[1]

    def load(self, stream: str) -> Site:
        """The site of a stream, an empty one where there is no file yet.

        Raises:
            ApiError: It cannot be edited, or its file cannot be read.
        """
        path = self._path(stream)
        if not path.exists():
            return Site()
        try:
            return read_site(path)
        except ConfigError as failure:
            raise of_tracker_error(failure, 409) from None

    def save(self, stream: str, revision: int, site: Site, *, by: str) -> Site:
        """Write a site over the revision that was read.

        Raises:
            ApiError: 409 with what stands there and how it differs, where another revision does.
        """
        path = self._path(stream)
        present = self.load(stream)
        if path.exists() and present.revision != revision:
            raise _conflict(present, site)
        # A path, though only a name: the web sets none.
        wanted = replace(site, revision=revision, reference_picture=present.reference_picture)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            written = write_site(path, wanted, before=present if path.exists() else None)
        except SiteConflictError:
            raise _conflict(self.load(stream), site) from None
        except ConfigError as failure:
            raise of_tracker_error(failure, 422) from None
        except OSError as failure:
            raise ApiError(409, "site", "a folder that can be written", str(failure.strerror), "check it") from None
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO site_saves VALUES (?, ?, ?, ?)", (stream, written.revision, now_ms(), by)
            )
        return written

    def history(self, stream: str) -> list[dict[str, Any]]:
        """Earlier revisions, the newest first, with when and by whom they were saved where that is known."""
        saves = {
            revision: (at_ms, by)
            for revision, at_ms, by in self._store.rows(
                "SELECT revision, at_ms, name FROM site_saves WHERE stream = ?", (stream,)
            )
        }
        found = []
        for entry in reversed(history_of(self._path(stream))):
            revision = int(entry.stem.partition("-")[0])
            at_ms, by = saves.get(revision, (None, ""))
            found.append({"revision": revision, "saved_ms": at_ms, "by": by})
        return list({one["revision"]: one for one in found}.values())

    def revision(self, stream: str, revision: int) -> Site:
        """A revision of the present or the history.

        Raises:
            ApiError: It is not kept any more.
        """
        present = self.load(stream)
        if present.revision == revision:
            return present
        for entry in reversed(history_of(self._path(stream))):
            if int(entry.stem.partition("-")[0]) == revision:
                try:
                    return read_site(entry)
                except ConfigError as failure:
                    raise of_tracker_error(failure, 409) from None
        raise no_such("revision", revision)

    def _path(self, stream: str) -> Path:
        path = self._paths.get(stream)
        if path is None:
            raise ApiError(404, "site", "a camera with a site file", "none", "add `site:` to the camera's settings")
        return path


def site_json(site: Site) -> dict[str, Any]:
    """A site with the keys of its file."""
    found: dict[str, Any] = _plain(site)
    return {"version": VERSION if site.privacy else PLAIN_VERSION, **found}


def site_of_json(value: Mapping[str, Any], *, offender: str = "site") -> Site:
    """Check a site as the page sends it; unknown keys and values out of range are refused.

    Raises:
        ApiError: The first thing that is wrong, with its place such as ``lines[0]``.
    """
    # The page knows nothing of versions; what it sends with privacy zones is of the version that has them.
    lines, places = _as_lines({**value, "version": VERSION} if value.get("privacy") else value)
    try:
        return parse_site("\n".join(lines), name=offender)
    except ConfigError as failure:
        problem = failure
    number = problem.offender.rpartition(":")[2]
    place = places.get(int(number), "site") if number.isdigit() else "site"
    refusal = of_tracker_error(problem, 422)
    refusal.error["what"] = place
    raise refusal


def _as_lines(value: Mapping[str, Any]) -> tuple[list[str], dict[int, str]]:
    """The site as YAML with one part per line, which JSON is, and what stands in each line."""
    lines, places = ["{"], {1: "site"}
    for key, entry in value.items():
        if entry in (None, "", []):
            continue
        if key in LISTS and isinstance(entry, list):
            lines.append(f"{_text(key)}: [")
            places[len(lines)] = key
            for number, part in enumerate(entry):
                known = {k: v for k, v in part.items() if v not in (None, "")} if isinstance(part, dict) else part
                lines.append(f"{_text(known)},")
                places[len(lines)] = f"{key}[{number}]"
            lines.append("],")
        else:
            held = {k: v for k, v in entry.items() if v not in (None, "", [], {})} if isinstance(entry, dict) else entry
            lines.append(f"{_text(key)}: {_text(held)},")
            places[len(lines)] = str(key)
    return [*lines, "}"], places


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return value if value != "" else None


def difference(before: Site, after: Site) -> list[dict[str, Any]]:
    """How one site differs from another: place, ``added``, ``removed`` or ``changed``, and both values."""
    old, new = site_json(before), site_json(after)
    found: list[dict[str, Any]] = []
    for key in old:
        if key in {"version", "revision"} or old[key] == new[key]:
            continue
        if key not in LISTS:
            found.append({"at": key, "what": "changed", "before": old[key], "after": new[key]})
            continue
        first, second = ({part["name"]: part for part in side[key]} for side in (old, new))
        for name in dict.fromkeys((*first, *second)):
            if first.get(name) != second.get(name):
                what = "added" if name not in first else "removed" if name not in second else "changed"
                found.append(
                    {"at": f"{key}/{name}", "what": what, "before": first.get(name), "after": second.get(name)}
                )
    return found


def _conflict(present: Site, site: Site) -> ApiError:
    return ApiError(
        409,
        "site",
        "the revision that was read",
        f"revision {present.revision}, saved meanwhile",
        "look at the differences, and save again",
        more={"revision": present.revision, "site": site_json(present), "diff": difference(present, site)},
    )
