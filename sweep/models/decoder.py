"""Decoders: from the encoder's features to features at the output stride.

Each level doubles the resolution and takes the encoder's features of that stride as a skip. At stride 1 the
encoder has none: that level upsamples and refines only.
"""

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from sweep.models.layers import ConvNorm, SeparableConv, round_channels, upsample_twice
from sweep.space.candidate import AddDecoder, ConcatDecoder, Decoder, SeparableDecoder, Upsampling

SEPARABLE_TAPER = 0.5


class DecoderModule(Protocol):
    """What every decoder offers besides being a module."""

    out_channels: int

    def __call__(self, features: Sequence[Tensor]) -> Tensor:
        """Encoder features, shallow to deep (strides 2, 4, 8, ...), to features at the output stride."""


class AddingDecoder(nn.Module):
    """Lateral 1x1 convolutions added to the upsampled path, then a depthwise-separable block per level.

    The feature pyramid of Lin et al. 2017. ``skips`` are the skips' channels, deep to shallow, 0 for none.
    """

    def __init__(self, config: AddDecoder, deepest: int, skips: Sequence[int]) -> None:
        super().__init__()
        self.upsampling: Upsampling = config.upsampling
        self.out_channels = config.width
        self.top = ConvNorm(deepest, config.width, activation="relu")
        self.laterals = nn.ModuleList(
            ConvNorm(skip, config.width, activation=None) if skip else nn.Identity() for skip in skips
        )
        self.blocks = nn.ModuleList(SeparableConv(config.width, config.width, kernel=3) for _ in skips)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        path = cast(Tensor, self.top(features[-1]))
        for level, (lateral, block) in enumerate(zip(self.laterals, self.blocks, strict=True)):
            path = upsample_twice(path, self.upsampling)
            skip = skip_of(features, level)
            path = block(path if skip is None else path + lateral(skip))
        return path


class ConcatenatingDecoder(nn.Module):
    """U-Net (Ronneberger et al. 2015): concatenate the skip with the upsampled path, then convolve.

    ``widths`` are the levels' channels and ``skips`` their skips' channels, deep to shallow, 0 for no skip.
    ``kernel`` None means a full 3x3 convolution, a number a depthwise-separable one of that size.
    """

    def __init__(
        self,
        deepest: int,
        skips: Sequence[int],
        widths: Sequence[int],
        *,
        kernel: int | None,
        upsampling: Upsampling,
    ) -> None:
        super().__init__()
        self.upsampling: Upsampling = upsampling
        self.out_channels = widths[-1]
        inputs = [path + skip for path, skip in zip([deepest, *widths], skips, strict=False)]
        self.blocks = nn.ModuleList(
            ConvNorm(in_channels, width, kernel=3, activation="relu")
            if kernel is None
            else SeparableConv(in_channels, width, kernel=kernel)
            for in_channels, width in zip(inputs, widths, strict=True)
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        path = features[-1]
        for level, block in enumerate(self.blocks):
            path = upsample_twice(path, self.upsampling)
            skip = skip_of(features, level)
            path = block(path if skip is None else torch.cat((path, skip), dim=1))
        return path


def skip_of(features: Sequence[Tensor], level: int) -> Tensor | None:
    """The encoder's features at the stride of that decoder level (0 is the deepest), or None at stride 1."""
    index = len(features) - 2 - level
    return features[index] if index >= 0 else None


def tapered(width: int, taper: float, levels: int) -> list[int]:
    """Channels per level, deep to shallow: each is ``taper`` times the one before, a multiple of 8."""
    return [round_channels(width * taper**level) for level in range(levels)]


def build_decoder(config: Decoder, encoder_channels: Sequence[int], output_stride: int) -> DecoderModule:
    """The decoder from the encoder's channels (strides 2, 4, 8, ...) down to ``output_stride``."""
    # Index i of this list is stride 2**i; the image itself, at stride 1, is no skip.
    channels = [0, *encoder_channels]
    skips = channels[output_stride.bit_length() - 1 : -1][::-1]
    deepest = encoder_channels[-1]
    match config:
        case AddDecoder():
            return AddingDecoder(config, deepest, skips)
        case ConcatDecoder():
            widths = tapered(config.width, config.taper, len(skips))
            return ConcatenatingDecoder(deepest, skips, widths, kernel=None, upsampling=config.upsampling)
        case SeparableDecoder():
            widths = tapered(config.width, SEPARABLE_TAPER, len(skips))
            return ConcatenatingDecoder(
                deepest, skips, widths, kernel=config.kernel, upsampling=config.upsampling
            )
