"""Batches of images and depth maps, moved and coloured on the device where they lie.

Images are (N, H, W, 3), the order in which they are stored; depth maps are (N, H, W) millimetres, uint16 bit
patterns in int16, because torch moves int16 but not all of its operators know uint16. Images are sampled
bilinearly; depth by nearest sampling with the same matrices, so that every depth is one of the frame's own.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# In pixels. A point on the border of two pixels belongs to the later one, however its position was rounded.
_TIE = 1e-9


def mirror(frames: Tensor, which: Tensor, axis: int) -> Tensor:
    """Mirror some of (N, ...) frames along ``axis``; ``which``: (N,) bool."""
    own = torch.arange(len(frames), device=frames.device)
    both = torch.cat([frames, frames.flip(axis)])  # far faster on a CPU than torch.where
    return both.index_select(0, own + len(frames) * which)


def sample_images(images: Tensor, matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut, turn, mirror and resize in one bilinear sampling.

    The border's colour is repeated outside of the image. With the identity this equals
    ``interpolate(size, mode="bilinear")``.

    Args:
        images: (N, H, W, 3), floating point.
        matrices: (N, 2, 3) of ``sampling_matrices``, float64.
        size: height and width of the result.

    Returns:
        (N, *size, 3) in the dtype of ``images``.
    """
    along_x, along_y = _along_axes(matrices, size)
    grid = torch.empty((len(images), *size, 2), dtype=images.dtype, device=images.device)
    for axis in (0, 1):
        column, row = along_x[:, axis, None, :].to(grid.dtype), along_y[:, axis, :, None].to(grid.dtype)
        torch.add(column, row, out=grid[..., axis])
    frames = images.permute(0, 3, 1, 2)
    sampled = F.grid_sample(frames, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled.permute(0, 2, 3, 1).contiguous()


def sample_depth(depth_mm: Tensor, matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut, turn, mirror and resize by nearest sampling; 0, unknown, outside of the frame.

    Args:
        depth_mm: (N, H, W), any dtype.
        matrices: (N, 2, 3) of ``sampling_matrices``, float64.
        size: height and width of the result.

    Returns:
        (N, *size); every value is one of the frame's own, or 0.
    """
    count, height, width = depth_mm.shape
    along_x, along_y = _along_axes(matrices, size)
    x, y = (along_x[:, :, None, :] + along_y[:, :, :, None]).unbind(1)
    columns, rows = _pixels(x, width), _pixels(y, height)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    first = torch.arange(count, device=depth_mm.device).view(-1, 1, 1) * height
    position = (first + rows.clamp(0, height - 1)) * width + columns.clamp(0, width - 1)
    return depth_mm.reshape(-1).take(position) * inside


def _pixels(points: Tensor, size: int) -> Tensor:
    """Which of ``size`` pixels of -1..1 the points lie in."""
    return torch.floor((points + 1) / 2 * size + _TIE).to(torch.int64)


def _along_axes(matrices: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """What each column (N, 2, width) and each row (N, 2, height) of the result adds to its points' x and y."""
    rows, columns = (_centres(count, matrices) for count in size)
    along_x = matrices[:, :, 0, None] * columns + matrices[:, :, 2, None]
    return along_x, matrices[:, :, 1, None] * rows


def _centres(count: int, like: Tensor) -> Tensor:
    """The centres of ``count`` equal cells of -1..1."""
    return (2 * torch.arange(count, dtype=like.dtype, device=like.device) + 1) / count - 1


def jitter_colours(images: Tensor, contrast: Tensor, gain: Tensor) -> Tensor:
    """Change contrast, brightness and colour of images in 0..255, which stay in 0..255.

    Args:
        images: (N, H, W, 3), floating point.
        contrast: (N,) factor on the deviation from the image's mean.
        gain: (N, 3) factor on each channel.
    """
    count, height, width, channels = images.shape
    mean = images.mean(dim=(1, 2, 3))
    factor = contrast[:, None] * gain
    offset = (mean * (1 - contrast))[:, None] * gain
    # Rows of width * 3 values: repeating 3 values along them is several times slower on a CPU.
    rows = images.reshape(count, height, width * channels)
    changed = torch.addcmul(offset.repeat(1, width)[:, None], rows, factor.repeat(1, width)[:, None])
    return changed.clamp_(0.0, 255.0).view_as(images)
