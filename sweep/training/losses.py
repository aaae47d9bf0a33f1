"""Losses on the log depth, each averaged over an image's known pixels and then over the images.

All functions take

- ``prediction`` and ``target``: (N, 1, H, W), natural log of the depth in metres, any float dtype;
- ``valid``: (N, 1, H, W) bool, True where the depth is known;

and return a scalar. Reduction is per image: each image gets its own value from its known pixels, and the loss
is the mean over the images that have any. So one image's scale error never mixes with another's, and the
training loss is the metric's kin (si-RMSE is a per-image mean too). A pixel of unknown depth has a gradient
of exactly zero, whatever the prediction or the target hold there; a batch without a known pixel has the loss
zero.
"""

import torch
from torch import Tensor

from sweep.space.candidate import Loss

GRADIENT_SCALES = 4
_SQRT_EPSILON = 1e-8  # keeps the derivative of the square root finite for a perfect or an unknown image


def depth_loss(weights: Loss, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """The recipe's weighted sum. Terms of weight 0 are not computed."""
    terms = []
    if weights.silog > 0:
        terms.append(weights.silog * silog(prediction, target, valid, weights.silog_lambda))
    if weights.gradient > 0:
        terms.append(weights.gradient * gradient_matching(prediction, target, valid))
    if weights.l1 > 0:
        terms.append(weights.l1 * log_l1(prediction, target, valid))
    return torch.stack(terms).sum()


def silog(prediction: Tensor, target: Tensor, valid: Tensor, variance_focus: float) -> Tensor:
    """``sqrt(mean e^2 - lambda (mean e)^2)``, e = prediction - target (Eigen et al. 2014; Lee et al. 2019).

    ``variance_focus`` is lambda: 0 gives the RMSE of the log, 1 full scale invariance. BTS uses 0.85 and the
    weight 10. Computed as variance + (1 - lambda) mean^2, which is the same and cannot turn negative.
    """
    error, count = _masked_error(prediction, target, valid), _count(valid)
    mean = error.sum(dim=(1, 2, 3)) / count
    centred = torch.where(valid, error - mean.view(-1, 1, 1, 1), 0.0)
    variance = centred.square().sum(dim=(1, 2, 3)) / count
    per_image = torch.sqrt(variance + (1 - variance_focus) * mean.square() + _SQRT_EPSILON)
    return _mean_over_images(per_image, valid)


def gradient_matching(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Multi-scale gradient matching on the log residual (Li & Snavely 2018; MiDaS, Ranftl et al. 2020).

    Summed over four scales, each taking every second pixel of the one before: |dx R| + |dy R| over the number
    of known pixels at that scale, R = prediction - target. A difference counts where both pixels are known.
    """
    error = _masked_error(prediction, target, valid)
    total = error.new_zeros(error.shape[0])
    for scale in range(GRADIENT_SCALES):
        step = 2**scale
        total = total + _gradient_magnitude(error[..., ::step, ::step], valid[..., ::step, ::step])
    return _mean_over_images(total, valid)


def log_l1(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute error of the log depth."""
    per_image = _masked_error(prediction, target, valid).abs().sum(dim=(1, 2, 3)) / _count(valid)
    return _mean_over_images(per_image, valid)


def _gradient_magnitude(error: Tensor, valid: Tensor) -> Tensor:
    along_x = (error[..., :, 1:] - error[..., :, :-1]) * (valid[..., :, 1:] & valid[..., :, :-1])
    along_y = (error[..., 1:, :] - error[..., :-1, :]) * (valid[..., 1:, :] & valid[..., :-1, :])
    return (along_x.abs().sum(dim=(1, 2, 3)) + along_y.abs().sum(dim=(1, 2, 3))) / _count(valid)


def _masked_error(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Prediction - target, zero at unknown pixels: a ``where``, since 0 * NaN would be NaN."""
    return torch.where(valid, prediction - target, 0.0)


def _count(valid: Tensor) -> Tensor:
    """Known pixels per image, at least 1, so that an image without any divides to zero."""
    return valid.sum(dim=(1, 2, 3)).clamp(min=1)


def _mean_over_images(per_image: Tensor, valid: Tensor) -> Tensor:
    known = valid.flatten(1).any(dim=1)
    return torch.where(known, per_image, 0.0).sum() / known.sum().clamp(min=1)
