"""What is drawn for each image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.space.candidate import Augmentation
from sweep.training.augment import Draw, draw, keeps_pixels, resamples, sampling_matrices

FIELDS = ("flipped", "upside_down", "top", "left", "scale", "angle", "contrast", "gain")


def augmentation(
    *, flip: bool = False, min_scale: float | None = None, colour: float = 0.0, **new
) -> Augmentation:
    crop = {"kind": "none"} if min_scale is None else {"kind": "random", "min_scale": min_scale}
    return Augmentation.model_validate({"flip": flip, "crop": crop, "colour": colour, **new})


settings = st.builds(
    augmentation,
    flip=st.booleans(),
    min_scale=st.none() | st.floats(0.3, 1),
    colour=st.floats(0, 1),
    rotation=st.just(0.0) | st.floats(0.1, 45),
    vertical_flip=st.booleans(),
)
seeds = st.integers(0, 2**32 - 1)


@given(settings, seeds)
def test_windows_lie_inside_of_the_image_and_nothing_exceeds_its_setting(
    chosen: Augmentation, seed: int
) -> None:
    drawn = draw(chosen, 5, 10, np.random.default_rng(seed))
    assert all(len(getattr(drawn, field)) == len(drawn) == 50 for field in FIELDS)
    smallest = chosen.crop.min_scale if chosen.crop.kind == "random" else 1.0
    assert np.all((drawn.scale >= smallest) & (drawn.scale <= 1))
    for start in (drawn.top, drawn.left):
        assert np.all((start >= 0) & (start + drawn.scale <= 1 + 1e-12))
    assert np.all(np.abs(drawn.angle) <= chosen.rotation)
    assert chosen.flip or not drawn.flipped.any()
    assert chosen.vertical_flip or not drawn.upside_down.any()
    assert np.all(np.abs(drawn.contrast - 1) <= 0.4 * chosen.colour)
    largest = (1 + 0.4 * chosen.colour) * (1 + 0.2 * chosen.colour)
    assert np.all((drawn.gain > 0) & (drawn.gain <= largest + 1e-12))


@given(st.booleans(), st.floats(0.3, 1), st.floats(0, 1), st.integers(1, 7), st.integers(1, 9), seeds)
def test_the_numbers_of_each_batch_follow_each_other_in_one_stream(
    flip: bool, min_scale: float, colour: float, batches: int, size: int, seed: int
) -> None:
    chosen = augmentation(flip=flip, min_scale=min_scale, colour=colour, rotation=5.0, vertical_flip=True)
    drawn = draw(chosen, batches, size, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    for batch in range(batches):
        mirror, cut, y, x = rng.random((4, size))
        brightness, contrast, red, green, blue = rng.uniform(-colour, colour, (5, size))
        scale = 1 - (1 - min_scale) * cut
        found = drawn[batch * size : (batch + 1) * size]
        np.testing.assert_array_equal(found.flipped, (mirror < 0.5) & flip)
        np.testing.assert_array_equal(found.scale, scale)
        np.testing.assert_array_equal(found.top, (1 - scale) * y)
        np.testing.assert_array_equal(found.left, (1 - scale) * x)
        np.testing.assert_array_equal(found.contrast, 1 + 0.4 * contrast)
        cast = 1 + 0.2 * np.stack([red, green, blue], axis=1)
        np.testing.assert_array_equal(found.gain, (1 + 0.4 * brightness)[:, None] * cast)
    np.testing.assert_array_equal(drawn.angle, -5 + 10 * rng.random(batches * size))
    np.testing.assert_array_equal(drawn.upside_down, rng.random(batches * size) < 0.5)


@given(settings, settings, seeds)
def test_one_setting_does_not_change_what_the_others_draw(
    one: Augmentation, other: Augmentation, seed: int
) -> None:
    mixed = one.model_copy(update={"colour": other.colour, "rotation": other.rotation})
    left, right = (draw(chosen, 3, 4, np.random.default_rng(seed)) for chosen in (one, mixed))
    for field in ("flipped", "upside_down", "top", "left", "scale"):
        np.testing.assert_array_equal(getattr(left, field), getattr(right, field))


def test_windows_angles_and_mirrors_differ_and_do_not_depend_on_each_other() -> None:
    chosen = augmentation(flip=True, min_scale=0.5, colour=1.0, rotation=20.0, vertical_flip=True)
    drawn = draw(chosen, 100, 40, np.random.default_rng(3))
    shares = [
        drawn.flipped,
        drawn.upside_down,
        (drawn.scale - 0.5) / 0.5,
        drawn.top / (1 - drawn.scale),
        drawn.left / (1 - drawn.scale),
        drawn.angle / 40 + 0.5,
        (drawn.contrast - 0.6) / 0.8,
    ]
    numbers = np.array(shares, dtype=np.float64)
    np.testing.assert_allclose(numbers.mean(axis=1), 0.5, atol=0.03)
    assert np.all(numbers.min(axis=1) < 0.01)
    assert np.all(numbers.max(axis=1) > 0.99)
    assert np.abs(np.corrcoef(numbers) - np.eye(len(numbers))).max() < 0.06


def test_a_part_of_a_draw_is_that_of_its_images() -> None:
    drawn = draw(augmentation(flip=True, min_scale=0.5, colour=0.3), 2, 6, np.random.default_rng(1))
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(drawn[3:7], field), getattr(drawn, field)[3:7])


@pytest.mark.parametrize(
    ("chosen", "resampled", "kept"),
    [
        (augmentation(), False, True),
        (augmentation(flip=True, vertical_flip=True), False, True),
        (augmentation(flip=True, colour=0.1), False, False),
        (augmentation(min_scale=1.0), True, False),
        (augmentation(rotation=1.0), True, False),
    ],
)
def test_it_is_known_which_settings_move_pixels_whole(
    chosen: Augmentation, resampled: bool, kept: bool
) -> None:
    assert resamples(chosen) == resampled
    assert keeps_pixels(chosen) == kept


def one(*, top=0.0, left=0.0, scale=1.0, angle=0.0, flipped=False, upside_down=False) -> Draw:
    """A draw of one image."""
    numbers = {"top": top, "left": left, "scale": scale, "angle": angle, "contrast": 1.0}
    return Draw(
        flipped=np.array([flipped]),
        upside_down=np.array([upside_down]),
        gain=np.ones((1, 3)),
        **{key: np.array([value]) for key, value in numbers.items()},
    )


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (one(), [[1, 0, 0], [0, 1, 0]]),
        (one(flipped=True), [[-1, 0, 0], [0, 1, 0]]),
        (one(upside_down=True), [[1, 0, 0], [0, -1, 0]]),
        (one(top=0.5, left=0.25, scale=0.5), [[0.5, 0, 0], [0, 0.5, 0.5]]),
        # A right angle: the result's right border shows the lower one of a 30x40 frame, 15 pixels from the
        # centre, 20 pixels away from it: beyond the border.
        (one(angle=90), [[0, -30 / 40, 0], [40 / 30, 0, 0]]),
        (one(angle=90, flipped=True), [[0, -30 / 40, 0], [-40 / 30, 0, 0]]),
    ],
)
def test_matrices_lead_from_the_result_to_the_image(drawn: Draw, expected: list[list[float]]) -> None:
    np.testing.assert_allclose(sampling_matrices(drawn, (30, 40)), [expected], atol=1e-15)
