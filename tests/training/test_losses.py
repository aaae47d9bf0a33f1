"""What all losses of the depth promise: true gradients, none at unknown pixels; and their weighted sum."""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from loss_cases import Case, cases, compare, random_case
from torch import Tensor

from sweep.space.losses import WEIGHTS, Loss, OwnLoss
from sweep.training.losses import (
    Comparison,
    depth_loss,
    gradient_matching,
    l1,
    l2,
    plain_gradient,
    robust,
    si_rmse,
    silog,
    ssim,
    virtual_normal,
)

TERMS: dict[str, Callable[[Comparison], Tensor]] = {
    "silog": partial(silog, variance_focus=0.85),
    "gradient": gradient_matching,
    "l1": l1,
    "l2": l2,
    "si_rmse": si_rmse,
    "plain_gradient": plain_gradient,
    "virtual_normal": virtual_normal,
    "robust": partial(robust, alpha=1.0, c=2.0),
    "ssim": ssim,
}
ROBUST_KINDS = {
    f"robust {alpha}": partial(robust, alpha=alpha, c=0.7) for alpha in (2.0, 0.0, -2.0, -math.inf)
}
EACH = pytest.mark.parametrize("loss", [*TERMS.values(), *ROBUST_KINDS.values()], ids=[*TERMS, *ROBUST_KINDS])


class Forgetful(OwnLoss):
    """A loss that takes no notice of the mask."""

    kind: Literal["test_losses:Forgetful"]

    def __call__(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        assert valid.dtype == torch.bool
        return (prediction - target).square().sum()


@EACH
def test_the_gradient_equals_the_numerical_one(loss: Callable[[Comparison], Tensor]) -> None:
    prediction, target, valid = random_case(5, (2, 6, 7))
    prediction.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: loss(compare((p, target, valid))), (prediction,), eps=1e-7, atol=1e-5
    )


@EACH
@pytest.mark.parametrize("held", [math.nan, math.inf, -math.inf, 1e30])
def test_unknown_pixels_get_a_gradient_of_exactly_zero_whatever_they_hold(
    loss: Callable[[Comparison], Tensor], held: float
) -> None:
    prediction, target, valid = random_case(7)
    clean = loss(compare((prediction, target, valid)))
    spoilt, truth = (torch.where(valid, values, held) for values in (prediction, target))
    spoilt.requires_grad_()
    value = loss(compare((spoilt, truth, valid)))
    value.backward()
    gradient = spoilt.grad
    assert gradient is not None
    assert value == clean
    assert torch.equal(gradient[~valid], torch.zeros_like(gradient[~valid]))
    assert gradient[valid].isfinite().all()
    assert gradient[valid].abs().sum() > 0


@settings(max_examples=30, deadline=None)  # torch's first calls are slow
@given(cases())
def test_no_mask_or_size_lets_an_unknown_pixel_into_the_sum_of_all_losses(case: Case) -> None:
    prediction, target, valid = case
    spoilt, truth = (torch.where(valid, values, torch.nan) for values in (prediction, target))
    spoilt.requires_grad_()
    value = depth_loss(Loss.model_validate(dict.fromkeys(WEIGHTS, 1.0)), spoilt, truth, valid)
    value.backward()
    assert spoilt.grad is not None
    assert value.isfinite()
    assert spoilt.grad.isfinite().all()
    assert torch.equal(spoilt.grad[~valid], torch.zeros_like(spoilt.grad[~valid]))


@EACH
def test_a_batch_without_any_known_pixel_has_no_loss_and_no_gradient(
    loss: Callable[[Comparison], Tensor],
) -> None:
    prediction, target, valid = random_case(9)
    prediction.requires_grad_()
    value = loss(compare((prediction, target, torch.zeros_like(valid))))
    value.backward()
    assert float(value.detach()) == 0
    assert prediction.grad is not None
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


@EACH
def test_a_perfect_prediction_has_no_loss_and_a_finite_gradient(loss: Callable[[Comparison], Tensor]) -> None:
    _, target, valid = random_case(11)
    prediction = target.clone().requires_grad_()
    value = loss(compare((prediction, target, valid)))
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=1.01e-4)
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()


