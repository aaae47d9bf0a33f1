"""A decoder as someone's own package would bring it."""

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from sweep.space.candidate import OwnDecoder


class DeepestOnly(OwnDecoder):
    """The deepest features, mixed and enlarged; no skips."""

    kind: Literal["own_decoder:DeepestOnly"]
    width: int = Field(ge=1)

    def build(self, encoder_channels: Sequence[int], output_stride: int) -> "DeepestOnlyModule":
        return DeepestOnlyModule(
            encoder_channels[-1], self.width, (1 << len(encoder_channels)) // output_stride
        )


class DeepestOnlyModule(nn.Module):
    def __init__(self, deepest: int, width: int, factor: int) -> None:
        super().__init__()
        self.out_channels = width
        self.factor = factor
        self.mix = nn.Conv2d(deepest, width, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return F.interpolate(self.mix(features[-1]), scale_factor=float(self.factor), mode="nearest")
