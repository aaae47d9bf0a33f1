"""GhostNet's blocks (Han et al. 2020, "GhostNet: More Features from Cheap Operations"). Tensors are NCHW."""

from typing import cast

import torch
from torch import Tensor, nn

from sweep.models.layers import ConvNorm, SqueezeExcite
from sweep.space.parts import Activation


class GhostModule(nn.Module):
    """A 1x1 convolution for half of the channels, and a depthwise 3x3 of these for the other half.

    ``out_channels`` is even, so that no channel is computed in vain. The batch normalisations' weights start at
    ``gain``.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, activation: Activation | None, gain: float = 1.0
    ) -> None:
        super().__init__()
        half = out_channels // 2
        self.primary = ConvNorm(in_channels, half, activation=activation)
        self.cheap = ConvNorm(half, half, kernel=3, groups=half, activation=activation)
        nn.init.constant_(self.primary.norm.weight, gain)
        nn.init.constant_(self.cheap.norm.weight, gain)

    def forward(self, features: Tensor) -> Tensor:
        primary = cast(Tensor, self.primary(features))
        return torch.cat((primary, self.cheap(primary)), dim=1)


class GhostBottleneck(nn.Module):
    """Expand by a ghost module, depthwise where the stride is 2, squeeze-and-excite, project by a ghost module.

    What is added to the output is the input, or where shapes differ a depthwise and a 1x1 convolution of it. The
    kernel is that of the depthwise convolutions, so it makes no difference to a block that keeps the shape.
    ``squeezed`` is the channels inside squeeze-and-excite, 0 for none. Where the input itself is added, the other
    branch starts scaled by ``residual_gain``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden: int,
        kernel: int,
        stride: int,
        squeezed: int,
        activation: Activation,
        residual_gain: float,
    ) -> None:
        super().__init__()
        keeps_shape = stride == 1 and in_channels == out_channels
        self.expand = GhostModule(in_channels, hidden, activation=activation)
        self.depthwise = (
            nn.Identity()
            if stride == 1
            else ConvNorm(hidden, hidden, kernel=kernel, stride=stride, groups=hidden, activation=None)
        )
        self.squeeze_excite = SqueezeExcite(hidden, squeezed) if squeezed else nn.Identity()
        self.project = GhostModule(
            hidden, out_channels, activation=None, gain=residual_gain if keeps_shape else 1.0
        )
        self.shortcut = (
            nn.Identity()
            if keeps_shape
            else nn.Sequential(
                ConvNorm(
                    in_channels,
                    in_channels,
                    kernel=kernel,
                    stride=stride,
                    groups=in_channels,
                    activation=None,
                ),
                ConvNorm(in_channels, out_channels, activation=None),
            )
        )

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.squeeze_excite(self.depthwise(self.expand(features)))
        return cast(Tensor, self.shortcut(features) + self.project(hidden))
