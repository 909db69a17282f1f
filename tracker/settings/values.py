"""Kinds of values that settings have: texts, lists of them, mappings, moments, and parts of a picture."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema

from tracker.settings.choices import DrawnPart

__all__ = ["MOST_LETTERS", "DrawnParts", "Moment", "Pairs", "Text", "Texts", "as_pairs"]

MOST_LETTERS = 200
"""Of a name that is shown in tables, pages and metrics."""


def _text(value: Any) -> Any:
    """Paths are texts here: an output may be an address as well."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _texts(value: Any) -> Any:
    """One text is a list of one."""
    return (value,) if isinstance(value, str | os.PathLike) else value


def _moment(value: Any) -> Any:
    """ISO 8601 with an offset; never a bare number, which might mean seconds or a year."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        message = "no moment with an offset from UTC"
        raise ValueError(message)
    return moment


def as_pairs(value: Any) -> Any:
    """A mapping as pairs, which are frozen."""
    return tuple(value.items()) if isinstance(value, Mapping) else value


def _parts(value: Any) -> Any:
    """``labels,masks`` in one word or several; ``none`` is an empty list."""
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        return value
    parts = tuple(part.strip() for word in words for part in word.split(","))
    return () if parts == ("none",) else parts


Text = Annotated[str, BeforeValidator(_text), Field(min_length=1)]
Texts = Annotated[
    tuple[Text, ...],
    BeforeValidator(_texts),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Pairs = Annotated[
    tuple[tuple[Text, Text], ...],
    BeforeValidator(as_pairs),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
]

Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]

DrawnParts = Annotated[
    tuple[DrawnPart, ...],
    BeforeValidator(_parts),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"enum": list(get_args(DrawnPart))}}]},
    ),
]
