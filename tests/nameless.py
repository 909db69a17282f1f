"""Records without the name of their stream, which is a path for `track` and a camera's name for `live`."""

from __future__ import annotations

import re
from typing import Any

STREAM = re.compile(rb'("{1,2})stream\1:\1[^"]*\1')


def nameless(data: bytes) -> bytes:
    """The bytes of JSON Lines or CSV with the same name in all notes.

    >>> nameless(b'{"notes":{"v":1,"stream":"a.mp4"}}')
    b'{"notes":{"v":1,stream}}'
    """
    return STREAM.sub(b"stream", data)


def nameless_table(table: Any) -> Any:
    """A table of Parquet without notes."""
    return table.drop_columns([name for name in ("notes",) if name in table.column_names])
