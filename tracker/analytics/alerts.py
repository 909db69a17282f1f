"""Alert rules over the events of a stream: numbers that are watched, with hysteresis and quiet times.

A rule sees the rows that all other analytics of its stream gave, so that counting again from records gives the same
alerts. What became due since the last frame is told before a frame's own events are taken: so it does not matter
whether frames without anything in them are there.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Self
from zoneinfo import ZoneInfo

from tracker.alert_rules import quiet_until
from tracker.analytics.analytic import Analytic
from tracker.analytics.occupancy import Balances, last_reset
from tracker.errors import ConfigError
from tracker.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tracker.alert_rules import AlertRule, QuietTime
    from tracker.analytics.analytic import AnalyticContext
    from tracker.site import Site
    from tracker.types import TrackedFrame

__all__ = ["Alerts", "Hysteresis"]

STATE_VERSION = 1
TIME_DIGITS = 6
OF_CAMERA = ("camera_moved", "frozen", "covered", "dark")
OF_IDENTITIES = ("presence", "stopped", "wrong_way")
_TURNS = {
    "queue_join": ("queue", True),
    "queue_leave": ("queue", False),
    "enter": ("presence", True),
    "leave": ("presence", False),
}
"""Kinds of rows that raise and lower a number by one."""

Turn = tuple[float, float, float | None]
"""When an alert begins or ends, its number, and since when it was on where it ends."""


class Hysteresis:
    """One rule's memory: since when its number speaks for a change, and whether its alert is on.

    Args:
        rule: Its limits.
        quiet_until_s: Gives when the quiet time ends in which a time lies, ``None`` = it lies in none.
    """

    def __init__(self, rule: AlertRule, quiet_until_s: Callable[[Sequence[QuietTime], float], float | None]) -> None:
        self.rule = rule
        self._quiet, self._quiet_until_s = rule.quiet_times, quiet_until_s
        self.value = self.peak = 0.0
        self.on_s: float | None = None
        self._changing_s: float | None = None
        self._known_s: float | None = None

    def advance(self, time_s: float) -> Iterator[Turn]:
        """Time goes on: what begins and ends by then."""
        while (due_s := self._due_s()) is not None and due_s <= time_s:
            self._known_s, self._changing_s = due_s, None
            if self.on_s is None:
                self.on_s, self.peak = due_s, self.value
                yield due_s, self.value, None
            else:
                since_s, self.on_s = self.on_s, None
                yield due_s, self.peak, since_s
            self._note(due_s)

    def change(self, time_s: float, value: float) -> Iterator[Turn]:
        """The number is another one from a time on, not earlier than its last change."""
        time_s = time_s if self._known_s is None else max(time_s, self._known_s)
        yield from self.advance(time_s)
        self.value, self._known_s = value, time_s
        if self.on_s is not None:
            self.peak = max(self.peak, value)
        self._note(time_s)
        yield from self.advance(time_s)

    def flash(self, time_s: float, value: float) -> Iterator[Turn]:
        """The number has a value at an instant, and the one of before right after it."""
        before = self.value
        yield from self.change(time_s, value)
        yield from self.change(time_s, before)

    def begin(self, time_s: float, value: float) -> None:
        """The number that is there when a rule is new; what is due is told when time goes on."""
        self.value, self._known_s = value, time_s
        self._note(time_s)

    def state(self) -> list[Any]:
        """Plain values to continue from."""
        return [self.value, self.peak, self.on_s, self._changing_s, self._known_s]

    def restore(self, kept: Iterable[Any], shift_s: float) -> None:
        """Continue with ``shift_s`` added to all times."""
        self.value, self.peak, *times = kept
        self.on_s, self._changing_s, self._known_s = (None if one is None else one + shift_s for one in times)

    def _note(self, time_s: float) -> None:
        speaks = self.value > self.rule.over if self.on_s is None else self.value <= self.rule.clear_at
        if not speaks:
            self._changing_s = None
        elif self._changing_s is None:
            self._changing_s = time_s

    def _due_s(self) -> float | None:
        """When the alert begins or ends if the number stays."""
        if self._changing_s is None:
            return None
        if self.on_s is not None:
            return self._changing_s + self.rule.clear_s
        due_s = self._changing_s + self.rule.for_s
        quiet_s = self._quiet_until_s(self._quiet, due_s) if self._quiet else None
        return due_s if quiet_s is None else quiet_s


class Alerts(Analytic):
    """Alerts of a site, as rows of kind ``alert`` when they begin and when they are over.

    Args:
        site: With rules.
        stream: Name of the camera or recording.
        start_utc_ms: UTC in milliseconds at media time 0 of a recording; without it a frame's ``captured_at`` counts.
    """

    def __init__(self, site: Site, *, stream: str, start_utc_ms: int | None = None) -> None:
        self._site, self._stream = site, stream
        self._zone, self._zones = ZoneInfo(site.timezone), {zone.name for zone in site.zones}
        self._utc_from_ms: float | None = start_utc_ms
        self._declared = start_utc_ms is not None
        self._rules = [Hysteresis(rule, self._quiet_until_s) for rule in site.alerts]
        self._balances = Balances(site.doors, timezone=site.timezone)
        self._held: defaultdict[str, defaultdict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        self._over: list[tuple[str, float, float]] = []
        self._time_s = 0.0

    @classmethod
    def open(cls, context: AnalyticContext) -> Self:
        """Make it for a stream with a site; see :class:`tracker.analytics.analytic.Analytic`."""
        if context.site is None:
            raise ConfigError("analytics", "expected a site with alert rules, found none", "name one with --site")
        return cls(context.site, stream=context.stream, start_utc_ms=context.start_utc_ms)

    def process(self, tracked: TrackedFrame) -> tuple[Event, ...]:
        """Take the rows that the frame has so far; see :class:`tracker.analytics.analytic.Analytic`."""
        time_s = round(tracked.frame.time_s, TIME_DIGITS)
        if not self._declared and tracked.frame.captured_at is not None:
            self._utc_from_ms = tracked.frame.captured_at.timestamp() * 1000 - time_s * 1000
        self._time_s = time_s
        found = [self._event(name, (time_s, peak, since_s)) for name, peak, since_s in self._over]
        self._over.clear()
        found += self._reset(time_s)
        for one in self._rules:
            found += self._told(one, one.advance(time_s))
        for event in tracked.events:
            found += self._take(event)
        return tuple(found)

    def state(self) -> dict[str, Any]:
        """Rules as they stand, what is in queues and zones, and balances."""
        held = {
            watch: {place: sorted(ids) for place, ids in places.items() if ids} for watch, places in self._held.items()
        }
        return {
            "version": STATE_VERSION,
            "time_s": self._time_s,
            "rules": [[_plain(one.rule), one.state()] for one in self._rules],
            "held": held,
            "balances": self._balances.state(),
        }

    def restore(self, state: Mapping[str, Any], *, elapsed_s: float | None = None) -> None:
        """Continue from :meth:`state`; alerts of rules that were changed or removed are over with the next frame.

        Raises:
            ValueError: The state is of another version.
        """
        if state["version"] != STATE_VERSION:
            message = f"alerts: expected a state of version {STATE_VERSION}, found {state['version']}"
            raise ValueError(message)
        shift_s = 0.0 if elapsed_s is None else -elapsed_s - state["time_s"]
        self._time_s = state["time_s"] + shift_s
        self._balances.restore(state["balances"])
        for watch, places in state["held"].items():
            for place, ids in places.items():
                self._held[watch][place] = set(ids)
        kept = {rule[0]: (list(rule), values) for rule, values in state["rules"]}
        for one in self._rules:
            rule, values = kept.pop(one.rule.name, (None, None))
            if values is not None and rule == _plain(one.rule):
                one.restore(values, shift_s)
                continue
            if rule is not None and values is not None:
                self._end(one.rule.name, values, shift_s)
            one.begin(self._time_s, self._value(one.rule))
        for name, (_, values) in kept.items():
            self._end(name, values, shift_s)

    def abandon(self, state: Mapping[str, Any], *, elapsed_s: float) -> None:
        """Alerts that lasted are over with the next frame: what they counted is not known any more."""
        if state["version"] == STATE_VERSION:
            for rule, values in state["rules"]:
                self._end(str(rule[0]), values, -elapsed_s - state["time_s"])

    def _end(self, name: str, values: list[Any], shift_s: float) -> None:
        """The alert of a rule that is not there any more."""
        _, peak, on_s, *_ = values
        if on_s is not None:
            self._over.append((name, peak, on_s + shift_s))

    def _take(self, event: Event) -> Iterator[Event]:
        """What a row of the ledger changes."""
        touched = self._count(event)
        for one in self._rules:
            rule = one.rule
            if rule.watch in touched and rule.watch != "occupancy":
                value = self._value(rule)
                if value != one.value:
                    yield from self._told(one, one.change(event.time_s, value))
            elif rule.watch == "occupancy" and event.kind == "crossing":
                yield from self._told(one, one.change(event.time_s, self._value(rule)))
            elif event.kind == rule.watch and rule.place in {"", event.place}:
                flash = self._instant(event)
                if flash is not None:
                    yield from self._told(one, one.flash(event.time_s, one.value + flash))

    def _count(self, event: Event) -> set[str]:
        """Note which identities are in queues and zones, stand, or go the wrong way; the numbers that this changes."""
        kind, place = event.kind, event.place
        if kind == "crossing":
            self._balances.note(event)
        elif kind in _TURNS:
            watch, begins = _TURNS[kind]
            # A wait may go on under another number than that under which it began.
            identity = (watch == "queue" and event.other_identity) or event.identity
            return self._hold(watch, place, identity, begins=begins)
        elif kind in OF_CAMERA or kind == "stopped" or (kind == "wrong_way" and place in self._zones):
            return self._hold(kind, place, event.identity, begins=event.since_s is None)
        elif kind in {"identity_end", "rekeyed"}:
            was = event.identity if kind == "identity_end" else event.was_identity
            for ids in (ids for watch in OF_IDENTITIES for ids in self._held[watch].values() if was in ids):
                ids.remove(was)
                if kind == "rekeyed":
                    ids.add(event.identity)
            return set(OF_IDENTITIES)
        return set()

    def _hold(self, watch: str, place: str, identity: int, *, begins: bool) -> set[str]:
        held = self._held[watch][place]
        if begins:
            held.add(identity)
        else:
            held.discard(identity)
        return {watch}

    def _value(self, rule: AlertRule) -> float:
        """The number of a rule as of now."""
        if rule.watch == "occupancy":
            return float(self._balances.now[rule.place].balance)
        places = self._held[rule.watch]
        return float(sum(len(ids) for place, ids in places.items() if rule.place in {"", place}))

    def _instant(self, event: Event) -> float | None:
        """The number of a row that is about an instant."""
        if event.kind == "gap":
            return None if event.since_s is None else event.time_s - event.since_s
        if event.kind == "wrong_way":
            return None if event.place in self._zones else 1.0
        return event.value

    def _reset(self, time_s: float) -> Iterator[Event]:
        """Balances begin anew at their quiet hours."""
        utc_ms = self._utc_ms(time_s)
        if utc_ms is None:
            return
        before = {name: one.balance for name, one in self._balances.now.items()}
        self._balances.tick(utc_ms)
        for doors in self._site.doors:
            if doors.reset_at and before[doors.name] and not self._balances.now[doors.name].balance:
                reset_s = time_s - (utc_ms - last_reset(doors.reset_at, self._zone, utc_ms)) / 1000
                for one in self._rules:
                    if one.rule.watch == "occupancy" and one.rule.place == doors.name:
                        yield from self._told(one, one.change(reset_s, 0.0))

    def _utc_ms(self, time_s: float) -> int | None:
        return None if self._utc_from_ms is None else round(self._utc_from_ms + time_s * 1000)

    def _quiet_until_s(self, quiet: Sequence[QuietTime], time_s: float) -> float | None:
        """When the quiet time ends; without a wall clock there is none."""
        utc_ms = self._utc_ms(time_s)
        if utc_ms is None:
            return None
        until_ms = quiet_until(quiet, utc_ms, self._zone)
        return None if until_ms is None else time_s + (until_ms - utc_ms) / 1000

    def _told(self, one: Hysteresis, turns: Iterable[Turn]) -> Iterator[Event]:
        for turn in turns:
            yield self._event(one.rule.name, turn)

    def _event(self, name: str, turn: Turn) -> Event:
        time_s, value, since_s = turn
        return Event(
            kind="alert",
            stream=self._stream,
            time_s=round(time_s, TIME_DIGITS),
            utc_ms=self._utc_ms(time_s),
            place=name,
            value=value,
            since_s=None if since_s is None else round(since_s, TIME_DIGITS),
            revision=self._site.revision,
        )


def _plain(rule: AlertRule) -> list[Any]:
    limits = [rule.over, rule.until, rule.for_s, rule.clear_s]
    return [rule.name, rule.watch, rule.place, *limits, list(rule.quiet)]
