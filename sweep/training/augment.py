"""Augmentation of whole batches: mirror, R2 crop, colour jitter.

What happens to each image is drawn first, as plain numbers (``draw``); image and depth then follow the same
numbers. The image is sampled bilinearly and the depth by nearest sampling, both straight from the stored
training resolution, so a crop keeps its detail and an unknown depth never mixes with a known one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from sweep.space.candidate import Augmentation, RandomCrop

Floats = npt.NDArray[np.float64]

_MAX_BRIGHTNESS = 0.4  # relative changes at colour = 1
_MAX_CONTRAST = 0.4
_MAX_CHANNEL_GAIN = 0.2


@dataclass(frozen=True)
class Draw:
    """What happens to each of N images.

    Attributes:
        flipped: (N,) bool, mirror left and right.
        top, left, scale: (N,) the window's upper left corner and its side, as shares of the image's height
            and width; the window keeps the image's aspect ratio and lies inside of the image.
        contrast: (N,) factor on the deviation from the image's mean.
        gain: (N, 3) factor on each channel: brightness times colour.
    """

    flipped: npt.NDArray[np.bool_]
    top: Floats
    left: Floats
    scale: Floats
    contrast: Floats
    gain: Floats


def draw(augmentation: Augmentation, count: int, rng: np.random.Generator) -> Draw:
    """Draw the augmentation of ``count`` images.

    The same numbers are taken from ``rng`` whatever the settings, so recipes that differ in one setting see
    the same flips, windows and colours otherwise.
    """
    flip, size, place_y, place_x = rng.random((4, count))
    brightness, contrast, *colour = rng.uniform(-augmentation.colour, augmentation.colour, (5, count))
    crop = augmentation.crop
    scale = 1 - (1 - crop.min_scale) * size if isinstance(crop, RandomCrop) else np.ones(count)
    colour_cast = 1 + _MAX_CHANNEL_GAIN * np.stack(colour, axis=1)
    return Draw(
        flipped=(flip < 0.5) & augmentation.flip,
        top=(1 - scale) * place_y,
        left=(1 - scale) * place_x,
        scale=scale,
        contrast=1 + _MAX_CONTRAST * contrast,
        gain=(1 + _MAX_BRIGHTNESS * brightness)[:, None] * colour_cast,
    )


def sample_images(images: Tensor, drawn: Draw, size: tuple[int, int]) -> Tensor:
    """Crop, mirror and resize in one bilinear sampling.

    Without a crop this equals ``interpolate(size, mode="bilinear")``.

    Args:
        images: (N, 3, H, W) floating point.
        drawn: the windows and flips.
        size: height and width of the result.

    Returns:
        (N, 3, *size), on the device and in the dtype of ``images``.
    """
    mirrored = np.where(drawn.flipped, -1.0, 1.0)
    transform = np.zeros((len(drawn.scale), 2, 3))
    transform[:, 0, 0] = mirrored * drawn.scale
    transform[:, 0, 2] = 2 * drawn.left + drawn.scale - 1  # the window's centre, in -1..1
    transform[:, 1, 1] = drawn.scale
    transform[:, 1, 2] = 2 * drawn.top + drawn.scale - 1
    theta = torch.from_numpy(transform).to(images.device, images.dtype)
    grid = F.affine_grid(theta, [len(images), 3, *size], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def sample_depth(
    depth_mm: npt.NDArray[np.uint16], indices: npt.NDArray[np.int64], drawn: Draw, size: tuple[int, int]
) -> npt.NDArray[np.uint16]:
    """Crop, mirror and resize depth by nearest sampling; only the sampled pixels are read.

    Args:
        depth_mm: (M, H, W), millimetres, all frames.
        indices: (N,) which of them.
        drawn: the windows and flips.
        size: height and width of the result.

    Returns:
        (N, *size), millimetres; every value is one of the frame's own.
    """
    height, width = depth_mm.shape[1:]
    rows = _window_centres(drawn.top, drawn.scale, size[0], height)
    columns = _window_centres(drawn.left, drawn.scale, size[1], width)
    columns = np.where(drawn.flipped[:, None], columns[:, ::-1], columns)
    sampled: npt.NDArray[np.uint16] = depth_mm[indices[:, None, None], rows[:, :, None], columns[:, None, :]]
    return sampled


def _window_centres(start: Floats, scale: Floats, count: int, size: int) -> npt.NDArray[np.int64]:
    """For each window, the indices of the samples nearest to the centres of ``count`` equal cells."""
    centres = start[:, None] + scale[:, None] * (np.arange(count) + 0.5) / count
    return np.minimum((centres * size).astype(np.int64), size - 1)


def jitter_colours(images: Tensor, drawn: Draw) -> Tensor:
    """Change contrast, brightness and colour of (N, 3, H, W) images in 0..255; results stay in 0..255."""
    contrast = torch.from_numpy(drawn.contrast).to(images).view(-1, 1, 1, 1)
    gain = torch.from_numpy(drawn.gain).to(images).view(-1, 3, 1, 1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images * (contrast * gain) + (mean * (1 - contrast) * gain)).clamp_(0.0, 255.0)
