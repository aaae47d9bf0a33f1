"""Where depth is predicted: at a stride of the inner image, or at a size of one's own."""

from typing import Any

import numpy as np
import pytest
import torch
from network_support import (
    ASPP,
    COLLAPSIBLE,
    DECODERS,
    FEATURE_FUSION,
    LIGHT,
    architecture,
    bilinear,
    enlarged,
    trained_looking,
)
from torch import nn

from sweep.data import Split
from sweep.models import FRAME_SIZE, build_network
from sweep.training.validation import PARTIAL_SIZE, Validator

TCL_INNER = {"kind": "resize_to", "height": 48, "width": 64}


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS.keys())
@pytest.mark.parametrize("context", [None, ASPP], ids=["none", "aspp"])
@pytest.mark.parametrize("stride", [1, 2, 8])
def test_every_decoder_ends_at_the_output_stride(
    decoder: dict[str, Any], context: dict[str, Any] | None, stride: int
) -> None:
    network = build_network(architecture(decoder, stride=stride, context=context)).eval()
    with torch.no_grad():
        features = network.features(torch.rand(2, 3, 64, 96) * 255)
        depth_mm = network.depth_mm(torch.rand(1, 3, *FRAME_SIZE) * 255)
    assert network.output_size == (64 // stride, 96 // stride)
    assert features.shape == (2, network.feature_channels, 64 // stride, 96 // stride)
    assert network.predict(features).shape == (2, 1, 64 // stride, 96 // stride)
    assert depth_mm.shape == (1, 1, 480, 640)


@pytest.mark.parametrize("inner", [None, TCL_INNER], ids=["stride", "resized"])
def test_the_prediction_is_the_head_on_the_features(inner: dict[str, Any] | None) -> None:
    network = trained_looking(architecture(FEATURE_FUSION, inner=inner))
    images = torch.rand(2, 3, *network.inner_size) * 255
    assert network.feature_channels == network.head.in_channels == 8
    assert torch.equal(network(images), network.predict(network.features(images)))


@pytest.mark.parametrize("size", [(48, 64), (30, 50), (13, 9), (128, 160), (200, 333)])
def test_features_are_resized_bilinearly_with_half_pixel_centres(size: tuple[int, int]) -> None:
    inner = {"kind": "resize_to", "height": size[0], "width": size[1]}
    network = trained_looking(architecture(LIGHT, inner=inner)).double()
    images = torch.rand(1, 3, *network.inner_size, dtype=torch.float64) * 255
    expected = bilinear(network.decoder(network.encoder(images)), size)
    assert network.output_size == size
    assert expected.shape == (1, 32, *size)
    torch.testing.assert_close(network.features(images), expected, rtol=1e-9, atol=1e-9)


def test_a_resize_to_the_size_that_the_stride_gives_changes_nothing() -> None:
    config = architecture(LIGHT, inner={"kind": "resize_to", "height": 32, "width": 48})
    network = trained_looking(config)
    images = torch.rand(1, 3, *network.inner_size) * 255
    assert torch.equal(network.features(images), network.decoder(network.encoder(images)))


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_a_prediction_at_48_by_64_becomes_depth_ten_times_as_large(upsampling: str) -> None:
    """TCL's output: an inner image of 128x160, and a size that is no stride of it."""
    config = architecture(COLLAPSIBLE, size=(128, 160), inner=TCL_INNER, upsampling=upsampling)
    network = trained_looking(config).double()
    frames = torch.rand(1, 3, *FRAME_SIZE, dtype=torch.float64) * 255
    log_depth = network(network.resize_frames(frames))
    assert network.output_size == log_depth.shape[2:] == (48, 64)
    low_mm = 1000 * torch.exp(log_depth.clamp(np.log(0.1), np.log(100)))
    expected = enlarged(low_mm, 10, upsampling)
    torch.testing.assert_close(network.depth_mm(frames), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_validation_scores_a_resized_prediction(upsampling: str) -> None:
    network = trained_looking(architecture(LIGHT, inner=TCL_INNER, upsampling=upsampling))
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (3, *FRAME_SIZE, 3), dtype=np.uint8)
    depth_mm = np.repeat(np.repeat(rng.integers(2, 20_000, (3, *PARTIAL_SIZE)), 2, axis=1), 2, axis=2)
    split = Split(names=("a", "b", "c"), rgb=rgb, depth_mm=depth_mm.astype(np.uint16))
    found = Validator(network, split, torch.device("cpu")).si_rmse(torch.no_grad)
    images = network.resize_frames(torch.from_numpy(rgb).permute(0, 3, 1, 2).float()).round()
    with torch.no_grad():
        metres = network(images).double().clamp(np.log(0.1), np.log(100)).exp()
    metres = enlarged(metres, 5, upsampling)  # from 48x64 to PARTIAL_SIZE
    difference = np.log(metres[:, 0].numpy()) - np.log(depth_mm[:, ::2, ::2] / 1000)
    assert found == pytest.approx(difference.std(axis=(1, 2)).mean(), rel=1e-5)


def test_the_loss_of_a_resized_prediction_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    network = build_network(architecture(LIGHT, size=(32, 48), context=ASPP, inner=TCL_INNER))
    prediction = network(torch.rand(4, 3, 32, 48) * 255)
    nn.functional.l1_loss(prediction, torch.rand_like(prediction)).backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []
