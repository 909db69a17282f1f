"""Directions of imported lines: a movement is counted under the name that the tool itself gives it.

Each tool's rule is written here anew from its documented behaviour, in pixels, and compared with the site's side.
"""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.analytics.walks import of, through, walk
from tests.thorough import examples
from tracker.formats.sites.known import import_site
from tracker.site import Line

SIZE = (1000, 800)
Pixel = tuple[int, int]
PIXELS = st.tuples(st.integers(0, SIZE[0]), st.integers(0, SIZE[1]))


def across(start: Pixel, end: Pixel, before: Pixel, after: Pixel) -> bool:
    """Whether a step crosses a line cleanly, from one side to the other."""

    def side(a: Pixel, b: Pixel, p: Pixel) -> int:
        return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])

    first, second = side(start, end, before), side(start, end, after)
    third, fourth = side(before, after, start), side(before, after, end)
    return first * second < 0 and third * fourth < 0


def here(line: Line, after: Pixel) -> str:
    """The name of the direction by which a step ended at a place."""
    (x1, y1), (x2, y2) = line.points[0], line.points[-1]
    x, y = after[0] / SIZE[0], after[1] / SIZE[1]
    left = (x - x1) * (y2 - y1) - (y - y1) * (x2 - x1)
    return line.to_left if left > 0 else line.to_right


def ultralytics(start: Pixel, end: Pixel, before: Pixel, after: Pixel) -> str:
    """In is to the right over a steep line, down over a flat one."""
    steep = abs(start[0] - end[0]) < abs(start[1] - end[1])
    axis = 0 if steep else 1
    return "in" if after[axis] > before[axis] else "out"


def bearing(start: Pixel, end: Pixel) -> float:
    """Degrees clockwise from north, on the screen."""
    return math.degrees(math.atan2(end[0] - start[0], start[1] - end[1])) % 360


def opendatacam(start: Pixel, end: Pixel, before: Pixel, after: Pixel) -> str:
    """Left-right, top-bottom where the movement's bearing is between those of the line, the lower one first."""
    low = bearing(start, end) % 180
    if start[0] == end[0]:
        low = 180  # an exactly vertical line has the bearing 360, and so the pair 180 and 360
    return "leftright_topbottom" if low <= bearing(before, after) <= low + 180 else "rightleft_bottomtop"


def dlstreamer(start: Pixel, end: Pixel, before: Pixel, after: Pixel) -> str:
    """1 from a negative to a positive cross product of the wire and the place."""
    side = (end[0] - start[0]) * (after[1] - start[1]) - (end[1] - start[1]) * (after[0] - start[0])
    return "1" if side > 0 else "-1"


def pipeline_server(start: Pixel, end: Pixel, before: Pixel, after: Pixel) -> str:
    """Counterclockwise is where the orientation of start, end and place is positive."""
    cross = (end[1] - start[1]) * (after[0] - end[0]) - (after[1] - end[1]) * (end[0] - start[0])
    return "counterclockwise" if cross > 0 else "clockwise"


def nvdsanalytics(start: Pixel, end: Pixel, before: Pixel, after: Pixel) -> str:
    """The label counts movements along its vector; here the vector is the movement itself."""
    return "Entry"


def text(name: str, start: Pixel, end: Pixel, before: Pixel, after: Pixel) -> str:
    ends = [{"x": x, "y": y} for x, y in (start, end)]
    if name == "ultralytics":
        return f"[{list(start)}, {list(end)}]".replace("(", "[")
    if name == "opendatacam":
        location = {"points": ends, "refResolution": {"w": SIZE[0], "h": SIZE[1]}}
        return json.dumps({"countingAreas": {"a": {"type": "bidirectional", "name": "a", "location": location}}})
    if name == "dlstreamer":
        return json.dumps({"tripwires": [{"id": "a", "points": ends}]})
    if name == "pipeline-server":
        return json.dumps({"lines": [{"name": "a", "line": [[x / SIZE[0], y / SIZE[1]] for x, y in (start, end)]}]})
    numbers = ";".join(str(number) for point in (before, after, start, end) for number in point)
    return (
        f"[property]\nconfig-width={SIZE[0]}\nconfig-height={SIZE[1]}\n"
        f"[line-crossing-stream-0]\nline-crossing-Entry={numbers}\n"
    )


RULES = {
    "ultralytics": ultralytics,
    "opendatacam": opendatacam,
    "dlstreamer": dlstreamer,
    "pipeline-server": pipeline_server,
    "nvdsanalytics": nvdsanalytics,
}


@pytest.mark.parametrize("name", RULES)
@settings(deadline=None, max_examples=examples(150))
@given(ends=st.tuples(PIXELS, PIXELS), before=PIXELS, share=st.floats(0.1, 0.9), reach=st.floats(1.05, 2.5))
def test_a_movement_has_the_tools_name(
    name: str, ends: tuple[Pixel, Pixel], before: Pixel, share: float, reach: float
) -> None:
    start, end = ends
    met = start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
    after = round(before[0] + (met[0] - before[0]) * reach), round(before[1] + (met[1] - before[1]) * reach)
    assume(across(start, end, before, after))
    if name == "ultralytics":  # its rule is the movement, not the side: they agree for steps across, not along
        along, moved = bearing(start, end), bearing(before, after)
        assume(45 < (moved - along) % 180 < 135)
    if name == "opendatacam":  # its bearings of exactly level and upright movements are undefined
        assume(before[0] != after[0] and before[1] != after[1] and start[1] != end[1])
    [line] = import_site(text(name, start, end, before, after), name, size=SIZE).site.lines
    assert here(line, after) == RULES[name](start, end, before, after)


def test_a_wire_from_top_to_bottom() -> None:
    """gvaanalytics counts 1 for a movement from right to left on the screen."""
    [line] = import_site(
        '{"tripwires": [{"id": "a", "points": [{"x": 500, "y": 0}, {"x": 500, "y": 800}]}]}', "dlstreamer", size=SIZE
    ).site.lines
    assert here(line, (400, 400)) == "1"
    assert here(line, (600, 400)) == "-1"


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("turn", range(8))
def test_the_site_counts_what_the_tool_counts(name: str, turn: int) -> None:
    """A walk across a line in each of eight orientations, through the measures themselves."""
    angle = math.radians(45 * turn + 3)
    along, across_ = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
    start, end, before, after = (
        (round(500 + reach * axis[0]), round(400 + reach * axis[1]))
        for axis, reach in ((along, -200), (along, 200), (across_, -150), (across_, 150))
    )
    site = import_site(text(name, start, end, before, after), name, size=SIZE).site
    path = through((0, before[0] / SIZE[0], before[1] / SIZE[1]), (4, after[0] / SIZE[0], after[1] / SIZE[1]))
    events = walk(dataclasses.replace(site, reference_size=None), {1: path})  # walks have a picture of their own
    assert [event.direction for event in of(events, "crossing")] == [RULES[name](start, end, before, after)]
