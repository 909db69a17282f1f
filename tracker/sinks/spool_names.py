"""Names of spools: one file for each stream and receiver, the same for every run.

A receiver is a server with a login and a path, and the options that say what is sent (the recipients of a mail, the
kinds of rows): two outputs of a stream on one server have a spool each. Where such an option was changed, the
output takes over the spool that no output of the stream has any more, so that rows which wait there are still sent.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tracker.sinks.spool import Spool, rename_spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tracker.sinks.base import SinkContext
    from tracker.sinks.destination import Destination

__all__ = ["open_spool", "spool_path"]

CONNECTION = frozenset({"ca", "cert", "key", "tls", "private"})
"""Options that say how a receiver is reached, and not what is sent."""


def open_spool(destination: Destination, context: SinkContext, parse: Callable[[str], Destination]) -> Spool:
    """The spool of a stream for a receiver.

    Args:
        destination: The receiver.
        context: Of the stream, with the addresses of its outputs.
        parse: Makes a destination of an address with this scheme.

    Raises:
        SinkError: Another process owns it, or it cannot be opened.
    """
    path = spool_path(destination, context, destination.options)
    with contextlib.suppress(OSError):
        if not path.exists() and (left := _left(destination, context, parse)):
            rename_spool(left[-1], path)
    return Spool(path, limit_bytes=context.spool_bytes)


def spool_path(destination: Destination, context: SinkContext, options: Iterable[str] = ()) -> Path:
    """Where a stream's messages for a receiver wait.

    Args:
        destination: The receiver.
        context: Of the stream.
        options: Names of the options that may distinguish it from others on the same server.
    """
    import platformdirs

    folder = Path(context.spool or Path(platformdirs.user_state_dir("masktrail", appauthor=False)) / "spool")
    names = (context.stream, destination.scheme, destination.host)
    name = "-".join(re.sub(r"[^A-Za-z0-9.-]+", "_", part)[:60] for part in names if part)
    stream = hashlib.sha256(context.stream.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    chosen = [f"{option}={destination.options[option]}" for option in sorted(options) if option not in CONNECTION]
    told = hashlib.sha256("\0".join(chosen).encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return folder / f"{name}-{destination.digest}{stream}{f'-{told}' if chosen else ''}.spool"


def _left(destination: Destination, context: SinkContext, parse: Callable[[str], Destination]) -> list[Path]:
    """Spools of this stream and server that are of no output which the stream has now, the newest last.

    Where the outputs are not known, only one without options counts, as all were called once.
    """
    plain = spool_path(destination, context)
    if not context.outputs:
        return [plain] if plain.exists() else []
    outputs = [output for output in context.outputs if output.partition("://")[0].lower() == destination.scheme]
    taken = {spool_path(one, context, one.options) for one in map(parse, outputs)}
    own = re.compile(rf"{re.escape(plain.stem)}(-[0-9a-f]{{8}})?\.spool")
    found = [path for path in plain.parent.iterdir() if own.fullmatch(path.name) and path not in taken]
    return sorted(found, key=lambda path: path.stat().st_mtime)
