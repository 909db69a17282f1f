"""Sound of a run's recordings, carried into their annotated videos: what has it, and what can hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.errors import ConfigError
from tracker.sinks.base import file_of
from tracker.sinks.encoder import CONTAINERS
from tracker.sinks.sound import check_fits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tracker.engine.plan import StreamPlan
    from tracker.sinks.sound import Sound

__all__ = ["check_sound", "sound_notes", "sound_opener"]


def check_sound(plans: Iterable[StreamPlan]) -> None:
    """Whether the sound of streams can be copied, before any work; nothing where it is not asked for.

    Raises:
        ConfigError: The source is no recording that can be read a second time, no video is saved, or its container does
            not hold the sound's codec.
        SourceError: The recording cannot be opened.
    """
    for plan in plans:
        if plan.sound:
            _check(plan)


def sound_notes(plan: StreamPlan) -> list[str]:
    """A note where sound was asked for and there is none."""
    return ["it has no sound that could be copied"] if plan.sound and not _has_sound(plan) else []


def sound_opener(plan: StreamPlan, start_s: float) -> Callable[[], Sound] | None:
    """What opens the sound of a stream for an output; ``None`` where there is none or none is wanted.

    Args:
        plan: Of the stream.
        start_s: When its first picture is shown, on the container's clock.
    """
    return _opener(plan, start_s) if plan.sound and _has_sound(plan) else None


def _check(plan: StreamPlan) -> None:
    kinds = {"camera": "a camera", "network": "a network stream", "images": "images"}
    found = "a pipe, which is read once" if plan.address.once else kinds.get(plan.address.kind, "")
    if not found and plan.address.kind != "video":
        found = "another kind of source"
    if found:
        problem = f"expected a recording, whose sound can be read beside its pictures, found {found}"
        raise ConfigError(f"--sound with {plan.name}", problem, "leave --sound out, or record it first")
    videos = [path for path in map(file_of, plan.outputs) if path is not None and path.suffix.lower() in CONTAINERS]
    if not videos:
        problem = "expected a video to copy the sound into, found none among the outputs"
        raise ConfigError("--sound", problem, "add --save out.mp4, or leave --sound out")
    for path in videos if _has_sound(plan) else ():
        check_fits(path, _format(path), _opener(plan, 0.0))


def _has_sound(plan: StreamPlan) -> bool:
    """Whether a recording has an audio stream."""
    from tracker.sources.sound import open_sound

    sound = open_sound(plan.address, 0.0)
    if sound is not None:
        sound.close()
    return sound is not None


def _opener(plan: StreamPlan, start_s: float) -> Callable[[], Sound]:
    from tracker.sources.sound import open_sound

    def open_it() -> Sound:
        sound = open_sound(plan.address, start_s)
        if sound is None:
            problem = "expected the sound that it had at the start, found none"
            raise ConfigError(plan.name, problem, "leave the recording alone while it is processed")
        return sound

    return open_it


def _format(path: Path) -> str:
    return CONTAINERS[path.suffix.lower()].format
