"""Context blocks against the same computations written out with plain functions, on the same weights."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from network_support import ASPP, LIGHT, architecture, conv_norm, settled
from torch import nn

from sweep.models import FRAME_SIZE, build_network
from sweep.models.context import build_context
from sweep.models.untrained import settle_batch_norm
from sweep.space.candidate import Aspp, NoContext


@given(
    channels=st.integers(1, 12),
    width=st.sampled_from([8, 16]),
    dilation=st.sampled_from([1, 2, 3, 5, 12]),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
@settings(deadline=None, max_examples=30)
def test_aspp_is_four_branches_projected_and_the_projected_means_added(
    channels: int, width: int, dilation: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    block = build_context(Aspp(kind="aspp", width=width, dilation=dilation), channels)
    assert isinstance(block, nn.Module)
    nn.init.normal_(block.get_submodule("pooled").bias)
    settled(block.double())
    state = block.state_dict()
    deepest = torch.randn(2, channels, *size, dtype=torch.float64)
    branches = [conv_norm(deepest, state, "pointwise", relu=True)]
    for index in range(3):
        gap = (index + 1) * dilation
        branches.append(conv_norm(deepest, state, f"dilated.{index}", dilation=gap, relu=True))
    local = conv_norm(torch.cat(branches, dim=1), state, "project", relu=False)
    means = deepest.sum((2, 3)) / (size[0] * size[1])
    pooled = means @ state["pooled.weight"][:, :, 0, 0].T + state["pooled.bias"]
    expected = F.relu(local + pooled[:, :, None, None].expand(-1, -1, *size))
    torch.testing.assert_close(block(deepest), expected, rtol=1e-9, atol=1e-9)
    assert block.out_channels == width


def test_aspp_sees_the_whole_map_and_dilated_neighbours() -> None:
    """Which inputs move the output at the middle: its neighbours by the dilations strongly, all a little."""
    torch.manual_seed(0)
    block = build_context(Aspp(kind="aspp", width=8, dilation=2), 4)
    assert isinstance(block, nn.Module)
    block.eval()
    nn.init.zeros_(block.get_submodule("pooled").weight)
    deepest = torch.randn(1, 4, 15, 15, requires_grad=True)
    block(deepest)[0, :, 7, 7].sum().backward()
    assert deepest.grad is not None
    seen = {(row - 7, column - 7) for row, column in deepest.grad[0].abs().sum(0).nonzero().tolist()}
    assert seen == {(a * gap, b * gap) for gap in (2, 4, 6) for a in (-1, 0, 1) for b in (-1, 0, 1)}


def test_aspp_has_as_many_parameters_as_its_formula() -> None:
    network = build_network(architecture(LIGHT, context=ASPP))
    # 1x1, three 3x3, the projection of four branches, the means' 1x1 with bias; five norms.
    expected = 112 * 24 * (1 + 3 * 9) + 4 * 24 * 24 + 112 * 24 + 24 + 5 * 48
    assert sum(parameter.numel() for parameter in network.context.parameters()) == expected


def test_the_decoder_reads_the_context_in_place_of_the_deepest_features() -> None:
    network = settled(build_network(architecture(LIGHT, context=ASPP)))
    assert network.decoder.get_submodule("top.conv").in_channels == 24
    images = torch.rand(1, 3, *network.inner_size) * 255
    *skips, deepest = network.encoder(images)
    expected = network.head(network.decoder((*skips, network.context(deepest))))
    torch.testing.assert_close(network(images), expected, rtol=0, atol=0)


def test_without_a_context_the_features_pass_and_nothing_is_saved_for_it() -> None:
    block = build_context(NoContext(kind="none"), 40)
    features = torch.rand(1, 40, 2, 3)
    assert block(features) is features
    assert block.out_channels == 40
    network = build_network(architecture(LIGHT))
    assert {name.split(".")[0] for name in network.state_dict()} == {"encoder", "decoder", "head"}


@pytest.mark.parametrize("frames", [1, 3])
def test_batch_normalisation_settles_on_any_number_of_frames(frames: int) -> None:
    network = build_network(architecture(LIGHT, context=ASPP))
    images = np.random.default_rng(0).integers(0, 256, (frames, *FRAME_SIZE, 3), dtype=np.uint8)
    settle_batch_norm(network, images)
    assert not network.training
    norm = network.context.get_submodule("project.norm")
    assert norm.running_var.min() > 0
    assert not torch.equal(norm.running_var, torch.ones_like(norm.running_var))
