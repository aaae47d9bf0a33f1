"""Context blocks: what widens the view of the encoder's deepest features. Tensors are NCHW."""

from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sweep.models.layers import ConvNorm, fill_bias
from sweep.space.candidate import Aspp, NoContext

# Of the 3x3 branches' dilations, times the first one's.
DILATION_MULTIPLES = (1, 2, 3)


class ContextModule(Protocol):
    """What every context block offers besides being a module."""

    out_channels: int

    def __call__(self, deepest: Tensor) -> Tensor:
        """The encoder's deepest features to as many rows and columns of ``out_channels`` channels."""


class NoContextBlock(nn.Module):
    """The deepest features as they are."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out_channels = channels

    def forward(self, deepest: Tensor) -> Tensor:
        return deepest


class AsppBlock(nn.Module):
    """Atrous spatial pyramid pooling with image-level features (Chen et al. 2017, "Rethinking Atrous
    Convolution for Semantic Image Segmentation").

    A 1x1 branch and three 3x3 branches of growing dilation are concatenated and projected by a 1x1
    convolution. The channels' means over the image take part too: the paper tiles and concatenates their own
    1x1 convolution before the projection; here it is added, by broadcasting, to what the projection gives, so
    nothing is tiled. It has a bias instead of batch normalisation, whose statistics over one value for each
    image would be noise, and for a single image undefined.
    """

    def __init__(self, config: Aspp, in_channels: int) -> None:
        super().__init__()
        width = self.out_channels = config.width
        self.pointwise = ConvNorm(in_channels, width, activation="relu")
        self.dilated = nn.ModuleList(
            ConvNorm(in_channels, width, kernel=3, dilation=multiple * config.dilation, activation="relu")
            for multiple in DILATION_MULTIPLES
        )
        self.project = ConvNorm(width * (1 + len(DILATION_MULTIPLES)), width, activation=None)
        self.pooled = nn.Conv2d(in_channels, width, 1)
        nn.init.kaiming_normal_(self.pooled.weight, nonlinearity="linear")
        fill_bias(self.pooled, 0.0)

    def forward(self, deepest: Tensor) -> Tensor:
        branches = (self.pointwise(deepest), *(branch(deepest) for branch in self.dilated))
        local = cast(Tensor, self.project(torch.cat(branches, dim=1)))
        return F.relu(local + self.pooled(deepest.mean((2, 3), keepdim=True)))


def build_context(config: NoContext | Aspp, in_channels: int) -> ContextModule:
    """The block on deepest features of so many channels."""
    match config:
        case NoContext():
            return NoContextBlock(in_channels)
        case Aspp():
            return AsppBlock(config, in_channels)
