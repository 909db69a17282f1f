"""Life of objects as messages: when they are new, what an update is, standing still, numbers and speeds that change."""

from __future__ import annotations

from dataclasses import replace

from tests.sinks.outside import stay
from tests.sinks.streams import tracked_frame
from tracker.alert_rules import AlertRule
from tracker.events import Event
from tracker.premises import Bay, Queue
from tracker.sinks.home_assistant import device
from tracker.sinks.object_events import ObjectEvents
from tracker.sinks.state_topics import StateTopics
from tracker.site import Line, Site, Zone

BOX = (40.0, 20.0, 60.0, 100.0)


def seen(time_s: float, *, boxes=(BOX,), ids=(1,), classes=None, ended=(), events=(), age_s=0.0):
    made = tracked_frame(
        round(time_s * 25),
        boxes=list(boxes),
        ids=list(ids),
        class_ids=classes or [0] * len(ids),
        ended=ended,
        time_s=time_s,
        masks=False,
        age_s=age_s,
    )
    return replace(made, events=tuple(events))


def types(found) -> list[tuple[str, int]]:
    return [(one.kind, one.after["identity"]) for one in found]


def test_it_is_new_when_its_zones_are_known_or_the_time_for_that_is_over():
    objects = ObjectEvents("gate", settle_s=0.4)
    assert objects.process(seen(0.0)) == []
    assert objects.process(seen(0.2)) == []
    [new] = objects.process(seen(0.3, events=[stay(1, kind="enter")]))
    assert (new.kind, new.after["current_zones"], new.before["current_zones"]) == ("new", ["hall"], [])
    objects = ObjectEvents("gate", settle_s=0.4)
    assert [len(objects.process(seen(time_s))) for time_s in (0.0, 0.2, 0.39, 0.41, 0.6)] == [0, 0, 0, 1, 0]


def test_one_that_ends_before_has_both_and_all_that_is_open_ends_with_the_stream():
    objects = ObjectEvents("gate", settle_s=5.0)
    objects.process(seen(0.0, boxes=(BOX, BOX), ids=(1, 2)))
    assert types(objects.process(seen(0.1, ids=(2,), ended=(1,)))) == [("new", 1), ("end", 1)]
    assert types(objects.close()) == [("new", 2), ("end", 2)]
    assert objects.close() == []


def test_standing_still_for_ten_seconds_is_an_update_and_so_is_moving_on():
    objects = ObjectEvents("gate")
    found = [one for time_s in range(12) for one in objects.process(seen(float(time_s)))]
    assert [one.kind for one in found] == ["new", "update"]
    assert (found[1].after["stationary"], found[1].after["active"]) == (True, False)
    assert (found[1].after["frame_time"], found[1].after["motionless_count"]) == (10.0, 10)
    [moved] = objects.process(seen(12.0, boxes=((80.0, 20.0, 100.0, 100.0),)))
    assert (moved.before["stationary"], moved.after["stationary"], moved.after["position_changes"]) == (True, False, 1)


def test_class_number_and_speed_follow():
    objects = ObjectEvents("gate")
    [new] = objects.process(seen(0.0))
    [other] = objects.process(seen(0.1, classes=[2]))
    assert (other.kind, other.before["label"], other.after["label"]) == ("update", "person", "car")
    speed = Event(kind="speed", stream="gate", time_s=0.2, place="door", identity=1, value=12.5)
    assert objects.process(seen(0.2, classes=[2], events=[speed])) == []
    joined = Event(kind="rekeyed", stream="gate", time_s=0.3, identity=9, was_identity=1)
    [rekeyed] = objects.process(seen(0.3, classes=[2], events=[joined]))
    assert (rekeyed.after["id"], rekeyed.after["identity"]) == (new.after["id"], 9)
    assert (rekeyed.after["current_estimated_speed"], rekeyed.after["average_estimated_speed"]) == (12.5, 12.5)


def test_what_coasts_is_not_seen_and_keys_differ():
    objects = ObjectEvents("gate")
    found = objects.process(seen(0.0))
    coasting = tracked_frame(1, boxes=[(90.0, 20.0, 110.0, 100.0)], coasting=[True], class_ids=[0], masks=False)
    found += objects.process(coasting)
    found += objects.process(seen(0.2, ids=(), boxes=(), ended=(1,)))
    assert [one.kind for one in found] == ["new", "end"]
    assert found[1].after["box"] == [40, 20, 60, 100]
    assert len({one.key for one in found}) == 2


