"""Output claims: every file that a run will write, checked against its sources and each other before any work.

Files are compared as the system sees them: by device and inode where they exist (so hard links, links and other
spellings of a path are one file), else by their folder's and their name, letters of both sizes alike where the folder
does not tell them apart. Character devices such as ``/dev/null`` may be named as often as one likes.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.errors import SinkError
from tracker.sinks.exclusive import check_free
from tracker.sinks.part_file import check_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Claim", "check_claims", "check_folders_differ", "read_again"]

Key = tuple[int | str, ...]

MOST_NAMED = 20
"""Offenders that a message names; of more it says how many: a folder may hold thousands of images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A file that a run reads or will write.

    Attributes:
        path: As the user wrote it, with what stood for names filled in.
        named_by: The option, setting or line that names it, for messages.
        shared: It is added to, by any number of streams and processes.
    """

    path: Path
    named_by: str = ""
    shared: bool = False

    def __str__(self) -> str:
        return f"{self.path} ({self.named_by})" if self.named_by else str(self.path)


def check_claims(outputs: Sequence[Claim], inputs: Iterable[Claim] = (), *, running: Iterable[Claim] = ()) -> None:
    """Check all outputs of a run before anything is read, decoded or created.

    Args:
        outputs: Everything that will be written.
        inputs: Everything that is read: sources, images of a folder, models, settings; those that do not exist count
            for nothing.
        running: Outputs that this process writes already.

    Raises:
        SinkError: An output is an input or a link to one, two outputs are one file, another process writes one, or one
            cannot be written. All offenders are named, of more than :data:`MOST_NAMED` the first.
    """
    read: dict[Key, Claim] = {}
    for source in inputs if outputs else ():
        if (key := _key(source.path)) is not None:
            read.setdefault(key, source)
    problems: list[SinkError] = []
    written = {key: output for output in running if (key := _key(output.path)) is not None}
    for output in outputs:
        try:
            _check_free(output)
        except SinkError as problem:
            problems.append(problem)
            continue
        key = _key(output.path)
        if key in read:
            problems.append(_taken(output, f"it is read here: {read[key]}", "name another file for the output"))
        elif key in written and not (output.shared and written[key].shared):
            remedy = "name another file, write {name} or a folder that tells them apart, or run the sources one by one"
            problems.append(_taken(output, f"another output is the same file: {written[key]}", remedy))
        elif key is not None:
            written[key] = output
    if len(problems) == 1:
        raise problems[0]
    if problems:
        told = "".join(f"\n  {problem.offender}: {problem.problem}" for problem in problems[:MOST_NAMED])
        told += f"\n  and {len(problems) - MOST_NAMED} more" * (len(problems) > MOST_NAMED)
        remedies = "; ".join(dict.fromkeys(problem.remedy for problem in problems))
        raise SinkError(f"{len(problems)} outputs", f"expected files that can be written, found:{told}", remedies)


def read_again(paths: Iterable[Path], inputs: Iterable[Claim]) -> list[Path]:
    """Those of some files that exist and are inputs, or links to one."""
    found = {path: key for path in paths if path.exists() and (key := _key(path)) is not None}
    read = {_key(source.path) for source in inputs} if found else set()
    return [path for path, key in found.items() if key in read]


def _check_free(output: Claim) -> None:
    check_place(output.path)
    if not output.shared:
        check_free(output.path)


def check_folders_differ(folder: Path, source: Path) -> None:
    """Refuse results in the folder of the detections that they are made from.

    Raises:
        SinkError: Both are one folder, or links to one.
    """
    if folder.is_dir() and source.is_dir() and folder.samefile(source):
        problem = "expected another folder than that of the detections, found the same"
        raise SinkError(folder, problem, "name another")


def _taken(output: Claim, found: str, remedy: str) -> SinkError:
    return SinkError(output, f"expected a file of its own, found that {found}", remedy)


def _key(path: Path) -> Key | None:
    """What is equal for two names of one file; ``None`` for what any number of writers may share, or cannot be."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return _future_key(path)
    return None if stat.S_ISCHR(facts.st_mode) else (facts.st_dev, facts.st_ino)


def _future_key(path: Path) -> Key | None:
    """The folder's device and inode, and the name, of a file that does not exist yet."""
    try:
        target = Path(os.path.realpath(path))
        facts = target.parent.stat()
    except (OSError, ValueError):
        return None
    name = target.name.casefold() if _folds_case(target.parent) else target.name
    return facts.st_dev, facts.st_ino, name


def _folds_case(folder: Path) -> bool:
    """Whether the file system takes letters of both sizes for the same, by the example of the folder's own name."""
    other = folder.with_name(folder.name.swapcase()) if folder.name else folder
    try:
        return other != folder and other.samefile(folder)
    except OSError:
        return False
