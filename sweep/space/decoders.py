"""Decoders: from the encoder's features to features at the output stride."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, SerializeAsAny, Tag

from sweep.space.parts import Frozen, OwnPart, Upsampling, imported

if TYPE_CHECKING:
    from sweep.models.decoder import DecoderModule


class AddDecoder(Frozen):
    """Lateral 1x1 convolutions added to the upsampled path, one depthwise-separable block per level."""

    kind: Literal["add"]
    width: int = Field(ge=8, le=256, multiple_of=8, description="Channels of every decoder level.")
    upsampling: Upsampling


class ConcatDecoder(Frozen):
    """U-Net: the skip is concatenated with the upsampled path, then a full 3x3 convolution."""

    kind: Literal["concat"]
    width: int = Field(ge=8, le=256, multiple_of=8, description="Channels of the deepest decoder level.")
    upsampling: Upsampling
    taper: float = Field(ge=0.25, le=1, description="Width of each next level over the one before.")


class SeparableDecoder(Frozen):
    """U-Net with depthwise-separable convolutions after each concatenation; each next level is half as wide."""

    kind: Literal["separable"]
    width: int = Field(ge=8, le=256, multiple_of=8, description="Channels of the deepest decoder level.")
    upsampling: Upsampling
    kernel: Literal[3, 5] = Field(description="Depthwise kernel size.")


class CollapsibleDecoder(Frozen):
    """U-Net of Collapsible Linear Blocks (Bhardwaj et al. 2022): each is one plain convolution in the file.

    In training a block is a k x k convolution to ``expansion`` times the channels, a 1x1 convolution back and,
    where the shapes agree, the identity added: linear throughout, so that it collapses to one convolution.
    """

    kind: Literal["collapsible"]
    width: int = Field(ge=8, le=256, multiple_of=8, description="Channels of the deepest decoder level.")
    upsampling: Upsampling
    taper: float = Field(ge=0.25, le=1, description="Width of each next level over the one before.")
    depth: int = Field(ge=1, le=4, description="Linear blocks in each level.")
    expansion: float = Field(ge=1, le=16, description="Hidden channels over outputs, in training only.")


class LightDecoder(Frozen):
    """One 3x3 convolution on the deepest features; every skip joins by a 1x1 convolution and a sum."""

    kind: Literal["light"]
    width: int = Field(ge=8, le=256, multiple_of=8, description="Channels of every decoder level.")
    upsampling: Upsampling


class SimpleFusionDecoder(Frozen):
    """Simple Fusion Module: all stages are resized to the output stride, concatenated, convolved once."""

    kind: Literal["simple_fusion"]
    width: int = Field(ge=8, le=256, multiple_of=8, description="Channels after the fusion.")
    upsampling: Upsampling


class FeatureFusionDecoder(Frozen):
    """Feature Fusion Modules, one for each skip: convolve, upsample, add the skip (Wofk et al. 2019)."""

    kind: Literal["feature_fusion"]
    width: int = Field(ge=8, le=256, multiple_of=8, description="Channels of the deepest decoder level.")
    upsampling: Upsampling
    taper: float = Field(ge=0.25, le=1, description="Width of each next level over the one before.")
    convolution: Literal["plain", "separable"] = Field(
        description="plain: k x k convolutions. separable: depthwise k x k, then 1x1."
    )
    kernel: Literal[3, 5] = Field(description="Kernel size.")


class OwnDecoder(OwnPart):
    """A decoder from another package."""

    @abstractmethod
    def build(self, encoder_channels: Sequence[int], output_stride: int) -> "DecoderModule":
        """The decoder from features of these channels (strides 2, 4, 8, ...) down to ``output_stride``."""


BuiltInDecoder = Annotated[
    AddDecoder
    | ConcatDecoder
    | SeparableDecoder
    | CollapsibleDecoder
    | LightDecoder
    | SimpleFusionDecoder
    | FeatureFusionDecoder,
    Field(discriminator="kind"),
]
Decoder = (
    Annotated[BuiltInDecoder, Tag("<built-in>")]
    | Annotated[SerializeAsAny[OwnDecoder], imported(OwnDecoder), Tag("<own>")]
)
