"""The training part of a candidate."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sweep.space.losses import Loss
from sweep.space.parts import Frozen, Reading, defaulting, exactly, maybe


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
    rotation: float = defaulting(0.0, "Largest rotation in degrees, either way.", ge=0, le=45)
    vertical_flip: bool = defaulting(False, "Mirror upside down, half of the images.")


class NoQuantization(Frozen):
    """Training in float throughout."""

    kind: Literal["none"]


class QuantizationAware(Frozen):
    """Training that sees the rounding of an int8 file (Jacob et al. 2018; Krishnamoorthi 2018)."""

    kind: Literal["aware"]
    start: float = Field(ge=0, lt=1, description="Share of all epochs that are trained in float first.")


class NotPretrained(Frozen):
    """Weights start random."""

    kind: Literal["none"]


class FromFile(Frozen):
    """Encoder weights from a file: a checkpoint of this package, or a torch state dictionary."""

    kind: Literal["file"]
    path: str = Field(min_length=1, description="The file's path.")
    partial: bool = defaulting(
        False, "Take what fits where widths or layers differ; false: that is an error."
    )


class FromPackage(Frozen):
    """ImageNet weights for this encoder from an installed Python package, found by the encoder's kind."""

    kind: Literal["package"]
    partial: bool = defaulting(
        False, "Take what fits where widths or layers differ; false: that is an error."
    )


class FromTimm(Frozen):
    """Weights of a model of timm, where timm is installed."""

    kind: Literal["timm"]
    model: str = Field(min_length=1, description="timm's name of the model, such as mobilenetv3_large_100.")
    partial: bool = defaulting(
        False, "Take what fits where widths or layers differ; false: that is an error."
    )


class NoDistillation(Frozen):
    """No teacher."""

    kind: Literal["none"]


class Distillation(Frozen):
    """The space's teacher guides training: weights of what it adds to the loss."""

    kind: Literal["teacher"]
    start: float = Field(
        ge=0, lt=1, description="Share of all epochs that are trained without the teacher first."
    )
    depth: float = Field(
        ge=0, le=100, description="Weight of the mean absolute log error to the teacher's depth."
    )
    features: float = Field(
        ge=0, le=100, description="Weight of the squared error to the teacher's last features, projected."
    )
    pairwise: float = Field(
        ge=0, le=100, description="Weight of the squared error of the features' cosine similarities."
    )

    constrained: ClassVar[Mapping[str, Reading]] = {"depth": bool, "features": bool, "pairwise": bool}

    @model_validator(mode="after")
    def _some_guidance(self) -> Self:
        if self.depth == self.features == self.pairwise == 0:
            raise ValueError(
                "depth, features and pairwise are all 0; a teacher must have a weight in one of them"
            )
        return self


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
    quantization: Annotated[NoQuantization | QuantizationAware, Field(discriminator="kind")] = defaulting(
        NoQuantization(kind="none"), "Whether training rounds as an int8 file does; absent: none."
    )
    pretrained: Annotated[NotPretrained | FromFile | FromPackage | FromTimm, Field(discriminator="kind")] = (
        defaulting(NotPretrained(kind="none"), "Where the encoder's first weights come from; absent: random.")
    )
    distillation: Annotated[NoDistillation | Distillation, Field(discriminator="kind")] = defaulting(
        NoDistillation(kind="none"), "What the space's teacher adds to the loss; absent: nothing."
    )
    gradient_clip: float | None = maybe("Largest norm of all gradients together; absent: any.", gt=0, le=1000)
    precision: Literal["auto", "float32", "bfloat16"] = defaulting(
        "auto",
        "Arithmetic of the forward pass; auto: bfloat16 on GPUs, float32 on CPUs. Weights are float32.",
    )

    constrained: ClassVar[Mapping[str, Reading]] = {
        "distillation.features": bool,
        "distillation.pairwise": bool,
        "quantization.kind": exactly,
    }

    @model_validator(mode="after")
    def _features_are_float(self) -> Self:
        guided = isinstance(self.distillation, Distillation) and (
            self.distillation.features or self.distillation.pairwise
        )
        if guided and isinstance(self.quantization, QuantizationAware):
            raise ValueError(
                "distillation of features or pairwise needs the network's float features, which "
                "quantization: aware does not have; allowed with it is distillation of depth"
            )
        return self
