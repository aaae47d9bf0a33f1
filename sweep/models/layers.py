"""Blocks that the encoders and decoders are made of. Tensors are NCHW.

Padding follows TensorFlow's SAME: the output has ceil(size / stride) pixels, and where the padding cannot be
even the extra row and column go to the bottom and right. TFLite pads that way inside its convolutions, so
the exported file needs no PAD operator.
"""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sweep.space.candidate import Activation, Upsampling
from sweep.space.published import round_channels

BATCH_NORM_EPSILON = 1e-3
# An average over about ten batches: a first rung may be no longer than thirty of them.
BATCH_NORM_MOMENTUM = 0.1


def fill_bias(conv: nn.Conv2d, value: float) -> None:
    """Set every bias of the convolution."""
    assert conv.bias is not None
    nn.init.constant_(conv.bias, value)


def build_activation(kind: Activation) -> nn.Module:
    """The activation module of that name."""
    builders: dict[Activation, type[nn.Module]] = {
        "relu": nn.ReLU,
        "relu6": nn.ReLU6,
        "hard_swish": nn.Hardswish,
        "swish": nn.SiLU,
    }
    return builders[kind](inplace=True)


class ConvNorm(nn.Module):
    """Convolution with SAME padding, batch normalisation, and an activation unless that is None.

    Stride 1 takes any size; stride 2 takes even sizes only, which an inner image that is a multiple of the
    encoder's stride guarantees. Only stride 1 may be dilated.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        activation: Activation | None,
    ) -> None:
        super().__init__()
        symmetric = dilation * (kernel // 2) if stride == 1 else 0
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            padding=symmetric,
            dilation=dilation,
            groups=groups,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(out_channels, eps=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM)
        self.activation = nn.Identity() if activation is None else build_activation(activation)
        before, after = ((kernel - stride) // 2, (kernel - stride + 1) // 2) if stride > 1 else (0, 0)
        self.padding = (before, after, before, after)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="linear" if activation is None else "relu")

    def forward(self, features: Tensor) -> Tensor:
        padded = F.pad(features, self.padding) if any(self.padding) else features
        return cast(Tensor, self.activation(self.norm(self.conv(padded))))


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from all channels' means (Hu et al. 2018; MobileNetV3's form).

    The gate is a hard sigmoid, relu6(x + 3) / 6. The 3 lives in the bias of ``expand``, which starts there,
    and so costs no operator. ``squeezed`` channels are inside: by default a quarter, a multiple of 8.
    """

    def __init__(self, channels: int, squeezed: int | None = None) -> None:
        super().__init__()
        squeezed = squeezed or round_channels(channels / 4)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        nn.init.kaiming_normal_(self.reduce.weight, nonlinearity="relu")
        nn.init.kaiming_normal_(self.expand.weight, nonlinearity="linear")
        fill_bias(self.reduce, 0.0)
        fill_bias(self.expand, 3.0)

    def forward(self, features: Tensor) -> Tensor:
        squeezed = F.relu(self.reduce(features.mean((2, 3), keepdim=True)))
        return features * (F.relu6(self.expand(squeezed)) * (1 / 6))


class SwishSqueezeExcite(nn.Module):
    """Squeeze-and-excite in EfficientNet's form (Tan & Le 2019): swish inside, and a sigmoid for a gate."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        nn.init.kaiming_normal_(self.reduce.weight, nonlinearity="relu")
        nn.init.kaiming_normal_(self.expand.weight, nonlinearity="linear")
        fill_bias(self.reduce, 0.0)
        fill_bias(self.expand, 0.0)

    def forward(self, features: Tensor) -> Tensor:
        squeezed = F.silu(self.reduce(features.mean((2, 3), keepdim=True)))
        return features * torch.sigmoid(self.expand(squeezed))


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, squeeze-and-excite if asked for, project 1x1 (Howard et al. 2019).

    The input is added to the output where their shapes agree. Without expansion (hidden = in_channels) there
    is no first 1x1. The added branch starts scaled by ``residual_gain``, so that features keep their
    magnitude through a deep stage before any training. ``gate`` makes squeeze-and-excite for that many channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden: int,
        kernel: int,
        stride: int,
        squeeze_excite: bool,
        activation: Activation,
        residual_gain: float,
        gate: Callable[[int], nn.Module] = SqueezeExcite,
    ) -> None:
        super().__init__()
        self.residual = stride == 1 and in_channels == out_channels
        project = ConvNorm(hidden, out_channels, activation=None)
        if self.residual:
            nn.init.constant_(project.norm.weight, residual_gain)
        self.expand = (
            nn.Identity() if hidden == in_channels else ConvNorm(in_channels, hidden, activation=activation)
        )
        self.depthwise = ConvNorm(
            hidden, hidden, kernel=kernel, stride=stride, groups=hidden, activation=activation
        )
        self.squeeze_excite = gate(hidden) if squeeze_excite else nn.Identity()
        self.project = project

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.depthwise(self.expand(features))
        projected = cast(Tensor, self.project(self.squeeze_excite(hidden)))
        return features + projected if self.residual else projected


class SeparableConv(nn.Module):
    """Depthwise convolution, then 1x1, each with batch normalisation and ReLU (MobileNet, Howard 2017)."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int) -> None:
        super().__init__()
        self.depthwise = ConvNorm(
            in_channels, in_channels, kernel=kernel, groups=in_channels, activation="relu"
        )
        self.pointwise = ConvNorm(in_channels, out_channels, activation="relu")

    def forward(self, features: Tensor) -> Tensor:
        return cast(Tensor, self.pointwise(self.depthwise(features)))


def upsample_twice(features: Tensor, kind: Upsampling) -> Tensor:
    """NCHW to NC(2H)(2W); bilinear has half-pixel centres."""
    return upsample(features, 2, kind)


def upsample(features: Tensor, factor: int, kind: Upsampling) -> Tensor:
    """NCHW to height and width times ``factor``; bilinear has half-pixel centres."""
    if factor == 1:
        return features
    if kind == "nearest":
        return F.interpolate(features, scale_factor=float(factor), mode="nearest")
    return F.interpolate(features, scale_factor=float(factor), mode="bilinear", align_corners=False)


def resize(images: Tensor, size: tuple[int, int], new_size: tuple[int, int], kind: Upsampling) -> Tensor:
    """NCHW images of (height, width) ``size`` to ``new_size``.

    Bilinear has half-pixel centres and does not smooth before shrinking. ``size`` is an argument so that a
    trace of the network, in which shapes are tensors, holds no comparison of them.
    """
    if size == new_size:
        return images
    if kind == "nearest":
        return F.interpolate(images, size=new_size, mode="nearest")
    return F.interpolate(images, size=new_size, mode="bilinear", align_corners=False)
