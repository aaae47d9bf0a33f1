"""Decoders against the same computations written out with plain functions, on the same weights."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from network_support import DECODERS, LIGHT, architecture, conv_norm, enlarged, norm, settled
from own_decoder import DeepestOnly
from torch import Tensor, nn

from sweep.models import build_network
from sweep.models.collapse import CollapsibleConv
from sweep.models.decoder import build_decoder
from sweep.models.decoder_levels import tapered
from sweep.space.candidate import (
    CollapsibleDecoder,
    FeatureFusionDecoder,
    LightDecoder,
    SimpleFusionDecoder,
)

State = dict[str, Tensor]
# Weights by name, the encoder's features, and the skips deep to shallow, None where a level has none.
Reference = Callable[[State, Tensor, Sequence[Tensor | None]], Tensor]

widths = st.sampled_from([8, 16, 24])
tapers = st.sampled_from([0.25, 0.5, 0.75, 1.0])
upsamplings = st.sampled_from(["nearest", "bilinear"])


@st.composite
def places(draw: st.DrawFn) -> tuple[tuple[int, ...], int]:
    """The encoder's channels at strides 2, 4, ..., and an output stride below its deepest one."""
    channels = draw(st.lists(st.sampled_from([3, 8, 13, 24]), min_size=2, max_size=4))
    return tuple(channels), 1 << draw(st.integers(0, len(channels) - 1))


