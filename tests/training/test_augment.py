"""Image and depth go through the same window; nothing unknown becomes known."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from sweep.space.candidate import Augmentation
from sweep.training.augment import Draw, draw, jitter_colours, sample_depth, sample_images
from sweep.training.targets import log_depth_target, sample_nearest


def augmentation(*, flip: bool = False, min_scale: float | None = None, colour: float = 0.0) -> Augmentation:
    crop = {"kind": "none"} if min_scale is None else {"kind": "random", "min_scale": min_scale}
    return Augmentation.model_validate({"flip": flip, "crop": crop, "colour": colour})


def whole(count: int) -> Draw:
    """Nothing happens to any image."""
    return draw(augmentation(), count, np.random.default_rng(0))


settings = st.builds(
    augmentation,
    flip=st.booleans(),
    min_scale=st.none() | st.floats(0.3, 1),
    colour=st.floats(0, 1),
)


@given(settings, st.integers(0, 2**32 - 1))
def test_windows_lie_inside_of_the_image_and_are_as_large_as_asked(chosen: Augmentation, seed: int) -> None:
    drawn = draw(chosen, 50, np.random.default_rng(seed))
    smallest = chosen.crop.min_scale if chosen.crop.kind == "random" else 1.0
    assert np.all((drawn.scale >= smallest) & (drawn.scale <= 1))
    for start in (drawn.top, drawn.left):
        assert np.all((start >= 0) & (start + drawn.scale <= 1 + 1e-12))
    assert chosen.flip or not drawn.flipped.any()


def test_windows_differ_in_place_and_size_and_about_half_of_the_images_are_mirrored() -> None:
    drawn = draw(augmentation(flip=True, min_scale=0.5), 1000, np.random.default_rng(3))
    assert 0.45 < drawn.flipped.mean() < 0.55
    assert drawn.scale.min() < 0.52
    assert drawn.scale.max() > 0.98
    assert (
        np.abs(
            np.corrcoef([drawn.scale, drawn.top / (1 - drawn.scale), drawn.left / (1 - drawn.scale)])[
                np.triu_indices(3, 1)
            ]
        ).max()
        < 0.1
    )


def test_one_setting_does_not_change_what_the_others_draw() -> None:
    plain = draw(augmentation(flip=True, min_scale=0.5), 20, np.random.default_rng(5))
    coloured = draw(augmentation(flip=True, min_scale=0.5, colour=0.7), 20, np.random.default_rng(5))
    for field in ("flipped", "top", "left", "scale"):
        np.testing.assert_array_equal(getattr(plain, field), getattr(coloured, field))


@pytest.mark.parametrize("size", [(12, 16), (10, 14), (24, 32), (7, 40)])
def test_without_a_crop_sampling_is_a_bilinear_resize(size: tuple[int, int]) -> None:
    images = torch.rand(3, 3, 24, 32, dtype=torch.float64)
    expected = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(sample_images(images, whole(3), size), expected)


def test_a_mirrored_image_is_the_resized_image_mirrored() -> None:
    images = torch.rand(2, 3, 24, 32, dtype=torch.float64)
    drawn = dataclasses.replace(whole(2), flipped=np.array([False, True]))
    plain = sample_images(images, whole(2), (12, 16))
    found = sample_images(images, drawn, (12, 16))
    torch.testing.assert_close(found, torch.stack([plain[0], plain[1].flip(-1)]))


def test_a_window_on_pixel_borders_is_a_slice() -> None:
    images = torch.rand(1, 3, 24, 32, dtype=torch.float64)
    drawn = dataclasses.replace(
        whole(1), top=np.array([6 / 24]), left=np.array([12 / 32]), scale=np.array([0.5])
    )
    torch.testing.assert_close(sample_images(images, drawn, (12, 16)), images[..., 6:18, 12:28])
    depth_mm = np.arange(24 * 32, dtype=np.uint16).reshape(1, 24, 32)
    found = sample_depth(depth_mm, np.array([0]), drawn, (12, 16))
    np.testing.assert_array_equal(found, depth_mm[:, 6:18, 12:28])


@given(settings, st.integers(0, 2**32 - 1))
def test_depth_stays_under_the_image_and_is_never_interpolated(chosen: Augmentation, seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width, size = 30, 40, (11, 13)
    ramp = np.arange(height * width).reshape(height, width)
    images = torch.from_numpy(
        np.stack([ramp // width, ramp % width, 0 * ramp])[None].repeat(4, axis=0)
    ).double()
    depth_mm = ramp[None].astype(np.uint16).repeat(6, axis=0)
    drawn = draw(chosen, 4, rng)

    sampled = sample_images(images, drawn, size)
    found = sample_depth(depth_mm, np.array([5, 0, 2, 2]), drawn, size).astype(int)

    rows, columns = found // width, found % width  # the depth tells which pixel it was taken from
    assert np.abs(sampled[:, 0].numpy() - rows).max() <= 0.5 + 1e-6
    assert np.abs(sampled[:, 1].numpy() - columns).max() <= 0.5 + 1e-6


def test_depth_without_a_crop_is_sampled_at_the_centres() -> None:
    depth_mm = np.arange(8 * 12, dtype=np.uint16).reshape(1, 8, 12)
    expected = depth_mm[:, 1::2, 1::3]
    np.testing.assert_array_equal(sample_depth(depth_mm, np.array([0]), whole(1), (4, 4)), expected)
    np.testing.assert_array_equal(sample_nearest(depth_mm, (4, 4)), expected)


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


def test_colours_keep_their_range_and_differ_between_images() -> None:
    images = torch.rand(16, 3, 6, 8, generator=torch.Generator().manual_seed(0)) * 255
    drawn = draw(augmentation(colour=1.0), 16, np.random.default_rng(0))
    found = jitter_colours(images, drawn)
    assert found.min() >= 0
    assert found.max() <= 255
    assert len({round(float(mean), 3) for mean in found.mean(dim=(1, 2, 3))}) == 16


def test_colours_follow_their_formula() -> None:
    images = torch.full((1, 3, 1, 2), 100.0)
    images[..., 1] = 60.0
    drawn = dataclasses.replace(whole(1), contrast=np.array([0.5]), gain=np.array([[1.0, 1.1, 4.0]]))
    # The mean is 80, so half the contrast makes 90 and 70; then each channel's gain.
    expected = [[90.0, 70.0], [99.0, 77.0], [255.0, 255.0]]
    torch.testing.assert_close(jitter_colours(images, drawn)[0, :, 0], torch.tensor(expected))
