"""From a resolved block, in numbers, to its module."""

from functools import partial

from torch import nn

from sweep.models.ghost import GhostBottleneck
from sweep.models.layers import InvertedResidual, SqueezeExcite, SwishSqueezeExcite
from sweep.space.encoders import OwnBlock
from sweep.space.published import PublishedNetwork
from sweep.space.resolved import ResolvedBlock


def build_block(network: PublishedNetwork, block: ResolvedBlock, residual_gain: float) -> nn.Module:
    """A block of that network's kind; a branch added to the input starts scaled by ``residual_gain``."""
    if network.block == "ghost":
        return GhostBottleneck(
            block.in_channels,
            block.out_channels,
            hidden=block.hidden,
            kernel=block.kernel,
            stride=block.stride,
            squeezed=block.squeezed,
            activation=block.activation,
            residual_gain=residual_gain,
        )
    return InvertedResidual(
        block.in_channels,
        block.out_channels,
        hidden=block.hidden,
        kernel=block.kernel,
        stride=block.stride,
        squeeze_excite=block.squeezed > 0,
        activation=block.activation,
        residual_gain=residual_gain,
        gate=partial(
            SqueezeExcite if network.gate == "hard_sigmoid" else SwishSqueezeExcite, squeezed=block.squeezed
        ),
    )


def build_own_block(own: OwnBlock, block: ResolvedBlock) -> nn.Module:
    """The block of another package, of the same shape as the one whose place it takes."""
    return own.build(
        block.in_channels,
        block.out_channels,
        hidden=block.hidden,
        kernel=block.kernel,
        stride=block.stride,
        squeeze_excite=block.squeezed > 0,
        activation=block.activation,
    )
