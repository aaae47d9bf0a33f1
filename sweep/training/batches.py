"""Training batches, without worker processes: frames lie ready, and augmentation works on whole batches.

A recipe that moves pixels at most whole, by mirroring, needs no more of an image than its inner resolution, and
of its depth the pixels at the network's output: both are prepared once and stay on the device. A recipe that
cuts windows or turns samples straight from the stored training resolution, so that a window keeps its detail;
those frames lie on a GPU, and a CPU reads them from the memory-mapped files, whose pages all trials share.

All of an epoch's random numbers are drawn and brought to the device at its start. After that the host only
launches work and never waits for a GPU.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sweep.data import Split
from sweep.space.candidate import Augmentation
from sweep.training import augment_pixels
from sweep.training.augment import Draw, draw, resamples, sampling_matrices
from sweep.training.resident import (
    Frames,
    Indices,
    Mapped,
    free_bytes,
    resident,
    to_inner,
    to_nearest,
    unchanged,
    upload,
)
from sweep.training.targets import log_depth_target

_MEMORY_SHARE: Final = 0.5


@dataclass(frozen=True)
class Batch:
    """One optimisation step's data, on the training device.

    Attributes:
        images: (N, 3, h, w) at the network's inner size, RGB 0..255, float32, channels last.
        target: (N, 1, h', w') at the network's output size, ln of the depth in metres, float32.
        valid: like ``target``, bool, True where the depth is known.
        indices: (N,) which of the split's images these are; on the host.
        drawn: what was done to each of them; on the host.
    """

    images: Tensor
    target: Tensor
    valid: Tensor
    indices: npt.NDArray[np.int64]
    drawn: Draw


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Full batches only: a remainder of one or two images would upset batch normalisation.

    Which images are left out changes from epoch to epoch. A split smaller than a batch is one batch.
    """
    return max(images // batch_size, 1)


@dataclass(frozen=True)
class _Numbers:
    """The draw of N images on the device."""

    matrices: Tensor  # (N, 2, 3) float64
    flipped: Tensor  # (N,) bool
    upside_down: Tensor  # (N,) bool
    contrast: Tensor  # (N,) float32
    gain: Tensor  # (N, 3) float32

    @classmethod
    def upload(cls, drawn: Draw, frame_size: tuple[int, int], device: torch.device) -> "_Numbers":
        """All numbers travel as one tensor."""
        matrices = sampling_matrices(drawn, frame_size).reshape(-1, 6)
        packed = np.column_stack([matrices, drawn.flipped, drawn.upside_down, drawn.contrast, drawn.gain])
        numbers = upload(torch.from_numpy(packed), device)
        return cls(
            matrices=numbers[:, :6].view(-1, 2, 3),
            flipped=numbers[:, 6] > 0,
            upside_down=numbers[:, 7] > 0,
            contrast=numbers[:, 8].float(),
            gain=numbers[:, 9:].float(),
        )

    def __getitem__(self, some: slice) -> "_Numbers":
        return _Numbers(
            self.matrices[some],
            self.flipped[some],
            self.upside_down[some],
            self.contrast[some],
            self.gain[some],
        )


class Batches:
    """A training split, made ready for one network and one recipe.

    Images, and then depth, are kept on the device if they take at most half of the memory that is free there;
    otherwise each batch is read from the split's arrays and prepared anew, with the same result. Per image,
    3hw + 2h'w' bytes (72 kB at 128x160 and an output of 64x80) are kept where the recipe does not resample.
    Where it does, it is 384 kB on a GPU for frames of 240x320, and nothing on a CPU.

    Args:
        split: training pairs.
        inner_size: height and width of the images that the network sees.
        output_size: height and width of the depth that it predicts.
        augmentation: of the recipe.
        batch_size: images in a batch; a smaller split is one batch.
        device: a CPU or CUDA device.
        most_bytes: the most that each of images and depth may take on the device, in place of that half.
    """

    def __init__(
        self,
        split: Split,
        *,
        inner_size: tuple[int, int],
        output_size: tuple[int, int],
        augmentation: Augmentation,
        batch_size: int,
        device: torch.device,
        most_bytes: float | None = None,
    ) -> None:
        self._count = len(split)
        self._frame_size = (split.rgb.shape[1], split.rgb.shape[2])
        self._inner_size = inner_size
        self._output_size = output_size
        self._augmentation = augmentation
        self._size = min(batch_size, self._count)
        self._device = device
        self._resamples = resamples(augmentation)
        self._images, self._depth = self._frames(split, most_bytes)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return steps_per_epoch(self._count, self._size)

    def epoch(self, seed: int, epoch: int) -> Iterator[Batch]:
        """One epoch in a random order. Order and augmentation depend on ``seed`` and ``epoch`` alone."""
        rng = np.random.default_rng((seed, epoch))
        order = rng.permutation(self._count)
        drawn = draw(self._augmentation, len(self), self._size, rng)
        indices = Indices.upload(order[: len(drawn)], self._device)
        numbers = _Numbers.upload(drawn, self._frame_size, self._device)
        for start in range(0, len(drawn), self._size):
            rows = slice(start, start + self._size)
            images, depth_mm = self._augmented(indices[rows], numbers[rows])
            target, valid = log_depth_target(depth_mm.view(torch.uint16)[:, None])
            yield Batch(images.permute(0, 3, 1, 2), target, valid, indices.host[rows], drawn[rows])

    def _frames(self, split: Split, most_bytes: float | None) -> tuple[Frames, Frames]:
        device = self._device
        if self._resamples:
            images, depth = Mapped(split.rgb, unchanged, device), Mapped(split.depth_mm, unchanged, device)
            if device.type == "cpu":  # the page cache has them, once for all trials
                return images, depth
        else:
            nearest = to_nearest(self._output_size, self._frame_size, device)
            images = Mapped(split.rgb, to_inner(self._inner_size), device)
            depth = Mapped(split.depth_mm, nearest, device)
        return self._kept(images, most_bytes), self._kept(depth, most_bytes)

    def _kept(self, mapped: Mapped, most_bytes: float | None) -> Frames:
        room = _MEMORY_SHARE * free_bytes(self._device) if most_bytes is None else most_bytes
        return resident(mapped, self._device, room)

    def _augmented(self, indices: Indices, numbers: _Numbers) -> tuple[Tensor, Tensor]:
        """Images (N, h, w, 3) float32 and depth (N, h', w') int16 bit patterns."""
        frames, depth_mm = self._images.take(indices), self._depth.take(indices)
        if self._resamples:
            images = augment_pixels.sample_images(frames.float(), numbers.matrices, self._inner_size)
            depth_mm = augment_pixels.sample_depth(depth_mm, numbers.matrices, self._output_size)
        else:
            images = self._mirrored(frames, numbers).float()
            depth_mm = self._mirrored(depth_mm, numbers)
        if self._augmentation.colour > 0:
            images = augment_pixels.jitter_colours(images, numbers.contrast, numbers.gain)
        return images, depth_mm

    def _mirrored(self, frames: Tensor, numbers: _Numbers) -> Tensor:
        if self._augmentation.flip:
            frames = augment_pixels.mirror(frames, numbers.flipped, axis=2)
        if self._augmentation.vertical_flip:
            frames = augment_pixels.mirror(frames, numbers.upside_down, axis=1)
        return frames
