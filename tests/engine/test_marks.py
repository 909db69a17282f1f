"""A site becomes marks; what is counted over a rendered scene is what is drawn."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from demos.scenes.catalogue import open_recording
from tests.analytics.worlds import on_screen
from tests.engine.fakes import FakeSource, SlowSegmenter
from tests.sinks.streams import tracked_frame
from tracker.analytics.measures import SiteMeasures
from tracker.analytics.tally import Tally
from tracker.engine.marks import marks_to_draw, site_legend, site_marks
from tracker.engine.outputs import Outputs
from tracker.engine.plan import StreamPlan
from tracker.render.annotate import DRAWN, Annotator
from tracker.settings.stream import StreamSettings
from tracker.site import Line, Occluder, Site, Zone
from tracker.sources.address import Address

SQUARE = ((0.1, 0.1), (0.4, 0.1), (0.4, 0.4))
SITE = Site(
    lines=(Line(name="door", points=((0.1, 0.5), (0.9, 0.5)), to_left="up", to_right="down"),),
    zones=(Zone(name="till", polygons=(SQUARE,)),),
    occluders=(Occluder(name="pillar", polygon=SQUARE),),
)


def tally_of(site, events):
    tally = Tally.of(site)
    tally.add(events)
    return tally


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


@pytest.mark.slow
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
    entered = [event for event in events if event.kind == "enter"]
    [door, arcade] = site_legend(site, tally_of(site, events))
    assert [part.text for part in door.parts if part.kind == "number"] == [
        str(crossings.count(way)) for way in ("in", "out")
    ]
    assert arcade.parts[2].text == str(len(entered))


def test_an_output_draws_the_site_unless_told_otherwise(tmp_path):
    def pictures(draw, site):
        plan = StreamPlan(
            name="gate",
            address=Address(kind="camera", name="gate", target="0"),
            settings=StreamSettings(draw=draw),
            outputs=(str(tmp_path / "{frame}.png"),),
            site=site,
        )
        sink = Outputs(plan, FakeSource("gate").info, SlowSegmenter()).open(strict=True)
        sink.write(tracked_frame(boxes=[], size=(640, 360)))
        sink.close()
        [path] = tmp_path.glob("*.png")
        picture = cv2.imread(str(path))
        path.unlink()
        return picture

    plain = pictures(None, None)
    assert (pictures(None, SITE)[180, 100] != plain[180, 100]).any()
    for draw, site in ((("labels", "masks"), SITE), (("site",), None), ((), SITE)):
        assert np.array_equal(pictures(draw, site), plain)


def test_contacts_are_found_where_they_are_drawn():
    def plan(draw):
        address = Address(kind="camera", name="gate", target="0")
        return StreamPlan(name="gate", address=address, settings=StreamSettings(draw=draw), outputs=("a.mp4",))

    assert plan(("labels", "contacts")).wants_contacts
    assert not plan(("labels",)).wants_contacts
    assert not plan(None).wants_contacts
