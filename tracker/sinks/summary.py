"""Summary of a run as a JSON file (``--json``): checked and opened before the work, written whole at its end."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from tracker.sinks.claims import Claim, check_claims
from tracker.sinks.part_file import PartFile, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

__all__ = ["open_summary"]


@contextlib.contextmanager
def open_summary(path: Path | None, *, inputs: Iterable[Path] = ()) -> Iterator[Callable[[object], None]]:
    """Open a summary; what it is called with is written when the block ends well, and nothing when it does not.

    Args:
        path: The file; ``None`` = none is wanted.
        inputs: Files that the run reads, none of which it may be.

    Raises:
        SinkError: It cannot be written there; before the block runs, but for a disk that fills up.
    """
    if path is None:
        yield lambda _results: None
        return
    check_claims([Claim(path=path, named_by="--json")], [Claim(path=source) for source in inputs])
    results: list[object] = []
    with PartFile(path) as part:
        yield results.append
        try:
            with part.open_text() as file:
                for result in results:
                    file.write(json.dumps(result, indent=2) + "\n")
        except OSError as failure:
            raise refusal(part.path, failure, "write the summary") from failure
