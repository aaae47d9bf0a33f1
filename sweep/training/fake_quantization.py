"""Fake quantisation: float arithmetic on the values that int8 numbers can hold.

The forward pass rounds to the grid of int8 codes; the backward pass lets gradients through unchanged where a
value lies within the grid's range, and stops them outside (the straight-through estimator). See Jacob et al.
2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", and
Krishnamoorthi 2018, "Quantizing deep convolutional networks for efficient inference".
"""

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sweep.models.collapse import CollapsibleConv

LOWEST_CODE: Final = -128
HIGHEST_CODE: Final = 127
# An average over about twenty batches: like batch normalisation's, it must settle within a short rung.
RANGE_MOMENTUM: Final = 0.05
# The step of a grid for values that are all zero: any will do, except zero itself.
_SMALLEST_STEP: Final = 1e-12


class RoundThrough(torch.autograd.Function):
    """Rounds to the nearest multiple of ``step``, of two the even one; the gradient passes as if it did not."""

    @staticmethod
    def forward(_: Any, values: Tensor, step: Tensor | float) -> Tensor:
        """``step`` broadcasts against ``values`` and counts as a constant."""
        return values.div(step).round_().mul_(step)

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Straight through."""
        return gradients[0], None


class FakeQuantize(nn.Module):
    """Rounds a feature map to the int8 codes of a running range: asymmetric, one range for the whole tensor.

    In training mode every batch moves the range: ``low`` and ``high`` are moving averages of the batches'
    extremes, plain means until ``1 / RANGE_MOMENTUM`` batches were seen, and always hold 0, so that zero padding
    is exact. In evaluation mode the range stands still. Before the first batch it is empty.
    """

    low: Tensor
    high: Tensor
    batches: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, values: Tensor) -> Tensor:
        """The values, float32 of any shape, each at the nearest code of the range."""
        if self.training:
            self._observe(values.detach())
        step, lowest, highest = int8_grid(self.low, self.high)
        return rounded(torch.clamp(values, lowest, highest), step)

    def _observe(self, values: Tensor) -> None:
        low, high = torch.aminmax(values)
        self.batches += 1
        weight = self.batches.reciprocal().clamp(min=RANGE_MOMENTUM)
        self.low.lerp_(low.clamp(max=0.0), weight)
        self.high.lerp_(high.clamp(min=0.0), weight)


def int8_grid(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(step, lowest, highest): the 256 multiples of a step that span ``low`` <= 0 to ``high`` >= 0 best.

    They are step * (code - zero point) of the int8 codes, with a whole zero point: zero is one of them.
    """
    step = ((high - low) / (HIGHEST_CODE - LOWEST_CODE)).clamp(min=_SMALLEST_STEP)
    zero_point = (LOWEST_CODE - low / step).round().clamp(LOWEST_CODE, HIGHEST_CODE)
    return step, step * (LOWEST_CODE - zero_point), step * (HIGHEST_CODE - zero_point)


def rounded(values: Tensor, step: Tensor | float) -> Tensor:
    """The nearest multiples of ``step``, with a gradient as if nothing were rounded."""
    found: Tensor = RoundThrough.apply(values, step)  # type: ignore[no-untyped-call]  # torch types it so
    return found


def fake_quantized_sigmoid(values: Tensor) -> Tensor:
    """A logistic function's output, float32 of any shape, at the codes that TFLite's specification fixes for it.

    Those are the multiples of 1/256 from 0 to 255/256.
    """
    codes = HIGHEST_CODE - LOWEST_CODE + 1
    return rounded(torch.sigmoid(values).clamp(max=(codes - 1) / codes), 1 / codes)


def fake_quantized_swish(values: Tensor) -> Tensor:
    """Swish as two operators compute it, a rounded logistic function and a product; the product is not rounded."""
    return values * fake_quantized_sigmoid(values)


class FakeQuantizedConv(nn.Module):
    """A convolution with its weights rounded to int8, symmetric, with a step for each output channel.

    Of a collapsible one the kernel that it collapses to is rounded: no other is in the file.

    The file's weights have the batch normalisation that follows folded in. That multiplies all weights of an
    output channel with one number, and their step with it, so their codes are the same: nothing needs to be
    folded here. The convolution keeps its parameters, and whoever else holds it sees them change.
    """

    def __init__(self, conv: nn.Conv2d | CollapsibleConv) -> None:
        super().__init__()
        if conv.padding_mode != "zeros":
            raise ValueError(f"the convolution pads with {conv.padding_mode!r}, allowed is 'zeros'")
        self.conv = conv

    def forward(self, features: Tensor) -> Tensor:
        """NCHW in, NCHW out."""
        conv = self.conv
        weight = fake_quantize_weights(conv.weight)
        return F.conv2d(features, weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)


def fake_quantize_weights(weight: Tensor) -> Tensor:
    """Weights (outputs, inputs, height, width), rounded to codes -127 to 127.

    An output channel's step is its largest magnitude over 127.
    """
    with torch.no_grad():
        largest = weight.abs().amax(dim=(1, 2, 3), keepdim=True)
        step = (largest / HIGHEST_CODE).clamp(min=_SMALLEST_STEP)
    return rounded(weight, step)
