"""Site files of cameras and recordings: read, check, save with a revision, history, differences."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from tracker.dashboard.accounts import now_ms
from tracker.dashboard.problems import ApiError, no_such, of_tracker_error
from tracker.errors import ConfigError, SinkError
from tracker.settings.site import PLAIN_VERSION, VERSION
from tracker.settings.site_file import SiteConflictError, history_of, parse_site, read_site, retire_site, write_site
from tracker.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tracker.dashboard.accounts import AccountStore

__all__ = ["Place", "Scope", "Sites", "difference", "problem_of", "site_json", "site_of_json"]

Scope = Literal["camera", "recording", "folder"]
LISTS = ("lines", "zones", "occluders", "doors", "flows", "privacy", "queues", "footfall", "bays", "alerts")


@dataclass(frozen=True, slots=True)
class Place:
    """A file that the site of a stream lies in.

    Attributes:
        scope: Of a camera, of one recording, or of all recordings of a folder that have none of their own.
        path: Where it is; never leaves the process.
        key: Under which its revisions are remembered: the camera's name, or the file's path in the folder of results.
    """

    scope: Scope
    path: Path
    key: str


class Sites:
    """Sites of streams by their files, which only the settings of the service and the folder of results name.

    Args:
        store: Remembers who saved which revision.
        recorded: Both files of a recording, its own one first; empty of what is none.
    """

    def __init__(self, store: AccountStore, recorded: Callable[[str], Sequence[Place]] = lambda _: ()) -> None:
        self._store = store
        self._recorded = recorded
        self._paths: dict[str, Path] = {}
        self._read: dict[Path, tuple[tuple[int, int], Site]] = {}
        self._lock = threading.Lock()

    def know(self, paths: Mapping[str, Path]) -> None:
        """Files of cameras from now on."""
        self._paths = dict(paths)

    def of_camera(self, stream: str) -> bool:
        """Whether a stream is a camera that has a file."""
        return stream in self._paths

    def editable(self, stream: str) -> bool:
        """Whether a stream has a file that may be written."""
        return bool(self.places(stream))

    def of(self, stream: str) -> Site | None:
        """The site of a stream; ``None`` where it has none or its file cannot be read."""
        places = self.places(stream)
        if not places:
            return None
        path = _holding(places).path
        try:
            facts = path.stat()
        except OSError:
            return None
        key = facts.st_mtime_ns, facts.st_size
        with self._lock:
            held = self._read.get(path)
        if held is None or held[0] != key:
            try:
                held = key, read_site(path)
            except ConfigError:
                return None
            with self._lock:
                self._read[path] = held
        return held[1]

    def places(self, stream: str) -> Sequence[Place]:
        """Files that may hold the site of a stream, the one that comes first before the other; empty without any."""
        path = self._paths.get(stream)
        return self._recorded(stream) if path is None else [Place("camera", path, stream)]

    def place(self, stream: str, scope: Scope | None = None) -> Place:
        """The file that holds the site of a stream, or that of a scope.

        Raises:
            ApiError: It cannot be edited, or there is no such scope.
        """
        places = self.places(stream)
        if not places:
            remedy = "add `site:` to the camera's settings, or put the recording's files into the folder of results"
            raise ApiError(404, "site", "a camera with a site file, or a recording with files", "none", remedy)
        if scope is None:
            return _holding(places)
        found = next((place for place in places if place.scope == scope), None)
        if found is None:
            known = " or ".join(place.scope for place in places)
            raise ApiError(422, "scope", known, scope, "leave it out")
        return found

    def load(self, stream: str, scope: Scope | None = None) -> Site:
        """The site of a stream, an empty one where there is no file yet.

        Args:
            stream: Its name.
            scope: Of the file; ``None`` = that which holds.

        Raises:
            ApiError: It cannot be edited, or its file cannot be read.
        """
        return _loaded(self.place(stream, scope))

    def save(
        self,
        stream: str,
        revision: int,
        site: Site,
        *,
        by: str,
        scope: Scope | None = None,
        of: Scope | None = None,
    ) -> Site:
        """Write a site over the revision that was read.

        A recording's own file that the one of its folder follows goes into the history.

        Args:
            stream: Its name.
            revision: That was read.
            site: What is written.
            by: Who saves.
            scope: For what; ``None`` = for what the present one is.
            of: Scope of the revision that was read; ``None`` = as the present one.

        Raises:
            ApiError: 409 with what stands there and how it differs, where another revision does.
        """
        holds = self.place(stream)
        target = self.place(stream, scope)
        read = target if target.path.exists() else holds
        present = _loaded(read)
        if read.path.exists() and (present.revision != revision or (of or holds.scope) != read.scope):
            raise _conflict(present, site, read.scope)
        is_new = not target.path.exists()
        above = _loaded(holds).revision if holds != target else 0
        # A path, though only a name: the web sets none.
        wanted = replace(site, revision=revision, reference_picture=present.reference_picture)
        try:
            target.path.parent.mkdir(parents=True, exist_ok=True)
            written = write_site(target.path, wanted, before=None if is_new else present, above=above)
            if holds.scope == "recording" and target.scope == "folder" and holds.path.exists():
                retire_site(holds.path)
        except SiteConflictError:
            raise _conflict(_loaded(target), site, target.scope) from None
        except ConfigError as failure:
            raise of_tracker_error(failure, 422) from None
        except SinkError as failure:
            raise of_tracker_error(failure, 409) from None
        except OSError as failure:
            raise ApiError(409, "site", "a folder that can be written", str(failure.strerror), "check it") from None
        with self._store.transaction() as connection:
            values = target.key, written.revision, now_ms(), by
            connection.execute("INSERT OR REPLACE INTO site_saves VALUES (?, ?, ?, ?)", values)
        return written

    def history(self, stream: str) -> list[dict[str, Any]]:
        """Earlier revisions of the file that holds, the newest first, with when and by whom they were saved.

        Of revisions that were written by hand neither is known.
        """
        place = self.place(stream)
        saves = {
            revision: (at_ms, by)
            for revision, at_ms, by in self._store.rows(
                "SELECT revision, at_ms, name FROM site_saves WHERE stream = ?", (place.key,)
            )
        }
        found = []
        for entry in reversed(history_of(place.path)):
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
        for entry in reversed(history_of(self.place(stream).path)):
            if int(entry.stem.partition("-")[0]) == revision:
                try:
                    return read_site(entry)
                except ConfigError as failure:
                    raise of_tracker_error(failure, 409) from None
        raise no_such("revision", revision)


def _holding(places: Sequence[Place]) -> Place:
    """The first file that is there; where none is, the first one."""
    return next((place for place in places if place.path.exists()), places[0])


def _loaded(place: Place) -> Site:
    if not place.path.exists():
        return Site()
    try:
        return read_site(place.path)
    except ConfigError as failure:
        raise of_tracker_error(failure, 409) from None


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


def problem_of(refusal: ApiError) -> dict[str, str]:
    """What is wrong, in one sentence, and where."""
    error = refusal.error
    remedy = f": {error['remedy']}" if error["remedy"] else ""
    return {"at": error["what"], "message": f"expected {error['expected']}, found {error['found']}{remedy}"}


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


def _conflict(present: Site, site: Site, scope: Scope) -> ApiError:
    return ApiError(
        409,
        "site",
        "the revision that was read",
        f"revision {present.revision}, saved meanwhile",
        "look at the differences, and save again",
        more={
            "revision": present.revision,
            "scope": scope,
            "site": site_json(present),
            "diff": difference(present, site),
        },
    )
