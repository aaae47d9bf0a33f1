"""Decoders: from the encoder's features to features at the output stride.

Each level doubles the resolution and takes the encoder's features of that stride as a skip. At stride 1 the
encoder has none: that level upsamples and refines only.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from sweep.models.collapse import CollapsibleBlock
from sweep.models.decoder_concat import ConcatenatingDecoder, SimpleFusingDecoder
from sweep.models.decoder_levels import skip_channels, tapered
from sweep.models.decoder_sum import AddingDecoder, FeatureFusingDecoder, LightSummingDecoder
from sweep.models.layers import ConvNorm, SeparableConv
from sweep.space.candidate import (
    AddDecoder,
    CollapsibleDecoder,
    ConcatDecoder,
    Decoder,
    FeatureFusionDecoder,
    LightDecoder,
    OwnDecoder,
    SeparableDecoder,
    SimpleFusionDecoder,
)

SEPARABLE_TAPER = 0.5


class DecoderModule(Protocol):
    """What every decoder offers besides being a module."""

    out_channels: int

    def __call__(self, features: Sequence[Tensor]) -> Tensor:
        """Encoder features, shallow to deep (strides 2, 4, 8, ...), to features at the output stride."""


def build_decoder(config: Decoder, encoder_channels: Sequence[int], output_stride: int) -> DecoderModule:
    """The decoder from the encoder's channels (strides 2, 4, 8, ...) down to ``output_stride``."""
    skips = skip_channels(encoder_channels, output_stride)
    deepest = encoder_channels[-1]
    match config:
        case AddDecoder():
            return AddingDecoder(config, deepest, skips)
        case ConcatDecoder() | SeparableDecoder() | CollapsibleDecoder():
            return build_unet(config, deepest, skips)
        case LightDecoder():
            return LightSummingDecoder(config, deepest, skips)
        case SimpleFusionDecoder():
            return SimpleFusingDecoder(config, deepest, skips)
        case FeatureFusionDecoder():
            widths = tapered(config.width, config.taper, len(skips))
            return FeatureFusingDecoder(config, deepest, skips, widths)
        case OwnDecoder():
            return config.build(encoder_channels, output_stride)


def build_unet(
    config: ConcatDecoder | SeparableDecoder | CollapsibleDecoder, deepest: int, skips: Sequence[int]
) -> ConcatenatingDecoder:
    """The U-Net with that kind of convolutions; ``skips`` are the skips' channels, deep to shallow."""
    taper = SEPARABLE_TAPER if isinstance(config, SeparableDecoder) else config.taper

    def block(in_channels: int, out_channels: int) -> nn.Module:
        match config:
            case ConcatDecoder():
                return ConvNorm(in_channels, out_channels, kernel=3, activation="relu")
            case SeparableDecoder():
                return SeparableConv(in_channels, out_channels, kernel=config.kernel)
            case CollapsibleDecoder():
                return collapsible_level(config, in_channels, out_channels)

    widths = tapered(config.width, taper, len(skips))
    return ConcatenatingDecoder(deepest, skips, widths, block=block, upsampling=config.upsampling)


def collapsible_level(config: CollapsibleDecoder, in_channels: int, out_channels: int) -> nn.Sequential:
    """``config.depth`` collapsible 3x3 blocks; the first changes the channels."""
    inputs = [in_channels] + [out_channels] * (config.depth - 1)
    return nn.Sequential(
        *(
            CollapsibleBlock(channels, out_channels, kernel=3, expansion=config.expansion)
            for channels in inputs
        )
    )
