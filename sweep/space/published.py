"""The published encoders as data.

The tables are those of the papers:

- MobileNetV2: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2.
- MobileNetV3: Howard et al. 2019, "Searching for MobileNetV3", tables 1 and 2. The minimalistic form, from the
  authors' own release, has 3x3 kernels and ReLU alone, and no squeeze-and-excite.
- EfficientNet: Tan & Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", table 1;
  B1 has 1.1 times the blocks. EfficientNet-Lite, from the authors' own release, has ReLU6 and no
  squeeze-and-excite, and scales neither the stem's channels nor the blocks of the first and last stage.
- GhostNet: Han et al. 2020, "GhostNet: More Features from Cheap Operations", table 1.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, Literal

from sweep.space.parts import Activation

BlockKind = Literal["inverted_residual", "ghost"]
#: How squeeze-and-excite is gated: by relu6(x + 3) / 6 (MobileNetV3, GhostNet) or by a sigmoid (EfficientNet).
Gate = Literal["hard_sigmoid", "sigmoid"]


def round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest positive multiple of ``divisor``, but never below 90 % of ``channels`` (MobileNet's rule)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def round_up(blocks: float) -> int:
    """The next whole number, but for the last digits of a product such as 0.7 * 10."""
    return math.ceil(blocks - 1e-9)


@dataclass(frozen=True)
class PublishedBlock:
    """One block: its depthwise kernel, hidden channels over input channels, and the rest."""

    kernel: int
    expansion: Fraction
    squeeze_excite: bool
    activation: Activation


@dataclass(frozen=True)
class PublishedStage:
    """Blocks that give the same number of channels; the first one has the stage's stride, 1 or 2."""

    channels: int
    stride: int
    blocks: tuple[PublishedBlock, ...]


@dataclass(frozen=True)
class PublishedNetwork:
    """A published network up to its head, before its authors' multipliers of channels and blocks.

    Channels are rounded to multiples of ``divisor``. ``fixed_ends`` says that no multiplier touches the stem's
    channels or the blocks of the network's first and last stage.
    """

    stem_channels: int
    stem_activation: Activation
    stages: tuple[PublishedStage, ...]
    block: BlockKind = "inverted_residual"
    gate: Gate = "hard_sigmoid"
    width: float = 1.0
    depth: float = 1.0
    fixed_ends: bool = False
    divisor: int = 8

    def has_fixed_depth(self, stage: int) -> bool:
        """Whether no multiplier touches that stage's number of blocks; stages count from 0."""
        return self.fixed_ends and stage in {0, len(self.stages) - 1}

    def published_depth(self, stage: int) -> int:
        """Blocks of that stage as published; stages count from 0."""
        blocks = len(self.stages[stage].blocks)
        return blocks if self.has_fixed_depth(stage) else round_up(blocks * self.depth)


#: Kernel, hidden channels, squeeze-and-excite and activation of one block, as tables of single blocks have them.
Row = tuple[int, int, bool, Activation]


def _stage(in_channels: int, channels: int, stride: int, *rows: Row) -> PublishedStage:
    """A stage whose blocks are tabulated one by one, from the channels that come in."""
    inputs = (in_channels, *(channels for _ in rows[1:]))
    return PublishedStage(
        channels,
        stride,
        tuple(
            PublishedBlock(kernel, Fraction(hidden, inside), squeeze_excite, activation)
            for inside, (kernel, hidden, squeeze_excite, activation) in zip(inputs, rows, strict=True)
        ),
    )


def _stages(
    squeeze_excite: bool, activation: Activation, *rows: tuple[int, int, int, int, int]
) -> tuple[PublishedStage, ...]:
    """Stages of equal blocks; a row is expansion, channels, blocks, stride and kernel."""
    return tuple(
        PublishedStage(
            channels,
            stride,
            (PublishedBlock(kernel, Fraction(expansion), squeeze_excite, activation),) * depth,
        )
        for expansion, channels, depth, stride, kernel in rows
    )


def _minimalistic(stage: PublishedStage) -> PublishedStage:
    blocks = (replace(block, kernel=3, squeeze_excite=False, activation="relu") for block in stage.blocks)
    return replace(stage, blocks=tuple(blocks))


