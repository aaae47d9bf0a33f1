"""Training batches, straight from a split's memory-mapped arrays.

No worker processes and no second copy of the data: decoded frames are already memory-mapped, the page cache
shares them between all trials on the host, and gathering, cropping and resizing a batch costs a few percent
of a training step.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sweep.data import Split
from sweep.space.candidate import Augmentation
from sweep.training import augment
from sweep.training.targets import log_depth_target


@dataclass(frozen=True)
class Batch:
    """One optimisation step's data, on the training device.

    Attributes:
        images: (N, 3, h, w) at the network's inner size, RGB 0..255, float32, channels last.
        target: (N, 1, h', w') at the network's output size, ln of the depth in metres, float32.
        valid: like ``target``, bool, True where the depth is known.
    """

    images: Tensor
    target: Tensor
    valid: Tensor


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Full batches only: a remainder of one or two images would upset batch normalisation.

    Which images are left out changes from epoch to epoch. A split smaller than a batch is one batch.
    """
    return max(images // batch_size, 1)


def training_batches(
    split: Split,
    *,
    inner_size: tuple[int, int],
    output_size: tuple[int, int],
    augmentation: Augmentation,
    batch_size: int,
    seed: int,
    epoch: int,
    device: torch.device,
) -> Iterator[Batch]:
    """One epoch in a random order. Order and augmentation depend on ``seed`` and ``epoch`` alone."""
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(split.names))
    for step in range(steps_per_epoch(len(order), batch_size)):
        indices = order[step * batch_size : (step + 1) * batch_size]
        drawn = augment.draw(augmentation, len(indices), rng)
        images = _frames(split, indices, device)
        images = augment.sample_images(images, drawn, inner_size)
        if augmentation.colour > 0:
            images = augment.jitter_colours(images, drawn)
        depth_mm = augment.sample_depth(split.depth_mm, indices, drawn, output_size)
        target, valid = log_depth_target(_upload(torch.from_numpy(depth_mm[:, None]), device))
        yield Batch(images.contiguous(memory_format=torch.channels_last), target, valid)


def _frames(split: Split, indices: npt.NDArray[np.int64], device: torch.device) -> Tensor:
    """(N, 3, H, W) float32 on the device; bytes travel, not floats."""
    frames = _upload(torch.from_numpy(split.rgb[indices]), device)
    return frames.permute(0, 3, 1, 2).float()


def _upload(tensor: Tensor, device: torch.device) -> Tensor:
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
