"""The truth of a frame: disjoint masks, boxes, visibility, places, speeds, counts; and that it equals the picture."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from demos.scenes import script
from demos.scenes.camera import Camera, Rig
from demos.scenes.layers import painters_order
from demos.scenes.motion import Trajectory
from demos.scenes.road import COUNT_LINE_M, road
from demos.scenes.shop import shop
from demos.scenes.world import Backdrop, Scene

NAMES = ["small_road", "small_shop"]


@pytest.fixture(params=NAMES)
def scene(request):
    return request.getfixturevalue(request.param)


def check_truth(truth):
    """What holds for every frame of every scene."""
    count = len(truth)
    masks = truth.masks()
    assert (masks.sum(axis=0) <= 1).all()
    np.testing.assert_array_equal(masks.sum(axis=(1, 2)), truth.areas_px)
    assert (np.diff(truth.ids) > 0).all()
    assert ((truth.visibility >= 0) & (truth.visibility <= 1)).all()
    np.testing.assert_array_equal(truth.visibility > 0, truth.areas_px > 0)
    for row in range(count):
        rows, columns = np.nonzero(masks[row])
        if len(rows):
            tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert truth.boxes[row].tolist() == tight
            low, high = truth.amodal_boxes[row, :2], truth.amodal_boxes[row, 2:]
            assert (truth.boxes[row, :2] >= low - 1).all()
            assert (truth.boxes[row, 2:] <= high + 1).all()
        else:
            assert truth.boxes[row].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("time_s", [0.0, 3.3, 8.7])
def test_masks_are_disjoint_and_inside_their_boxes(scene, time_s):
    truth = scene.truth(time_s)
    assert len(truth) >= 2
    check_truth(truth)


def test_the_fast_path_gives_the_truth_of_the_picture(scene):
    rendered, quick = scene.render(4.1), scene.truth(4.1)
    assert rendered.image.shape == (180, 320, 3)
    np.testing.assert_array_equal(rendered.truth.labels, quick.labels)
    np.testing.assert_array_equal(rendered.truth.visibility, quick.visibility)
    np.testing.assert_array_equal(rendered.truth.amodal_boxes, quick.amodal_boxes)


def test_pixels_outside_all_masks_and_shadows_show_the_scenery(scene):
    quiet = type(scene)(
        name="quiet", actors=scene.actors, rig=scene.rig, backdrop=scene.backdrop, duration_s=1, light=scene.light
    )
    rendered = quiet.render(4.1)
    changed = np.abs(rendered.image.astype(int) - scene.backdrop.image.astype(int)).max(axis=2) > 40
    owned = rendered.truth.labels > 0
    assert changed[owned].mean() > 0.5
    unshadowed = scene.backdrop.shadowed == 0
    near = np.zeros_like(owned)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            near |= np.roll(owned, (dy, dx), axis=(0, 1))
    assert not changed[unshadowed & ~near].any()


BUILDERS = [(road, "small_road"), (shop, "small_shop")]


@pytest.mark.quick("shop-small_shop")
@pytest.mark.parametrize(("build", "name"), BUILDERS)
def test_the_same_seed_gives_the_same_pixels(build, name, request):
    first = request.getfixturevalue(name).render(2.0)
    importlib.import_module(build.__module__)._backdrop.cache_clear()
    again = build(seed=5, size=first.truth.size, duration_s=12.0).render(2.0)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.truth.labels, again.truth.labels)


@pytest.mark.quick("road-small_road-options0")
@pytest.mark.parametrize(
    ("build", "name", "options"), [(road, "small_road", {"shake_px": 1.5}), (shop, "small_shop", {"pan_deg": 6.0})]
)
def test_a_moving_camera_keeps_truth_and_homography(build, name, options, request):
    moving = build(seed=5, size=(160, 90), duration_s=12.0, **options)
    rendered, still = moving.render(5.0), request.getfixturevalue(name).truth(5.0)
    check_truth(rendered.truth)
    assert not np.allclose(rendered.truth.homography, moving.rig.camera.homography)
    assert rendered.image.shape == (90, 160, 3)
    both = np.isin(still.ids, rendered.truth.ids)
    assert both.sum() >= 2
    rows = np.searchsorted(rendered.truth.ids, still.ids[both])
    np.testing.assert_array_equal(still.positions_m[both], rendered.truth.positions_m[rows])


@pytest.mark.quick("shop-small_shop")
@pytest.mark.parametrize(("build", "name"), BUILDERS)
def test_a_varied_camera_and_another_seed_show_something_else(build, name, request):
    usual = request.getfixturevalue(name)
    varied = build(seed=6, size=(160, 90), duration_s=3.0, vary_camera=True)
    assert varied.rig.camera.position_m != usual.rig.camera.position_m
    assert varied.rig.camera.focal_px / 160 != usual.rig.camera.focal_px / 320
    starts = [
        [path.positions_m[0].tolist() for one in scene.actors for path in one.trajectories] for scene in (usual, varied)
    ]
    assert starts[0][0] != starts[1][0]
    check_truth(varied.truth(1.0))


def test_ground_positions_project_into_amodal_boxes(scene):
    for time_s in (1.0, 5.0, 9.0):
        truth = scene.truth(time_s)
        mapped = np.column_stack([truth.positions_m, np.ones(len(truth))]) @ truth.homography.T
        feet = mapped[:, :2] / mapped[:, 2:]
        # A foot in the air lifts the silhouette a little off the ground point.
        slack = 1 + 0.05 * (truth.amodal_boxes[:, 3:] - truth.amodal_boxes[:, 1:2])
        inside = (feet >= truth.amodal_boxes[:, :2] - slack) & (feet <= truth.amodal_boxes[:, 2:] + slack)
        whole = (truth.amodal_boxes[:, 3] < truth.size[1]) & (mapped[:, 2] > 0)
        assert inside[whole].all()


def test_speeds_are_finite_differences_of_positions(scene):
    step = 1e-3
    for time_s in (2.0, 6.0):
        before, now, after = (scene.truth(time_s + offset) for offset in (-step, 0.0, step))
        for row, identity in enumerate(now.ids):
            first, last = np.flatnonzero(before.ids == identity), np.flatnonzero(after.ids == identity)
            if len(first) and len(last):
                moved = after.positions_m[last[0]] - before.positions_m[first[0]]
                np.testing.assert_allclose(now.velocities_m_s[row], moved / (2 * step), atol=2e-2)
                assert now.speeds_m_s[row] == pytest.approx(np.hypot(*now.velocities_m_s[row]))


def test_vehicles_drive_at_road_speed_and_people_walk(small_road, small_shop):
    assert 10 < small_road.truth(6.0).speeds_m_s.mean() < 22
    assert small_shop.truth(6.0).speeds_m_s.max() < 2.0


def test_frames_carry_times_and_pictures():
    scene = script.crossing(size=(160, 90))
    pairs = list(scene.frames(10, 0.5))
    assert [frame.index for frame, _ in pairs] == [0, 1, 2, 3, 4]
    assert [frame.time_s for frame, _ in pairs] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert pairs[0][0].image.shape == (90, 160, 3)
    assert [truth.time_s for _, truth in pairs] == [frame.time_s for frame, _ in pairs]
    assert len(list(scene.truths(10, 0.5))) == 5


def test_counts_of_a_scripted_scene():
    scene = script.exit_and_reentry(size=(320, 180))
    assert scene.count_visible(5) == {0: {1, 2}}
    assert script.empty(size=(160, 90)).count_visible(5) == {}
    hidden = script.full_occlusion(size=(320, 180))
    assert hidden.count_visible(10, 2.0, min_visibility=0.99) == {0: {1}}


def test_crossings_of_a_line_have_time_identity_and_direction():
    scene = script.exit_and_reentry(size=(160, 90))
    crossings = scene.crossings(((0.0, 3.0), (20.0, 3.0)))
    assert [(one.identity, one.direction) for one in crossings] == [(1, 1), (1, -1)]
    assert crossings[0].time_s == pytest.approx(3.0 / 1.3, abs=0.1)
    assert scene.crossings(((0.0, 3.0), (5.0, 3.0))) == []
    assert len(scene.crossings(((0.0, 3.0), (20.0, 3.0)), duration_s=3.0)) == 1


def test_everybody_on_the_road_crosses_the_counting_line(small_road):
    for crossing in small_road.crossings(COUNT_LINE_M):
        direction = next(a for a in small_road.actors if a.identity == crossing.identity).trajectories[0]
        assert np.sign(direction.at(crossing.time_s).velocity_m_s[0]) == -crossing.direction


def test_two_actors_may_not_share_an_identity():
    times = np.array([0.0, 1.0])
    path = Trajectory(times_s=times, positions_m=np.zeros((2, 2)))
    twin = script.CutOut(identity=1, class_id=0, trajectories=(path,), colour=(1, 2, 3))
    camera = Camera(position_m=(0, 0, 1), yaw_rad=0, pitch_rad=0, focal_px=10, size=(16, 9))
    empty = Backdrop(
        image=np.zeros((9, 16, 3), np.uint8),
        range_m=np.full((9, 16), np.inf, np.float32),
        shadowed=np.zeros((9, 16), np.uint8),
    )
    with pytest.raises(ValueError, match="one identity per actor"):
        Scene(name="twins", actors=[twin, twin], rig=Rig(camera=camera), backdrop=empty, duration_s=1)


def test_long_footprints_are_ordered_by_the_line_between_them():
    # A long lorry beside the camera hides the car in the next lane, though its own middle is farther away.
    lorry = np.array([[0.0, 2], [30, 2], [30, 4], [0, 4]])
    car = np.array([[2.0, 5], [6, 5], [6, 7], [2, 7]])
    assert painters_order([lorry, car], np.zeros(2)) == [1, 0]
    assert painters_order([car, lorry], np.zeros(2)) == [0, 1]


def test_visibility_falls_as_an_actor_leaves_the_picture():
    scene = script.exit_and_reentry(size=(320, 180))
    rows = [truth for truth in scene.truths(20, 5.0) if truth.ids[0] == 1 and len(truth) == 2]
    visibility = np.array([truth.visibility[0] for truth in rows])
    assert visibility[0] == 1
    assert (np.diff(visibility) < 0.02).all()
    assert visibility[-1] < 0.25
    cut = next(truth for truth in rows if truth.visibility[0] < 0.6)
    x1, _, x2, _ = cut.amodal_boxes[0]
    assert x1 < 0 < x2
    assert cut.visibility[0] == pytest.approx(x2 / (x2 - x1), abs=0.15)


def test_scenery_before_an_actor_hides_it():
    scene = script.full_occlusion(size=(320, 180))
    visibility = np.array([truth.visibility[0] for truth in scene.truths(10)])
    assert visibility[0] == 1
    assert (visibility == 0).sum() >= 5
    assert visibility[50] == 1