@pytest.mark.parametrize("loss", [loss for loss in TERMS.values() if loss is not virtual_normal])
def test_an_image_counts_as_much_as_another_however_many_pixels_it_has(
    loss: Callable[[Comparison], Tensor],
) -> None:
    prediction, target, _ = random_case(15, (2, 12, 12))
    valid = torch.ones_like(prediction, dtype=torch.bool)
    valid[0, :, 6:] = False
    images = [(prediction[i : i + 1], target[i : i + 1], valid[i : i + 1]) for i in range(2)]
    expected = sum(float(loss(compare(image))) for image in images) / 2
    assert float(loss(compare((prediction, target, valid)))) == pytest.approx(expected, rel=1e-9)


@EACH
def test_single_precision_agrees_with_double(loss: Callable[[Comparison], Tensor]) -> None:
    prediction, target, valid = random_case(17, (3, 32, 40))
    prediction, target = prediction.float(), target.float()
    double = loss(compare((prediction.double(), target.double(), valid)))
    single = loss(compare((prediction, target, valid)))
    assert single.dtype == torch.float32
    assert float(single) == pytest.approx(float(double), rel=1e-4)


def test_every_weight_of_a_recipe_has_its_loss() -> None:
    assert set(WEIGHTS) == set(TERMS)


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_of_zero_switches_a_term_off(name: str) -> None:
    case = random_case(19)
    assert depth_loss(Loss.model_validate({name: 1.0}), *case) == TERMS[name](compare(case))


def test_the_recipes_loss_is_the_weighted_sum() -> None:
    case = random_case(21)
    weights = {name: 0.1 * (index + 1) for index, name in enumerate(WEIGHTS)}
    expected = sum(weight * float(TERMS[name](compare(case))) for name, weight in weights.items())
    assert float(depth_loss(Loss.model_validate(weights), *case)) == pytest.approx(expected, rel=1e-12)


def test_the_keys_of_silog_and_robust_reach_their_losses() -> None:
    case = random_case(23)
    silog_alone = Loss(silog=1.0, silog_lambda=0.3)
    robust_alone = Loss(robust=1.0, robust_alpha=-1.5, robust_c=0.4)
    assert depth_loss(silog_alone, *case) == silog(compare(case), 0.3)
    assert depth_loss(robust_alone, *case) == robust(compare(case), -1.5, 0.4)


def test_a_loss_of_ones_own_is_added_and_cannot_see_unknown_pixels() -> None:
    prediction, target, valid = random_case(25)
    own = Forgetful(kind="test_losses:Forgetful", weight=0.5)
    spoilt = torch.where(valid, prediction, torch.nan).requires_grad_()
    value = depth_loss(Loss(l1=2.0, own=own), spoilt, torch.where(valid, target, torch.nan), valid)
    value.backward()
    errors = (prediction - target)[valid]
    expected = 2 * float(l1(compare((prediction, target, valid)))) + 0.5 * float(errors.square().sum())
    assert float(value.detach()) == pytest.approx(expected)
    assert spoilt.grad is not None
    assert torch.equal(spoilt.grad[~valid], torch.zeros_like(spoilt.grad[~valid]))


def test_a_sum_works_out_the_error_once() -> None:
    prediction, target, valid = random_case(27)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        everything = Loss(silog=1, gradient=1, l1=1, l2=1, si_rmse=1, plain_gradient=1, robust=1)
        depth_loss(everything, prediction.requires_grad_(), target, valid)
    calls = {event.key: event.count for event in profile.key_averages()}
    # prediction - target, error - mean, and a difference along each axis at four scales
    assert calls["aten::sub"] == 2 + 2 * 4


def test_nothing_depends_on_values_that_only_the_device_knows() -> None:
    """Meta tensors have shapes and no values: reading one, or a shape that follows from one, is an error."""
    shape = (4, 1, 24, 32)
    prediction = torch.empty(shape, device="meta", requires_grad=True)
    valid = torch.empty(shape, device="meta", dtype=torch.bool)
    weights = Loss.model_validate(dict.fromkeys(WEIGHTS, 1.0))
    value = depth_loss(weights, prediction, torch.empty(shape, device="meta"), valid)
    (gradient,) = torch.autograd.grad(value, prediction)
    assert (value.shape, gradient.shape) == ((), shape)
