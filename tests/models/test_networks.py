"""The networks are what the candidate's docstrings say."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sweep.models import FRAME_SIZE, build_network
from sweep.models.layers import ConvNorm, InvertedResidual, SeparableConv, SqueezeExcite, round_channels
from sweep.space.candidate import Architecture

ADD = {"kind": "add", "width": 24, "upsampling": "nearest"}
CONCAT = {"kind": "concat", "width": 64, "upsampling": "bilinear", "taper": 0.5}
SEPARABLE = {"kind": "separable", "width": 64, "upsampling": "nearest", "kernel": 5}


def stage(**changes: Any) -> dict[str, Any]:
    return {
        "depth": 2,
        "kernel": 3,
        "expansion": 3,
        "squeeze_excite": True,
        "activation": "hard_swish",
        **changes,
    }


def architecture(
    *,
    height: int = 64,
    width: int = 96,
    resize: str = "bilinear",
    stop: str = "stride_32",
    decoder: dict[str, Any] = ADD,
    stride: int = 2,
    upsampling: str = "bilinear",
    multiplier: float = 1.0,
    **stage_changes: Any,
) -> Architecture:
    one = stage(**stage_changes)
    deeper = {"stage3": one, "stage4": one} if stop == "stride_32" else {"stage3": one}
    return Architecture.model_validate(
        {
            "input": {"height": height, "width": width, "resize": resize},
            "encoder": {
                "kind": "mobilenetv3",
                "width": multiplier,
                "stem_activation": "relu",
                "stage1": one,
                "stage2": one,
                "stop": {"kind": stop, **({} if stop == "stride_8" else deeper)},
            },
            "decoder": decoder,
            "output": {"stride": stride, "upsampling": upsampling},
        }
    )


@pytest.mark.parametrize("stop", ["stride_8", "stride_16", "stride_32"])
@pytest.mark.parametrize("decoder", [ADD, CONCAT, SEPARABLE], ids=["add", "concat", "separable"])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_log_depth_comes_at_the_output_stride_and_depth_at_the_frame_size(
    stop: str, decoder: dict[str, Any], stride: int
) -> None:
    network = build_network(architecture(stop=stop, decoder=decoder, stride=stride)).eval()
    with torch.no_grad():
        log_depth = network(torch.rand(2, 3, 64, 96) * 255)
        depth_mm = network.depth_mm(torch.rand(1, 3, *FRAME_SIZE) * 255)
    assert network.output_size == (64 // stride, 96 // stride)
    assert log_depth.shape == (2, 1, 64 // stride, 96 // stride)
    assert depth_mm.shape == (1, 1, 480, 640)


def test_an_untrained_network_predicts_about_four_metres_everywhere() -> None:
    torch.manual_seed(0)
    network = build_network(architecture(depth=8, decoder=CONCAT)).eval()
    with torch.no_grad():
        depth_mm = network.depth_mm(torch.rand(1, 3, *FRAME_SIZE) * 255)
    assert torch.isfinite(depth_mm).all()
    assert 2000 < depth_mm.min() <= depth_mm.max() < 8000


@pytest.mark.parametrize(("bias", "expected_mm"), [(50.0, 100_000.0), (-50.0, 100.0), (0.0, 1000.0)])
def test_depth_is_millimetres_clamped_to_a_tenth_of_a_metre_and_a_hundred(
    bias: float, expected_mm: float
) -> None:
    network = build_network(architecture()).eval()
    nn.init.zeros_(network.head.weight)
    assert network.head.bias is not None
    nn.init.constant_(network.head.bias, bias)
    with torch.no_grad():
        depth_mm = network.depth_mm(torch.zeros(1, 3, *FRAME_SIZE))
    torch.testing.assert_close(depth_mm, torch.full_like(depth_mm, expected_mm), rtol=1e-6, atol=0)


def test_pooled_input_is_the_mean_of_two_by_two_pixels_then_one_bilinear_resize() -> None:
    network = build_network(architecture(resize="pooled"))
    frames = torch.rand(2, 3, *FRAME_SIZE) * 255
    pooled = F.avg_pool2d(frames, 2)
    expected = F.interpolate(pooled, size=(64, 96), mode="bilinear", align_corners=False)
    torch.testing.assert_close(network.resize_frames(frames), expected, rtol=1e-5, atol=1e-3)


def test_smaller_frames_count_as_pooled_already() -> None:
    frames = torch.rand(2, 3, *FRAME_SIZE) * 255
    pooled = F.avg_pool2d(frames, 2)
    network = build_network(architecture(resize="pooled"))
    torch.testing.assert_close(
        network.resize_frames(pooled), network.resize_frames(frames), rtol=1e-5, atol=1e-3
    )


def test_bilinear_input_is_one_resize_with_half_pixel_centres() -> None:
    network = build_network(architecture(height=240, width=320, stop="stride_16"))
    frames = torch.rand(1, 3, *FRAME_SIZE) * 255
    # Half-pixel centres and a factor of 2 put every sample in the middle of four pixels.
    torch.testing.assert_close(network.resize_frames(frames), F.avg_pool2d(frames, 2), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [(1, 8), (8, 8), (11.9, 16), (12, 16), (18.8, 24), (20, 24), (112, 112), (27, 32), (26, 24)],
)
def test_channels_are_rounded_to_multiples_of_eight_and_lose_at_most_a_tenth(
    channels: float, expected: int
) -> None:
    rounded = round_channels(channels)
    assert rounded == expected
    assert rounded % 8 == 0
    assert rounded >= 0.9 * channels


def test_the_encoder_at_width_one_has_the_channels_of_mobilenetv3_large() -> None:
    network = build_network(architecture())
    assert network.encoder.channels == (16, 24, 40, 112, 160)
    halved = build_network(architecture(multiplier=0.5, stop="stride_16"))
    assert halved.encoder.channels == (8, 16, 24, 56)


def test_encoder_features_come_at_strides_two_four_eight_and_so_on() -> None:
    network = build_network(architecture()).eval()
    with torch.no_grad():
        features = network.encoder(torch.rand(1, 3, 64, 96))
    assert [tuple(f.shape[1:]) for f in features] == [
        (16, 32, 48),
        (24, 16, 24),
        (40, 8, 12),
        (112, 4, 6),
        (160, 2, 3),
    ]


def test_a_stage_holds_its_depth_of_blocks_with_its_kernel_expansion_and_gates() -> None:
    network = build_network(architecture(depth=3, kernel=5, expansion=4, squeeze_excite=False))
    for built, channels in zip(network.encoder.stages, (24, 40, 112, 160), strict=True):
        blocks = [block for block in built.modules() if isinstance(block, InvertedResidual)]
        assert [block.residual for block in blocks] == [False, True, True]
        assert all(block.depthwise.conv.kernel_size == (5, 5) for block in blocks)
        assert blocks[1].depthwise.conv.groups == 4 * channels
    assert not [module for module in network.modules() if isinstance(module, SqueezeExcite)]


def test_without_expansion_a_block_has_no_first_convolution() -> None:
    network = build_network(architecture(expansion=1))
    blocks = [block for block in network.modules() if isinstance(block, InvertedResidual)]
    assert all(isinstance(block.expand, nn.Identity) for block in blocks)


def test_the_concat_decoder_tapers_and_uses_full_convolutions() -> None:
    decoder = build_network(architecture(decoder=CONCAT, stride=1)).decoder
    convs = [module for module in decoder.modules() if isinstance(module, nn.Conv2d)]
    assert [(conv.in_channels, conv.out_channels, conv.groups) for conv in convs] == [
        (160 + 112, 64, 1),
        (64 + 40, 32, 1),
        (32 + 24, 16, 1),
        (16 + 16, 8, 1),
        (8, 8, 1),  # stride 1: no skip
    ]


def test_the_separable_decoder_halves_its_width_at_each_level() -> None:
    decoder = build_network(architecture(decoder=SEPARABLE)).decoder
    blocks = [module for module in decoder.modules() if isinstance(module, SeparableConv)]
    assert [block.pointwise.conv.out_channels for block in blocks] == [64, 32, 16, 8]
    assert all(block.depthwise.conv.kernel_size == (5, 5) for block in blocks)


def test_the_add_decoder_has_one_width_and_a_lateral_for_every_skip() -> None:
    decoder = build_network(architecture(decoder=ADD, stride=1)).decoder
    laterals = decoder.get_submodule("laterals")
    assert [
        child.conv.in_channels if isinstance(child, ConvNorm) else 0 for child in laterals.children()
    ] == [
        112,
        40,
        24,
        16,
        0,
    ]
    blocks = [module for module in decoder.modules() if isinstance(module, SeparableConv)]
    assert [block.pointwise.conv.out_channels for block in blocks] == [24] * 5


def test_squeeze_and_excite_gates_with_a_hard_sigmoid() -> None:
    torch.manual_seed(0)
    block = SqueezeExcite(32)
    features = torch.randn(2, 32, 5, 7)
    hidden = F.relu(block.reduce(features.mean((2, 3), keepdim=True)))
    weights_only = F.conv2d(hidden, block.expand.weight)
    torch.testing.assert_close(block(features), features * F.hardsigmoid(weights_only))


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("size", [(8, 12), (2, 4)])
def test_stride_two_pads_more_at_the_bottom_and_right_as_tensorflow_does(
    kernel: int, size: tuple[int, int]
) -> None:
    conv = ConvNorm(1, 1, kernel=kernel, stride=2, activation=None).eval()
    nn.init.ones_(conv.conv.weight)
    image = torch.ones(1, 1, *size)
    before = (kernel - 2) // 2
    with torch.no_grad():
        sums = conv(image)[0, 0] * math.sqrt(1 + conv.norm.eps)
    for row in range(size[0] // 2):
        for column in range(size[1] // 2):
            covered = [
                len(range(max(2 * index - before, 0), min(2 * index - before + kernel, limit)))
                for index, limit in ((row, size[0]), (column, size[1]))
            ]
            assert sums[row, column].item() == pytest.approx(covered[0] * covered[1], rel=1e-5)


@pytest.mark.parametrize("decoder", [ADD, CONCAT, SEPARABLE], ids=["add", "concat", "separable"])
def test_every_parameter_learns_and_a_few_steps_reduce_the_loss(decoder: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = build_network(architecture(decoder=decoder, stride=1, stop="stride_16", depth=1))
    images = F.interpolate(torch.rand(8, 3, 4, 6) * 255, size=(64, 96), mode="bilinear")
    target = images.mean(1, keepdim=True) / 60  # a log depth that the image itself tells
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = (network(images) - target).abs().mean()
        loss.backward()
        if not losses:
            silent = [name for name, p in network.named_parameters() if p.grad is None]
            assert silent == []
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_the_same_seed_gives_the_same_weights() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(build_network(architecture()).state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
