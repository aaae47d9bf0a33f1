"""Encoders: from the inner image to features at strides 2, 4, 8, ..."""

import math
from typing import Protocol

from torch import Tensor, nn

from sweep.models.blocks import build_block, build_own_block
from sweep.models.layers import ConvNorm, InvertedResidual
from sweep.space.encoders import Encoder, MobileNetV3, OwnEncoder, PublishedEncoder, Stage
from sweep.space.published import PUBLISHED, round_channels
from sweep.space.resolved import ResolvedStage, resolve_stages, resolve_stem

# MobileNetV3-Large's channels at strides 2, 4, 8, 16 and 32; its two groups at stride 16 are one stage here.
STEM_CHANNELS = 16
STAGE_CHANNELS = (24, 40, 112, 160)

# About one over the standard deviation of a photo's pixels, so that the stem sees unit variance. A power of
# two: folding it into the stem's weights changes no bit. There is no mean to subtract: the stem's batch
# normalisation removes it, and zero padding stays exact (the border is black, in the file as in training).
INPUT_SCALE = 1 / 64


class EncoderModule(Protocol):
    """What every encoder offers besides being a module."""

    channels: tuple[int, ...]  # of the features at strides 2, 4, 8, ...

    def __call__(self, inner: Tensor) -> tuple[Tensor, ...]:
        """N3HW RGB 0..255 to the features at strides 2, 4, 8, ..., shallow to deep."""


def build_encoder(config: Encoder) -> EncoderModule:
    """The encoder of that configuration, freshly initialised from torch's global random generator."""
    match config:
        case MobileNetV3():
            return MobileNetV3Encoder(config)
        case OwnEncoder():
            return config.build()
        case _:
            return StagedEncoder(config)


class MobileNetV3Encoder(nn.Module):
    """MobileNetV3 with a layout of one's own: a stride-2 stem, then one stage per stride from 4 on."""

    def __init__(self, config: MobileNetV3) -> None:
        super().__init__()
        widths = [round_channels(base * config.width) for base in (STEM_CHANNELS, *STAGE_CHANNELS)]
        self.channels = tuple(widths[: len(config.stages) + 1])  # at strides 2, 4, 8, ...
        self.stem = ConvNorm(3, self.channels[0], kernel=3, stride=2, activation=config.stem_activation)
        self.stages = nn.ModuleList(
            build_stage(stage, in_channels, out_channels)
            for stage, in_channels, out_channels in zip(
                config.stages, self.channels, self.channels[1:], strict=False
            )
        )

    def forward(self, inner: Tensor) -> tuple[Tensor, ...]:
        """N3HW RGB 0..255 to the features at strides 2, 4, 8, ..., shallow to deep."""
        features: list[Tensor] = [self.stem(inner * INPUT_SCALE)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return tuple(features)


def build_stage(stage: Stage, in_channels: int, out_channels: int) -> nn.Sequential:
    """``stage.depth`` blocks; the first has stride 2 and changes the channels."""
    inputs = [in_channels] + [out_channels] * (stage.depth - 1)
    return nn.Sequential(
        *(
            _free_block(stage, channels, out_channels, stride=2 if index == 0 else 1)
            for index, channels in enumerate(inputs)
        )
    )


def _free_block(stage: Stage, in_channels: int, out_channels: int, *, stride: int) -> nn.Module:
    hidden = max(in_channels, round_channels(in_channels * stage.expansion))
    if stage.block is not None:
        return stage.block.build(
            in_channels,
            out_channels,
            hidden=hidden,
            kernel=stage.kernel,
            stride=stride,
            squeeze_excite=stage.squeeze_excite,
            activation=stage.activation,
        )
    return InvertedResidual(
        in_channels,
        out_channels,
        hidden=hidden,
        kernel=stage.kernel,
        stride=stride,
        squeeze_excite=stage.squeeze_excite,
        activation=stage.activation,
        residual_gain=1 / math.sqrt(stage.depth),
    )


class StagedEncoder(nn.Module):
    """A published encoder: a stride-2 stem, then stages, of which several may have the same stride.

    The features of a stride are the output of its last stage, or the stem's where no stage has that stride.
    """

    def __init__(self, config: PublishedEncoder) -> None:
        super().__init__()
        stem, stages = resolve_stem(config), resolve_stages(config)
        self.strides = config.strides
        channels = {2: stem.channels} | {stage.stride: stage.channels for stage in stages}
        self.channels = tuple(channels.values())  # at strides 2, 4, 8, ...
        self.stem = ConvNorm(3, stem.channels, kernel=3, stride=2, activation=stem.activation)
        self.stages = nn.ModuleList(_build_published_stage(config.kind, stage) for stage in stages)

    def forward(self, inner: Tensor) -> tuple[Tensor, ...]:
        """N3HW RGB 0..255 to the features at strides 2, 4, 8, ..., shallow to deep."""
        path = self.stem(inner * INPUT_SCALE)
        features: dict[int, Tensor] = {2: path}
        for stage, stride in zip(self.stages, self.strides, strict=True):
            path = features[stride] = stage(path)
        return tuple(features.values())


def _build_published_stage(kind: str, stage: ResolvedStage) -> nn.Sequential:
    gain = 1 / math.sqrt(len(stage.blocks))
    return nn.Sequential(
        *(
            build_own_block(stage.own, block) if stage.own else build_block(PUBLISHED[kind], block, gain)
            for block in stage.blocks
        )
    )