def check(config: Any, place: tuple[tuple[int, ...], int], reference: Reference) -> None:
    """The decoder's features equal the reference's, and so does their number."""
    channels, stride = place
    torch.manual_seed(0)
    decoder = build_decoder(config, channels, stride)
    assert isinstance(decoder, nn.Module)
    settled(decoder.double())
    deepest = 1 << len(channels)
    features = [
        torch.randn(2, count, 2 * deepest >> level, 3 * deepest >> level, dtype=torch.float64)
        for level, count in enumerate(channels, start=1)
    ]
    levels = (deepest // stride).bit_length() - 1
    skips = ([*features[-2::-1], None])[:levels]
    state = decoder.state_dict()
    expected = reference(state, features[-1], skips)
    torch.testing.assert_close(decoder(tuple(features)), expected, rtol=1e-9, atol=1e-9)
    assert expected.shape == (2, decoder.out_channels, 2 * deepest // stride, 3 * deepest // stride)


@given(
    place=places(),
    width=widths,
    upsampling=upsamplings,
    taper=tapers,
    depth=st.integers(1, 3),
    expansion=st.sampled_from([1, 1.7, 4]),
)
@settings(deadline=None, max_examples=25)
def test_the_collapsible_decoder_is_a_unet_of_expanded_blocks(
    place: tuple[tuple[int, ...], int],
    width: int,
    upsampling: str,
    taper: float,
    depth: int,
    expansion: float,
) -> None:
    def reference(state: State, path: Tensor, skips: Sequence[Tensor | None]) -> Tensor:
        for level, skip in enumerate(skips):
            path = enlarged(path, 2, upsampling)
            path = path if skip is None else torch.cat((path, skip), dim=1)
            for index in range(depth):
                name = f"blocks.{level}.{index}"
                hidden = F.conv2d(path, state[f"{name}.conv.expand"], padding=1)
                linear = F.conv2d(hidden, state[f"{name}.conv.reduce"])
                linear = linear + path if linear.shape == path.shape else linear
                path = F.relu(norm(linear, state, f"{name}.norm"))
        return path

    config = CollapsibleDecoder(
        kind="collapsible",
        width=width,
        upsampling=upsampling,
        taper=taper,
        depth=depth,
        expansion=expansion,
    )
    check(config, place, reference)


@given(place=places(), width=widths, upsampling=upsamplings)
@settings(deadline=None, max_examples=25)
def test_the_light_decoder_convolves_the_deepest_features_and_sums_projected_skips(
    place: tuple[tuple[int, ...], int], width: int, upsampling: str
) -> None:
    def reference(state: State, path: Tensor, skips: Sequence[Tensor | None]) -> Tensor:
        path = conv_norm(path, state, "top", relu=True)
        for level, skip in enumerate(skips):
            path = enlarged(path, 2, upsampling)
            if skip is not None:
                path = F.relu(path + conv_norm(skip, state, f"laterals.{level}", relu=False))
        return path

    check(LightDecoder(kind="light", width=width, upsampling=upsampling), place, reference)


@given(place=places(), width=widths, upsampling=upsamplings)
@settings(deadline=None, max_examples=25)
def test_the_simple_fusion_decoder_convolves_all_stages_at_the_output_stride(
    place: tuple[tuple[int, ...], int], width: int, upsampling: str
) -> None:
    def reference(state: State, path: Tensor, skips: Sequence[Tensor | None]) -> Tensor:
        joined = []
        for index, stage in enumerate([path, *(skip for skip in skips if skip is not None)]):
            wide = stage.shape[1] > width
            projected = conv_norm(stage, state, f"projections.{index}", relu=True) if wide else stage
            joined.append(enlarged(projected, 2 ** (len(skips) - index), upsampling))
        return conv_norm(torch.cat(joined, dim=1), state, "fuse", relu=True)

    config = SimpleFusionDecoder(kind="simple_fusion", width=width, upsampling=upsampling)
    check(config, place, reference)


@given(
    place=places(),
    width=widths,
    upsampling=upsamplings,
    taper=tapers,
    convolution=st.sampled_from(["plain", "separable"]),
    kernel=st.sampled_from([3, 5]),
)
@settings(deadline=None, max_examples=25)
def test_the_feature_fusion_decoder_convolves_before_it_upsamples_and_adds(
    place: tuple[tuple[int, ...], int],
    width: int,
    upsampling: str,
    taper: float,
    convolution: str,
    kernel: int,
) -> None:
    def reference(state: State, path: Tensor, skips: Sequence[Tensor | None]) -> Tensor:
        for level, skip in enumerate(skips):
            steps = ("",) if convolution == "plain" else (".depthwise", ".pointwise")
            sizes = (kernel,) if convolution == "plain" else (kernel, 1)
            for step, size in zip(steps, sizes, strict=True):
                assert state[f"blocks.{level}{step}.conv.weight"].shape[-1] == size
                path = conv_norm(path, state, f"blocks.{level}{step}", relu=True)
            path = enlarged(path, 2, upsampling)
            if skip is not None:
                path = F.relu(path + conv_norm(skip, state, f"laterals.{level}", relu=False))
        assert path.shape[1] == tapered(width, taper, len(skips))[-1]
        return path

    config = FeatureFusionDecoder(
        kind="feature_fusion",
        width=width,
        upsampling=upsampling,
        taper=taper,
        convolution=convolution,
        kernel=kernel,
    )
    check(config, place, reference)


@pytest.mark.parametrize(
    ("width", "taper", "levels", "expected"),
    [(64, 1.0, 3, [64, 64, 64]), (64, 0.5, 4, [64, 32, 16, 8]), (32, 0.25, 3, [32, 8, 8])],
)
def test_each_level_is_the_taper_times_the_one_before_and_a_multiple_of_eight(
    width: int, taper: float, levels: int, expected: list[int]
) -> None:
    assert tapered(width, taper, levels) == expected


def test_the_light_decoder_with_three_skips_and_the_head_is_one_3x3_and_four_1x1_convolutions() -> None:
    network = build_network(architecture(LIGHT, stride=2))
    convs = [
        module
        for part in (network.decoder, network.head)
        for module in part.modules()
        if isinstance(module, nn.Conv2d)
    ]
    assert [(conv.kernel_size, conv.in_channels, conv.out_channels) for conv in convs] == [
        ((3, 3), 112, 32),
        ((1, 1), 40, 32),
        ((1, 1), 24, 32),
        ((1, 1), 16, 32),
        ((1, 1), 32, 1),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Levels of 32, 16 and 8 channels with 152, 56 and 32 coming in; the second block has the width coming in.
        # Two 3x3 to four times the width, two 1x1 back, two norms.
        (
            "collapsible",
            sum((c + w) * 4 * w * 9 + 8 * w * w + 4 * w for c, w in ((152, 32), (56, 16), (32, 8))),
        ),
        # 3x3 on 112 channels, 1x1 on 40, 24 and 16, four norms.
        ("light", 112 * 32 * 9 + (40 + 24 + 16) * 32 + 4 * 64),
        # 112 and 40 channels are projected to 24; 24 and 16 are not; 88 channels are fused; three norms.
        ("simple fusion", (112 + 40) * 24 + 88 * 24 * 9 + 3 * 48),
        # 3x3 from 112 to 32, 16 and 8; 1x1 from 40, 24 and 16; two norms a level.
        (
            "feature fusion",
            sum(c * w * 9 + s * w + 4 * w for c, s, w in ((112, 40, 32), (32, 24, 16), (16, 16, 8))),
        ),
        # 5x5 on each channel and its norm, then 1x1.
        (
            "separable feature fusion",
            sum(c * 27 + c * w + s * w + 4 * w for c, s, w in ((112, 40, 32), (32, 24, 16), (16, 16, 8))),
        ),
    ],
)
def test_decoders_have_as_many_parameters_as_their_formula(name: str, expected: int) -> None:
    decoder = build_network(architecture(DECODERS[name])).decoder
    assert sum(parameter.numel() for parameter in decoder.parameters()) == expected


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS.keys())
def test_every_parameter_learns_and_a_few_steps_reduce_the_loss(decoder: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = build_network(architecture(decoder, size=(32, 48), stride=1))
    images = F.interpolate(torch.rand(8, 3, 4, 6) * 255, size=(32, 48), mode="bilinear")
    target = images.mean(1, keepdim=True) / 60  # a log depth that the image itself tells
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = (network(images) - target).abs().mean()
        loss.backward()
        if not losses:
            assert [
                name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()
            ] == []
        losses.append(loss.item())
        optimizer.step()
    assert losses[-1] < losses[0] / 3


def test_a_decoder_of_ones_own_is_built_from_the_encoders_channels() -> None:
    network = build_network(architecture({"kind": "own_decoder:DeepestOnly", "width": 12}, stride=4))
    assert isinstance(network.architecture.decoder, DeepestOnly)
    assert network.decoder.get_submodule("mix").weight.shape == (12, 112, 1, 1)
    assert network.feature_channels == 12
    assert network(torch.rand(1, 3, 64, 96)).shape == (1, 1, 16, 24)


def test_collapsible_convolutions_stand_only_where_asked_for() -> None:
    having = {
        name
        for name, decoder in DECODERS.items()
        if any(isinstance(m, CollapsibleConv) for m in build_network(architecture(decoder)).modules())
    }
    assert having == {"collapsible"}
