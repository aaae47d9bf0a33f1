"""What feeds the trainer's loop: its own batches, batches already in memory, and plain DataLoaders.

Each has ``epoch(seed, epoch)``, as the trainer's own batches have.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler

from sweep.data import Split
from sweep.models import DepthNetwork
from sweep.space.candidate import Recipe
from sweep.training.augment import Draw, draw, resamples, sampling_matrices
from sweep.training.batches import Batch, Batches
from sweep.training.targets import log_depth_target, nearest_centres


class Source(Protocol):
    """Where a trainer's batches come from."""

    def epoch(self, seed: int, epoch: int) -> Iterator[Batch]:
        """One epoch."""


def own_batches(split: Split, network: DepthNetwork, recipe: Recipe, device: torch.device) -> Batches:
    """The batches of this package's trainer."""
    return Batches(
        split,
        inner_size=network.inner_size,
        output_size=network.output_size,
        augmentation=recipe.augmentation,
        batch_size=recipe.batch_size,
        device=device,
    )


class InMemory:
    """A few batches that were made before, over and over again: what a step takes that waits for no data."""

    def __init__(self, source: Source, count: int) -> None:
        self._batches = list(itertools.islice(source.epoch(0, 0), count))

    def epoch(self, seed: int, epoch: int) -> Iterator[Batch]:  # noqa: ARG002  # the port of a source
        return itertools.cycle(self._batches)


class Loader:
    """A torch DataLoader over ``Samples``, ``steps`` batches an epoch; its workers live on between epochs."""

    def __init__(
        self,
        split: Split,
        network: DepthNetwork,
        recipe: Recipe,
        device: torch.device,
        *,
        steps: int,
        workers: int,
    ) -> None:
        samples = Samples(split, network.inner_size, network.output_size, recipe)
        self._device = device
        # A batch says what was drawn for it; without a teacher nobody looks.
        self._drawn = draw(recipe.augmentation, 1, recipe.batch_size, np.random.default_rng(0))
        self._loader = DataLoader(
            samples,
            recipe.batch_size,
            sampler=RandomSampler(samples, num_samples=steps * recipe.batch_size),
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda",
        )

    def epoch(self, seed: int, epoch: int) -> Iterator[Batch]:
        """Batches in an order of torch's own."""
        torch.manual_seed(seed + epoch)
        for images, depth_mm, indices in self._loader:
            target, valid = log_depth_target(depth_mm.to(self._device, non_blocking=True)[:, None])
            inner = images.to(self._device, non_blocking=True).permute(0, 3, 1, 2)
            yield Batch(inner, target, valid, indices.numpy(), self._drawn)


@dataclass(frozen=True)
class Samples(Dataset[tuple[Tensor, Tensor, int]]):
    """One augmented pair at a time, with OpenCV, from the same prepared frames that the trainer reads."""

    split: Split
    inner_size: tuple[int, int]
    output_size: tuple[int, int]
    recipe: Recipe

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        drawn = draw(self.recipe.augmentation, 1, 1, rng)
        rgb, depth_mm = np.asarray(self.split.rgb[index]), np.asarray(self.split.depth_mm[index])
        if resamples(self.recipe.augmentation):
            matrix = sampling_matrices(drawn, depth_mm.shape)[0]
            image = _warp(rgb, matrix, self.inner_size, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
            depth = _warp(depth_mm, matrix, self.output_size, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
        else:
            image, depth = _mirrored(self._resized(rgb), drawn), _mirrored(self._nearest(depth_mm), drawn)
        return (
            torch.from_numpy(self._coloured(image, drawn)),
            torch.from_numpy(depth.astype(np.float32)),
            index,
        )

    def _resized(self, rgb: np.ndarray) -> np.ndarray:
        return cv2.resize(rgb, self.inner_size[::-1], interpolation=cv2.INTER_LINEAR)

    def _nearest(self, depth_mm: np.ndarray) -> np.ndarray:
        rows, columns = (
            nearest_centres(n, of) for n, of in zip(self.output_size, depth_mm.shape, strict=True)
        )
        return depth_mm[rows[:, None], columns]

    def _coloured(self, image: np.ndarray, drawn: Draw) -> np.ndarray:
        image = image.astype(np.float32)
        if self.recipe.augmentation.colour == 0:
            return image
        contrast, gain = np.float32(drawn.contrast[0]), drawn.gain[0].astype(np.float32)
        return np.clip(image * (contrast * gain) + image.mean() * (1 - contrast) * gain, 0, 255)


def _mirrored(frame: np.ndarray, drawn: Draw) -> np.ndarray:
    frame = frame[:, ::-1] if drawn.flipped[0] else frame
    return np.ascontiguousarray(frame[::-1] if drawn.upside_down[0] else frame)


def _warp(frame: np.ndarray, matrix: np.ndarray, size: tuple[int, int], kind: int, border: int) -> np.ndarray:
    """``cv2.warpAffine`` by a matrix between coordinates of -1..1, borders included."""
    from_pixels, to_pixels = _pixel_centres(size), np.linalg.inv(_pixel_centres(frame.shape[:2]))
    pixels = (to_pixels @ np.vstack([matrix, [0, 0, 1]]) @ from_pixels)[:2]
    return cv2.warpAffine(frame, pixels, size[::-1], flags=kind | cv2.WARP_INVERSE_MAP, borderMode=border)


def _pixel_centres(size: tuple[int, int]) -> np.ndarray:
    """From a pixel's number (x, y, 1) to its centre in -1..1."""
    height, width = size
    return np.array([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]])
