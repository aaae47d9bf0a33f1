"""A published encoder with a candidate's changes: the channels, kernels and strides of every block."""

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from sweep.space.encoders import OwnBlock, PublishedEncoder, StageChange
from sweep.space.parts import Activation
from sweep.space.published import PUBLISHED, PublishedBlock, PublishedNetwork, round_channels, round_up

Value = TypeVar("Value")


@dataclass(frozen=True)
class ResolvedBlock:
    """A block as it is built. ``squeezed`` is the channels inside squeeze-and-excite, 0 where there is none."""

    in_channels: int
    hidden: int
    out_channels: int
    kernel: int
    stride: int
    squeezed: int
    activation: Activation


@dataclass(frozen=True)
class ResolvedStage:
    """A stage as it is built; ``stride`` is that of its output relative to the inner image.

    ``own``, where there is one, is built in place of each block.
    """

    stride: int
    blocks: tuple[ResolvedBlock, ...]
    own: OwnBlock | None

    @property
    def channels(self) -> int:
        """Channels of the stage's output."""
        return self.blocks[-1].out_channels


@dataclass(frozen=True)
class ResolvedStem:
    """The first convolution, 3x3 with stride 2, as it is built."""

    channels: int
    activation: Activation


def resolve_stem(config: PublishedEncoder) -> ResolvedStem:
    """The stem of that encoder."""
    network = PUBLISHED[config.kind]
    width = 1.0 if network.fixed_ends else network.width * config.width
    channels = round_channels(network.stem_channels * width, network.divisor)
    return ResolvedStem(channels, _first((config.activation, network.stem_activation)))


def resolve_stages(config: PublishedEncoder) -> tuple[ResolvedStage, ...]:
    """The kept stages of that encoder, with everything that the configuration changes.

    A stage's keys win over the encoder's, and these over what is published. A stage with more blocks than
    published repeats its last one. Hidden channels are the expansion times the input channels, as these came out.
    """
    network = PUBLISHED[config.kind]
    in_channels = resolve_stem(config).channels
    stages: list[ResolvedStage] = []
    for index, (change, stride) in enumerate(zip(config.changes, config.strides, strict=True)):
        stages.append(
            ResolvedStage(stride, _blocks(network, index, config, change, in_channels), change.block)
        )
        in_channels = stages[-1].channels
    return tuple(stages)


def _blocks(
    network: PublishedNetwork, index: int, config: PublishedEncoder, change: StageChange, in_channels: int
) -> tuple[ResolvedBlock, ...]:
    stage = network.stages[index]
    width = network.width * config.width * _first((change.width, 1.0))
    out_channels = round_channels(stage.channels * width, network.divisor)
    published = _repeat_last(stage.blocks, _depth(network, index, config, change))
    first, *others = (_changed(block, config, change) for block in published)
    return (
        _resolved(network, first, in_channels, out_channels, stage.stride),
        *(_resolved(network, block, out_channels, out_channels, 1) for block in others),
    )


def _depth(network: PublishedNetwork, index: int, config: PublishedEncoder, change: StageChange) -> int:
    if change.depth is not None:
        return change.depth
    depth = network.published_depth(index)
    return depth if config.depth is None or network.has_fixed_depth(index) else round_up(depth * config.depth)


def _changed(block: PublishedBlock, config: PublishedEncoder, change: StageChange) -> PublishedBlock:
    return PublishedBlock(
        kernel=_first((change.kernel, config.kernel, block.kernel)),
        expansion=_first((_fraction(change.expansion), _fraction(config.expansion), block.expansion)),
        squeeze_excite=_first((change.squeeze_excite, config.squeeze_excite, block.squeeze_excite)),
        activation=_first((change.activation, config.activation, block.activation)),
    )


def _resolved(
    network: PublishedNetwork, block: PublishedBlock, in_channels: int, out_channels: int, stride: int
) -> ResolvedBlock:
    hidden = max(in_channels, round_channels(float(in_channels * block.expansion), network.divisor))
    return ResolvedBlock(
        in_channels,
        hidden,
        out_channels,
        kernel=block.kernel,
        stride=stride,
        squeezed=_squeezed(network, in_channels, hidden) if block.squeeze_excite else 0,
        activation=block.activation,
    )


def _squeezed(network: PublishedNetwork, in_channels: int, hidden: int) -> int:
    """A quarter of the block's input channels in EfficientNet, of its hidden channels elsewhere."""
    if network.gate == "sigmoid":
        return in_channels // 4
    return round_channels(hidden / 4, network.divisor)


def _first(values: tuple[Value | None, ...]) -> Value:
    """The first value that is given."""
    return next(value for value in values if value is not None)


def _fraction(number: float | None) -> Fraction | None:
    return None if number is None else Fraction(number)


def _repeat_last(blocks: tuple[PublishedBlock, ...], depth: int) -> tuple[PublishedBlock, ...]:
    return (*blocks, *blocks[-1:] * depth)[:depth]
