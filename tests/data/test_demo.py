"""The demo data: exact geometry, plausible measurements, the same pixels for the same seed."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sweep.data import Dataset, DemoSize, prepare_dataset, prepare_test_split
from sweep.data.demo import sensor
from sweep.data.demo.generate import atlas, choose_scene, demo_pair, render
from sweep.data.demo.scene import Builder, Camera, Material, Pose, Scene, clearance
from sweep.data.demo.solids import Light
from sweep.data.demo.textures import Texture
from sweep.data.parallel import map_indices
from sweep.data.prepare import demo_test_name

STONE = Material(Texture.CONCRETE)
HEIGHT, WIDTH = 120, 160
HERE = Pose(0, 0)


@pytest.fixture(scope="module")
def textures() -> NDArray[np.uint8]:
    return atlas()


def light(**changes: object) -> Light:
    zero, one = np.zeros(3), np.ones(3)
    sun = Light(
        position=np.array([0.0, 0.0, 1.0]), spread_u=zero, spread_v=zero, colour=3 * one, is_sun=True,
        above=0.5 * one, below=0.2 * one, zenith=one, horizon=one, clouds=0.0, haze=0.0, reach=1.0,
    )  # fmt: skip
    return sun._replace(**changes)


def camera_rays(camera: Camera) -> NDArray[np.float64]:
    """(H, W, 3) directions whose component along the optical axis is 1, from angles alone."""
    c, s = math.cos(camera.yaw), math.sin(camera.yaw)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    c, s = math.cos(camera.pitch), math.sin(camera.pitch)
    tilt = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    c, s = math.cos(camera.roll), math.sin(camera.roll)
    roll = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    half = math.tan(camera.horizontal_fov / 2)
    x = (np.arange(WIDTH) + 0.5 - WIDTH / 2) / (WIDTH / 2) * half
    z = -(np.arange(HEIGHT) + 0.5 - HEIGHT / 2) / (WIDTH / 2) * half
    rays = np.stack(np.broadcast_arrays(x[None, :], 1.0, z[:, None]), axis=-1)
    return np.asarray(rays @ (turn @ tilt @ roll).T)


def depth_of(builder: Builder, camera: Camera, textures: NDArray[np.uint8]) -> NDArray[np.float64]:
    return render(Scene(builder.pack(), camera, light()), textures, HEIGHT, WIDTH)[1]


CAMERAS = [
    Camera((0.3, -4.0, 1.6), 0.0, 0.0, 0.0, math.radians(70)),
    Camera((2.0, -3.0, 2.5), 0.5, -0.4, 0.1, math.radians(90)),
    Camera((-2.5, 3.0, 0.8), -2.4, 0.2, -0.2, math.radians(60)),
]


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_ground_is_where_its_plane_is(camera: Camera, textures: NDArray[np.uint8]) -> None:
    builder = Builder()
    builder.box(HERE, (0, 0, -1), (500, 500, 1), STONE)
    rays = camera_rays(camera)
    with np.errstate(divide="ignore"):
        expected = -camera.position[2] / rays[..., 2]
    near = (expected > 0) & (expected < 100)
    depth_m = depth_of(builder, camera, textures)
    assert near.any()
    np.testing.assert_allclose(depth_m[near], expected[near], rtol=1e-9)
    assert (depth_m[rays[..., 2] > 1e-6] == 0).all()


@pytest.mark.parametrize("camera", CAMERAS)
def test_a_turned_ellipsoid_is_where_its_quadric_is(camera: Camera, textures: NDArray[np.uint8]) -> None:
    yaw, centre, half = 0.7, np.array([0.2, 0.1, 1.2]), np.array([1.1, 0.6, 0.8])
    builder = Builder()
    builder.ellipsoid(Pose(centre[0], centre[1], 0, yaw), (0, 0, centre[2]), tuple(half), STONE)
    c, s = math.cos(yaw), math.sin(yaw)
    axes = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    shape = axes.T @ np.diag(half**-2.0) @ axes
    rays, away = camera_rays(camera), np.array(camera.position) - centre
    a = np.einsum("hwi,ij,hwj->hw", rays, shape, rays)
    b = np.einsum("hwi,ij,j->hw", rays, shape, away)
    root = b * b - a * (away @ shape @ away - 1)
    expected = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, 0)
    expected = np.where(expected > 0, expected, 0)
    assert (expected > 0).sum() > 100
    np.testing.assert_allclose(depth_of(builder, camera, textures), expected, rtol=1e-9)


def inside_box(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((np.abs(points) <= 1).all(axis=-1))


def inside_cut_cone(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    radius = 1 + (0.4 - 1) * (points[..., 2] + 1) / 2
    return np.asarray((np.hypot(points[..., 0], points[..., 1]) <= radius) & (np.abs(points[..., 2]) <= 1))


def inside_gable(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    wide = 1 - (points[..., 2] + 1) / 2
    x, y, z = np.moveaxis(points, -1, 0)
    return np.asarray((np.abs(x) <= 1) & (np.abs(y) <= wide) & (np.abs(z) <= 1))


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("solid", ["box", "cut cone", "gable"])
def test_a_solid_begins_where_marching_along_the_ray_enters_it(
    solid: str, camera: Camera, textures: NDArray[np.uint8]
) -> None:
    yaw, half = 0.4, (0.9, 0.9, 1.2) if solid == "cut cone" else (0.8, 1.3, 1.0)
    pose, builder = Pose(0.1, -0.2, 0, yaw), Builder()
    if solid == "box":
        builder.box(pose, (0, 0, 1.3), half, STONE)
    elif solid == "cut cone":
        builder.frustum(pose, (0, 0, 1.3), half[0], half[2], STONE, top=0.4)
    else:
        builder.taper(pose, (0, 0, 1.3), half, STONE, (1.0, 0.0))
    inside = {"box": inside_box, "cut cone": inside_cut_cone, "gable": inside_gable}[solid]
    c, s = math.cos(yaw), math.sin(yaw)
    to_unit = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) / np.array(half)[:, None]
    start = to_unit @ (np.array(camera.position) - (0.1, -0.2, 1.3))
    rows, columns = np.mgrid[3:HEIGHT:9, 2:WIDTH:9]
    rays = camera_rays(camera)[rows, columns] @ to_unit.T
    steps = np.arange(0, 9, 0.002)
    hits = inside(start + steps[:, None, None, None] * rays)
    expected = np.where(hits.any(axis=0), steps[hits.argmax(axis=0)], 0)
    depth_m = depth_of(builder, camera, textures)[rows, columns]
    grazed = (depth_m > 0) != (expected > 0)  # a ray may cut off less than one step
    assert (expected > 0).sum() > 15
    assert grazed.mean() < 0.01
    assert np.abs(depth_m - expected)[~grazed].max() < 0.0021


def test_the_nearer_solid_hides_the_farther(textures: NDArray[np.uint8]) -> None:
    builder = Builder()
    for y in (9.0, 3.0, 6.0):
        builder.box(HERE, (0, y, 0), (5, 0.1, 5), STONE)
    depth_m = depth_of(builder, Camera((0, 0, 0), 0, 0, 0, 1.0), textures)
    np.testing.assert_allclose(depth_m, 2.9)


def test_a_roof_throws_a_shadow_of_its_size(textures: NDArray[np.uint8]) -> None:
    builder = Builder()
    builder.box(HERE, (0, 0, -1), (50, 50, 1), STONE)
    builder.box(HERE, (0, 10, 6), (2, 2, 0.1), STONE)
    camera = Camera((0, 0, 3), 0, -0.3, 0, math.radians(60))
    image, depth_m = render(Scene(builder.pack(), camera, light(reach=0.01)), textures, HEIGHT, WIDTH)
    ground = np.array(camera.position) + depth_m[..., None] * camera_rays(camera)
    flat = (depth_m > 0) & (np.abs(ground[..., 2]) < 1e-6)
    sides = np.maximum(np.abs(ground[..., 0]), np.abs(ground[..., 1] - 10))
    brightness = image.mean(axis=2)
    shaded, open_ = flat & (sides < 1.7), flat & (sides > 2.6)
    assert shaded.sum() > 50
    assert np.median(brightness[shaded]) < 0.35 * np.median(brightness[open_])


def test_clearance_is_the_distance_to_the_nearest_box() -> None:
    builder = Builder()
    builder.box(Pose(0, 0, 0, math.pi / 2), (0, 0, 0), (2, 1, 1), STONE)
    assert clearance(builder.pack(), (4, 0, 0)) == pytest.approx(3)
    assert clearance(builder.pack(), (0, 5, 0)) == pytest.approx(3)
    assert clearance(builder.pack(), (0, 1.5, 0)) == 0


def test_a_seed_gives_the_same_pair_on_any_number_of_threads(textures: NDArray[np.uint8]) -> None:
    def pair(index: int) -> tuple[bytes, bytes]:
        rgb, depth_mm = demo_pair("train", index, textures, 60, 80)
        return rgb.tobytes(), depth_mm.tobytes()

    one = map_indices(pair, 12, 1, "", lambda *_: None)
    four = map_indices(pair, 12, 4, "", lambda *_: None)
    assert one == four


def test_no_scene_is_in_two_splits(textures: NDArray[np.uint8]) -> None:
    pictures = [
        demo_pair(split, index, textures, 60, 80)[0].tobytes()
        for split in ("train", "validation", "test")
        for index in range(12)
    ]
    assert len(set(pictures)) == 36


def test_demo_data_say_what_they_are_and_keep_to_their_ranges(tiny_demo: Dataset) -> None:
    assert (tiny_demo.name, tiny_demo.is_demo) == ("demo-1-12x4", True)
    assert tiny_demo.train.rgb.shape == (12, 240, 320, 3)
    assert tiny_demo.validation.rgb.shape == (4, 480, 640, 3)
    for split in (tiny_demo.train, tiny_demo.validation):
        known = split.depth_mm > 0
        assert split.depth_mm[known].min() >= 400
        assert split.depth_mm.max() <= 50_000
        assert (known.mean(axis=(1, 2)) > 0.3).all()
        assert (split.rgb.std(axis=(1, 2, 3)) > 8).all()


def test_two_builds_of_the_demo_data_are_equal(tiny_demo: Dataset, tmp_path: Path) -> None:
    again = prepare_dataset(None, tmp_path, lambda *_: None, demo_size=DemoSize(12, 4))
    assert again.path != tiny_demo.path
    assert again.fingerprint == tiny_demo.fingerprint
    larger = prepare_dataset(None, tmp_path, lambda *_: None, demo_size=DemoSize(13, 4))
    assert larger.name != tiny_demo.name
    np.testing.assert_array_equal(larger.train.rgb[:12], tiny_demo.train.rgb)


def test_the_held_out_demo_frames_are_rendered_when_asked_for_and_then_kept(tmp_path: Path) -> None:
    steps: list[str] = []
    searched = prepare_dataset(None, tmp_path, lambda step, *_: steps.append(step), demo_size=DemoSize(2, 1))
    assert set(steps) == {"compiling the renderer", "rendering train", "rendering validation"}
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [searched.path]

    steps.clear()
    held_out = prepare_test_split(None, tmp_path, lambda step, *_: steps.append(step), demo_frames=3)
    assert set(steps) == {"compiling the renderer", "rendering test"}
    assert (held_out.name, held_out.is_demo, held_out.frames) == ("demo-1-test-3", True, 3)
    assert held_out.names == ("test-00000", "test-00001", "test-00002")
    for index in range(3):
        rgb, depth_mm = demo_pair("test", index, atlas(), 480, 640)
        np.testing.assert_array_equal(held_out.rgb[index], rgb)
        np.testing.assert_array_equal(held_out.depth_mm[index], depth_mm)

    steps.clear()
    again = prepare_test_split(None, tmp_path, lambda step, *_: steps.append(step), demo_frames=3)
    assert (again.path, again.fingerprint, steps) == (held_out.path, held_out.fingerprint, [])


def test_the_held_out_demo_frames_carry_their_number_unless_it_is_the_usual_one() -> None:
    assert (demo_test_name(100), demo_test_name(99)) == ("demo-1-test", "demo-1-test-99")
    with pytest.raises(ValueError, match="at least one pair, found 0"):
        demo_test_name(0)


@pytest.mark.parametrize("size", [(0, 1), (1, 0)])
def test_an_empty_demo_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least one pair per split"):
        DemoSize(*size)


def test_every_scene_has_room_around_its_camera(textures: NDArray[np.uint8]) -> None:
    for index in range(60):
        scene, _ = choose_scene("validation", index, textures)
        assert clearance(scene.solids, scene.camera.position) > 0.1
        for axes in scene.solids.axes:
            np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)


def test_measured_depth_is_near_the_truth_or_unknown() -> None:
    depth_m = np.tile(np.geomspace(0.2, 70, 320), (240, 1))[:, ::-1].copy()
    depth_m[:40] = 0
    measured = sensor.measure(depth_m, 250.0, np.random.default_rng(3)) / 1000
    known = measured > 0
    error = np.abs(measured - depth_m)
    assert not known[:40].any()
    assert not known[(depth_m < 0.39) | (depth_m > 53)].any()
    assert known[(depth_m > 0.5) & (depth_m < 45)].mean() > 0.9
    assert error[known & (depth_m <= 8)].max() < 0.2
    assert 0.003 < error[known & (depth_m > 4) & (depth_m < 8)].mean() < 0.1
    assert (error[known] <= 0.03 * depth_m[known] + 0.2).all()


def test_the_right_camera_cannot_see_just_left_of_a_near_edge() -> None:
    depth_m = np.full((1, 200), 8.0)
    depth_m[0, 100:150] = 1.0
    hidden = np.flatnonzero(sensor.occluded(depth_m, 300.0)[0])
    width = 300 * 0.063 * (1 / 1.0 - 1 / 8.0)  # the difference of the disparities
    assert hidden[-1] == 99
    assert abs(len(hidden) - width) < 2


@pytest.mark.long
def test_neither_a_constant_nor_the_mean_map_predicts_the_demo_depth(textures: NDArray[np.uint8]) -> None:
    depth_mm = np.stack([demo_pair("validation", n, textures, 60, 80)[1] for n in range(200)]).astype(float)
    known = depth_mm > 0
    logs = np.where(known, np.log(np.maximum(depth_mm, 1)), 0)
    mean_map = logs.sum(axis=0) / known.sum(axis=0)

    def si_rmse(guess: NDArray[np.float64]) -> float:
        return float(np.mean([np.std((guess - t)[k]) for t, k in zip(logs, known, strict=True)]))

    assert 0.5 < si_rmse(np.zeros((60, 80))) < 0.8
    assert si_rmse(mean_map) > 0.4
    assert 3000 < np.median(depth_mm[known]) < 7000
    assert np.mean(depth_mm[known] > 20_000) > 0.03
