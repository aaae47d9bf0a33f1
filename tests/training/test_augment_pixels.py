"""Image and depth go through the same window, turn and mirror; nothing unknown becomes known."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as run_settings
from hypothesis import strategies as st
from test_augment import augmentation, one, seeds, settings

from sweep.space.candidate import Augmentation
from sweep.training.augment import Draw, draw, sampling_matrices
from sweep.training.augment_pixels import jitter_colours, mirror, sample_depth, sample_images
from sweep.training.targets import log_depth_target, sample_nearest


def matrices(drawn: Draw, frames: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(sampling_matrices(drawn, tuple(frames.shape[1:3])))


def whole(count: int) -> Draw:
    """Nothing happens to any image."""
    return draw(augmentation(), 1, count, np.random.default_rng(0))


def points_by_hand(
    drawn: Draw, image: int, frame: tuple[int, int], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The rows and columns in the frame, in pixels from its corner, that the result's cells show."""
    height, width = frame
    rows, columns = np.meshgrid(*((np.arange(count) + 0.5) / count for count in size), indexing="ij")
    if drawn.flipped[image]:
        columns = columns[:, ::-1]
    if drawn.upside_down[image]:
        rows = rows[::-1]
    side = drawn.scale[image]
    # Imaginary is up, so that a positive angle turns counter-clockwise: what is seen lies clockwise of it.
    offset = side * (width * (columns - 0.5) - 1j * height * (rows - 0.5))
    seen = offset * np.exp(-1j * math.radians(drawn.angle[image]))
    centre_row = height * (drawn.top[image] + side / 2)
    centre_column = width * (drawn.left[image] + side / 2)
    return centre_row - seen.imag, centre_column + seen.real


