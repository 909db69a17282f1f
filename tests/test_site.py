"""Sites: what is refused, and that errors name the thing."""

from __future__ import annotations

import math

import pytest

from tests.analytics.walks import tracked
from tracker.analytics.measures import SiteMeasures
from tracker.errors import ConfigError
from tracker.premises import Bay, Footfall, Queue
from tracker.site import Doors, Flow, Line, Occluder, Site, Zone

SQUARE = ((0.1, 0.1), (0.5, 0.1), (0.5, 0.5), (0.1, 0.5))
HALL, TILL = Zone(name="hall", polygons=(SQUARE,)), Zone(name="till", polygons=(SQUARE,))
DOOR = Line(name="door", points=((0.1, 0.5), (0.9, 0.5)))


@pytest.mark.parametrize(
    ("build", "offender", "says"),
    [
        (lambda: Line(name="", points=DOOR.points), "line", "name"),
        (lambda: Line(name="a\nb", points=DOOR.points), "line", "printable"),
        (lambda: Line(name="door", points=((0.1, 0.5),)), "line 'door'", "found 1"),
        (lambda: Line(name="door", points=((0.1, 0.5), (1.2, 0.5))), "line 'door'", "point 2, outside the picture"),
        (lambda: Line(name="door", points=((0.1, 0.5), (math.nan, 0.5))), "line 'door'", "point 2"),
        (lambda: Line(name="door", points=((0.1, 0.5), (0.1, 0.5))), "line 'door'", "points 1 and 2"),
        (lambda: Line(name="door", points=(*SQUARE[:3], (0.3, 0.0))), "line 'door'", "edges 1 and 3"),
        (lambda: Line(name="door", points=((0.1, 0.1), (0.5, 0.1), (0.3, 0.1))), "line 'door'", "edges 1 and 2"),
        (lambda: Line(name="door", points=DOOR.points, to_left="in", to_right="in"), "line 'door'", "'in' and 'in'"),
        (lambda: Line(name="door", points=DOOR.points, dead_band=0), "line 'door'", "dead_band"),
        (lambda: Line(name="door", points=DOOR.points, settle_s=-1), "line 'door'", "settle_s"),
        (lambda: Zone(name="hall", polygons=()), "zone 'hall'", "found none"),
        (lambda: Zone(name="hall", polygons=(SQUARE[:2],)), "zone 'hall'", "found 2"),
        (lambda: Zone(name="hall", polygons=((*SQUARE, SQUARE[0]),)), "zone 'hall'", "first one again"),
        (
            lambda: Zone(name="hall", polygons=((SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]),)),
            "zone 'hall'",
            "edges 1 and 3",
        ),
        (
            lambda: Zone(name="hall", polygons=(SQUARE, ((0.4, 0.2), (0.8, 0.2), (0.8, 0.4)))),
            "zone 'hall'",
            "that meet",
        ),
        (lambda: Zone(name="hall", polygons=(SQUARE,), enter_s=math.inf), "zone 'hall'", "enter_s"),
        (lambda: Zone(name="hall", polygons=(SQUARE,), loiter_s_by_class={"car": 0}), "zone 'hall'", "loiter_s"),
        (lambda: Occluder(name="pillar", polygon=SQUARE[:2]), "occluder 'pillar'", "found 2"),
        (lambda: Doors(name="shop", lines=()), "doors 'shop'", "found []"),
        (lambda: Doors(name="shop", lines=("door",), reset_at="25:00"), "doors 'shop'", "25:00"),
        (
            lambda: Site(lines=(DOOR,), zones=(Zone(name="door", polygons=(SQUARE,)),)),
            "line or zone 'door'",
            "found it twice",
        ),
        (lambda: Site(doors=(Doors(name="shop", lines=("door",)),)), "doors 'shop'", "'door'"),
        (lambda: Site(lines=(DOOR,), doors=(Doors(name="s", lines=("door",), entry="up"),)), "doors 's'", "'up'"),
        (lambda: Site(lines=(DOOR,), flows=(Flow(name="f", start="door", end="till"),)), "flow 'f'", "'till'"),
        (
            lambda: Site(lines=(DOOR,), flows=(Flow(name="f", start="door", end="door", end_direction="up"),)),
            "flow 'f'",
            "'up'",
        ),
        (lambda: Queue(name="q", zone="hall", served_at="hall"), "queue 'q'", "'hall' for both"),
        (lambda: Queue(name="q", zone="hall", served_at="till", still_m_s=0), "queue 'q'", "still_m_s"),
        (lambda: Footfall(name="f", doors="d", passing=("a", "a")), "footfall 'f'", "passing each once"),
        (lambda: Footfall(name="f", doors="d", group_s=99), "footfall 'f'", "group_s"),
        (lambda: Bay(name="b", polygon=SQUARE[:3]), "bay 'b'", "found 3 points"),
        (lambda: Bay(name="b", polygon=(*SQUARE[:3], (0.4, 0.4))), "bay 'b'", "point 4 bent inwards"),
        (lambda: Bay(name="b", polygon=SQUARE, covered=0), "bay 'b'", "covered"),
        (
            lambda: Site(zones=(HALL,), queues=(Queue(name="q", zone="hall", served_at="till"),)),
            "queue 'q'",
            "lines and zones (hall), found 'till'",
        ),
        (
            lambda: Site(zones=(TILL,), queues=(Queue(name="q", zone="hall", served_at="till"),)),
            "queue 'q'",
            "zones (till), found 'hall'",
        ),
        (
            lambda: Site(
                lines=(DOOR,),
                zones=(HALL,),
                queues=(Queue(name="q", zone="hall", served_at="door", served_direction="up"),),
            ),
            "queue 'q'",
            "in and out, found 'up'",
        ),
        (lambda: Site(footfall=(Footfall(name="f", doors="shop"),)), "footfall 'f'", "doors (none), found 'shop'"),
        (
            lambda: Site(
                lines=(DOOR,),
                doors=(Doors(name="shop", lines=("door",)),),
                footfall=(Footfall(name="f", doors="shop", staff_zones=("desk",)),),
            ),
            "footfall 'f'",
            "zones (none), found 'desk'",
        ),
        (
            lambda: Site(
                zones=(HALL, TILL),
                queues=(Queue(name="A1", zone="hall", served_at="till"),),
                bays=(Bay(name="A1", polygon=SQUARE),),
            ),
            "queue, footfall or bay 'A1'",
            "found it twice",
        ),
        (lambda: Site(timezone="Mars/Olympus"), "site", "Mars/Olympus"),
        (lambda: Site(reference_size=(0, 10)), "site", "0 x 10"),
    ],
)
def test_refused(build, offender: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build()
    assert caught.value.offender == offender
    assert says in caught.value.problem
    assert caught.value.remedy


def test_a_picture_of_another_shape_is_refused_and_of_another_size_is_not() -> None:
    site = Site(lines=(DOOR,), reference_size=(1280, 720))
    SiteMeasures(site, stream="cam").process(tracked(0, 0.0, {}, size=(640, 360)))
    site.check_size((1920, 1088))
    with pytest.raises(ConfigError) as caught:
        SiteMeasures(site, stream="cam").process(tracked(0, 0.0, {}, size=(640, 480)))
    assert (caught.value.offender, "640 x 480" in caught.value.problem) == ("site", True)


def test_segmented_frames_are_refused() -> None:
    from dataclasses import replace

    with pytest.raises(ConfigError, match="expected tracked frames"):
        SiteMeasures(Site(), stream="cam").process(replace(tracked(0, 0.0, {}), tracks=None))
