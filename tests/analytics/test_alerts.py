"""Alerts: hysteresis without flapping, quiet times over nights in which clocks change, restarts, keys."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analytics.walks import tracked
from tracker.alert_rules import AlertRule, QuietTime, quiet_until
from tracker.analytics.alerts import Alerts
from tracker.analytics.monitor import Monitor
from tracker.errors import ConfigError
from tracker.events import Event
from tracker.premises import Queue
from tracker.site import Doors, Line, Site, Zone

BERLIN = ZoneInfo("Europe/Berlin")
LEFT, RIGHT = ((0, 0), (0.5, 0), (0.5, 1), (0, 1)), ((0.5, 0), (1, 0), (1, 1), (0.5, 1))
SITE = Site(
    lines=(Line(name="door", points=((0.1, 0.5), (0.9, 0.5)), wrong_way="out"),),
    zones=(Zone(name="hall", polygons=(LEFT,)), Zone(name="desk", polygons=(RIGHT,))),
    doors=(Doors(name="shop", lines=("door",), reset_at="04:00"),),
    queues=(Queue(name="till", zone="hall", served_at="desk"),),
    timezone="Europe/Berlin",
)


def rows(*rules: AlertRule, steps, start: str | None = None, analytic: Alerts | None = None) -> list[Event]:
    """Alerts of frames ``(time_s, events)``."""
    start_ms = None if start is None else round(datetime.fromisoformat(start).timestamp() * 1000)
    alerts = analytic or Alerts(replace(SITE, alerts=rules), stream="gate", start_utc_ms=start_ms)
    found = []
    for index, (time_s, events) in enumerate(steps):
        found += alerts.process(replace(tracked(index, time_s, {}), events=tuple(events)))
    return found


def event(kind, time_s: float, place: str = "", identity: int = 0, **more) -> Event:
    return Event(kind=kind, stream="gate", time_s=time_s, place=place, identity=identity, **more)


def joins(count: int, time_s: float, first: int = 1) -> list[Event]:
    return [event("queue_join", time_s, "till", identity) for identity in range(first, first + count)]


def told(events: list[Event]) -> list[tuple[float, float | None, float | None]]:
    assert all(one.kind == "alert" and one.stream == "gate" for one in events)
    return [(one.time_s, one.since_s, one.value) for one in events]


def test_a_queue_over_seven_is_an_alert_until_it_is_at_five():
    rule = AlertRule(name="long queue", watch="queue", place="till", over=7, until=5, for_s=10, clear_s=20)
    leaves = [event("queue_leave", 40.0, "till", identity) for identity in (1, 2)]
    last = event("queue_leave", 50.0, "till", 30, other_identity=3)  # the wait of 3 went on under another number
    steps = [
        (0.0, joins(7, 0.0)),
        (5.0, joins(1, 4.0, first=8)),
        (30.0, []),
        (40.0, leaves),
        (50.0, [last]),
        (99.0, []),
    ]
    assert told(rows(rule, steps=steps)) == [(14.0, None, 8.0), (70.0, 14.0, 8.0)]


def test_it_does_not_matter_whether_empty_frames_are_there():
    rule = AlertRule(name="long queue", watch="queue", place="till", over=2, for_s=3, clear_s=5)
    busy = {10.0: joins(3, 8.0), 20.0: [event("queue_leave", 19.5, "till", 1)], 40.0: joins(1, 39.0, first=9), 60.0: []}
    every = [(time_s / 10, busy.get(time_s / 10, [])) for time_s in range(601)]
    few = rows(rule, steps=list(busy.items()))
    assert few == rows(rule, steps=every)
    assert told(few) == [(11.0, None, 3.0), (24.5, 11.0, 3.0), (42.0, None, 3.0)]


levels = st.lists(st.tuples(st.floats(0.1, 30.0), st.integers(0, 12)), min_size=1, max_size=60)


@given(levels, st.integers(0, 8), st.integers(0, 4), st.floats(0, 20), st.floats(1, 20))
def test_hysteresis_never_flaps(changes, over, gap, for_s, clear_s):
    until = max(over - gap, 0)
    rule = AlertRule(name="full", watch="presence", place="hall", over=over, until=until, for_s=for_s, clear_s=clear_s)
    steps, inside, time_s, course = [], 0, 0.0, []
    for wait_s, level in changes:
        time_s = round(time_s + wait_s, 3)
        kind, span = ("enter", range(inside, level)) if level > inside else ("leave", range(level, inside))
        steps.append((time_s, [event(kind, time_s, "hall", number + 1) for number in span]))
        inside = level
        course.append((time_s, level))
    steps.append((time_s + 100, []))
    found = rows(rule, steps=steps)
    assert [one.since_s is None for one in found] == [number % 2 == 0 for number in range(len(found))]  # in turns
    assert len({one.key for one in found}) == len(found)

    def level_before(at_s: float) -> int:
        return next((level for when_s, level in reversed(course) if when_s <= at_s - 1e-5), 0)

    for one, following in itertools.pairwise(found):
        assert following.time_s - one.time_s >= (clear_s if one.since_s is None else for_s) - 1e-5
    for one in found:
        if one.since_s is not None:
            calm = [level for at_s, level in course if one.time_s - clear_s + 1e-5 < at_s < one.time_s - 1e-5]
            assert max([level_before(one.time_s), *calm]) <= until
        elif for_s > 0.1:
            assert level_before(one.time_s) > over


def test_occupancy_follows_the_doors_and_their_quiet_hour():
    rule = AlertRule(name="full", watch="occupancy", place="shop", over=1, clear_s=60)
    crossings = [event("crossing", 5.0 + n, "door", n + 1, direction="in") for n in range(2)]
    steps = [(7.0, crossings), (4000.0, [])]
    found = rows(rule, steps=steps, start="2026-03-10T03:00:00+01:00")
    assert told(found) == [(6.0, None, 2.0), (3660.0, 6.0, 2.0)]


def test_instants_hold_until_they_have_not_come_for_a_while():
    rule = AlertRule(name="fast", watch="speed", place="door", over=13.9, clear_s=30)
    speeds = [(5.0, 12.0), (10.0, 15.0), (20.0, 16.5), (60.0, 14.0)]
    steps = [(at_s, [event("speed", at_s, "door", 1, value=value)]) for at_s, value in speeds]
    assert told(rows(rule, steps=[*steps, (100.0, [])])) == [
        (10.0, None, 15.0),
        (50.0, 10.0, 16.5),
        (60.0, None, 14.0),
        (90.0, 60.0, 14.0),
    ]


@pytest.mark.parametrize(
    ("rule", "begins", "ends", "value"),
    [
        (AlertRule(name="r", watch="stopped", for_s=5), event("stopped", 10.0, "hall", 4), "stopped", 1.0),
        (
            AlertRule(name="r", watch="wrong_way", place="hall", for_s=5),
            event("wrong_way", 10.0, "hall", 4),
            "wrong_way",
            1,
        ),
        (AlertRule(name="r", watch="camera_moved", for_s=5), event("camera_moved", 10.0), "camera_moved", 1.0),
        (
            AlertRule(name="r", watch="presence", place="hall", for_s=5),
            event("enter", 10.0, "hall", 4),
            "identity_end",
            1,
        ),
    ],
)
def test_states_are_alerts_while_they_last(rule, begins, ends, value):
    end = event(ends, 20.0, begins.place, begins.identity, since_s=10.0)
    found = rows(rule, steps=[(10.0, [begins]), (20.0, [end]), (60.0, [])])
    assert told(found) == [(15.0, None, value), (50.0, 15.0, value)]


def test_a_gap_and_a_wrong_way_over_a_line_are_instants():
    gap = AlertRule(name="away", watch="gap", over=60, clear_s=10)
    wrong = AlertRule(name="wrong", watch="wrong_way", clear_s=10)
    steps = [(100.0, [event("gap", 100.0, since_s=10.0)]), (105.0, [event("wrong_way", 105.0, "door", 1)]), (200.0, [])]
    found = rows(gap, wrong, steps=steps)
    assert [(one.place, one.time_s, one.value) for one in found] == [
        ("away", 100.0, 90.0),
        ("wrong", 105.0, 1.0),
        ("away", 110.0, 90.0),
        ("wrong", 115.0, 1.0),
    ]


def test_a_number_under_another_identity_stays():
    rule = AlertRule(name="full", watch="presence", place="hall", over=0)
    steps = [
        (1.0, [event("enter", 1.0, "hall", 1)]),
        (2.0, [event("rekeyed", 2.0, identity=7, was_identity=1)]),
        (3.0, [event("identity_end", 3.0, identity=1)]),
        (99.0, []),
    ]
    assert told(rows(rule, steps=steps)) == [(1.0, None, 1.0)]


# ---- quiet times ----


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-03-28T21:59:59+01:00", None),
        ("2026-03-28T22:00:00+01:00", "2026-03-29T06:00:00+02:00"),  # one hour shorter
        ("2026-03-29T01:59:59+01:00", "2026-03-29T06:00:00+02:00"),
        ("2026-03-29T05:59:59+02:00", "2026-03-29T06:00:00+02:00"),
        ("2026-03-29T06:00:00+02:00", None),
        ("2026-10-24T22:00:00+02:00", "2026-10-25T06:00:00+01:00"),  # one hour longer
        ("2026-10-25T02:30:00+02:00", "2026-10-25T06:00:00+01:00"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T06:00:00+01:00"),
        ("2026-10-25T06:00:00+01:00", None),
    ],
)
def test_quiet_times_are_local_over_nights_in_which_clocks_change(at, until):
    quiet = [QuietTime.parse("22:00-06:00", "quiet")]
    assert quiet_until(quiet, ms(at), BERLIN) == (None if until is None else ms(until))


def test_a_quiet_time_that_ends_in_the_hour_that_comes_twice_is_one():
    quiet = [QuietTime.parse("22:00-02:30", "quiet")]
    moment = datetime(2026, 10, 24, 19, 0, tzinfo=ZoneInfo("UTC"))
    states = [
        quiet_until(quiet, ms((moment + timedelta(minutes=n)).isoformat()), BERLIN) is not None for n in range(480)
    ]
    assert sum(states) == 330  # from 22:00 to the second 02:30
    assert sum(one != other for one, other in itertools.pairwise(states)) == 2


def test_days_are_those_of_the_begin_and_times_that_meet_are_one():
    quiet = [QuietTime.parse("fri 22:00-06:00", "quiet"), QuietTime.parse("sat 06:00-12:00", "quiet")]
    assert quiet_until(quiet, ms("2026-05-22T23:00:00+02:00"), BERLIN) == ms("2026-05-23T12:00:00+02:00")
    assert quiet_until(quiet, ms("2026-05-23T23:00:00+02:00"), BERLIN) is None
    assert quiet_until([QuietTime.parse("00:00-24:00", "quiet")], ms("2026-05-23T23:00:00+02:00"), BERLIN) is not None


def test_what_holds_at_the_end_of_a_quiet_night_is_an_alert_then():
    rule = AlertRule(name="full", watch="presence", place="hall", over=0, for_s=60, clear_s=5, quiet=("22:00-06:00",))
    steps = [
        (0.0, [event("enter", 0.0, "hall", 1)]),  # 23:00, and out again
        (3600.0, [event("leave", 3600.0, "hall", 1)]),
        (7200.0, [event("enter", 7200.0, "hall", 2)]),  # 01:00, the night is 7 hours long
        (25_000.0, []),
    ]
    found = rows(rule, steps=steps, start="2026-03-28T23:00:00+01:00")
    assert told(found) == [(6 * 3600.0, None, 1.0)]
    assert found[0].utc_ms == ms("2026-03-29T06:00:00+02:00")


def test_an_alert_that_is_on_ends_in_a_quiet_time():
    rule = AlertRule(name="full", watch="presence", place="hall", over=0, clear_s=5, quiet=("22:00-06:00",))
    steps = [(0.0, [event("enter", 0.0, "hall", 1)]), (7200.0, [event("leave", 7200.0, "hall", 1)]), (7300.0, [])]
    assert told(rows(rule, steps=steps, start="2026-03-28T21:00:00+01:00")) == [(0.0, None, 1.0), (7205.0, 0.0, 1.0)]


# ---- restarts ----

RULE = AlertRule(name="long queue", watch="queue", place="till", over=2, until=1, for_s=10, clear_s=20)
STEPS = [(0.0, joins(3, 0.0)), (30.0, [event("queue_leave", 30.0, "till", n) for n in (1, 2)]), (60.0, [])]


@pytest.mark.parametrize("cut", [5.0, 15.0, 35.0])
def test_a_recording_goes_on_in_the_midst_of_an_alert(cut):
    site = replace(SITE, alerts=(RULE,))
    whole = rows(RULE, steps=STEPS)
    steps = sorted([*STEPS, (cut, [])], key=lambda step: step[0])
    first, second = Alerts(site, stream="gate"), Alerts(site, stream="gate")
    found = rows(analytic=first, steps=[step for step in steps if step[0] <= cut])
    second.restore(first.state())
    assert found + rows(analytic=second, steps=[step for step in steps if step[0] > cut]) == whole
    assert told(whole) == [(10.0, None, 3.0), (50.0, 10.0, 3.0)]


def test_a_camera_goes_on_in_the_midst_of_an_alert_and_tells_it_once():
    site = replace(SITE, alerts=(RULE,))
    first, second = Alerts(site, stream="gate"), Alerts(site, stream="gate")
    [on] = rows(analytic=first, steps=[(0.0, joins(3, 0.0)), (12.0, [])])
    second.restore(first.state(), elapsed_s=8.0)  # media time begins anew, 20 s after the joins
    leaves = [event("queue_leave", 5.0, "till", n) for n in (1, 2)]
    [off] = rows(analytic=second, steps=[(0.0, []), (5.0, leaves), (60.0, [])])
    assert (on.since_s, off.time_s, off.since_s) == (None, 25.0, -10.0)
    monitor = Monitor()
    monitor.add([on])
    assert monitor.alerts == {("long queue",): 1}
    monitor.add([off])
    assert monitor.alerts == {("long queue",): 0}


@pytest.mark.parametrize("later", [(), (replace(RULE, over=5),), (replace(RULE, name="other"),)])
def test_an_alert_of_a_rule_that_was_changed_or_removed_is_over(later):
    first = Alerts(replace(SITE, alerts=(RULE,)), stream="gate")
    rows(analytic=first, steps=[(0.0, joins(3, 0.0)), (12.0, [])])
    second = Alerts(replace(SITE, alerts=later), stream="gate")
    second.restore(first.state())
    found = rows(analytic=second, steps=[(13.0, []), (40.0, [])])
    assert (found[0].place, found[0].time_s, found[0].since_s) == ("long queue", 13.0, 10.0)
    assert [one.place for one in found[1:]] == (["other"] if later and later[0].name == "other" else [])


def test_an_alert_whose_identities_are_not_continued_is_over_with_the_next_frame():
    site = replace(SITE, alerts=(RULE,))
    first, second = Alerts(site, stream="gate"), Alerts(site, stream="gate")
    rows(analytic=first, steps=[(0.0, joins(3, 0.0)), (12.0, [])])
    second.abandon(first.state(), elapsed_s=100.0)
    [off] = rows(analytic=second, steps=[(0.0, []), (60.0, [])])
    assert (off.place, off.time_s, off.since_s, off.value) == ("long queue", 0.0, -102.0, 3.0)
    Alerts(site, stream="gate").abandon({"version": -1}, elapsed_s=1.0)


def test_the_same_alert_has_the_same_key():
    first, second = (rows(RULE, steps=STEPS, start="2026-03-28T23:00:00+01:00") for _ in range(2))
    assert [one.key for one in first] == [one.key for one in second]
    assert first[0].key == f"gate|alert|long queue||0|u{ms('2026-03-28T23:00:10+01:00')}"


# ---- what is refused ----


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"watch": "queue"}, "expected one of the site's queues as place, found none"),
        ({"watch": "dark", "place": "hall"}, "expected no place for dark"),
        ({"watch": "speed", "for_s": 3.0}, "expected no for_s for speed"),
        ({"watch": "queue", "place": "till", "over": 3, "until": 4}, "expected until at most over = 3, found 4"),
        ({"watch": "queue", "place": "till", "clear_s": 0.0}, "expected clear_s from 1 to 86400, found 0"),
        ({"watch": "dark", "quiet": ("at night",)}, "expected quiet times as days and HH:MM-HH:MM, found 'at night'"),
        ({"watch": "dark", "quiet": ("xyz 22:00-06:00",)}, "expected days such as mon-fri"),
        ({"watch": "everything"}, "expected watch as one of queue, occupancy"),
    ],
)
def test_rules_that_mean_nothing_are_refused(values, problem):
    with pytest.raises(ConfigError) as told_so:
        AlertRule(name="rule", **values)
    assert problem in told_so.value.problem


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        (
            [AlertRule(name="r", watch="queue", place="tills")],
            "expected one of the site's queues (till), found 'tills'",
        ),
        ([AlertRule(name="r", watch="wrong_way", place="door", for_s=1)], "expected no for_s for a line"),
        ([AlertRule(name="r", watch="dark"), AlertRule(name="r", watch="gap")], "expected each name once"),
        ([AlertRule(name=f"r{number}", watch="dark") for number in range(101)], "expected at most 100 rules"),
    ],
)
def test_rules_fit_their_site(rules, problem):
    with pytest.raises(ConfigError) as told_so:
        replace(SITE, alerts=tuple(rules))
    assert problem in told_so.value.problem
