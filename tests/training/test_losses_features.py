"""Feature losses against float64 loops over places and pairs of places."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sweep.training.losses import feature_l2, pairwise_similarity


def features(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(sum(a * b) / math.sqrt(sum(a * a) * sum(b * b)))


def similarity_by_loop(student: Tensor, teacher: Tensor) -> float:
    """Both maps of one size, without pooling."""
    total, pairs = 0.0, 0
    for of_student, of_teacher in zip(student.numpy(), teacher.numpy(), strict=True):
        places = list(np.ndindex(*of_student.shape[1:]))
        for i in places:
            for j in places:
                a = cosine(of_student[:, i[0], i[1]], of_student[:, j[0], j[1]])
                b = cosine(of_teacher[:, i[0], i[1]], of_teacher[:, j[0], j[1]])
                total += (a - b) ** 2
                pairs += 1
    return total / pairs


@given(st.integers(0, 2**32 - 1))
def test_feature_l2_is_the_mean_squared_difference(seed: int) -> None:
    student, teacher = features(seed, 2, 3, 4, 5), features(seed + 1, 2, 3, 4, 5)
    expected = np.mean([(a - b) ** 2 for a, b in zip(student.flatten(), teacher.flatten(), strict=True)])
    assert float(feature_l2(student, teacher)) == pytest.approx(float(expected), rel=1e-12)


def test_a_coarser_teacher_is_interpolated_to_the_students_size() -> None:
    teacher = torch.tensor([[[[0.0, 4.0]]]], dtype=torch.float64)
    student = torch.zeros(1, 1, 1, 4, dtype=torch.float64)
    # Half-pixel centres: the new pixels lie at -0.25 (held at 0), 0.25, 0.75 and 1.25 (held at 1).
    assert float(feature_l2(student, teacher)) == pytest.approx((0 + 1 + 9 + 16) / 4)


def test_a_finer_teacher_is_averaged_rather_than_sampled() -> None:
    board = (torch.arange(8).view(8, 1) + torch.arange(8)) % 2
    assert float(feature_l2(torch.zeros(1, 1, 2, 2), board.view(1, 1, 8, 8))) == pytest.approx(0.25, abs=0.01)


@settings(max_examples=20, deadline=None)  # loops over pairs in Python
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4))
def test_pairwise_similarity_equals_the_formula_and_channels_may_differ(
    seed: int, height: int, width: int
) -> None:
    student, teacher = features(seed, 2, 3, height, width), features(seed + 1, 2, 5, height, width)
    expected = similarity_by_loop(student, teacher)
    assert float(pairwise_similarity(student, teacher)) == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_large_maps_are_averaged_to_one_grid_before_they_are_compared() -> None:
    student, teacher = features(1, 2, 3, 24, 32), features(2, 2, 4, 12, 16)
    pooled = [
        torch.from_numpy(
            maps.numpy().reshape(2, -1, 6, maps.shape[2] // 6, 8, maps.shape[3] // 8).mean(axis=(3, 5))
        )
        for maps in (student, teacher)
    ]
    expected = similarity_by_loop(*pooled)
    assert float(pairwise_similarity(student, teacher, most_locations=48)) == pytest.approx(expected)


@given(st.integers(1, 120), st.integers(1, 120), st.integers(1, 200))
@settings(max_examples=40, deadline=None)
def test_any_size_of_map_is_taken(height: int, width: int, most: int) -> None:
    maps = features(3, 1, 2, height, width)
    assert float(pairwise_similarity(maps, 3 * maps, most)) == pytest.approx(0, abs=1e-12)


def test_a_scale_of_features_turns_no_cosine() -> None:
    student, teacher = features(4, 2, 3, 5, 6), features(5, 2, 3, 5, 6)
    assert float(pairwise_similarity(7 * student, 0.1 * teacher)) == pytest.approx(
        float(pairwise_similarity(student, teacher))
    )


@pytest.mark.parametrize("loss", [feature_l2, pairwise_similarity])
def test_the_gradient_equals_the_numerical_one_and_reaches_the_student_alone(loss) -> None:
    student = features(6, 2, 3, 4, 5).requires_grad_()
    teacher = features(7, 2, 3, 5, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda maps: loss(maps, teacher.detach()), (student,))
    loss(student, teacher).backward()
    assert teacher.grad is None


@pytest.mark.parametrize("loss", [feature_l2, pairwise_similarity])
def test_half_precision_is_compared_in_single(loss) -> None:
    student, teacher = (features(seed, 2, 3, 4, 5).bfloat16() for seed in (8, 9))
    value = loss(student, teacher)
    assert value.dtype == torch.float32
    assert float(value) == pytest.approx(float(loss(student.double(), teacher.double())), rel=1e-5)


@pytest.mark.parametrize("loss", [feature_l2, pairwise_similarity])
def test_places_without_any_feature_have_a_finite_gradient(loss) -> None:
    student = torch.zeros(1, 3, 4, 5, requires_grad=True)
    loss(student, features(10, 1, 3, 4, 5).float()).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_other_channels_or_images_are_an_error_that_names_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"2x3x4x5 .* 2x4x4x5.*project"):
        feature_l2(torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 4, 5))
    with pytest.raises(ValueError, match=r"2x3x4x5 .* 1x3x4x5"):
        pairwise_similarity(torch.zeros(2, 3, 4, 5), torch.zeros(1, 3, 4, 5))
