"""The MobileNetV3 encoder (Howard et al. 2019, "Searching for MobileNetV3")."""

import math

from torch import Tensor, nn

from sweep.models.layers import ConvNorm, InvertedResidual, round_channels
from sweep.space.candidate import MobileNetV3, Stage

# MobileNetV3-Large's channels at strides 2, 4, 8, 16 and 32; its two groups at stride 16 are one stage here.
STEM_CHANNELS = 16
STAGE_CHANNELS = (24, 40, 112, 160)

# About one over the standard deviation of a photo's pixels, so that the stem sees unit variance. A power of
# two: folding it into the stem's weights changes no bit. There is no mean to subtract: the stem's batch
# normalisation removes it, and zero padding stays exact (the border is black, in the file as in training).
INPUT_SCALE = 1 / 64


class MobileNetV3Encoder(nn.Module):
    """Stride-2 stem, then one stage of inverted residuals per stride from 4 on."""

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
    """``stage.depth`` inverted residuals; the first has stride 2 and changes the channels."""
    inputs = [in_channels] + [out_channels] * (stage.depth - 1)
    return nn.Sequential(
        *(
            InvertedResidual(
                channels,
                out_channels,
                hidden=max(channels, round_channels(channels * stage.expansion)),
                kernel=stage.kernel,
                stride=2 if index == 0 else 1,
                squeeze_excite=stage.squeeze_excite,
                activation=stage.activation,
                residual_gain=1 / math.sqrt(stage.depth),
            )
            for index, channels in enumerate(inputs)
        )
    )