_MOBILENETV2: Final = PublishedNetwork(
    32,
    "relu6",
    _stages(
        False,
        "relu6",
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 32, 3, 2, 3),
        (6, 64, 4, 2, 3),
        (6, 96, 3, 1, 3),
        (6, 160, 3, 2, 3),
        (6, 320, 1, 1, 3),
    ),
)

_MOBILENETV3_LARGE: Final = PublishedNetwork(
    16,
    "hard_swish",
    (
        _stage(16, 16, 1, (3, 16, False, "relu")),
        _stage(16, 24, 2, (3, 64, False, "relu"), (3, 72, False, "relu")),
        _stage(24, 40, 2, (5, 72, True, "relu"), (5, 120, True, "relu"), (5, 120, True, "relu")),
        _stage(
            40,
            80,
            2,
            (3, 240, False, "hard_swish"),
            (3, 200, False, "hard_swish"),
            (3, 184, False, "hard_swish"),
            (3, 184, False, "hard_swish"),
        ),
        _stage(80, 112, 1, (3, 480, True, "hard_swish"), (3, 672, True, "hard_swish")),
        _stage(
            112,
            160,
            2,
            (5, 672, True, "hard_swish"),
            (5, 960, True, "hard_swish"),
            (5, 960, True, "hard_swish"),
        ),
    ),
)

_MOBILENETV3_SMALL: Final = PublishedNetwork(
    16,
    "hard_swish",
    (
        _stage(16, 16, 2, (3, 16, True, "relu")),
        _stage(16, 24, 2, (3, 72, False, "relu"), (3, 88, False, "relu")),
        _stage(
            24, 40, 2, (5, 96, True, "hard_swish"), (5, 240, True, "hard_swish"), (5, 240, True, "hard_swish")
        ),
        _stage(40, 48, 1, (5, 120, True, "hard_swish"), (5, 144, True, "hard_swish")),
        _stage(
            48,
            96,
            2,
            (5, 288, True, "hard_swish"),
            (5, 576, True, "hard_swish"),
            (5, 576, True, "hard_swish"),
        ),
    ),
)

_EFFICIENTNET_ROWS: Final = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_EFFICIENTNET_B0: Final = PublishedNetwork(
    32, "swish", _stages(True, "swish", *_EFFICIENTNET_ROWS), gate="sigmoid"
)
_EFFICIENTNET_LITE0: Final = PublishedNetwork(
    32, "relu6", _stages(False, "relu6", *_EFFICIENTNET_ROWS), gate="sigmoid", fixed_ends=True
)

_GHOSTNET: Final = PublishedNetwork(
    16,
    "relu",
    (
        _stage(16, 16, 1, (3, 16, False, "relu")),
        _stage(16, 24, 2, (3, 48, False, "relu"), (3, 72, False, "relu")),
        _stage(24, 40, 2, (5, 72, True, "relu"), (5, 120, True, "relu")),
        _stage(
            40,
            80,
            2,
            (3, 240, False, "relu"),
            (3, 200, False, "relu"),
            (3, 184, False, "relu"),
            (3, 184, False, "relu"),
        ),
        _stage(80, 112, 1, (3, 480, True, "relu"), (3, 672, True, "relu")),
        _stage(
            112,
            160,
            2,
            (5, 672, True, "relu"),
            (5, 960, False, "relu"),
            (5, 960, True, "relu"),
            (5, 960, False, "relu"),
            (5, 960, True, "relu"),
        ),
    ),
    block="ghost",
    divisor=4,
)

#: Every published encoder by its kind.
PUBLISHED: Final = {
    "mobilenetv2": _MOBILENETV2,
    "mobilenetv3_large": _MOBILENETV3_LARGE,
    "mobilenetv3_small": _MOBILENETV3_SMALL,
    "mobilenetv3_minimal": replace(
        _MOBILENETV3_LARGE,
        stem_activation="relu",
        stages=tuple(_minimalistic(stage) for stage in _MOBILENETV3_LARGE.stages),
    ),
    "efficientnet_b0": _EFFICIENTNET_B0,
    "efficientnet_b1": replace(_EFFICIENTNET_B0, depth=1.1),
    "efficientnet_lite0": _EFFICIENTNET_LITE0,
    "efficientnet_lite1": replace(_EFFICIENTNET_LITE0, depth=1.1),
    "efficientnet_lite2": replace(_EFFICIENTNET_LITE0, width=1.1, depth=1.2),
    "ghostnet": _GHOSTNET,
}
