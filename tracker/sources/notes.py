"""Notes for the user about a source: what was skipped, repaired or assumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracker.sources.decoded import SourceCounters, SourceInfo

__all__ = ["notes"]


def notes(info: SourceInfo, counters: SourceCounters) -> list[str]:
    """What was skipped, repaired, lost or done otherwise than asked; empty for a sound recording.

    Args:
        info: At the end of the stream.
        counters: The same.
    """
    told = [
        f"{count} {what}"
        for count, what in (
            (counters.reconnects, "attempts to connect anew"),
            (counters.stalls, "connections given up because no frame came"),
            (counters.clock_takeovers, "connections with a clock that ran off: their times are those of arrival"),
            (counters.broken, "broken packets skipped"),
            (counters.concealed, "damaged frames patched by the decoder"),
            (counters.repaired_times, "time stamps repaired"),
            (counters.missing, "announced frames missing"),
            (counters.dropped, "frames dropped because processing was slower than the camera"),
            (counters.late, "frames too old to be worth processing"),
        )
        if count
    ]
    told += info.notes
    if info.is_live and info.time_from == "arrival" and not counters.clock_takeovers:
        told.append("the stream has no clock of its own: times are those of arrival")
    if info.decoder != "cpu":
        told.append(f"decoded on {info.decoder}")
    if info.decoder_refused:
        told.append(f"decoded on the CPU: {info.decoder_refused} does not take {info.codec} as it is here")
    return told
