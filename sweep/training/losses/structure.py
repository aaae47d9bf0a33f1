"""SSIM of depth maps with holes (Wang et al. 2004, "Image Quality Assessment")."""

import math

import torch
from torch import Tensor

from sweep.models.network import MAX_DEPTH_M, MIN_DEPTH_M
from sweep.training.losses.comparison import Comparison

WINDOW = 11  # pixels, with a Gaussian of this standard deviation, as Wang et al. have it
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2  # K1 and K2 of the paper, for a dynamic range of 1

_LOG_NEAREST = math.log(MIN_DEPTH_M)
_LOG_RANGE = math.log(MAX_DEPTH_M) - _LOG_NEAREST


def ssim(compared: Comparison) -> Tensor:
    """1 - mean SSIM of the log depth; see `ssim_map`."""
    lack = torch.where(compared.valid, 1 - ssim_map(compared), 0.0)
    return compared.over_images(compared.over_pixels(lack))


def ssim_map(compared: Comparison) -> Tensor:
    """(N, 1, H, W): SSIM of the window around each known pixel; finite and without meaning at unknown ones.

    The log depth is scaled so that 0.1 m to 100 m become 0 to 1. A window is an 11x11 Gaussian. Its means,
    variances (biased, as in the paper) and covariance are those of its known pixels, whose weights are scaled to
    the sum 1. So a hole or the border narrows the windows that touch it; were those left out, the many small
    holes of a depth map would leave none.
    """
    prediction = torch.where(compared.valid, _to_unit(compared.prediction), 0.0)
    target = torch.where(compared.valid, _to_unit(compared.target), 0.0)
    known = compared.valid.to(prediction.dtype)
    along_y, along_x = (_gaussian_band(size, known) for size in known.shape[2:])

    def smoothed(*maps: Tensor) -> tuple[Tensor, ...]:
        return (along_y @ torch.cat(maps, dim=1) @ along_x).chunk(len(maps), dim=1)

    with torch.no_grad():
        sums = smoothed(known, target, target.square())
        weight = torch.where(compared.valid, sums[0], 1.0)
        mean_t, square_t = sums[1] / weight, sums[2] / weight
        variance_t = square_t - mean_t.square()
    sums = smoothed(prediction, prediction.square(), prediction * target)
    mean_p, square_p, product = (total / weight for total in sums)
    variance_p = square_p - mean_p.square()
    covariance = product - mean_p * mean_t
    luminance = (2 * mean_p * mean_t + C1) / (mean_p.square() + mean_t.square() + C1)
    structure = (2 * covariance + C2) / (variance_p + variance_t + C2)
    return luminance * structure


def _to_unit(log_depth: Tensor) -> Tensor:
    """0 at the nearest depth of the network's range, 1 at the farthest. SSIM asks for values from 0 on."""
    return (log_depth - _LOG_NEAREST) / _LOG_RANGE


def _gaussian_band(size: int, like: Tensor) -> Tensor:
    """(size, size), symmetric: multiplying by it smooths along one axis, with nothing beyond the border.

    Maps at output stride are small, and a matrix product there is several times faster than a convolution with one
    channel, forward and backward.
    """
    places = torch.arange(size, device=like.device)
    distance = (places.view(-1, 1) - places).abs()
    weights = torch.exp(-(distance.to(like.dtype).square()) / (2 * SIGMA**2))
    return torch.where(distance <= WINDOW // 2, weights, 0.0)
