"""The losses against float64 loops over pixels, and their gradients against numerical ones."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sweep.space.candidate import Loss
from sweep.training.losses import depth_loss, gradient_matching, log_l1, silog

MaskedLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


def bts(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    return silog(prediction, target, valid, 0.85)


LOSSES = pytest.mark.parametrize("loss", [bts, gradient_matching, log_l1], ids=lambda loss: loss.__name__)


def random_case(seed: int, shape: tuple[int, int, int] = (3, 9, 11)) -> tuple[Tensor, Tensor, Tensor]:
    """Float64 predictions, targets and a mask; the last image has no known pixel."""
    rng = np.random.default_rng(seed)
    frames, height, width = shape
    prediction, target = rng.normal(1, 1, (2, frames, 1, height, width))
    valid = rng.random((frames, 1, height, width)) < 0.7
    valid[-1] = False
    return torch.from_numpy(prediction), torch.from_numpy(target), torch.from_numpy(valid)


def errors_of(prediction: Tensor, target: Tensor, valid: Tensor) -> list[list[float]]:
    """For each image that has any, the errors at its known pixels."""
    images = [(prediction - target)[image][valid[image]].tolist() for image in range(len(valid))]
    return [errors for errors in images if errors]


def silog_by_loop(prediction: Tensor, target: Tensor, valid: Tensor, variance_focus: float) -> float:
    per_image = [
        math.sqrt(math.fsum(e * e for e in errors) / len(errors) - variance_focus * np.mean(errors) ** 2)
        for errors in errors_of(prediction, target, valid)
    ]
    return float(np.mean(per_image))


def gradient_by_loop(prediction: Tensor, target: Tensor, valid: Tensor) -> float:
    def at_scale(residual: np.ndarray, known: np.ndarray) -> float:
        total = 0.0
        for y, x in np.ndindex(*residual.shape):
            for below, right in ((1, 0), (0, 1)):
                other = (y + below, x + right)
                inside = other[0] < residual.shape[0] and other[1] < residual.shape[1]
                if inside and known[y, x] and known[other]:
                    total += abs(residual[other] - residual[y, x])
        return total / max(int(known.sum()), 1)

    per_image = [
        sum(
            at_scale(
                (prediction - target)[image, 0].numpy()[::step, ::step],
                valid[image, 0].numpy()[::step, ::step],
            )
            for step in (1, 2, 4, 8)
        )
        for image in range(len(valid))
        if valid[image].any()
    ]
    return float(np.mean(per_image))


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.5, 0.85, 1.0]))
def test_silog_equals_the_formula(seed: int, variance_focus: float) -> None:
    case = random_case(seed)
    found = float(silog(*case, variance_focus))
    assert found == pytest.approx(silog_by_loop(*case, variance_focus), abs=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_gradient_matching_equals_the_formula(seed: int) -> None:
    case = random_case(seed)
    assert float(gradient_matching(*case)) == pytest.approx(gradient_by_loop(*case), rel=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_log_l1_equals_the_formula(seed: int) -> None:
    case = random_case(seed)
    expected = np.mean([np.mean(np.abs(errors)) for errors in errors_of(*case)])
    assert float(log_l1(*case)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3)])
def test_gradient_matching_takes_images_smaller_than_its_coarsest_scale(size: tuple[int, int]) -> None:
    case = random_case(0, (2, *size))
    case[2][0] = True
    assert float(gradient_matching(*case)) == pytest.approx(gradient_by_loop(*case), rel=1e-12)


@LOSSES
def test_the_gradient_equals_the_numerical_one(loss: MaskedLoss) -> None:
    prediction, target, valid = random_case(5, (2, 5, 6))
    prediction.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: loss(p, target, valid), (prediction,), eps=1e-7, atol=1e-5)


@LOSSES
def test_unknown_pixels_get_a_gradient_of_exactly_zero_whatever_they_hold(loss: MaskedLoss) -> None:
    prediction, target, valid = random_case(7)
    clean = loss(prediction, target, valid)
    spoilt = [torch.where(valid, values, torch.nan) for values in (prediction, target)]
    spoilt[0].requires_grad_()
    value = loss(spoilt[0], spoilt[1], valid)
    value.backward()
    gradient = spoilt[0].grad
    assert gradient is not None
    assert value == clean
    assert torch.equal(gradient[~valid], torch.zeros_like(gradient[~valid]))
    assert gradient[valid].isfinite().all()
    assert gradient[valid].abs().sum() > 0


@LOSSES
def test_a_batch_without_any_known_pixel_has_no_loss_and_no_gradient(loss: MaskedLoss) -> None:
    prediction, target, valid = random_case(9)
    prediction.requires_grad_()
    value = loss(prediction, target, torch.zeros_like(valid))
    value.backward()
    assert float(value.detach()) == 0
    assert prediction.grad is not None
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


@LOSSES
def test_a_perfect_prediction_has_a_finite_gradient(loss: MaskedLoss) -> None:
    _, target, valid = random_case(11)
    prediction = target.clone().requires_grad_()
    value = loss(prediction, target, valid)
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=1e-3)
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()


def test_full_scale_invariance_forgives_each_image_its_own_scale() -> None:
    prediction, target, valid = random_case(13)
    scales = torch.tensor([3.0, -2.0, 0.5]).view(3, 1, 1, 1)
    assert silog(prediction + scales, target, valid, 1.0) == pytest.approx(
        float(silog(prediction, target, valid, 1.0))
    )
    assert silog(target + scales, target, valid, 1.0) == pytest.approx(0, abs=1e-3)


def test_the_recipes_loss_is_the_weighted_sum() -> None:
    case = random_case(17)
    weights = Loss(silog=10, silog_lambda=0.85, gradient=0.25, l1=2)
    expected = 10 * silog(*case, 0.85) + 0.25 * gradient_matching(*case) + 2 * log_l1(*case)
    assert depth_loss(weights, *case) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("weights", "loss"),
    [({"silog": 1}, bts), ({"gradient": 1}, gradient_matching), ({"l1": 1}, log_l1)],
)
def test_a_weight_of_zero_switches_a_term_off(weights: dict[str, float], loss: MaskedLoss) -> None:
    case = random_case(19)
    alone = Loss.model_validate({"silog": 0, "silog_lambda": 0.85, "gradient": 0, "l1": 0} | weights)
    assert depth_loss(alone, *case) == loss(*case)
