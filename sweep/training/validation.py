"""The partial score's si-RMSE: cheap, and fair between networks of any inner resolution.

Every network is held against the same targets: the validation depth, nearest-sampled to ``PARTIAL_SIZE``. Its
prediction, the depth at its output size, is brought there by the network's own kind of output upsampling, as
the exported file does to reach 480x640. Frames go through the network's own input resize from 480x640. The
figure is the mean over frames of each frame's si-RMSE, as in the challenge; it differs from the judged one by
the smaller grid, by inner images rounded to 8 bits, and by the export.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sweep.data import Split
from sweep.models import MAX_DEPTH_M, MIN_DEPTH_M, DepthNetwork
from sweep.training.targets import log_depth_target, sample_nearest

PARTIAL_SIZE: Final = (240, 320)
_BATCH: Final = 16
_LOG_RANGE: Final = (math.log(MIN_DEPTH_M), math.log(MAX_DEPTH_M))


class Validator:
    """A validation split, brought to one network's inner size and to the common target size, once.

    Args:
        network: what is validated, each time with the weights that it has then.
        split: validation frames, any resolution.
        device: where the network lives; the frames stay there as bytes.
    """

    def __init__(self, network: DepthNetwork, split: Split, device: torch.device) -> None:
        self._network = network
        self._images = _inner_images(network, split, device)
        depth_mm = sample_nearest(split.depth_mm, PARTIAL_SIZE)
        self._scored = torch.from_numpy((depth_mm > 1).any(axis=(1, 2))).to(device)
        self._depth_mm = torch.from_numpy(depth_mm).to(device)

    def si_rmse(
        self, on_step: Callable[[], AbstractContextManager[object]], model: nn.Module | None = None
    ) -> float:
        """Mean si-RMSE over the frames that have a known pixel; NaN if a prediction is not finite.

        The network runs in evaluation mode and float32. ``on_step`` is entered around each batch. ``model``
        computes in the network's place, on the same images and to the same size.
        """
        scores = []
        self._network.eval()
        model = self._network if model is None else model.eval()
        for start in range(0, len(self._images), _BATCH):
            with on_step(), torch.inference_mode():
                scores.append(self._batch_si_rmse(model, slice(start, start + _BATCH)))
        per_frame = torch.cat(scores)
        return float(per_frame[self._scored].mean())

    def _batch_si_rmse(self, model: nn.Module, frames: slice) -> Tensor:
        images = self._images[frames].float()
        metres = torch.exp(model(images).clamp(*_LOG_RANGE))
        metres = F.interpolate(metres, size=PARTIAL_SIZE, mode=self._network.architecture.output.upsampling)
        target, valid = log_depth_target(self._depth_mm[frames, None])
        return per_frame_si_rmse(torch.log(metres), target, valid)


def per_frame_si_rmse(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Standard deviation of prediction - target over each frame's known pixels, float64, (N,).

    Args: (N, 1, H, W), natural logs and a bool mask. A frame without a known pixel gives 0.
    """
    difference = torch.where(valid, prediction - target, 0.0).flatten(1)
    count = valid.flatten(1).sum(dim=1).clamp(min=1)
    mean = difference.sum(dim=1, dtype=torch.float64) / count
    centred = torch.where(valid.flatten(1), difference - mean.float()[:, None], 0.0)
    return torch.sqrt(centred.square().sum(dim=1, dtype=torch.float64) / count)


def _inner_images(network: DepthNetwork, split: Split, device: torch.device) -> Tensor:
    """(N, 3, h, w) uint8, channels last, made by the network's own input resize."""
    height, width = network.inner_size
    images = torch.empty((len(split.names), 3, height, width), dtype=torch.uint8, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    for start in range(0, len(images), _BATCH):
        frames = torch.from_numpy(np.array(split.rgb[start : start + _BATCH])).to(device)
        with torch.inference_mode():
            inner = network.resize_frames(frames.permute(0, 3, 1, 2).float())
            images[start : start + _BATCH] = inner.round_().clamp_(0, 255).to(torch.uint8)
    return images
