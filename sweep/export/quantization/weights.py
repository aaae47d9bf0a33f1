"""Weights and biases of convolutions as integers.

Weights are int8, symmetric (zero point 0, codes -127 to 127), with a scale for each output channel; biases are
int32 with the scale input * weight, so that they add to the accumulator as they are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.export.graph import Quantization
from sweep.export.quantization.ranges import INT8_MAX, SMALLEST_SCALE, dequantize, quantize

# Kernels multiply the accumulator by (input scale * weight scale / output scale). With this factor the largest
# accumulator there is moves the output by a single code, so a channel of finer weights would change nothing.
SMALLEST_MULTIPLIER = 2.0**-24
# Half of what an int32 accumulator holds: the other half is for the products.
LARGEST_BIAS = 2.0**30


@dataclass(frozen=True)
class IntegerWeights:
    """A convolution's constants as the file holds them."""

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    weights_quantization: Quantization
    bias_quantization: Quantization


@dataclass(frozen=True)
class ConvolutionScales:
    """The scales of the tensors that a convolution reads and makes."""

    input: float
    output: float


def quantize_weights(
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    channel_axis: int,
    scales: ConvolutionScales,
    input_means: NDArray[np.float64] | None,
) -> IntegerWeights:
    """Integer constants of a convolution.

    ``weights`` are (O, H, W, I) with ``channel_axis`` 0, or depthwise (1, H, W, O) with 3; ``bias`` is (O,).
    ``input_means``, the mean of each of the I input channels, corrects the bias for the rounding of the
    weights; None leaves it.
    """
    quantization = weight_quantization(weights, bias, channel_axis, scales)
    codes = quantize(weights, quantization)
    if input_means is not None:
        error = weights.astype(np.float64) - dequantize(codes, quantization)
        bias = bias + mean_response(error, channel_axis, input_means)
    bias_scales = (np.array(quantization.scales) * scales.input).astype(np.float32).astype(np.float64)
    bias_codes = np.rint(bias / bias_scales).astype(np.int32)
    bias_quantization = Quantization(tuple(bias_scales.tolist()), quantization.zero_points)
    return IntegerWeights(codes, bias_codes, quantization, bias_quantization)


def weight_quantization(
    weights: NDArray[np.float32], bias: NDArray[np.float32], channel_axis: int, scales: ConvolutionScales
) -> Quantization:
    """A scale for each channel: its largest weight over 127, unless its bias or the kernels need a coarser one.

    That is so for channels whose weights are all zero, or next to nothing.
    """
    for_bias = np.abs(bias.astype(np.float64)) / (scales.input * LARGEST_BIAS)
    for_kernels = max(SMALLEST_MULTIPLIER * scales.output / scales.input, SMALLEST_SCALE)
    coarse = np.maximum(natural_scales(weights, channel_axis), np.maximum(for_bias, for_kernels))
    in_file = coarse.astype(np.float32).astype(np.float64)
    return Quantization(tuple(in_file.tolist()), (0,) * in_file.size, channel_axis)


def natural_scales(weights: NDArray[np.float32], channel_axis: int) -> NDArray[np.float64]:
    """For each output channel the scale at which its largest weight has the code 127 or -127."""
    others = tuple(axis for axis in range(weights.ndim) if axis != channel_axis)
    largest: NDArray[np.float64] = np.abs(weights).max(axis=others).astype(np.float64)
    return largest / INT8_MAX


def mean_response(
    weights: NDArray[np.float64], channel_axis: int, input_means: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What such weights add to each output channel on average, borders aside; (O,).

    With the error of quantised weights this is the shift that Nagel et al. 2019, "Data-Free Quantization through
    Weight Equalization and Bias Correction", take out of the bias; here the means are measured ones.
    """
    taps = weights.sum(axis=(1, 2))
    if channel_axis == 0:
        return np.asarray(taps @ input_means)
    multiplier = taps.shape[1] // input_means.size
    return np.asarray(taps[0] * np.repeat(input_means, multiplier))
