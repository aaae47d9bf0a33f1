"""Architectures and statistics for the tests of decoders, context blocks and outputs."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sweep.models import DepthNetwork, build_network
from sweep.space.candidate import Architecture

LIGHT = {"kind": "light", "width": 32, "upsampling": "nearest"}
COLLAPSIBLE = {
    "kind": "collapsible",
    "width": 32,
    "upsampling": "nearest",
    "taper": 0.5,
    "depth": 2,
    "expansion": 4,
}
SIMPLE_FUSION = {"kind": "simple_fusion", "width": 24, "upsampling": "bilinear"}
FEATURE_FUSION = {
    "kind": "feature_fusion",
    "width": 32,
    "upsampling": "nearest",
    "taper": 0.5,
    "convolution": "plain",
    "kernel": 3,
}
SEPARABLE_FUSION = FEATURE_FUSION | {"convolution": "separable", "kernel": 5, "upsampling": "bilinear"}
DECODERS = {
    "collapsible": COLLAPSIBLE,
    "light": LIGHT,
    "simple fusion": SIMPLE_FUSION,
    "feature fusion": FEATURE_FUSION,
    "separable feature fusion": SEPARABLE_FUSION,
}
ASPP = {"kind": "aspp", "width": 24, "dilation": 2}
STAGE = {"depth": 1, "kernel": 3, "expansion": 2, "squeeze_excite": False, "activation": "relu"}


def architecture(
    decoder: dict[str, Any],
    *,
    size: tuple[int, int] = (64, 96),
    stride: int = 2,
    upsampling: str = "bilinear",
    context: dict[str, Any] | None = None,
    inner: dict[str, Any] | None = None,
) -> Architecture:
    """A small MobileNetV3 down to stride 16 with that decoder; its channels are 16, 24, 40 and 112."""
    return Architecture.model_validate(
        {
            "input": {"height": size[0], "width": size[1], "resize": "bilinear"},
            "encoder": {
                "kind": "mobilenetv3",
                "width": 1.0,
                "stem_activation": "relu",
                "stage1": STAGE,
                "stage2": STAGE,
                "stop": {"kind": "stride_16", "stage3": STAGE},
            },
            **({"context": context} if context else {}),
            "decoder": decoder,
            "output": {"stride": stride, "upsampling": upsampling, **({"inner": inner} if inner else {})},
        }
    )


def settled(module: nn.Module) -> nn.Module:
    """In evaluation mode, with batch-norm statistics that a wrong formula would not survive."""
    with torch.no_grad():
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d):
                assert norm.running_mean is not None
                assert norm.running_var is not None
                norm.weight.uniform_(0.7, 1.3)
                norm.bias.normal_(std=0.3)
                norm.running_mean.normal_(std=0.3)
                norm.running_var.uniform_(0.5, 2)
    return module.eval()


def trained_looking(config: Architecture) -> DepthNetwork:
    """A network whose depth of a noise image spreads around 4 m, by a factor of two to each side or so."""
    torch.manual_seed(0)
    network = build_network(config)
    settled(network)
    assert network.head.bias is not None
    with torch.no_grad():
        log_depth = network(torch.rand(1, 3, *network.inner_size) * 255) - network.head.bias
        scale = 0.7 / log_depth.std()
        network.head.weight.mul_(scale)
        network.head.bias.fill_(math.log(4) - scale * log_depth.mean())
    return network


def conv_norm(
    features: Tensor, state: dict[str, Tensor], name: str, *, dilation: int = 1, relu: bool
) -> Tensor:
    """A convolution, plain or depthwise by its weight's shape, batch normalisation, and ReLU if asked for."""
    weight = state[f"{name}.conv.weight"]
    groups = features.shape[1] // weight.shape[1]
    padding = dilation * (weight.shape[-1] // 2)
    found = F.conv2d(features, weight, padding=padding, dilation=dilation, groups=groups)
    found = norm(found, state, f"{name}.norm")
    return F.relu(found) if relu else found


def norm(features: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    """Batch normalisation in evaluation mode, by its definition; epsilon is 1e-3."""
    mean, variance, scale, shift = (
        state[f"{name}.{key}"][:, None, None] for key in ("running_mean", "running_var", "weight", "bias")
    )
    return (features - mean) / torch.sqrt(variance + 1e-3) * scale + shift


def enlarged(features: Tensor, factor: int, upsampling: str) -> Tensor:
    """Nearest: every pixel repeated. Bilinear: half-pixel centres, by matrices of weights."""
    if upsampling == "nearest":
        return features.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
    height, width = features.shape[2:]
    return bilinear(features, (height * factor, width * factor))


def bilinear(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear with half-pixel centres: a weighted sum of rows, then of columns."""
    rows, columns = (
        weights(old, new).to(features) for old, new in zip(features.shape[2:], size, strict=True)
    )
    return torch.einsum("ij,ncjk,lk->ncil", rows, features, columns)


def weights(size: int, new_size: int) -> Tensor:
    """(new_size, size): the tent function around each new pixel's centre; the border pixels go on outside."""
    centres = ((torch.arange(new_size, dtype=torch.float64) + 0.5) * size / new_size - 0.5).clamp(0, size - 1)
    return (1 - (centres[:, None] - torch.arange(size, dtype=torch.float64)).abs()).clamp(min=0)
