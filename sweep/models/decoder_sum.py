"""Decoders that add the encoder's features to the upsampled path. Tensors are NCHW.

``skips`` are the skips' channels, deep to shallow, 0 for no skip.
"""

from collections.abc import Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from sweep.models.decoder_levels import skip_of
from sweep.models.layers import ConvNorm, SeparableConv, upsample_twice
from sweep.space.candidate import AddDecoder, FeatureFusionDecoder, LightDecoder, Upsampling


class AddingDecoder(nn.Module):
    """Lateral 1x1 convolutions added to the upsampled path, then a depthwise-separable block per level.

    The feature pyramid of Lin et al. 2017.
    """

    def __init__(self, config: AddDecoder, deepest: int, skips: Sequence[int]) -> None:
        super().__init__()
        self.upsampling: Upsampling = config.upsampling
        self.out_channels = config.width
        self.top = ConvNorm(deepest, config.width, activation="relu")
        self.laterals = laterals(skips, [config.width] * len(skips))
        self.blocks = nn.ModuleList(SeparableConv(config.width, config.width, kernel=3) for _ in skips)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        path = cast(Tensor, self.top(features[-1]))
        for level, (lateral, block) in enumerate(zip(self.laterals, self.blocks, strict=True)):
            path = upsample_twice(path, self.upsampling)
            skip = skip_of(features, level)
            path = block(path if skip is None else path + lateral(skip))
        return path


class LightSummingDecoder(nn.Module):
    """One 3x3 convolution where it is cheapest, on the deepest features; each skip joins by a 1x1 convolution.

    With three skips and the network's head that is one 3x3 and four 1x1 convolutions. The ReLU after each sum
    costs nothing (TFLite's ADD has it built in); without it all but the first convolution would be one linear
    map.
    """

    def __init__(self, config: LightDecoder, deepest: int, skips: Sequence[int]) -> None:
        super().__init__()
        self.upsampling: Upsampling = config.upsampling
        self.out_channels = config.width
        self.top = ConvNorm(deepest, config.width, kernel=3, activation="relu")
        self.laterals = laterals(skips, [config.width] * len(skips))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        path = cast(Tensor, self.top(features[-1]))
        for level, lateral in enumerate(self.laterals):
            path = upsample_twice(path, self.upsampling)
            skip = skip_of(features, level)
            path = path if skip is None else F.relu(path + lateral(skip))
        return path


class FeatureFusingDecoder(nn.Module):
    """Feature Fusion Modules: convolve at the low resolution, upsample, add the projected skip.

    FastDepth's order (Wofk et al. 2019): a convolution before the upsampling costs a quarter of one after it.
    Theirs adds the skip itself and so fixes every level's width; the 1x1 projection frees it. ``widths`` are the
    levels' channels, deep to shallow.
    """

    def __init__(
        self, config: FeatureFusionDecoder, deepest: int, skips: Sequence[int], widths: Sequence[int]
    ) -> None:
        super().__init__()
        self.upsampling: Upsampling = config.upsampling
        self.out_channels = widths[-1]
        self.blocks = nn.ModuleList(
            SeparableConv(in_channels, width, kernel=config.kernel)
            if config.convolution == "separable"
            else ConvNorm(in_channels, width, kernel=config.kernel, activation="relu")
            for in_channels, width in zip([deepest, *widths], widths, strict=False)
        )
        self.laterals = laterals(skips, widths)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        path = features[-1]
        for level, (block, lateral) in enumerate(zip(self.blocks, self.laterals, strict=True)):
            path = upsample_twice(cast(Tensor, block(path)), self.upsampling)
            skip = skip_of(features, level)
            path = path if skip is None else F.relu(path + lateral(skip))
        return path


def laterals(skips: Sequence[int], widths: Sequence[int]) -> nn.ModuleList:
    """A linear 1x1 convolution for each skip, to its level's width."""
    return nn.ModuleList(
        ConvNorm(skip, width, activation=None) if skip else nn.Identity()
        for skip, width in zip(skips, widths, strict=True)
    )
