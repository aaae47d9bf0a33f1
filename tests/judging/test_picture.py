"""The picture's colours."""

import numpy as np
import pytest

from sweep.judging.picture import qualitative_picture


def pixels_of(picture: np.ndarray, colour: np.ndarray) -> int:
    return int((picture == colour).all(axis=-1).sum())


def panel_centres(picture: np.ndarray) -> list[np.ndarray]:
    """The colour in the middle of each third of the picture; the legend narrows the last one a little."""
    middle = picture.shape[0] // 2
    return [picture[middle, round(picture.shape[1] * share)] for share in (0.16, 0.48, 0.78)]


def test_the_picture_shows_image_truth_and_prediction_from_left_to_right() -> None:
    rgb = np.full((48, 64, 3), (10, 200, 30), dtype=np.uint8)
    truth = np.full((48, 64), 3000, dtype=np.uint16)
    picture = qualitative_picture(rgb, truth, truth.astype(np.float32))
    assert (picture.shape, picture.dtype) == ((400, 1560, 3), np.uint8)
    image, true, predicted = panel_centres(picture)
    assert image.tolist() == [10, 200, 30]
    assert true.tolist() == predicted.tolist()  # one scale for both
    assert pixels_of(picture, true) > 2 * 0.9 * pixels_of(picture, image)


def test_nearer_is_brighter() -> None:
    rgb = np.zeros((48, 64, 3), dtype=np.uint8)
    truth = np.geomspace(400, 50_000, 64)[None, :].repeat(48, axis=0).astype(np.uint16)
    near, far = np.full((48, 64), 500.0), np.full((48, 64), 40_000.0)
    brightness = [
        int(panel_centres(qualitative_picture(rgb, truth, prediction))[2].sum()) for prediction in (near, far)
    ]
    assert brightness[0] > 450
    assert brightness[1] < 250


@pytest.mark.parametrize("unknown", [0, 1])
def test_unknown_depth_is_black(unknown: int) -> None:
    rgb = np.full((48, 64, 3), 255, dtype=np.uint8)
    truth = np.full((48, 64), unknown, dtype=np.uint16)
    truth[:4] = 2000
    picture = qualitative_picture(rgb, truth, np.full((48, 64), 2000.0))
    assert panel_centres(picture)[1].tolist() == [0, 0, 0]


def test_a_frame_without_any_known_depth_can_be_drawn() -> None:
    rgb = np.zeros((48, 64, 3), dtype=np.uint8)
    picture = qualitative_picture(rgb, np.zeros((48, 64), np.uint16), np.full((48, 64), 2000.0))
    assert picture.shape == (400, 1560, 3)


def test_arrays_of_different_frames_are_an_error_that_names_their_shapes() -> None:
    with pytest.raises(ValueError, match=r"rgb \(48, 64, 3\).*truth \(24, 32\)"):
        qualitative_picture(np.zeros((48, 64, 3), np.uint8), np.zeros((24, 32)), np.zeros((24, 32)))
