"""Row of the ledger: an event as columns without nesting, the same in JSON Lines, Parquet and SQLite, and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

from tracker.events import SEMANTICS_VERSION, Event, EventKind, Sighting, Stay
from tracker.formats.fields import Field

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EVENT_FIELDS", "TEXT_FIELDS", "event_of", "iso_utc", "plain_text", "row_of"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KINDS = frozenset(get_args(EventKind))

EVENT_FIELDS = (
    Field("key", "text", "", "The same for the same event however often it is found: a store keeps it once."),
    Field("kind", "text", "", "What happened; see the table of kinds."),
    Field("stream", "text", "", "The camera or recording."),
    Field("time_s", "number", "s", "When, in media time: the instant itself, before the frame that brought proof."),
    Field("utc_ms", "whole", "ms", "The same in UTC since 1970; null where the stream's wall clock is not known."),
    Field("utc", "text", "", "The same as ISO 8601 text, for people; not read back.", present="JSON Lines"),
    Field("place", "text", "", "Name of the line, zone, flow, queue, bay or rule; empty where there is none."),
    Field("direction", "text", "", "Name of the direction over a line, or what the table of kinds says; else empty."),
    Field(
        "identity",
        "whole",
        "",
        "Number of the identity, `id` in records; 0: about the camera or a rule, or not known.",
    ),
    Field("class", "text", "", "Of the identity, by vote so far; `reclassified` rows correct it later."),
    Field("before_time_s", "number", "s", "The identity's last sight before the event: media time; null without one."),
    Field("before_x", "number", "0 to 1", "Its ground contact then, as a share of the picture's width."),
    Field("before_y", "number", "0 to 1", "As a share of the picture's height."),
    Field("after_time_s", "number", "s", "The first sight after the event, likewise."),
    Field("after_x", "number", "0 to 1", "Its ground contact then."),
    Field("after_y", "number", "0 to 1", ""),
    Field(
        "since_s",
        "number",
        "s",
        "Media time at which that began which ends here: a flow, loitering, an identity, a gap, a state of the camera.",
    ),
    Field("value", "number", "by kind", "The number that the row is about: see the table of kinds; null without one."),
    Field("error", "number", "by kind", "Standard error of `value`, in its unit; null where none is known."),
    Field("other_identity", "whole", "", "Number of the second identity of a pair; 0: there is none."),
    Field("stay_entered_s", "number", "s", "Media time at which the stay in the zone began; null without a stay."),
    Field("stay_left_s", "number", "s", "At which it ended; null while it lasts."),
    Field("stay_dwell_s", "number", "s", "From the entry to the exit; null while it lasts. Not read back."),
    Field("stay_seen_s", "number", "s", "Of it with the ground contact seen. Not read back."),
    Field("stay_hidden_s", "number", "s", "Of it with the ground contact not seen."),
    Field("stay_began", "text", "", "`entered` in view, or `already_inside`."),
    Field(
        "stay_end",
        "text",
        "",
        "`left` in view, `lost` inside, `open` still, or `restart`: the process ended before the stay did.",
    ),
    Field("bridged", "flag", "", "Not seen right at the event, which lies between two sights further apart."),
    Field("was_class", "text", "", "`reclassified`: the class under which earlier rows of the identity stand."),
    Field("was_identity", "whole", "", "`rekeyed`: the number under which earlier rows of the identity stand."),
    Field("revision", "whole", "", "Of the site."),
    Field("semantics", "whole", "", "Of the rules that made the event; never count rows of two versions as one."),
)
"""Columns of all ledgers in their order."""

TEXT_FIELDS = ("utc",)
"""Columns that only text needs: tables have the number beside it."""


def iso_utc(utc_ms: int) -> str:
    """Milliseconds since 1970 as ISO 8601.

    >>> iso_utc(1774746000123)
    '2026-03-29T01:00:00.123Z'
    """
    return (EPOCH + timedelta(milliseconds=utc_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def row_of(event: Event) -> dict[str, Any]:
    """The event's columns but those of :data:`TEXT_FIELDS`, in the order of :data:`EVENT_FIELDS`."""
    before, after, stay = event.before, event.after, event.stay
    return {
        "key": plain_text(event.key),
        "kind": event.kind,
        "stream": plain_text(event.stream),
        "time_s": event.time_s,
        "utc_ms": event.utc_ms,
        "place": plain_text(event.place),
        "direction": plain_text(event.direction),
        "identity": event.identity,
        "class": plain_text(event.class_name),
        "before_time_s": None if before is None else before.time_s,
        "before_x": None if before is None else before.x,
        "before_y": None if before is None else before.y,
        "after_time_s": None if after is None else after.time_s,
        "after_x": None if after is None else after.x,
        "after_y": None if after is None else after.y,
        "since_s": event.since_s,
        "value": event.value,
        "error": event.error,
        "other_identity": event.other_identity,
        "stay_entered_s": None if stay is None else stay.entered_s,
        "stay_left_s": None if stay is None else stay.left_s,
        "stay_dwell_s": None if stay is None else stay.dwell_s,
        "stay_seen_s": None if stay is None else stay.seen_s,
        "stay_hidden_s": None if stay is None else stay.hidden_s,
        "stay_began": None if stay is None else stay.began,
        "stay_end": None if stay is None else stay.end,
        "bridged": event.bridged,
        "was_class": plain_text(event.was_class),
        "was_identity": event.was_identity,
        "revision": event.revision,
        "semantics": event.semantics,
    }


