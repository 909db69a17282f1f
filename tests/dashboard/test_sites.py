"""Sites as the page sends them: what is there comes back, the ground with its points too."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings

from tests.sites import ground_of, sites
from tracker.dashboard.problems import ApiError
from tracker.dashboard.sites import difference, site_json, site_of_json
from tracker.site import Site


@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
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
