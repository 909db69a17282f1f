"""Footprints of a body that turns: its contact moves from wheel to wheel, its middle along its way."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.analytics.grounds import FLAT
from tracker.analytics.footprints import footprint, settled
from tracker.traffic import ROAD_USERS

CAR = ROAD_USERS["car"]
RADIUS_M, SPEED_M_S, STEP_S = 9.0, 4.0, 0.1


def turning() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Times, true middles, true headings and contacts of a car that goes round half a circle, seen from above."""
    times = np.arange(0, math.pi * RADIUS_M / SPEED_M_S, STEP_S)
    angles = times * SPEED_M_S / RADIUS_M
    middles = np.array([30.0, 15.0]) + RADIUS_M * np.stack([np.sin(angles), -np.cos(angles)], axis=1)
    contacts = []
    for middle, heading in zip(middles, angles, strict=True):
        stands = footprint(FLAT, tuple(middle), heading, CAR)  # seen from above the offset is the same everywhere
        contacts.append(2 * middle - (stands.x_m, stands.y_m))
    return times, middles, angles, np.array(contacts)


def test_a_body_that_turns_has_the_direction_of_its_middle() -> None:
    times, middles, headings, contacts = turning()
    speeds = np.gradient(contacts, times, axis=0)
    told = np.arctan2(speeds[:, 1], speeds[:, 0])
    inner = slice(3, -3)
    found = settled(FLAT, times.tolist(), contacts, told, CAR)[inner]

    def off_deg(ways: np.ndarray) -> float:
        return float(np.degrees(np.percentile(np.abs(np.angle(np.exp(1j * (ways - headings[inner])))), 90)))

    assert off_deg(told[inner]) > 6
    assert off_deg(np.array([one.heading_rad for one in found])) < 0.5 * off_deg(told[inner])
    before = [footprint(FLAT, tuple(at), way, CAR) for at, way in zip(contacts, told, strict=True)][inner]
    apart, earlier = (
        np.median(np.hypot(*(np.array([(one.x_m, one.y_m) for one in these]) - middles[inner]).T))
        for these in (found, before)
    )
    assert apart < 0.6 * earlier


def test_what_stands_keeps_its_direction_and_a_way_may_be_short() -> None:
    still = np.tile([30.0, 15.0], (8, 1))
    times = (0.1 * np.arange(8)).tolist()
    assert [one.heading_rad for one in settled(FLAT, times, still, np.full(8, 0.7), CAR)] == [0.7] * 8
    [one] = settled(FLAT, [0.0], still[:1], np.array([0.7]), CAR)
    assert one == footprint(FLAT, (30.0, 15.0), 0.7, CAR)


def test_ends_of_a_way_are_not_turned_by_what_lies_to_one_side() -> None:
    times, _, _, contacts = turning()
    found = settled(FLAT, times.tolist(), contacts, np.zeros(len(times)), CAR)
    assert (found[0].heading_rad, found[-1].heading_rad) == (0.0, 0.0)
    assert found[len(found) // 2].heading_rad == pytest.approx(math.pi / 2, abs=math.radians(15))
