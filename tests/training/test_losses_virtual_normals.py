"""Virtual normals against float64 loops over triples, and how the triples are drawn."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from loss_cases import Case, cases, compare, random_case
from torch import Tensor

from sweep.training.losses import draw_triples, normal_difference, virtual_normal

Point = tuple[float, float, float]


def point(log_depth: np.ndarray, place: int) -> Point:
    """Of a camera whose image is 640 wide, 480 high and has a focal length of 0.7 x 640 pixels."""
    height, width = log_depth.shape
    row, column = divmod(place, width)
    z = math.exp(log_depth[row, column])
    x = (640 * (column + 0.5) / width - 320) / (0.7 * 640) * z
    y = (480 * (row + 0.5) / height - 240) / (0.7 * 640) * z
    return x, y, z


def unit_normal(a: Point, b: Point, c: Point) -> np.ndarray:
    normal = np.cross(np.subtract(b, a), np.subtract(c, a))
    return normal / max(float(np.linalg.norm(normal)), 1e-300)


def well_apart(corners: tuple[Point, Point, Point]) -> bool:
    """All sides above 0.6 m and all angles above 30 degrees."""
    for a, b, c in itertools.permutations(corners):
        side, other = np.subtract(b, a), np.subtract(c, a)
        lengths = float(np.linalg.norm(side)), float(np.linalg.norm(other))
        if min(lengths) <= 0.6:
            return False
        if math.degrees(math.acos(np.clip(side @ other / (lengths[0] * lengths[1]), -1, 1))) <= 30:
            return False
    return True


def difference_by_loop(case: Case, triples: Tensor) -> float:
    prediction, target, valid = (part[:, 0].numpy() for part in case)
    per_image = []
    for image, drawn in enumerate(triples.tolist()):
        found = []
        for places in drawn:
            if not valid[image].ravel()[places].all():
                continue
            truth = tuple(point(target[image], place) for place in places)
            if well_apart(truth):
                predicted = (point(prediction[image], place) for place in places)
                found.append(float(np.abs(unit_normal(*predicted) - unit_normal(*truth)).sum()))
        if found:
            per_image.append(np.mean(found))
    return float(np.mean(per_image)) if per_image else 0.0


@settings(max_examples=30, deadline=None)  # loops over triples in Python
@given(cases())
def test_the_loss_equals_the_formula_on_the_triples_drawn(case: Case) -> None:
    expected = difference_by_loop(case, draw_triples(compare(case)))
    assert float(virtual_normal(compare(case))) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_loss_equals_the_formula_on_any_triples_unknown_and_repeated_pixels_among_them() -> None:
    case = random_case(3, (3, 12, 16), known=0.6)
    triples = torch.from_numpy(np.random.default_rng(4).integers(0, 12 * 16, (3, 400, 3)))
    triples[:, :20, 1] = triples[:, :20, 0]
    expected = difference_by_loop(case, triples)
    assert expected > 0.1
    assert float(normal_difference(compare(case), triples)) == pytest.approx(expected, rel=1e-9)


def test_a_common_scale_of_the_scene_turns_no_normal() -> None:
    prediction, target, valid = random_case(5, (3, 20, 24))
    scales = torch.tensor([1.5, -0.5, 0.0]).view(3, 1, 1, 1)
    scaled = virtual_normal(compare((prediction + scales, target, valid)))
    assert float(scaled) == pytest.approx(float(virtual_normal(compare((prediction, target, valid)))))
    assert float(virtual_normal(compare((target + scales, target, valid)))) == pytest.approx(0, abs=1e-9)


def test_triples_are_of_known_pixels_and_each_is_as_likely_as_another() -> None:
    rng = np.random.default_rng(6)
    valid = torch.from_numpy(rng.random((1, 1, 12, 16)) < 0.4)
    counts = torch.zeros(12 * 16)
    draws = 0
    for _ in range(400):
        target = torch.from_numpy(rng.normal(1, 0.5, (1, 1, 12, 16)))
        drawn = draw_triples(compare((target, target, valid)))
        assert drawn.shape == (1, round(0.15 * 12 * 16), 3)
        counts += torch.bincount(drawn.flatten(), minlength=12 * 16)
        draws += drawn.numel()
    known = valid.flatten()
    expected = draws / int(known.sum())
    assert counts[~known].sum() == 0
    # Chi-square of so many cells: its mean is their number less one, its variance twice that.
    freedom = int(known.sum()) - 1
    chi_square = float(((counts[known] - expected) ** 2 / expected).sum())
    assert abs(chi_square - freedom) < 4 * math.sqrt(2 * freedom)


def test_the_points_of_a_triple_are_drawn_independently() -> None:
    valid = torch.ones(8, 1, 40, 50, dtype=torch.bool)
    target = random_case(7, (8, 40, 50))[1]
    drawn = draw_triples(compare((target, target, valid))).double().flatten(0, 1)
    correlations = torch.corrcoef(drawn.T) - torch.eye(3)
    assert correlations.abs().max() < 4 / math.sqrt(len(drawn))


def test_each_step_and_each_image_draws_others_and_the_same_step_the_same() -> None:
    prediction, target, valid = random_case(8, (3, 20, 24), known=1.0)
    valid[-1] = True
    drawn = draw_triples(compare((prediction, target, valid)))
    again = draw_triples(compare((prediction.roll(1), target.clone(), valid)))
    other_step = draw_triples(compare((prediction, target + 1e-3, valid)))
    assert torch.equal(drawn, again)
    assert (drawn == other_step).float().mean() < 0.05
    assert (drawn[0] == drawn[1]).float().mean() < 0.05


def test_drawing_leaves_torchs_random_state_alone() -> None:
    before = torch.get_rng_state()
    draw_triples(compare(random_case(9)))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_prediction_far_out_of_range_has_a_finite_loss_and_gradient() -> None:
    prediction, target, valid = random_case(10, (3, 20, 24))
    wild = (prediction.float() * 500).requires_grad_()
    value = virtual_normal(compare((wild, target.float(), valid)))
    value.backward()
    assert value.isfinite()
    assert wild.grad is not None
    assert wild.grad.isfinite().all()
