"""Encoders: from the inner image to features at strides 2, 4, 8, ..."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    SerializeAsAny,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sweep.space.as_published import OF_BLOCKS, repeats_network, repeats_stage
from sweep.space.parts import (
    Activation,
    Frozen,
    OwnPart,
    Reading,
    exactly,
    imported,
    maybe,
    own_or_built_in,
)

if TYPE_CHECKING:
    from torch import nn

    from sweep.models.encoder import EncoderModule


class OwnBlock(OwnPart):
    """A block from another package, in place of a stage's own kind of block."""

    @abstractmethod
    def build(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden: int,
        kernel: int,
        stride: int,
        squeeze_excite: bool,
        activation: Activation,
    ) -> "nn.Module":
        """A module from (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""


OwnBlockField = Annotated[SerializeAsAny[OwnBlock], imported(OwnBlock)]


class Stage(Frozen):
    """A run of inverted residual blocks at one resolution; the first block has stride 2 where it must."""

    depth: int = Field(ge=1, le=8, description="Blocks in the stage.")
    kernel: Literal[3, 5, 7] = Field(description="Depthwise kernel size.")
    expansion: float = Field(ge=1, le=8, description="Hidden channels over input channels.")
    squeeze_excite: bool = Field(description="Squeeze-and-excite inside each block.")
    activation: Activation
    block: OwnBlockField | None = maybe("A block of your own, package.module:Class.")


class StopAt8(Frozen):
    """The encoder ends with stage2, at stride 8 of the inner image."""

    kind: Literal["stride_8"]


class StopAt16(Frozen):
    """The encoder ends at stride 16."""

    kind: Literal["stride_16"]
    stage3: Stage = Field(description="The stage at stride 16.")


class StopAt32(Frozen):
    """The encoder ends at stride 32."""

    kind: Literal["stride_32"]
    stage3: Stage = Field(description="The stage at stride 16.")
    stage4: Stage = Field(description="The stage at stride 32.")


class MobileNetV3(Frozen):
    """A MobileNetV3 encoder (Howard et al. 2019): a stride-2 stem, then one stage per stride from 4 on."""

    kind: Literal["mobilenetv3"]
    width: float = Field(
        ge=0.1, le=2, description="Channel multiplier; channels are rounded to multiples of 8."
    )
    stem_activation: Activation
    stage1: Stage = Field(description="The stage at stride 4.")
    stage2: Stage = Field(description="The stage at stride 8.")
    stop: Annotated[StopAt8 | StopAt16 | StopAt32, Field(discriminator="kind")]

    constrained: ClassVar[Mapping[str, Reading]] = {"stop.kind": exactly}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages in order; the first has stride 4, each further one doubles it."""
        deeper = () if isinstance(self.stop, StopAt8) else (self.stop.stage3,)
        deepest = (self.stop.stage4,) if isinstance(self.stop, StopAt32) else ()
        return (self.stage1, self.stage2, *deeper, *deepest)

    @property
    def stride(self) -> int:
        """Stride of the deepest features: 8, 16 or 32."""
        return 2 << len(self.stages)


#: Strides of the published encoders' stages, relative to the inner image; each stage begins at its stride.
STAGE_STRIDES: Final = {
    "mobilenetv2": (2, 4, 8, 16, 16, 32, 32),
    "mobilenetv3_large": (2, 4, 8, 16, 16, 32),
    "mobilenetv3_small": (4, 8, 16, 16, 32),
    "mobilenetv3_minimal": (2, 4, 8, 16, 16, 32),
    "efficientnet_b0": (2, 4, 8, 16, 16, 32, 32),
    "efficientnet_b1": (2, 4, 8, 16, 16, 32, 32),
    "efficientnet_lite0": (2, 4, 8, 16, 16, 32, 32),
    "efficientnet_lite1": (2, 4, 8, 16, 16, 32, 32),
    "efficientnet_lite2": (2, 4, 8, 16, 16, 32, 32),
    "ghostnet": (2, 4, 8, 16, 16, 32),
}
MOST_STAGES: Final = 7


class StageChange(Frozen):
    """What differs from the published stage; an absent key leaves it as published."""

    depth: int | None = maybe("Blocks in the stage.", ge=1, le=8)
    width: float | None = maybe(
        "Multiplies the stage's channels, on top of the encoder's width.", ge=0.1, le=4
    )
    kernel: Literal[3, 5, 7] | None = maybe("Depthwise kernel size of every block.")
    expansion: float | None = maybe("Hidden channels over input channels, in every block.", ge=1, le=8)
    squeeze_excite: bool | None = maybe("Squeeze-and-excite inside each block.")
    activation: Activation | None = maybe("Activation of every block.")
    block: OwnBlockField | None = maybe("A block of your own, package.module:Class.")

    neutral: ClassVar[Mapping[str, object]] = {"width": 1.0}


_UNCHANGED: Final = StageChange()
_STAGE_KEYS: Final = tuple(f"stage{number}" for number in range(1, MOST_STAGES + 1))


def _stage(number: int) -> "StageChange | None":
    field: StageChange | None = maybe(f"What differs from the published stage {number}.")
    return field


