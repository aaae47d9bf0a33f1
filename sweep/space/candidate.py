"""A candidate: one point of a search space, as typed, frozen data.

A candidate has two parts. The *architecture* fixes the network, and so its latency; the *recipe* fixes how
it is trained. Both have a canonical form (JSON with sorted keys) and a hash of it; the architecture's hash
knows nothing of weights or of the recipe. Conditional values exist only inside the choice that opens them
(a discriminated union on ``kind``), so equal candidates have exactly one spelling.
"""

import hashlib
import json
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Activation = Literal["relu", "relu6", "hard_swish"]
Upsampling = Literal["nearest", "bilinear"]


class Frozen(BaseModel):
    """Immutable, and strict about unknown keys and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    #: Dotted keys that this model's own validators compare: all that can make a combination impossible.
    constrained: ClassVar[tuple[str, ...]] = ()

    @field_validator("*")
    @classmethod
    def _one_zero(cls, value: object) -> object:
        return value + 0.0 if isinstance(value, float) else value  # -0.0 equals 0.0, so it must hash alike


class Input(Frozen):
    """How the 480x640 frame becomes the network's inner image."""

    height: int = Field(ge=32, le=480, multiple_of=16, description="Inner height in pixels.")
    width: int = Field(ge=32, le=640, multiple_of=16, description="Inner width in pixels.")
    resize: Literal["bilinear", "pooled"] = Field(
        description="bilinear: one bilinear resize. pooled: 2x2 average pooling first (less aliasing, slower)."
    )


class Stage(Frozen):
    """A run of inverted residual blocks at one resolution; the first block has stride 2 where it must."""

    depth: int = Field(ge=1, le=8, description="Blocks in the stage.")
    kernel: Literal[3, 5, 7] = Field(description="Depthwise kernel size.")
    expansion: float = Field(ge=1, le=8, description="Hidden channels over input channels.")
    squeeze_excite: bool = Field(description="Squeeze-and-excite inside each block.")
    activation: Activation


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


Decoder = Annotated[AddDecoder | ConcatDecoder | SeparableDecoder, Field(discriminator="kind")]


class Output(Frozen):
    """From the decoder's last level to 480x640."""

    stride: Literal[1, 2, 4, 8] = Field(
        description="Stride, relative to the inner image, at which depth is predicted."
    )
    upsampling: Upsampling


class Architecture(Frozen):
    """The network part of a candidate: everything that latency depends on."""

    input: Input
    encoder: MobileNetV3
    decoder: Decoder
    output: Output

    constrained: ClassVar[tuple[str, ...]] = (
        "input.height",
        "input.width",
        "encoder.stop.kind",
        "output.stride",
    )

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


class Adam(Frozen):
    """Adam (Kingma & Ba 2015), without weight decay."""

    kind: Literal["adam"]


class AdamW(Frozen):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    kind: Literal["adamw"]
    weight_decay: float = Field(ge=0, le=1)


class SGD(Frozen):
    """Stochastic gradient descent with Nesterov momentum."""

    kind: Literal["sgd"]
    momentum: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0, le=1)


class Cosine(Frozen):
    """Linear warm-up, then a half cosine to zero at the last step of full fidelity."""

    kind: Literal["cosine"]
    warmup: float = Field(ge=0, le=0.5, description="Share of all steps.")


class Polynomial(Frozen):
    """Linear warm-up, then (1 - t)^power."""

    kind: Literal["polynomial"]
    warmup: float = Field(ge=0, le=0.5, description="Share of all steps.")
    power: float = Field(ge=0.1, le=4)


class OneCycle(Frozen):
    """Cosine up to the peak, cosine down to zero (Smith & Topin 2018)."""

    kind: Literal["one_cycle"]
    peak: float = Field(ge=0.05, le=0.9, description="Share of all steps at which the peak is reached.")


class Loss(Frozen):
    """A weighted sum of losses on the log depth at the network's output stride."""

    silog: float = Field(ge=0, le=100, description="Weight of SILog, sqrt(mean e^2 - lambda mean(e)^2).")
    silog_lambda: float = Field(ge=0, le=1, description="lambda of SILog; BTS uses 0.85.")
    gradient: float = Field(ge=0, le=100, description="Weight of multi-scale gradient matching (MiDaS).")
    l1: float = Field(ge=0, le=100, description="Weight of the mean absolute log error.")

    constrained: ClassVar[tuple[str, ...]] = ("silog", "gradient", "l1")

    @model_validator(mode="after")
    def _some_loss(self) -> Self:
        if self.silog == self.gradient == self.l1 == 0:
            raise ValueError("silog, gradient and l1 are all 0; at least one loss must have a weight")
        return self


class NoCrop(Frozen):
    """Whole images."""

    kind: Literal["none"]


class RandomCrop(Frozen):
    """R2 crop: a window of random place and size, resized to the inner image."""

    kind: Literal["random"]
    min_scale: float = Field(ge=0.3, le=1, description="Smallest window side over the image side.")


class Augmentation(Frozen):
    """Applied to whole batches, to image and depth alike."""

    flip: bool = Field(description="Mirror left and right, half of the images.")
    crop: Annotated[NoCrop | RandomCrop, Field(discriminator="kind")]
    colour: float = Field(ge=0, le=1, description="Strength of brightness, contrast and colour jitter.")


class NoQuantization(Frozen):
    """Training in float throughout."""

    kind: Literal["none"]


class QuantizationAware(Frozen):
    """Training that sees the rounding of an int8 file (Jacob et al. 2018; Krishnamoorthi 2018)."""

    kind: Literal["aware"]
    start: float = Field(ge=0, lt=1, description="Share of all epochs that are trained in float first.")


def _is_no_quantization(value: object) -> bool:
    return isinstance(value, NoQuantization)


class Recipe(Frozen):
    """How a candidate is trained.

    A key whose model has a default, such as ``quantization``, stands in the canonical form only where it
    differs from that: recipes written before there was such a key are still the same recipes.
    """

    optimizer: Annotated[Adam | AdamW | SGD, Field(discriminator="kind")]
    learning_rate: float = Field(gt=0, le=10)
    schedule: Annotated[Cosine | Polynomial | OneCycle, Field(discriminator="kind")]
    loss: Loss
    augmentation: Augmentation
    batch_size: int = Field(ge=1, le=1024)
    quantization: Annotated[NoQuantization | QuantizationAware, Field(discriminator="kind")] = Field(
        default=NoQuantization(kind="none"),
        exclude_if=_is_no_quantization,
        description="Whether training rounds as an int8 file does; absent: none.",
    )


class Candidate(Frozen):
    """One point of a search space."""

    architecture: Architecture
    recipe: Recipe

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits; equal for equal candidates, however they were spelled."""
        return canonical_hash(self)

    @property
    def architecture_hash(self) -> str:
        """Like ``hash``, of the architecture alone: equal hashes have equal latency."""
        return canonical_hash(self.architecture)


def canonical_hash(model: BaseModel) -> str:
    """SHA-256 of the model's canonical JSON, cut to sixteen hexadecimal digits."""
    text = json.dumps(model.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
