"""The network part of a candidate."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sweep.space.decoders import Decoder
from sweep.space.encoders import Encoder, by_kind
from sweep.space.parts import Frozen, Reading, Upsampling, defaulting, exactly


class Input(Frozen):
    """How the 480x640 frame becomes the network's inner image."""

    height: int = Field(ge=32, le=480, multiple_of=16, description="Inner height in pixels.")
    width: int = Field(ge=32, le=640, multiple_of=16, description="Inner width in pixels.")
    resize: Literal["bilinear", "pooled"] = Field(
        description="bilinear: one bilinear resize. pooled: 2x2 average pooling first (less aliasing, slower)."
    )


class NoContext(Frozen):
    """The decoder gets the deepest features as they are."""

    kind: Literal["none"]


class Aspp(Frozen):
    """Atrous spatial pyramid pooling (Chen et al. 2017) on the deepest features."""

    kind: Literal["aspp"]
    width: int = Field(ge=8, le=256, multiple_of=8, description="Channels of each branch and of the result.")
    dilation: int = Field(
        ge=1, le=12, description="Of the first 3x3 branch; the others have two and three times that."
    )


class NoResize(Frozen):
    """Depth is predicted at the output stride."""

    kind: Literal["none"]


class ResizeTo(Frozen):
    """Features are resized bilinearly to a size where no stride leads, such as 48x64 of a 128x160 image."""

    kind: Literal["resize_to"]
    height: int = Field(ge=8, le=480, description="Height in pixels at which depth is predicted.")
    width: int = Field(ge=8, le=640, description="Width in pixels at which depth is predicted.")


class Output(Frozen):
    """From the decoder's last level to 480x640."""

    stride: Literal[1, 2, 4, 8] = Field(
        description="Stride, relative to the inner image, at which depth is predicted."
    )
    upsampling: Upsampling
    inner: Annotated[NoResize | ResizeTo, Field(discriminator="kind")] = defaulting(
        NoResize(kind="none"), "A resize of the features before depth is predicted; absent: none."
    )


def _divisor(pixels: int) -> int:
    """The largest stride that divides a side."""
    return math.gcd(pixels, 32)


def _stride(encoder: Encoder) -> int:
    return encoder.stride


class Architecture(Frozen):
    """The network part of a candidate: everything that latency depends on."""

    input: Input
    encoder: Encoder = Field(discriminator=by_kind)
    context: Annotated[NoContext | Aspp, Field(discriminator="kind")] = defaulting(
        NoContext(kind="none"), "What widens the view of the deepest features; absent: nothing."
    )
    decoder: Decoder = Field(discriminator=by_kind)
    output: Output

    constrained: ClassVar[Mapping[str, Reading]] = {
        "input.height": _divisor,
        "input.width": _divisor,
        "encoder": _stride,
        "output.stride": exactly,
    }

    @model_validator(mode="after")
    def _strides_fit(self) -> Self:
        if self.input.height % self.encoder.stride or self.input.width % self.encoder.stride:
            raise ValueError(
                f"input {self.input.height}x{self.input.width} is not a multiple of the encoder's stride "
                f"{self.encoder.stride}"
            )
        if self.output.stride >= self.encoder.stride:
            raise ValueError(
                f"output stride {self.output.stride} must be below the encoder's stride {self.encoder.stride}"
            )
        return self
