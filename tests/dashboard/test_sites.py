"""Sites as the page sends them: what is there comes back, the ground with its points too."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tests.analytics.grounds import FLAT
from tests.sites import ground_of, sites
from tests.thorough import examples
from tracker.dashboard.ground_view import ground_view
from tracker.dashboard.problems import ApiError
from tracker.dashboard.sites import difference, site_json, site_of_json
from tracker.ground import Ground, GroundPoint
from tracker.site import Site


@settings(deadline=None, max_examples=examples(30), suppress_health_check=list(HealthCheck))
@given(site=sites())
def test_a_site_goes_to_the_page_and_back(site: Site) -> None:
    assert site_of_json(json.loads(json.dumps(site_json(site)))) == site


def test_a_ground_differs_as_one_part() -> None:
    before, after = Site(ground=ground_of(0)), Site(ground=ground_of(2))
    [changed] = difference(before, after)
    assert (changed["at"], changed["what"]) == ("ground", "changed")
    assert len(changed["after"]["points"]) == len(after.ground.points)


def test_three_points_on_a_line_are_refused_at_their_place() -> None:
    sent = site_json(Site(ground=ground_of(2)))
    for number, point in enumerate(sent["ground"]["points"]):
        point["at"] = [0.1 + 0.1 * number, 0.5]
    with pytest.raises(ApiError) as refusal:
        site_of_json(sent)
    assert refusal.value.error["what"] == "ground"
    assert "one line in the picture" in refusal.value.error["found"]


def test_the_grid_of_a_ground_lies_on_whole_metres() -> None:
    answer = ground_view(site_json(Site(ground=FLAT))["ground"], (1280, 720))
    found = answer["ground"]
    assert answer["problems"] == []
    assert (found["step_m"], found["is_checked"]) == (10.0, False)
    assert found["pixel_m"] == pytest.approx([0.05, 0.05])
    for line in found["lines"]:
        # Seen from straight above: 64 m along the width, 36 m up the height.
        side = "xy".index(line["axis"])
        share = line["metres"] / 64 if side == 0 else 1 - line["metres"] / 36
        assert [end[side] for end in line["ends"]] == pytest.approx([share, share], abs=1e-4)
        assert line["is_strong"] == (line["metres"] % 50 == 0)
    assert len({(line["axis"], line["metres"]) for line in found["lines"]}) == len(found["lines"]) > 12


def test_residuals_are_those_of_the_ground_and_point_to_where_it_puts_them() -> None:
    points = (*FLAT.known, GroundPoint(at=(0.5, 0.5), metres=(30.0, 18.0)))
    ground = Ground(points=points)
    found = ground_view(site_json(Site(ground=ground))["ground"], None)["ground"]
    assert [one["off_m"] for one in found["points"]] == pytest.approx(ground.residuals_m.tolist(), abs=1e-4)
    assert found["residual_m"] == pytest.approx(ground.residual_m, abs=1e-4)
    put = ground.to_picture(np.array([point.metres for point in points]))
    assert np.allclose([one["put_at"] for one in found["points"]], put, atol=1e-5)
    assert found["pixel_m"] is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"points": []}, "expected points or a rectangle, found none of them"),
        ({"points": [{"at": [0.1, 0.1], "metres": [0, 0]}] * 3}, "expected from 4 to 200 points, found 3"),
        ({"points": [], "rectangle": {"corners": [[0, 0]] * 4, "width_m": 0, "length_m": 1}}, "from 0.01 to 100000"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_ground_that_is_none_is_told_in_one_sentence(change: dict, words: str) -> None:
    answer = ground_view(change, None)
    [problem] = answer["problems"]
    assert answer["ground"] is None
    assert words in problem["message"]
