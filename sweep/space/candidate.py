"""A candidate: one point of a search space, as typed, frozen data.

A candidate has two parts. The *architecture* fixes the network, and so its latency; the *recipe* fixes how
it is trained. Both have a canonical form (JSON with sorted keys) and a hash of it; the architecture's hash
knows nothing of weights or of the recipe. Conditional values exist only inside the choice that opens them
(a discriminated union on ``kind``), so equal candidates have exactly one spelling. The parts are models of their
own modules; all of them can be had from here.
"""

import hashlib
import json

from pydantic import BaseModel

from sweep.space.architecture import Architecture, Aspp, Input, NoContext, NoResize, Output, ResizeTo
from sweep.space.decoders import (
    AddDecoder,
    CollapsibleDecoder,
    ConcatDecoder,
    Decoder,
    FeatureFusionDecoder,
    LightDecoder,
    OwnDecoder,
    SeparableDecoder,
    SimpleFusionDecoder,
)
from sweep.space.encoders import (
    EfficientNetB0,
    EfficientNetB1,
    EfficientNetLite0,
    EfficientNetLite1,
    EfficientNetLite2,
    Encoder,
    GhostNet,
    MobileNetV2,
    MobileNetV3,
    MobileNetV3Large,
    MobileNetV3Minimal,
    MobileNetV3Small,
    OwnBlock,
    OwnEncoder,
    PublishedEncoder,
    Stage,
    StageChange,
    StopAt8,
    StopAt16,
    StopAt32,
)
from sweep.space.losses import Loss, OwnLoss
from sweep.space.parts import Activation, Frozen, OwnPart, Upsampling
from sweep.space.recipe import (
    SGD,
    Adam,
    AdamW,
    Augmentation,
    Cosine,
    Distillation,
    FromFile,
    FromPackage,
    FromTimm,
    NoCrop,
    NoDistillation,
    NoQuantization,
    NotPretrained,
    OneCycle,
    Polynomial,
    QuantizationAware,
    RandomCrop,
    Recipe,
)

__all__ = [
    "SGD",
    "Activation",
    "Adam",
    "AdamW",
    "AddDecoder",
    "Architecture",
    "Aspp",
    "Augmentation",
    "Candidate",
    "CollapsibleDecoder",
    "ConcatDecoder",
    "Cosine",
    "Decoder",
    "Distillation",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetLite0",
    "EfficientNetLite1",
    "EfficientNetLite2",
    "Encoder",
    "FeatureFusionDecoder",
    "FromFile",
    "FromPackage",
    "FromTimm",
    "Frozen",
    "GhostNet",
    "Input",
    "LightDecoder",
    "Loss",
    "MobileNetV2",
    "MobileNetV3",
    "MobileNetV3Large",
    "MobileNetV3Minimal",
    "MobileNetV3Small",
    "NoContext",
    "NoCrop",
    "NoDistillation",
    "NoQuantization",
    "NoResize",
    "NotPretrained",
    "OneCycle",
    "Output",
    "OwnBlock",
    "OwnDecoder",
    "OwnEncoder",
    "OwnLoss",
    "OwnPart",
    "Polynomial",
    "PublishedEncoder",
    "QuantizationAware",
    "RandomCrop",
    "Recipe",
    "ResizeTo",
    "SeparableDecoder",
    "SimpleFusionDecoder",
    "Stage",
    "StageChange",
    "StopAt8",
    "StopAt16",
    "StopAt32",
    "Upsampling",
    "canonical_hash",
]


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
