"""Collapsible linear blocks: wide in training, one plain convolution afterwards.

Bhardwaj et al. 2022, "Collapsible Linear Blocks for Super-Efficient Super Resolution" (SESR). Tensors are NCHW.
"""

import copy
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sweep.models.layers import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM

Network = TypeVar("Network", bound=nn.Module)


class CollapsibleConv(nn.Module):
    """A k x k convolution to ``hidden`` channels, a 1x1 one back, and the identity where the shapes agree.

    Nothing in it is non-linear, so all of it is one k x k convolution. In training too it is computed as that
    one, whose ``weight`` is made of the two kernels anew at each step: the gradients are the same, the feature
    maps of ``hidden`` channels are never there, and a step costs about as much as with a plain convolution.

    Stride 1, SAME padding, no bias. The attributes of ``nn.Conv2d`` that say what is computed are here too, so
    that code which only reads a convolution can read this one.

    Args:
        in_channels, out_channels: as of ``nn.Conv2d``.
        kernel: odd.
        hidden: channels between the two convolutions.
    """

    identity: Tensor | None

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int, hidden: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.padding = (kernel, kernel), (kernel // 2, kernel // 2)
        self.stride, self.dilation, self.groups = (1, 1), (1, 1), 1
        self.padding_mode, self.bias = "zeros", None
        self.expand = nn.Parameter(torch.empty(hidden, in_channels, kernel, kernel))
        self.reduce = nn.Parameter(torch.empty(out_channels, hidden, 1, 1))
        nn.init.kaiming_normal_(self.expand, nonlinearity="linear")
        nn.init.kaiming_normal_(self.reduce, nonlinearity="relu")
        identity = nn.init.dirac_(torch.empty(out_channels, in_channels, kernel, kernel))
        self.register_buffer("identity", identity if in_channels == out_channels else None, persistent=False)

    @property
    def weight(self) -> Tensor:
        """The kernel of the one convolution, (out_channels, in_channels, k, k), differentiable."""
        product = self.reduce.flatten(1) @ self.expand.flatten(1)
        kernel = product.view(self.out_channels, self.in_channels, *self.kernel_size)
        return kernel if self.identity is None else kernel + self.identity

    def forward(self, features: Tensor) -> Tensor:
        return F.conv2d(features, self.weight, padding=self.padding)

    def collapse(self) -> nn.Conv2d:
        """A plain convolution with the same weight, on the same device."""
        conv = nn.Conv2d(
            self.in_channels, self.out_channels, self.kernel_size, padding=self.padding, bias=False
        )
        conv.weight = nn.Parameter(self.weight.detach().clone())
        return conv.train(self.training)


class CollapsibleBlock(nn.Module):
    """A collapsible convolution, batch normalisation and ReLU.

    SESR has no normalisation. Here it stays, as after every other convolution of these networks: the export
    folds it into the collapsed kernel, so it costs nothing, and learning rates that suit the other decoders suit
    this one.
    """

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int, expansion: float) -> None:
        super().__init__()
        hidden = round(out_channels * expansion)
        self.conv = CollapsibleConv(in_channels, out_channels, kernel=kernel, hidden=hidden)
        self.norm = nn.BatchNorm2d(out_channels, eps=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM)

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(cast(Tensor, self.norm(self.conv(features))))


def collapsed(network: Network) -> Network:
    """A copy of the network in which every collapsible convolution is one ``nn.Conv2d``.

    It computes the same up to rounding; the network stays as it is.
    """
    copied = copy.deepcopy(network)
    for name, module in list(copied.named_modules(remove_duplicate=False)):
        if isinstance(module, CollapsibleConv):
            copied.set_submodule(name, module.collapse())
    return copied
