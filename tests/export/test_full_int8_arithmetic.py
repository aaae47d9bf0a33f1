"""The arithmetic of quantisation, against float64 and the rules of TFLite's 8-bit specification."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from sweep.export.graph import Quantization
from sweep.export.quantization.ranges import Range, asymmetric, dequantize, quantize
from sweep.export.quantization.scales import widened
from sweep.export.quantization.weights import ConvolutionScales, quantize_weights

SMALLEST_NORMAL = 2.0**-126

ends = st.floats(-1e6, 1e6, width=32)
ranges = st.tuples(ends, ends).map(lambda pair: Range(min(pair), max(pair)))
scales = st.floats(-20, 4).map(lambda exponent: float(np.float32(10**exponent)))


@given(found=ranges, share=st.floats(0, 1))
def test_a_value_within_the_range_comes_back_to_within_half_a_step(found: Range, share: float) -> None:
    quantization = asymmetric(found)
    (scale,) = quantization.scales
    value = np.array([found.minimum + share * (found.maximum - found.minimum)])
    (back,) = dequantize(quantize(value, quantization), quantization)
    # The zero point is a whole number, so the ends may lie up to half a step beyond the first and last code.
    assert abs(back - value[0]) <= scale * (1 + 1e-6)
    if abs(value[0] - found.minimum) > scale / 2 and abs(value[0] - found.maximum) > scale / 2:
        assert abs(back - value[0]) <= scale / 2 * (1 + 1e-4)


@given(found=ranges)
def test_scales_are_normal_numbers_that_a_file_holds_and_zero_has_a_code(found: Range) -> None:
    quantization = asymmetric(found)
    (scale,), (zero_point,) = quantization.scales, quantization.zero_points
    assert scale == float(np.float32(scale))
    assert scale * scale >= SMALLEST_NORMAL
    assert -128 <= zero_point <= 127
    assert dequantize(quantize(np.zeros(1), quantization), quantization).tolist() == [0.0]


@pytest.mark.parametrize(
    ("found", "scale", "zero_point"),
    [
        (Range(0.0, 255.0), 1.0, -128),
        (Range(0.0, 6.0), 6 / 255, -128),
        (Range(-6.0, 0.0), 6 / 255, 127),
        (Range(-2.0, 1.0), 3 / 255, 42),
        (Range(2.0, 6.0), 6 / 255, -128),
        (Range(-6.0, -2.0), 6 / 255, 127),
        (Range(0.0, 0.0), 2.0**-63, -128),
    ],
)
def test_the_specifications_own_ranges(found: Range, scale: float, zero_point: int) -> None:
    quantization = asymmetric(found)
    assert quantization.zero_points == (zero_point,)
    assert quantization.scales == pytest.approx((scale,), rel=1e-7)


@pytest.mark.parametrize("bounds", [(math.nan, 1.0), (0.0, math.inf), (1.0, 0.0)])
def test_a_range_without_finite_ends_in_order_is_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="allowed are finite ends in order"):
        Range(*bounds)


@given(found=ranges, scale=scales)
def test_a_widened_range_has_the_wanted_step_and_holds_the_old_one(found: Range, scale: float) -> None:
    old = asymmetric(found).scales[0]
    if scale > old:
        wide = widened(found, scale)
        assert asymmetric(wide).scales[0] == pytest.approx(scale, rel=1e-5)
        assert wide.minimum <= min(found.minimum, 0.0) + scale * 1e-6
        assert wide.maximum >= max(found.maximum, 0.0) - scale * 1e-6


@dataclasses.dataclass(frozen=True)
class Convolution:
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    channel_axis: int


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    """Dense and depthwise weights of any magnitude, with channels that are zero or next to it."""
    depthwise = draw(st.booleans())
    outputs, inputs = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    shape = (1, 2, 3, outputs * inputs) if depthwise else (outputs, 2, 3, inputs)
    channels = shape[3] if depthwise else shape[0]
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    magnitudes = 10 ** np.array(draw(arrays.arrays(np.float64, channels, elements=st.floats(-12, 3))))
    magnitudes *= np.array(draw(arrays.arrays(np.int64, channels, elements=st.integers(0, 1))))
    weights = random.normal(size=shape) * (magnitudes if depthwise else magnitudes[:, None, None, None])
    bias = random.normal(size=channels) * 10 ** draw(st.floats(-6, 3))
    axis = 3 if depthwise else 0
    return Convolution(weights.astype(np.float32), bias.astype(np.float32), axis)


@given(conv=convolutions(), source=scales, output=scales)
def test_weights_and_biases_come_back_to_within_half_a_step(
    conv: Convolution, source: float, output: float
) -> None:
    found = quantize_weights(
        conv.weights, conv.bias, conv.channel_axis, ConvolutionScales(source, output), input_means=None
    )
    assert found.weights.min() >= -127  # the code -128 is left unused
    assert set(found.weights_quantization.zero_points) == {0}
    assert found.weights_quantization.axis == conv.channel_axis
    for scale, product in zip(found.weights_quantization.scales, found.bias_quantization.scales, strict=True):
        assert product == float(np.float32(source * scale))
        assert product >= SMALLEST_NORMAL
    shape = [1, 1, 1, 1]
    shape[conv.channel_axis] = -1
    half_steps = np.array(found.weights_quantization.scales).reshape(shape) / 2
    error = np.abs(dequantize(found.weights, found.weights_quantization) - conv.weights)
    assert (error <= half_steps * (1 + 1e-6)).all()
    bias_error = np.abs(dequantize(found.bias, found.bias_quantization) - conv.bias)
    assert (bias_error <= np.array(found.bias_quantization.scales) * (0.5 + 1e-6)).all()


@given(conv=convolutions())
def test_a_channel_of_ordinary_weights_uses_all_its_codes(conv: Convolution) -> None:
    found = quantize_weights(
        conv.weights, np.zeros_like(conv.bias), conv.channel_axis, ConvolutionScales(1.0, 1.0), None
    )
    others = tuple(axis for axis in range(4) if axis != conv.channel_axis)
    largest, codes = np.abs(conv.weights).max(axis=others), np.abs(found.weights).max(axis=others)
    assert (codes[largest > 1e-4] == 127).all()
    assert (codes[largest == 0] == 0).all()


@given(conv=convolutions(), seed=st.integers(0, 2**32))
def test_a_corrected_bias_makes_the_mean_output_exact(conv: Convolution, seed: int) -> None:
    means = np.random.default_rng(seed).normal(size=conv.weights.shape[3])
    found = quantize_weights(
        conv.weights, conv.bias, conv.channel_axis, ConvolutionScales(0.1, 0.1), input_means=means
    )
    # A constant image of these means, convolved without borders, in float64.
    rule = "ohwi,i->o" if conv.channel_axis == 0 else "xhwo,o->o"
    exact = np.einsum(rule, conv.weights.astype(np.float64), means) + conv.bias
    weights = dequantize(found.weights, found.weights_quantization)
    mean = np.einsum(rule, weights, means) + dequantize(found.bias, found.bias_quantization)
    steps = np.array(found.bias_quantization.scales)
    assert (np.abs(mean - exact) <= steps * 0.5 + 1e-6 * np.abs(exact) + 1e-12).all()


def test_several_scales_belong_to_their_axis() -> None:
    quantization = Quantization((1.0, 2.0, 4.0), (0, 0, 0), axis=1)
    values = np.array([[8.0, 8.0, 8.0], [-4.0, -4.0, -4.0]])
    codes = quantize(values, quantization)
    assert codes.tolist() == [[8, 4, 2], [-4, -2, -1]]
    assert dequantize(codes, quantization).tolist() == values.tolist()
