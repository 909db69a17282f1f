"""Warped tracks: exact where the state allows, unchanged without motion, an error for impossible warps."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from tracker.associate import kalman
from tracker.associate.parameters import TrackerSettings
from tracker.associate.tracker import Tracker
from tracker.engine.steady import SteadyTracker
from tracker.errors import TrackerError
from tracker.types import Instances


def similarity(scale: float, turn_rad: float, shift: tuple[float, float]) -> np.ndarray:
    cos, sin = scale * math.cos(turn_rad), scale * math.sin(turn_rad)
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]])


def random_states(generator: np.random.Generator, *, isotropic: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values, rates = generator.uniform(10, 500, (4, 6)), generator.normal(0, 50, (4, 6))
    covariances = np.stack(
        [generator.uniform(5, 9, (4, 6)), generator.uniform(-2, 2, (4, 6)), generator.uniform(5, 9, (4, 6))]
    )
    if isotropic:
        covariances[:, 1], covariances[:, 3] = covariances[:, 0], covariances[:, 2]
    return values, rates, covariances


@pytest.mark.parametrize("isotropic", [True, False])
def test_a_warp_equals_the_full_transform_of_the_joint_covariance(isotropic: bool) -> None:
    generator = np.random.default_rng(0)
    values, rates, covariances = random_states(generator, isotropic=isotropic)
    matrix = similarity(1.1, 0.2, (7, -4))
    moved, moved_rates, moved_covariances = kalman.warp(values, rates, covariances, matrix)
    linear = matrix[:, :2]
    np.testing.assert_allclose(moved[:2], linear @ values[:2] + matrix[:, 2:])
    np.testing.assert_allclose(moved_rates[:2], linear @ rates[:2])
    for track in range(6):
        # State (x, y, x rate, y rate) with its full 4 x 4 covariance.
        variance, cross, rate = (np.diag(covariances[number, :2, track]) for number in range(3))
        joint = np.block([[variance, cross], [cross, rate]])
        transform = np.kron(np.eye(2), linear)
        exact = transform @ joint @ transform.T
        for axis in range(2):
            own = [exact[axis, axis], exact[axis, axis + 2], exact[axis + 2, axis + 2]]
            np.testing.assert_allclose(moved_covariances[:, axis, track], own)
        if isotropic:  # as the tracker's are: nothing is dropped
            np.testing.assert_allclose([exact[0, 1], exact[0, 3], exact[2, 3]], 0, atol=1e-12)


def test_a_warp_and_its_inverse_are_nothing() -> None:
    generator = np.random.default_rng(1)
    state = random_states(generator, isotropic=True)
    there = similarity(1.25, 0.0, (30, -12))
    back = cv2.invertAffineTransform(there)
    for before, after in zip(state, kalman.warp(*kalman.warp(*state, there), back), strict=True):
        np.testing.assert_allclose(after, before)


def test_predicting_and_warping_commute() -> None:
    # The camera turned at some moment between two frames; which one must not matter.
    generator = np.random.default_rng(2)
    values, rates, covariances = random_states(generator, isotropic=True)
    noise = {"acceleration_density": np.full((4, 6), 0.3), "drift_density": np.full((4, 6), 0.2)}
    turned = {name: density * 1.2**2 for name, density in noise.items()}
    matrix = similarity(1.2, 0.3, (3, 9))
    predicted, spread = kalman.predict(values, rates, covariances, 0.3, kalman.process_noise(0.3, **noise))
    late = kalman.warp(predicted, rates, spread, matrix)
    moved, moved_rates, moved_covariances = kalman.warp(values, rates, covariances, matrix)
    early = kalman.predict(moved, moved_rates, moved_covariances, 0.3, kalman.process_noise(0.3, **turned))
    np.testing.assert_allclose(late[0], early[0])
    np.testing.assert_allclose(late[2][:, :2], early[1][:, :2])


def one(box: tuple[float, float, float, float]) -> Instances:
    return Instances(
        boxes=np.array([box], np.float32), scores=np.array([0.9], np.float32), class_ids=np.zeros(1, np.int64)
    )


def test_a_lost_track_waits_where_the_camera_shows_its_place() -> None:
    tracker = Tracker(settings=TrackerSettings(coast_s=1.0, coast_log_odds=-100.0))
    for frame in range(30):
        tracker.update(one((300, 200, 340, 300)), frame / 30)
    # Half a second unseen while the camera pans by 10 px a frame, zooming in a little.
    step = similarity(1.005, 0.0, (-10, 2))
    corners = np.array([[300.0, 340.0], [200.0, 300.0]])
    for frame in range(30, 45):
        tracks = tracker.update(Instances.empty(), frame / 30, warp=step)
        corners = step[:, :2] @ corners + step[:, 2:]
    np.testing.assert_allclose(tracks.boxes[0], corners.T.ravel(), atol=1.0)
    seen = tracker.update(one(tuple(corners.T.ravel())), 45 / 30)
    assert seen.ids.tolist() == [1]
    np.testing.assert_allclose(seen.velocities, 0, atol=5)


def test_no_warp_and_the_identity_are_the_same() -> None:
    generator = np.random.default_rng(3)
    with_none, with_identity = Tracker(), Tracker()
    for frame in range(40):
        x, y = 100 + 4 * frame + generator.normal(0, 2), 200 + generator.normal(0, 2)
        instances = one((x, y, x + 40, y + 100))
        plain = with_none.update(instances, frame / 30)
        warped = with_identity.update(instances, frame / 30, warp=np.eye(2, 3))
        for name in ("ids", "boxes", "velocities"):
            np.testing.assert_array_equal(getattr(plain, name), getattr(warped, name))


@pytest.mark.parametrize(
    "warp", [np.eye(3), np.full((2, 3), np.nan), np.array([[-1.0, 0, 0], [0, 1, 0]]), np.zeros((2, 3))]
)
def test_what_no_camera_does_is_refused_and_harmless(warp: np.ndarray) -> None:
    tracker = Tracker()
    with pytest.raises(TrackerError, match="warp"):
        tracker.update(Instances.empty(), 1.0, warp=warp)
    tracker.update(Instances.empty(), 0.5)


def test_a_stream_that_switches_size_still_sees_its_tracks_carried_along() -> None:
    class Told:
        def update(self, instances: Instances, time_s: float, *, warp: np.ndarray | None = None):
            self.warp = warp
            return Tracker().update(instances, time_s)

    told = Told()
    steady = SteadyTracker(told)
    steady.update(Instances.empty(), 0.0, (1280, 720))
    steady.update(Instances.empty(), 0.1, (640, 480), warp=similarity(1, 0, (10, 10)))
    np.testing.assert_allclose(told.warp, [[1, 0, 20], [0, 1, 15]])
