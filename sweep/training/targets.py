"""From 16-bit millimetres to what losses and partial scores are computed against."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

MM_PER_METRE = 1000.0


def nearest_centres(count: int, size: int) -> npt.NDArray[np.int64]:
    """Indices, in ``size`` samples, of the centres of ``count`` equal cells: nearest sampling.

    Depth is never interpolated: a mean across an edge, or with an unknown pixel, is a depth that nobody saw.
    """
    return ((np.arange(count) + 0.5) * size / count).astype(np.int64)


def sample_nearest(depth_mm: npt.NDArray[np.uint16], size: tuple[int, int]) -> npt.NDArray[np.uint16]:
    """Bring depth maps (N, H, W) to (N, *size) by nearest sampling; unknown pixels stay unknown."""
    height, width = depth_mm.shape[1:]
    rows, columns = nearest_centres(size[0], height), nearest_centres(size[1], width)
    return depth_mm[:, rows[:, None], columns[None, :]]


def log_depth_target(depth_mm: Tensor) -> tuple[Tensor, Tensor]:
    """Split depth into what to predict and where it is known.

    Args:
        depth_mm: any shape, any real dtype, millimetres; 0 or 1: unknown.

    Returns:
        ln of the depth in metres, float32, finite everywhere, and the mask of known pixels, bool.
    """
    depth_mm = depth_mm.to(torch.float32)  # torch compares no uint16
    return torch.log(depth_mm.clamp(min=1.0) / MM_PER_METRE), depth_mm > 1