def bilinear_by_hand(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(h, w, 3) of an (H, W, 3) image whose border goes on outside of it."""
    height, width = image.shape[:2]
    rows, columns = np.clip(rows - 0.5, 0, height - 1), np.clip(columns - 0.5, 0, width - 1)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, along = (rows - top)[..., None], (columns - left)[..., None]
    upper = image[top, left] * (1 - along) + image[top, right] * along
    lower = image[bottom, left] * (1 - along) + image[bottom, right] * along
    return upper * (1 - down) + lower * down


frame_sizes = st.tuples(st.integers(2, 30), st.integers(2, 40))
sizes = st.tuples(st.integers(1, 25), st.integers(1, 25))


@given(settings, seeds, frame_sizes, sizes)
@run_settings(deadline=None)
def test_images_and_depth_are_those_of_an_inverse_mapping_by_hand(
    chosen: Augmentation, seed: int, frame: tuple[int, int], size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 255, (3, *frame, 3))
    depth_mm = rng.integers(0, 30_000, (3, *frame)).astype(np.int16)
    drawn = draw(chosen, 1, 3, rng)
    found = sample_images(torch.from_numpy(images), matrices(drawn, torch.from_numpy(images)), size).numpy()
    depth = sample_depth(
        torch.from_numpy(depth_mm), matrices(drawn, torch.from_numpy(depth_mm)), size
    ).numpy()
    for image in range(3):
        rows, columns = points_by_hand(drawn, image, frame, size)
        np.testing.assert_allclose(found[image], bilinear_by_hand(images[image], rows, columns), atol=1e-8)
        row, column = np.floor(rows).astype(int), np.floor(columns).astype(int)
        inside = (row >= 0) & (row < frame[0]) & (column >= 0) & (column < frame[1])
        own = depth_mm[image][np.clip(row, 0, frame[0] - 1), np.clip(column, 0, frame[1] - 1)]
        # On the border of two pixels either is right.
        sure = (np.abs(rows - np.rint(rows)) > 1e-6) & (np.abs(columns - np.rint(columns)) > 1e-6)
        np.testing.assert_array_equal(depth[image][sure], np.where(inside, own, 0)[sure])


@given(settings, seeds, sizes)
@run_settings(deadline=None)
def test_depth_stays_under_the_image_and_is_never_interpolated(
    chosen: Augmentation, seed: int, size: tuple[int, int]
) -> None:
    height, width = 30, 40
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    image = torch.from_numpy(np.stack([rows, columns, 0 * rows], axis=-1)).float()
    place = torch.from_numpy(1 + rows * width + columns)  # 0 is unknown
    drawn = draw(chosen, 1, 4, np.random.default_rng(seed))

    images, depth = image.repeat(4, 1, 1, 1), place.repeat(4, 1, 1)
    sampled = sample_images(images, matrices(drawn, images), size)
    found = sample_depth(depth, matrices(drawn, depth), size)

    known = found > 0  # the depth tells which pixel it was taken from
    taken = torch.stack([(found - 1) // width, (found - 1) % width], dim=-1)
    assert ((sampled[..., :2] - taken).abs().amax(dim=-1)[known] <= 0.5 + 1e-4).all()
    assert known.all() or chosen.rotation > 0


@pytest.mark.parametrize("size", [(12, 16), (10, 14), (24, 32), (7, 40)])
def test_without_augmentation_sampling_is_a_bilinear_resize(size: tuple[int, int]) -> None:
    images = torch.rand(3, 24, 32, 3, dtype=torch.float64)
    frames = images.permute(0, 3, 1, 2)
    expected = F.interpolate(frames, size=size, mode="bilinear", align_corners=False)
    found = sample_images(images, matrices(whole(3), images), size)
    torch.testing.assert_close(found, expected.permute(0, 2, 3, 1))


def test_a_window_on_pixel_borders_is_a_slice() -> None:
    images = torch.rand(1, 24, 32, 3, dtype=torch.float64)
    depth_mm = torch.arange(24 * 32).view(1, 24, 32)
    where = matrices(one(top=6 / 24, left=12 / 32, scale=0.5), images)
    torch.testing.assert_close(sample_images(images, where, (12, 16)), images[:, 6:18, 12:28])
    assert torch.equal(sample_depth(depth_mm, where, (12, 16)), depth_mm[:, 6:18, 12:28])


def test_pictures_turn_counter_clockwise_and_are_mirrored_afterwards() -> None:
    images = torch.rand(1, 6, 6, 3, dtype=torch.float64)
    depth_mm = torch.arange(36).view(1, 6, 6)
    turned = matrices(one(angle=90), images)
    torch.testing.assert_close(sample_images(images, turned, (6, 6)), torch.rot90(images, 1, (1, 2)))
    assert torch.equal(sample_depth(depth_mm, turned, (6, 6)), torch.rot90(depth_mm, 1, (1, 2)))
    both = matrices(one(angle=90, flipped=True), images)
    assert torch.equal(sample_depth(depth_mm, both, (6, 6)), torch.rot90(depth_mm, 1, (1, 2)).flip(2))


def test_outside_of_a_turned_frame_the_border_goes_on_and_depth_is_unknown() -> None:
    images = torch.full((1, 40, 40, 3), 100.0)
    images[:, [0, -1], :], images[:, :, [0, -1]] = 7.0, 7.0
    depth_mm = torch.full((1, 40, 40), 500)
    where = matrices(one(angle=45), images)
    image, depth = sample_images(images, where, (40, 40))[0], sample_depth(depth_mm, where, (40, 40))[0]
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert image[row, column].tolist() == [7.0, 7.0, 7.0]
        assert depth[row, column] == 0
    # An octagon remains: what two squares, turned by 45 degrees, have in common.
    assert float((depth > 0).float().mean()) == pytest.approx(2 * math.sqrt(2) - 2, abs=0.02)


@pytest.mark.parametrize("axis", [1, 2])
def test_only_the_chosen_frames_are_mirrored(axis: int) -> None:
    frames = torch.randint(0, 256, (5, 4, 6, 3), dtype=torch.uint8)
    which = torch.tensor([True, False, False, True, False])
    expected = torch.stack(
        [frame.flip(axis - 1) if chosen else frame for frame, chosen in zip(frames, which, strict=True)]
    )
    assert torch.equal(mirror(frames, which, axis), expected)


def test_depth_without_a_crop_is_sampled_at_the_centres() -> None:
    depth_mm = torch.arange(8 * 12).view(1, 8, 12)
    assert torch.equal(sample_depth(depth_mm, matrices(whole(1), depth_mm), (4, 4)), depth_mm[:, 1::2, 1::3])


@given(frame_sizes, sizes)
@run_settings(deadline=None)
def test_both_nearest_samplings_agree_on_every_tie(frame: tuple[int, int], size: tuple[int, int]) -> None:
    depth_mm = np.arange(frame[0] * frame[1], dtype=np.uint16).reshape(1, *frame)
    frames = torch.from_numpy(depth_mm.astype(np.int64))
    found = sample_depth(frames, matrices(whole(1), frames), size)
    np.testing.assert_array_equal(found.numpy(), sample_nearest(depth_mm, size))


@pytest.mark.parametrize("size", [(5, 9), (8, 12), (16, 24), (3, 3)])
def test_nearest_sampling_is_torchs_exact_kind(size: tuple[int, int]) -> None:
    depth_mm = np.random.default_rng(0).integers(0, 65_536, (2, 8, 12)).astype(np.uint16)
    floats = torch.from_numpy(depth_mm.astype(np.float64))[:, None]
    expected = F.interpolate(floats, size=size, mode="nearest-exact")[:, 0].numpy()
    np.testing.assert_array_equal(sample_nearest(depth_mm, size), expected)


def test_the_target_is_the_log_of_metres_and_knows_what_is_unknown() -> None:
    target, valid = log_depth_target(torch.tensor([0, 1, 2, 1000, 65_535]))
    assert valid.tolist() == [False, False, True, True, True]
    assert target.isfinite().all()
    assert target[2:].tolist() == pytest.approx(np.log([0.002, 1.0, 65.535]).tolist())


@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.floats(0, 1), seeds)
@run_settings(deadline=None)
def test_colours_follow_their_formula(count: int, height: int, width: int, colour: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = draw(augmentation(colour=colour), 1, count, rng)
    images = rng.uniform(0, 255, (count, height, width, 3))
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    contrast, gain = drawn.contrast[:, None, None, None], drawn.gain[:, None, None, :]
    expected = np.clip((mean + contrast * (images - mean)) * gain, 0, 255)
    found = jitter_colours(*(torch.from_numpy(values) for values in (images, drawn.contrast, drawn.gain)))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)


def test_colours_keep_their_range() -> None:
    images = torch.full((1, 1, 2, 3), 100.0)
    images[:, :, 1] = 60.0
    found = jitter_colours(images, torch.tensor([0.5]), torch.tensor([[1.0, 1.1, 4.0]]))
    # The mean is 80, so half the contrast makes 90 and 70; then each channel's gain.
    torch.testing.assert_close(found[0, 0], torch.tensor([[90.0, 99.0, 255.0], [70.0, 77.0, 255.0]]))
