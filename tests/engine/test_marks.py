"""A site becomes marks; what is counted over a rendered scene is what is drawn."""

from __future__ import annotations

import dataclasses

import numpy as np

from demos.scenes.catalogue import open_recording
from tests.analytics.worlds import on_screen
from tracker.analytics.measures import SiteMeasures
from tracker.engine.marks import marks_to_draw, site_legend, site_marks
from tracker.render.annotate import DRAWN, Annotator
from tracker.site import Line, Occluder, Site, Zone

SQUARE = ((0.1, 0.1), (0.4, 0.1), (0.4, 0.4))
SITE = Site(
    lines=(Line(name="door", points=((0.1, 0.5), (0.9, 0.5)), to_left="up", to_right="down"),),
    zones=(Zone(name="till", polygons=(SQUARE,)),),
    occluders=(Occluder(name="pillar", polygon=SQUARE),),
)


def test_lines_and_zones_are_taken_over():
    marks = site_marks(SITE)
    [line], [zone] = marks.lines, marks.zones
    assert (line.name, line.points, line.to_left, line.to_right) == ("door", SITE.lines[0].points, "up", "down")
    assert (zone.name, zone.polygons) == ("till", (SQUARE,))
    assert marks.occluders == ()


def test_parts_say_what_is_drawn():
    assert marks_to_draw(None, DRAWN) is None
    assert marks_to_draw(SITE, ("labels", "masks")) is None
    assert marks_to_draw(SITE, DRAWN) == site_marks(SITE)
    assert marks_to_draw(SITE, ("site", "occluders")).occluders[0].polygon == SQUARE
    alone = marks_to_draw(SITE, ("occluders",))
    assert (alone.lines, alone.zones, len(alone.occluders)) == ((), (), 1)


def test_counts_drawn_equal_the_events_of_a_scene():
    recording = open_recording("door", seed=1, duration_s=8.0)
    scene = recording.scene
    site = Site(
        lines=(Line(name="door", points=on_screen(scene, *scene.plan.lines_m["door"])),),
        zones=(Zone(name="arcade", polygons=(on_screen(scene, *scene.plan.zones_m["arcade"]),)),),
    )
    measures, annotator, events = SiteMeasures(site, stream="door"), Annotator(marks=site_marks(site)), []
    picture = np.full((scene.size[1], scene.size[0], 3), 90, np.uint8)
    for tracked in recording.tracked(12.5):
        found = measures.process(tracked)
        events += found
        annotator.draw(
            dataclasses.replace(tracked, events=found, frame=dataclasses.replace(tracked.frame, image=picture))
        )
    tally = annotator._site.tally
    crossings = [event.direction for event in events if event.kind == "crossing"]
    assert tally.lines["door"].by_direction == {"in": crossings.count("in"), "out": crossings.count("out")}
    assert crossings
    present = measures.occupancy().present["arcade"]
    assert len(tally.zones["arcade"].present) == sum(present.values())
    [door, _] = site_legend(site, events)
    assert [part.text for part in door.parts if part.kind == "number"] == [
        str(crossings.count(way)) for way in ("in", "out")
    ]