def test_what_was_open_goes_on_only_if_it_is_as_old():
    objects = ObjectEvents("gate")
    [first] = objects.process(seen(0.0, age_s=60.0))
    again = ObjectEvents("gate", earlier=[first.remembered])
    assert again.process(seen(5.0, age_s=65.0)) == []
    [end] = again.close()
    assert (end.after["id"], end.after["ended_by"]) == (first.after["id"], "end")
    fresh = ObjectEvents("gate", earlier=[first.remembered])
    ended, new = fresh.process(seen(5.0, age_s=0.2))
    assert (ended.kind, ended.after["ended_by"], ended.after["id"]) == ("end", "restart", first.after["id"])
    assert (new.kind, new.after["id"] != first.after["id"]) == ("new", True)


def test_states_without_a_running_stream_are_counted_from_its_events():
    square = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9))
    site = Site(
        lines=(Line(name="door", points=((0.0, 0.5), (1.0, 0.5)), classes=("car",)),),
        zones=(Zone(name="hall", polygons=(square,)),),
    )
    topics = StateTopics("m", "gate", site, None)
    values = topics.values()
    assert values["m/gate/line/door/out/car"] == "0"
    assert values["m/gate/status"] == "online"
    topics.take(seen(0.0, boxes=(BOX, BOX), ids=(1, 2), classes=[0, 2], events=[stay(1, kind="enter")]))
    topics.take_events([replace(stay(2, kind="enter"), class_name="all")])
    values = topics.values()
    assert (values["m/gate/zone/hall/all"], values["m/gate/zone/hall/person"]) == ("2", "1")
    assert values["m/gate/zone/hall/%61ll"] == "1"
    assert values["m/gate/objects/all"] == "2"
    topics.take(seen(0.1, boxes=(BOX,), ids=(2,), classes=[2], ended=(1,)))
    values = topics.values()
    assert (values["m/gate/zone/hall/all"], values["m/gate/zone/hall/person"]) == ("1", "0")
    assert (values["m/gate/objects/person"], topics.classes) == ("0", ["person", "car"])


def test_queues_and_bays_of_the_site_have_states_and_sensors():
    square = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9))
    zones = (
        Zone(name="hall", polygons=(square,)),
        Zone(name="till", polygons=(((0.0, 0.0), (0.05, 0.0), (0.05, 0.05)),)),
    )
    queues, bays = (Queue(name="main", zone="hall", served_at="till"),), (Bay(name="B 1", polygon=square),)
    site = Site(zones=zones, queues=queues, bays=bays)
    topics = StateTopics("m", "gate", site, None)
    assert topics.values()["m/gate/queue/main"] == "0"
    assert "m/gate/bay/B%201" not in topics.values()  # not known before its first row
    parts = device(topics, "gate", site)["cmps"]
    assert parts["queue_main"]["state_topic"] == "m/gate/queue/main"
    assert [part["state_topic"] for part in parts.values() if part["state_topic"].startswith("m/gate/bay/")] == [
        "m/gate/bay/B%201"
    ]

    def about(kind: str, identity: int, **values) -> Event:
        return Event(kind=kind, stream="gate", time_s=1.0, identity=identity, **values)

    join = [about("queue_join", identity, place="main") for identity in (1, 2, 3)]
    topics.take(seen(0.0, boxes=(BOX,) * 3, ids=(1, 2, 3), events=join))
    assert topics.values()["m/gate/queue/main"] == "3"
    joined = about("rekeyed", 9, was_identity=3)
    left = about("queue_leave", 1, place="main", direction="served", value=20.0)
    topics.take(seen(0.1, boxes=(BOX,) * 2, ids=(2, 9), events=[joined, left]))
    assert topics.values()["m/gate/queue/main"] == "2"
    topics.take(seen(0.2, boxes=(BOX,), ids=(10,), ended=(2, 9)))  # 10 goes on with the wait of 2
    assert topics.values()["m/gate/queue/main"] == "2"
    lost = about("queue_leave", 9, place="main", direction="lost", value=1.0)
    topics.take(seen(0.3, boxes=(BOX,), ids=(10,), events=[lost]))
    assert topics.values()["m/gate/queue/main"] == "1"
    served = about("queue_leave", 10, place="main", direction="served", value=30.0, other_identity=2)
    topics.take(seen(0.4, boxes=(), ids=(), events=[served]))
    assert topics.values()["m/gate/queue/main"] == "0"


def test_rules_of_the_site_are_known_before_their_first_alert() -> None:
    site = Site(alerts=(AlertRule(name="camera covered", watch="covered"),))
    topics = StateTopics("m", "gate", site, None)
    assert topics.alerts == ["camera covered"]
    topics.take_events([Event(kind="alert", stream="gate", time_s=5.0, place="camera covered", value=1.0)])
    assert topics.alerts == ["camera covered"]
