"""Class that is shown for each identity: the vote, with hysteresis."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SteadyClasses"]

SETTLES_S = 0.5
"""A vote that turns is shown once it has stayed for this long; after each change, for twice as long as before."""


class SteadyClasses:
    """The vote of an identity may turn from frame to frame while two classes are close; what is shown does not."""

    def __init__(self) -> None:
        self._shown: dict[int, int] = {}
        self._patience_s: dict[int, float] = {}
        self._turned: dict[int, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._shown)

    def shown(self, identity: int, class_id: int, time_s: float) -> int:
        """The class to show.

        Args:
            identity: Whose.
            class_id: Its class by vote so far.
            time_s: Media time in seconds.
        """
        shown = self._shown.setdefault(identity, class_id)
        if class_id == shown:
            self._turned.pop(identity, None)
            return shown
        other, since_s = self._turned.get(identity, (class_id, time_s))
        if other != class_id or time_s < since_s:
            other, since_s = class_id, time_s
        patience_s = self._patience_s.get(identity, SETTLES_S)
        if time_s - since_s < patience_s:
            self._turned[identity] = other, since_s
            return shown
        self._turned.pop(identity, None)
        self._patience_s[identity] = 2 * patience_s
        self._shown[identity] = class_id
        return class_id

    def forget(self, identities: Iterable[int]) -> None:
        """These identities ended."""
        for identity in identities:
            for known in (self._shown, self._patience_s, self._turned):
                known.pop(identity, None)
