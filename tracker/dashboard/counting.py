"""How a recording is counted anew: from which records, with which site, into which ledgers, and by which command."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracker.dashboard.problems import ApiError, no_records, of_tracker_error
from tracker.errors import TrackerError
from tracker.formats.event_store import SUFFIXES
from tracker.formats.instances import is_saved_instances
from tracker.formats.recorded import open_recorded
from tracker.recount import occluder_mark

if TYPE_CHECKING:
    from tracker.dashboard.ledgers import Ledgers
    from tracker.dashboard.recordings import Recording
    from tracker.site import Site

__all__ = ["CountPlan", "count_plan"]


_WORDS = (("masktrail", "analyse"), ("--site",), ("--out",))


@dataclass(frozen=True, slots=True, kw_only=True)
class CountPlan:
    """One recording's count; all paths lie in the folder of results and are relative to it.

    Attributes:
        records: That are read.
        site: The file with lines and zones.
        ledgers: That are written; stores get a new edition, files are replaced.
        stream: Name of the recording in the ledgers, where the records have another one; else empty.
    """

    records: str
    site: str
    ledgers: tuple[str, ...]
    stream: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the process that counts."""
        return {
            "records": self.records,
            "site": self.site,
            "ledgers": [{"path": one, "revise": _is_store(one)} for one in self.ledgers],
            "stream": self.stream,
        }

    def commands(self) -> list[str]:
        """What does the same in a shell, in the folder of results."""
        found = []
        for ledger in self.ledgers:
            paths = (f"./{path}" if path.startswith("-") else path for path in (self.records, self.site, ledger))
            words = [word for pair in zip(_WORDS, paths, strict=True) for word in (*pair[0], pair[1])]
            words += ["--revise"] if _is_store(ledger) else []
            words += ["--stream", self.stream] if self.stream else []
            found.append(shlex.join(words))
        return found


def count_plan(
    folder: Path, found: Recording, ledgers: Ledgers, *, stream: str, site: Path, drawn: Site | None
) -> CountPlan:
    """How a recording is counted.

    Args:
        folder: Of results.
        found: The recording.
        ledgers: All that the page reads.
        stream: Its name in the API.
        site: The file that holds.
        drawn: What stands in it; ``None`` = there is none that can be read.

    Raises:
        ApiError: There is no site or there are no records, or a ledger of it cannot be written by the page.
    """
    if drawn is None:
        raise ApiError(409, found.base, "a saved site", "none", "draw lines and zones, and save them")
    records, known = _records(found, drawn)
    held = ledgers.holding(stream)
    for path, _, alone in held:
        if not path.is_relative_to(folder):
            remedy = "count there with masktrail analyse --revise"
            raise ApiError(409, path.name, "a ledger in the folder of results", "one elsewhere", remedy)
        if not alone and not _is_store(path):
            remedy = "count into a store (masktrail analyse --out counts.sqlite), and take this file out of the folder"
            raise ApiError(409, path.name, "a file of this recording alone", "one with others, too", remedy)
    names = {raw for _, raw, _ in held} - {known} if known else set()
    if len(names) > 1 or any(Path(name).is_absolute() for name in names):
        remedy = "count with masktrail analyse --stream"
        raise ApiError(409, records.name, "the name of the recording as in its ledgers", "another one", remedy)
    targets = [path for path, _, _ in held] or [records.with_name(f"{found.base}.events.jsonl")]
    return CountPlan(
        records=_within(records, folder),
        site=_within(site, folder),
        ledgers=tuple(_within(path, folder) for path in dict.fromkeys(targets)),
        stream=names.pop() if names else "",
    )


def _records(found: Recording, site: Site) -> tuple[Path, str]:
    """Records that can be counted with a site, and the name of the stream in them; of instances it is not known."""
    files = [file.path for file in found.rows]
    instances = [path for path in files if is_saved_instances(path)]
    failure: TrackerError | None = None
    for path in (one for one in files if one not in instances):
        try:
            recorded = open_recorded([path], size=site.reference_size)
        except TrackerError as problem:
            failure = failure or problem
            continue
        if recorded.noted and recorded.occluders != occluder_mark(site.occluders) and instances:
            break
        return path, recorded.stream or path.name
    if instances:
        return instances[0], ""
    if failure is not None:
        raise of_tracker_error(failure, 409)
    raise no_records(found.base)


def _within(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _is_store(path: str | Path) -> bool:
    return Path(path).suffix.lower() in SUFFIXES
