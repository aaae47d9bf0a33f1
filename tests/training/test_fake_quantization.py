"""Rounding to int8 codes against its definition, and the gradients that it lets through."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor, nn

from sweep.training.fake_quantization import (
    RANGE_MOMENTUM,
    FakeQuantize,
    FakeQuantizedConv,
    fake_quantize_weights,
)

FLOATS = st.floats(-50, 50, width=32)


def with_range(low: float, high: float) -> FakeQuantize:
    """One that has seen exactly that range, and learns no more."""
    quantize = FakeQuantize()
    quantize(torch.tensor([low, high]))
    return quantize.eval()


@given(
    low=st.floats(-100, 0, width=32),
    high=st.floats(0.0078125, 100, width=32),
    values=arrays.arrays(np.float32, st.integers(1, 40), elements=FLOATS),
)
def test_values_become_the_nearest_of_the_codes_that_span_the_range(
    low: float, high: float, values: np.ndarray
) -> None:
    found = with_range(low, high)(torch.from_numpy(values)).numpy().astype(np.float64)
    step = (high - low) / 255
    zero_point = round(-128 - low / step)
    codes = found / step + zero_point
    assert np.abs(codes - np.rint(codes)).max() < 1e-3
    nearest = np.clip(values.astype(np.float64), (-128 - zero_point) * step, (127 - zero_point) * step)
    # Half a step, and what float32 loses: a value half way between two codes may go to either.
    assert np.abs(found - nearest).max() <= 0.501 * step + 1e-6 * np.abs(nearest).max()


@given(low=st.floats(-100, 0, width=32), high=st.floats(0, 100, width=32))
def test_zero_is_exact_in_every_range(low: float, high: float) -> None:
    assert with_range(low, high)(torch.zeros(3)).tolist() == [0, 0, 0]


def test_a_range_without_zero_is_widened_to_it() -> None:
    above, below = with_range(2.0, 5.1), with_range(-5.1, -2.0)
    assert (float(above.low), float(above.high)) == (0, pytest.approx(5.1))
    assert (float(below.low), float(below.high)) == (pytest.approx(-5.1), 0)
    assert float(above(torch.tensor(1.0))) == pytest.approx(1.0)


def test_gradients_pass_within_the_range_and_stop_outside() -> None:
    quantize = with_range(-1.0, 3.0)
    values = torch.tensor([-2.0, -1.1, -0.9, 0.0, 0.4, 2.9, 3.1, 40.0], requires_grad=True)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    (gradient,) = torch.autograd.grad((weights * quantize(values)).sum(), values)
    assert gradient.tolist() == [0, 0, 3, 4, 5, 6, 0, 0]


def test_the_gradient_is_that_of_cutting_values_off_at_the_last_codes() -> None:
    quantize = with_range(-1.0, 3.0)
    # A step is 4/255; zero has code -128 + 64, so that the range moves by a quarter of a step.
    first, last = -64 * 4 / 255, 191 * 4 / 255

    def cut_off(values: Tensor) -> Tensor:
        return torch.clamp(values, first, last)

    values = torch.linspace(-2, 4, 997, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(cut_off, values, eps=1e-9, atol=1e-4)
    (expected,) = torch.autograd.grad(cut_off(values).sum(), values)
    floats = values.detach().float().requires_grad_()
    (found,) = torch.autograd.grad(quantize(floats).sum(), floats)
    assert torch.equal(found.double(), expected)


def test_the_range_is_the_mean_over_the_first_batches_and_then_a_moving_average() -> None:
    quantize = FakeQuantize()
    generator = np.random.default_rng(0)
    low = high = 0.0
    for batch in range(1, 61):
        values = generator.normal(0.2, 2.0, 50).astype(np.float32)
        quantize(torch.from_numpy(values))
        weight = max(1 / batch, RANGE_MOMENTUM)
        low += weight * (min(float(values.min()), 0) - low)
        high += weight * (max(float(values.max()), 0) - high)
        assert float(quantize.low) == pytest.approx(low, rel=1e-4)
        assert float(quantize.high) == pytest.approx(high, rel=1e-4)


def test_evaluation_leaves_the_range_alone() -> None:
    quantize = with_range(-1.0, 1.0)
    before = {name: value.clone() for name, value in quantize.state_dict().items()}
    quantize(torch.tensor([-30.0, 40.0]))
    assert all(torch.equal(before[name], value) for name, value in quantize.state_dict().items())
    assert set(before) == {"low", "high", "batches"}


def test_numbers_that_are_not_finite_are_not_hidden() -> None:
    for broken in (float("nan"), float("inf"), -float("inf")):
        values = torch.tensor([0.5, broken, 1.0])
        assert not FakeQuantize()(values).isfinite().all()


def test_the_memory_layout_is_kept() -> None:
    values = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    assert with_range(-1.0, 1.0)(values).is_contiguous(memory_format=torch.channels_last)


def rounded_by_numpy(weights: np.ndarray) -> np.ndarray:
    """Float64: to 255 codes, symmetric around zero, the largest magnitude of each output channel at code 127."""
    steps = np.abs(weights).max(axis=(1, 2, 3), keepdims=True) / 127
    steps = np.where(steps > 0, steps, 1)
    return np.rint(weights / steps) * steps


def test_weights_become_the_codes_of_their_channel() -> None:
    weights = np.random.default_rng(1).normal(0, [[[[0.01]]], [[[1.0]]], [[[30.0]]]], (3, 8, 5, 5))
    found = fake_quantize_weights(torch.from_numpy(weights.astype(np.float32))).numpy()
    np.testing.assert_allclose(found, rounded_by_numpy(weights), rtol=1e-5, atol=1e-7)


def test_rounding_before_batch_norm_is_folded_in_gives_the_codes_that_rounding_after_it_gives() -> None:
    generator = np.random.default_rng(2)
    weights = generator.normal(0, 1, (16, 4, 3, 3))
    factors = generator.normal(0, 3, (16, 1, 1, 1))  # gamma / sqrt(variance + epsilon), of either sign
    folded = rounded_by_numpy(weights * factors) / factors
    found = fake_quantize_weights(torch.from_numpy(weights.astype(np.float32))).numpy()
    np.testing.assert_allclose(found, folded, rtol=1e-5, atol=1e-7)


def test_a_channel_of_zeros_stays_zero_and_learns() -> None:
    weights = torch.zeros(2, 3, 1, 1, requires_grad=True)
    rounded = fake_quantize_weights(weights)
    (gradient,) = torch.autograd.grad(rounded.sum(), weights)
    assert torch.equal(rounded, torch.zeros(2, 3, 1, 1))
    assert torch.equal(gradient, torch.ones(2, 3, 1, 1))


@pytest.mark.parametrize("groups", [1, 4])
def test_a_convolution_runs_on_its_rounded_weights_and_trains_the_true_ones(groups: int) -> None:
    conv = nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=groups)
    features = torch.randn(2, 4, 7, 9)
    found = FakeQuantizedConv(conv)(features)
    weights = torch.from_numpy(rounded_by_numpy(conv.weight.detach().double().numpy()))
    expected = torch.conv2d(
        features.double(), weights, conv.bias.double(), stride=2, padding=1, groups=groups
    )
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    found.sum().backward()
    # Every output pixel reads its channel's weights: the gradient is that of the plain convolution.
    (plain,) = torch.autograd.grad(conv(features).sum(), conv.weight)
    torch.testing.assert_close(conv.weight.grad, plain)


def test_a_padding_that_is_not_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="pads with 'reflect', allowed is 'zeros'"):
        FakeQuantizedConv(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"))
