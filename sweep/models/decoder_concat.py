"""Decoders that concatenate the encoder's features. Tensors are NCHW."""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from sweep.models.decoder_levels import skip_of
from sweep.models.layers import ConvNorm, upsample, upsample_twice
from sweep.space.candidate import SimpleFusionDecoder, Upsampling


class ConcatenatingDecoder(nn.Module):
    """U-Net (Ronneberger et al. 2015): concatenate the skip with the upsampled path, then convolve.

    ``widths`` are the levels' channels and ``skips`` their skips' channels, deep to shallow, 0 for no skip.
    ``block`` makes a level's convolutions from the number of channels that come in and go out.
    """

    def __init__(
        self,
        deepest: int,
        skips: Sequence[int],
        widths: Sequence[int],
        *,
        block: Callable[[int, int], nn.Module],
        upsampling: Upsampling,
    ) -> None:
        super().__init__()
        self.upsampling: Upsampling = upsampling
        self.out_channels = widths[-1]
        inputs = [path + skip for path, skip in zip([deepest, *widths], skips, strict=False)]
        self.blocks = nn.ModuleList(
            block(in_channels, width) for in_channels, width in zip(inputs, widths, strict=True)
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        path = features[-1]
        for level, block in enumerate(self.blocks):
            path = upsample_twice(path, self.upsampling)
            skip = skip_of(features, level)
            path = block(path if skip is None else torch.cat((path, skip), dim=1))
        return path


class SimpleFusingDecoder(nn.Module):
    """Simple Fusion Module: bring all stages to the output stride, concatenate, convolve 3x3 once.

    A stage of more channels than the result is first projected to as many by a 1x1 convolution, at its own
    resolution. The 3x3 convolution reads nine taps of every channel at the output stride, where there are 4 to
    1024 times the pixels of the deeper stages: with 32 channels at stride 4, MobileNetV3's 336 cost a third when
    they are projected. Narrow stages are concatenated as they are.

    ``skips`` are the skips' channels, deep to shallow, 0 for none.
    """

    def __init__(self, config: SimpleFusionDecoder, deepest: int, skips: Sequence[int]) -> None:
        super().__init__()
        self.upsampling: Upsampling = config.upsampling
        width = self.out_channels = config.width
        stages = [deepest, *(skip for skip in skips if skip)]  # deep to shallow
        self.factors = [1 << (len(skips) - level) for level in range(len(stages))]
        self.projections = nn.ModuleList(
            ConvNorm(channels, width, activation="relu") if channels > width else nn.Identity()
            for channels in stages
        )
        self.fuse = ConvNorm(
            sum(min(channels, width) for channels in stages), width, kernel=3, activation="relu"
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        stages = list(features)[::-1][: len(self.projections)]
        joined = [
            upsample(project(stage), factor, self.upsampling)
            for stage, project, factor in zip(stages, self.projections, self.factors, strict=True)
        ]
        return cast(Tensor, self.fuse(torch.cat(joined, dim=1)))
