"""Collapsible linear blocks are what they are expanded from, in values and in gradients."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from network_support import COLLAPSIBLE, DECODERS, architecture, settled, trained_looking
from torch import Tensor, fx, nn

from sweep.models import build_network
from sweep.models.collapse import CollapsibleConv, collapsed
from sweep.models.decoder import build_decoder
from sweep.space.candidate import CollapsibleDecoder


def expanded(conv: CollapsibleConv, features: Tensor) -> Tensor:
    """The block as the paper draws it: two convolutions one after the other, and the input added."""
    hidden = F.conv2d(features, conv.expand, padding=conv.expand.shape[-1] // 2)
    found = F.conv2d(hidden, conv.reduce)
    return found + features if found.shape == features.shape else found


@st.composite
def blocks(draw: st.DrawFn) -> tuple[CollapsibleConv, Tensor]:
    """A float64 block, residual every other time, and features for it, some smaller than its kernel."""
    in_channels = draw(st.integers(1, 6))
    out_channels = draw(st.one_of(st.just(in_channels), st.integers(1, 6)))
    torch.manual_seed(draw(st.integers(0, 1000)))
    conv = CollapsibleConv(
        in_channels, out_channels, kernel=draw(st.sampled_from([1, 3, 5, 7])), hidden=draw(st.integers(1, 20))
    )
    size = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    return conv.double(), torch.randn(draw(st.integers(1, 3)), in_channels, *size, dtype=torch.float64)


@given(drawn=blocks())
@settings(deadline=None)
def test_the_collapsed_convolution_equals_the_expanded_block(drawn: tuple[CollapsibleConv, Tensor]) -> None:
    conv, features = drawn
    expected = expanded(conv, features)
    plain = conv.collapse()
    assert type(plain) is nn.Conv2d
    torch.testing.assert_close(conv(features), expected, rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(plain(features), expected, rtol=1e-10, atol=1e-11)


@given(drawn=blocks())
@settings(deadline=None)
def test_training_on_the_collapsed_form_gives_the_gradients_of_the_expanded_one(
    drawn: tuple[CollapsibleConv, Tensor],
) -> None:
    conv, features = drawn
    features.requires_grad_()
    parameters = (conv.expand, conv.reduce, features)
    towards = torch.randn(features.shape[0], conv.out_channels, *features.shape[2:], dtype=torch.float64)
    expected = torch.autograd.grad((expanded(conv, features) * towards).sum(), parameters)
    found = torch.autograd.grad((conv(features) * towards).sum(), parameters)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


def test_a_block_has_only_its_two_kernels_as_parameters_and_as_state() -> None:
    conv = CollapsibleConv(8, 8, kernel=3, hidden=20)
    shapes = {name: tuple(tensor.shape) for name, tensor in conv.state_dict().items()}
    assert shapes == {"expand": (20, 8, 3, 3), "reduce": (8, 20, 1, 1)}
    assert {name for name, _ in conv.named_parameters()} == {"expand", "reduce"}


def test_a_block_describes_itself_as_the_convolution_that_it_collapses_to() -> None:
    conv = CollapsibleConv(4, 6, kernel=5, hidden=9)
    plain = conv.collapse()
    described = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
    for attribute in (*described, "padding_mode", "bias"):
        assert getattr(conv, attribute) == getattr(plain, attribute)
    torch.testing.assert_close(conv.weight, plain.weight, rtol=0, atol=0)


def test_a_fresh_block_keeps_the_magnitude_of_its_features_as_a_plain_one_does() -> None:
    torch.manual_seed(0)
    conv = CollapsibleConv(64, 48, kernel=3, hidden=192)
    fan_in = 64 * 9
    # He et al. 2015: before a ReLU, weights of variance 2 / fan-in.
    assert conv.weight.var().item() == pytest.approx(2 / fan_in, rel=0.1)


@pytest.mark.parametrize(("expansion", "hidden"), [(1, 24), (2.5, 60), (16, 384)])
def test_the_hidden_channels_are_the_expansion_times_the_outputs(expansion: float, hidden: int) -> None:
    config = CollapsibleDecoder(
        kind="collapsible", width=24, upsampling="nearest", taper=1.0, depth=3, expansion=expansion
    )
    convs = [
        conv for conv in build_decoder(config, (16, 40), 2).modules() if isinstance(conv, CollapsibleConv)
    ]
    assert [tuple(conv.expand.shape) for conv in convs] == [
        (hidden, 40 + 16, 3, 3),
        (hidden, 24, 3, 3),
        (hidden, 24, 3, 3),
    ]
    assert [conv.identity is not None for conv in convs] == [False, True, True]


def test_a_collapsed_network_predicts_the_same_with_plain_convolutions_only() -> None:
    network = trained_looking(architecture(COLLAPSIBLE, stride=1)).double()
    before = copy.deepcopy(network.state_dict())
    plain = collapsed(network)
    images = torch.rand(2, 3, *network.inner_size, dtype=torch.float64) * 255
    torch.testing.assert_close(plain(images), network(images), rtol=1e-9, atol=1e-9)
    # Four levels of two blocks each.
    assert sum(isinstance(module, CollapsibleConv) for module in network.modules()) == 8
    assert not any(isinstance(module, CollapsibleConv) for module in plain.modules())
    assert network.state_dict().keys() == before.keys()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_changing_a_collapsed_copy_leaves_the_network_alone() -> None:
    network = trained_looking(architecture(COLLAPSIBLE))
    images = torch.rand(1, 3, *network.inner_size) * 255
    expected = network(images).detach()
    with torch.no_grad():
        for parameter in collapsed(network).parameters():
            parameter.zero_()
    assert torch.equal(network(images), expected)


def test_a_block_that_two_places_share_is_collapsed_in_both() -> None:
    shared = CollapsibleConv(3, 3, kernel=3, hidden=6)
    plain = collapsed(nn.Sequential(shared, nn.ReLU(), shared))
    assert [type(module) for module in plain] == [nn.Conv2d, nn.ReLU, nn.Conv2d]


@pytest.mark.parametrize("training", [True, False])
def test_a_collapsed_copy_is_in_the_networks_mode(training: bool) -> None:
    network = build_network(architecture(COLLAPSIBLE)).train(training)
    assert {module.training for module in collapsed(network).modules()} == {training}


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS.keys())
def test_networks_can_be_traced_symbolically(decoder: dict[str, object]) -> None:
    """The simulation of int8 arithmetic reads the network that way."""
    network = build_network(architecture(decoder, context={"kind": "aspp", "width": 16, "dilation": 1}))
    settled(network)
    images = torch.rand(1, 3, *network.inner_size) * 255
    torch.testing.assert_close(fx.symbolic_trace(network)(images), network(images), rtol=1e-5, atol=1e-5)
