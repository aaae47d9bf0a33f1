"""The baselines against loops over frames and pixels."""

import dataclasses
import math

import numpy as np
import pytest
from small_splits import make_split

from sweep.data import Dataset
from sweep.judging.baselines import baseline_metrics, fit_depth_map
from sweep.judging.metrics import depth_metrics, mean_metrics


def test_the_map_is_the_geometric_mean_of_each_pixels_known_depths(small_dataset: Dataset) -> None:
    depth_mm = small_dataset.train.depth_mm.copy()
    depth_mm[:, 3, 5] = 0  # never known
    depth_mm[:, 4, 6] = [0, 1, 1000, 4000, 0, 0]
    split = dataclasses.replace(small_dataset.train, depth_mm=depth_mm)
    every_log = [math.log(value) for value in depth_mm.flat if value > 1]
    overall = math.exp(math.fsum(every_log) / len(every_log))

    map_mm, constant_mm = fit_depth_map(split)

    assert constant_mm == pytest.approx(overall)
    assert map_mm[3, 5] == pytest.approx(overall)
    assert map_mm[4, 6] == pytest.approx(2000)
    for row, column in np.ndindex(12, 16):
        known = [math.log(value) for value in depth_mm[:, row, column] if value > 1]
        expected = math.exp(math.fsum(known) / len(known)) if known else overall
        assert map_mm[row, column] == pytest.approx(expected)


def test_the_constant_is_judged_as_a_frame_that_holds_it_everywhere(small_dataset: Dataset) -> None:
    found = baseline_metrics(small_dataset)
    validation = small_dataset.validation
    everywhere = np.full(validation.depth_mm.shape[1:], found.constant_mm)
    assert found.constant == mean_metrics(depth_metrics(everywhere, t) for t in validation.depth_mm)


def test_another_split_is_judged_by_predictors_of_the_same_training_frames(small_dataset: Dataset) -> None:
    test = make_split(3, 24, 32, seed=5)
    found = baseline_metrics(small_dataset, test)
    assert found == baseline_metrics(dataclasses.replace(small_dataset, validation=test))
    everywhere = np.full((24, 32), fit_depth_map(small_dataset.train)[1])
    assert found.constant == mean_metrics(depth_metrics(everywhere, truth) for truth in test.depth_mm)
    assert found != baseline_metrics(small_dataset)


def test_no_other_constant_has_a_smaller_si_rmse(small_dataset: Dataset) -> None:
    found = baseline_metrics(small_dataset).constant.si_rmse
    frames = small_dataset.validation.depth_mm
    others = [mean_metrics(depth_metrics(np.full(t.shape, mm), t) for t in frames) for mm in (400, 5e4)]
    assert [other.si_rmse for other in others] == pytest.approx([found, found])


def test_the_map_beats_the_constant_where_the_floor_is_near_and_the_top_is_far(
    small_dataset: Dataset,
) -> None:
    def sloped(frames: int, height: int, width: int) -> np.ndarray:
        rows = np.geomspace(20_000, 1_000, height)[None, :, None]
        scale = np.linspace(0.5, 2, frames)[:, None, None]
        return np.broadcast_to(rows * scale, (frames, height, width)).astype(np.uint16)

    dataset = dataclasses.replace(
        small_dataset,
        train=dataclasses.replace(small_dataset.train, depth_mm=sloped(6, 12, 16)),
        validation=dataclasses.replace(small_dataset.validation, depth_mm=sloped(5, 24, 32)),
    )
    found = baseline_metrics(dataset)
    assert found.constant.si_rmse > 0.8
    assert found.mean_map.si_rmse < 0.1  # the rest is the resize from 12 to 24 rows


def test_a_training_split_without_known_depth_is_an_error(small_dataset: Dataset) -> None:
    unknown = dataclasses.replace(small_dataset.train, depth_mm=np.zeros_like(small_dataset.train.depth_mm))
    with pytest.raises(ValueError, match="no pixel of known depth"):
        fit_depth_map(unknown)