def event_of(row: Mapping[str, Any]) -> Event:
    """The reverse of :func:`row_of`; columns that are not known, and those made from others, are left aside.

    Ledgers of earlier versions have no ``value``, ``error`` and ``other_identity``: their rows are about no number.

    Raises:
        ValueError: A column is missing, of the wrong type, or from a newer version; says what was expected and found.
    """
    semantics = _whole(row, "semantics")
    if semantics > SEMANTICS_VERSION:
        raise ValueError(
            f"expected events of semantics up to {SEMANTICS_VERSION}, found {semantics}: a newer masktrail"
        )
    kind = _word(row, "kind")
    if kind not in KINDS:
        raise ValueError(f"expected a kind of event such as crossing, found {kind!r}")
    return Event(
        kind=kind,  # type: ignore[arg-type]
        stream=_word(row, "stream"),
        time_s=_number(row, "time_s"),
        utc_ms=None if row.get("utc_ms") is None else _whole(row, "utc_ms"),
        place=_word(row, "place"),
        direction=_word(row, "direction"),
        identity=_whole(row, "identity"),
        class_name=_word(row, "class"),
        before=_sighting(row, "before"),
        after=_sighting(row, "after"),
        since_s=_maybe(row, "since_s"),
        value=_maybe(row, "value"),
        error=_maybe(row, "error"),
        other_identity=0 if row.get("other_identity") is None else _whole(row, "other_identity"),
        stay=_stay(row),
        bridged=bool(_value(row, "bridged", (bool, int), "true or false")),
        was_class=_word(row, "was_class"),
        was_identity=_whole(row, "was_identity"),
        revision=_whole(row, "revision"),
        semantics=semantics,
    )


def _sighting(row: Mapping[str, Any], name: str) -> Sighting | None:
    if row.get(f"{name}_time_s") is None:
        return None
    return Sighting(time_s=_number(row, f"{name}_time_s"), x=_number(row, f"{name}_x"), y=_number(row, f"{name}_y"))


def _stay(row: Mapping[str, Any]) -> Stay | None:
    if row.get("stay_entered_s") is None:
        return None
    began, end = _word(row, "stay_began"), _word(row, "stay_end")
    if began not in {"entered", "already_inside"}:
        raise ValueError(f"stay_began: expected entered or already_inside, found {began!r}")
    if end not in {"left", "lost", "open", "restart"}:
        raise ValueError(f"stay_end: expected left, lost, open or restart, found {end!r}")
    return Stay(
        entered_s=_number(row, "stay_entered_s"),
        left_s=_maybe(row, "stay_left_s"),
        hidden_s=_number(row, "stay_hidden_s"),
        began=began,  # type: ignore[arg-type]
        end=end,  # type: ignore[arg-type]
    )


def _value(row: Mapping[str, Any], name: str, kind: type | tuple[type, ...], expected: str) -> Any:
    value = row.get(name)
    if not isinstance(value, kind):
        found = "nothing" if name not in row else repr(value)
        raise ValueError(f"{name}: expected {expected}, found {found}")  # noqa: TRY004 - the file is wrong, not the caller
    return value


def _word(row: Mapping[str, Any], name: str) -> str:
    return str(_value(row, name, str, "a text"))


def _whole(row: Mapping[str, Any], name: str) -> int:
    value = _value(row, name, int, "a whole number")
    if isinstance(value, bool):
        raise ValueError(f"{name}: expected a whole number, found {value!r}")  # noqa: TRY004 - likewise
    return int(value)


def _number(row: Mapping[str, Any], name: str) -> float:
    value = _value(row, name, (int, float), "a number")
    if isinstance(value, bool):
        raise ValueError(f"{name}: expected a number, found {value!r}")  # noqa: TRY004 - likewise
    return float(value)


def _maybe(row: Mapping[str, Any], name: str) -> float | None:
    return None if row.get(name) is None else _number(row, name)


def plain_text(text: str) -> str:
    r"""The text as UTF-8 can hold it: bytes of a file name that are none are written out.

    >>> plain_text("gate"), plain_text("\udcff.mp4")
    ('gate', '\\udcff.mp4')
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
