"""Untrained networks that can be measured: batch normalisation with statistics that real images give."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sweep.models.network import DepthNetwork


def settle_batch_norm(network: DepthNetwork, frames: NDArray[np.uint8]) -> None:
    """Let every batch normalisation take its statistics from ``frames``, (N, 480, 640, 3) RGB.

    Freshly initialised ones claim mean 0 and variance 1 whatever comes in; through a deep network activations then
    fade towards denormal numbers, which some processors compute many times more slowly, or grow without bound. The
    network is left in evaluation mode.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over what passes
    network.train()
    with torch.no_grad():
        images = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
        network(network.resize_frames(images))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
