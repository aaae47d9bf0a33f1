"""Affine quantisation: what a code means, and which scale and zero point a range of values gets.

value = scale * (code - zero point), as in Jacob et al. 2018, "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", with the restrictions of TFLite's 8-bit quantisation
specification: activations are int8 with one scale and zero point for each tensor, and 0.0 has a code of its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.export.graph import Quantization

INT8_MIN, INT8_MAX = -128, 127
STEPS = INT8_MAX - INT8_MIN

# Products of two scales (a bias has one) then stay normal float32 numbers, which end at 2**-126. Values that
# need a finer scale, below 1e-16, are zero to any network.
SMALLEST_SCALE = 2.0**-63


@dataclass(frozen=True)
class Range:
    """The values of a tensor that codes must express, both ends included."""

    minimum: float
    maximum: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.minimum) and np.isfinite(self.maximum) and self.minimum <= self.maximum):
            raise ValueError(f"range is {self.minimum} to {self.maximum}, allowed are finite ends in order")

    def union(self, other: "Range") -> "Range":
        """The smallest range that holds both."""
        return Range(min(self.minimum, other.minimum), max(self.maximum, other.maximum))

    @property
    def width(self) -> float:
        """From one end to the other."""
        return self.maximum - self.minimum

    def with_zero(self) -> "Range":
        """The smallest range that holds this one and zero."""
        return self.union(Range(0.0, 0.0))


def asymmetric(found: Range) -> Quantization:
    """The int8 quantisation whose codes -128 to 127 span the range, widened to hold zero."""
    wide = found.with_zero()
    scale = as_float32(max(wide.width / STEPS, SMALLEST_SCALE))
    zero_point = round(INT8_MIN - wide.minimum / scale)
    return Quantization((scale,), (min(max(zero_point, INT8_MIN), INT8_MAX),))


def quantize(
    values: NDArray[np.float32] | NDArray[np.float64], quantization: Quantization
) -> NDArray[np.int8]:
    """Int8 codes of values, rounded to nearest and saturated; with several scales, along their axis."""
    scales, zero_points = broadcast(quantization, values.ndim)
    codes = np.rint(values.astype(np.float64) / scales) + zero_points
    return np.asarray(codes.clip(INT8_MIN, INT8_MAX).astype(np.int8))


def dequantize(
    codes: NDArray[np.int8] | NDArray[np.uint8] | NDArray[np.int32], quantization: Quantization
) -> NDArray[np.float64]:
    """The values that integer codes stand for."""
    scales, zero_points = broadcast(quantization, codes.ndim)
    return np.asarray(scales * (codes.astype(np.float64) - zero_points))


def broadcast(quantization: Quantization, dimensions: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scales and zero points in a shape that broadcasts against a tensor of that many dimensions."""
    shape = [1] * dimensions
    if len(quantization.scales) > 1:
        shape[quantization.axis] = -1
    elif dimensions == 0:
        shape = []
    scales, zero_points = np.array(quantization.scales), np.array(quantization.zero_points, np.float64)
    return scales.reshape(shape), zero_points.reshape(shape)


def as_float32(value: float) -> float:
    """The nearest number that a file can hold."""
    return float(np.float32(value))