class PublishedEncoder(Frozen):
    """A published network's stem and stages, without what follows them (its head).

    What changes nothing is dropped, in stages that are cut off too: an architecture has one spelling.
    """

    kind: str
    width: float = Field(ge=0.1, le=2, description="Channel multiplier; 1 is as published.")
    stages: int = Field(
        ge=2, le=MOST_STAGES, description="Stages kept, from the first; the others are cut off."
    )
    depth: float | None = maybe("Multiplies every stage's blocks, rounded up.", ge=0.1, le=4)
    kernel: Literal[3, 5, 7] | None = maybe("Depthwise kernel size of every block.")
    expansion: float | None = maybe("Hidden channels over input channels, in every block.", ge=1, le=8)
    squeeze_excite: bool | None = maybe("Squeeze-and-excite in all blocks, or in none.")
    activation: Activation | None = maybe("Activation of the stem and of every block.")
    stage1: StageChange | None = _stage(1)
    stage2: StageChange | None = _stage(2)
    stage3: StageChange | None = _stage(3)
    stage4: StageChange | None = _stage(4)
    stage5: StageChange | None = _stage(5)
    stage6: StageChange | None = _stage(6)
    stage7: StageChange | None = _stage(7)

    constrained: ClassVar[Mapping[str, Reading]] = {"stages": exactly}
    neutral: ClassVar[Mapping[str, object]] = {"depth": 1.0}

    @classmethod
    def idle(cls, values: Mapping[str, Any]) -> frozenset[str]:
        """The stages that are cut off."""
        return frozenset(_STAGE_KEYS[values["stages"] :])

    @field_validator("depth", *OF_BLOCKS)
    @classmethod
    def _unless_published(cls, value: Any, info: ValidationInfo) -> Any:
        """None for what all kept stages have anyway."""
        given, key = info.data, str(info.field_name)
        if value is None or not {"kind", "stages"} <= given.keys():
            return value
        return None if repeats_network(given["kind"], given["stages"], key, value) else value

    @field_validator(*_STAGE_KEYS)
    @classmethod
    def _unless_idle(cls, change: StageChange | None, info: ValidationInfo) -> StageChange | None:
        """None for changes of a stage that is cut off, and for those that change nothing."""
        given, number = info.data, int(str(info.field_name).removeprefix("stage"))
        if change is None or not {"kind", "stages"} <= given.keys():
            return change
        if number > given["stages"]:
            return None
        said = {key: getattr(change, key) for key in StageChange.model_fields}
        repeated = {
            key: None
            for key, value in said.items()
            if value is not None and repeats_stage(given["kind"], number, key, value, given)
        }
        plainest = change.model_copy(update=repeated) if repeated else change
        return None if plainest == _UNCHANGED else plainest

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of the kept stages, relative to the inner image."""
        return STAGE_STRIDES[self.kind][: self.stages]

    @property
    def stride(self) -> int:
        """Stride of the deepest features: 4, 8, 16 or 32."""
        return self.strides[-1]

    @property
    def changes(self) -> tuple[StageChange, ...]:
        """What differs from each kept stage as published."""
        given = (getattr(self, f"stage{number}") for number in range(1, self.stages + 1))
        return tuple(change or StageChange() for change in given)

    @model_validator(mode="after")
    def _stages_exist(self) -> Self:
        there = len(STAGE_STRIDES[self.kind])
        if self.stages > there:
            raise ValueError(f"{self.kind} has {there} stages, so {self.stages} cannot be kept")
        return self


class MobileNetV2(PublishedEncoder):
    """MobileNetV2 (Sandler et al. 2018)."""

    kind: Literal["mobilenetv2"]


class MobileNetV3Large(PublishedEncoder):
    """MobileNetV3-Large (Howard et al. 2019)."""

    kind: Literal["mobilenetv3_large"]


class MobileNetV3Small(PublishedEncoder):
    """MobileNetV3-Small (Howard et al. 2019)."""

    kind: Literal["mobilenetv3_small"]


class MobileNetV3Minimal(PublishedEncoder):
    """MobileNetV3-Large minimalistic: 3x3 kernels, ReLU, no squeeze-and-excite."""

    kind: Literal["mobilenetv3_minimal"]


class EfficientNetB0(PublishedEncoder):
    """EfficientNet-B0 (Tan & Le 2019)."""

    kind: Literal["efficientnet_b0"]


class EfficientNetB1(PublishedEncoder):
    """EfficientNet-B1 (Tan & Le 2019)."""

    kind: Literal["efficientnet_b1"]


class EfficientNetLite0(PublishedEncoder):
    """EfficientNet-Lite0: ReLU6 and no squeeze-and-excite."""

    kind: Literal["efficientnet_lite0"]


class EfficientNetLite1(PublishedEncoder):
    """EfficientNet-Lite1: ReLU6 and no squeeze-and-excite."""

    kind: Literal["efficientnet_lite1"]


class EfficientNetLite2(PublishedEncoder):
    """EfficientNet-Lite2: ReLU6 and no squeeze-and-excite."""

    kind: Literal["efficientnet_lite2"]


class GhostNet(PublishedEncoder):
    """GhostNet (Han et al. 2020)."""

    kind: Literal["ghostnet"]


class OwnEncoder(OwnPart):
    """An encoder from another package."""

    @property
    @abstractmethod
    def stride(self) -> int:
        """Stride of the deepest features, a power of two from 4 to 32."""

    @abstractmethod
    def build(self) -> "EncoderModule":
        """The module: N3HW RGB 0..255 to the features at strides 2, 4, 8, ..., ``stride``, shallow to deep."""


BuiltInEncoder = Annotated[
    MobileNetV3
    | MobileNetV2
    | MobileNetV3Large
    | MobileNetV3Small
    | MobileNetV3Minimal
    | EfficientNetB0
    | EfficientNetB1
    | EfficientNetLite0
    | EfficientNetLite1
    | EfficientNetLite2
    | GhostNet,
    Field(discriminator="kind"),
]
Encoder = (
    Annotated[BuiltInEncoder, Tag("<built-in>")]
    | Annotated[SerializeAsAny[OwnEncoder], imported(OwnEncoder), Tag("<own>")]
)
by_kind = Discriminator(own_or_built_in)
