"""A batch's predictions beside the truth, and what several losses need of them."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

_PIXELS = (1, 2, 3)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Predicted and true log depth. Each property is worked out when a loss first asks for it, then kept.

    Attributes:
        prediction, target: (N, 1, H, W), natural log of the depth in metres, any float dtype.
        valid: (N, 1, H, W) bool, True where the depth is known.
    """

    prediction: Tensor
    target: Tensor
    valid: Tensor

    @cached_property
    def error(self) -> Tensor:
        """Prediction - target, 0 at unknown pixels: a ``where``, since 0 * NaN would be NaN."""
        return torch.where(self.valid, self.prediction - self.target, 0.0)

    @cached_property
    def known_prediction(self) -> Tensor:
        """The prediction, 0 at unknown pixels, which get no gradient through this."""
        return torch.where(self.valid, self.prediction, 0.0)

    @cached_property
    def known_target(self) -> Tensor:
        """The target, 0 at unknown pixels."""
        return torch.where(self.valid, self.target, 0.0)

    @cached_property
    def count(self) -> Tensor:
        """(N,), known pixels of each image, at least 1, so that an image without any divides to zero."""
        return self.valid.sum(dim=_PIXELS).clamp(min=1)

    @cached_property
    def known_images(self) -> Tensor:
        """(N,) bool, True for images with a known pixel."""
        return self.valid.flatten(1).any(dim=1)

    @cached_property
    def mean_error(self) -> Tensor:
        """(N,), the mean error of each image."""
        return self.over_pixels(self.error)

    @cached_property
    def variance(self) -> Tensor:
        """(N,), the variance of each image's error: mean e^2 - (mean e)^2, which cannot turn negative here."""
        centred = torch.where(self.valid, self.error - self.mean_error.view(-1, 1, 1, 1), 0.0)
        return self.over_pixels(centred.square())

    @cached_property
    def gradient_magnitude(self) -> Tensor:
        """(N,), |dx e| + |dy e| over the known pixels of each image; see `gradient_magnitude`."""
        return gradient_magnitude(self.error, self.valid)

    def over_pixels(self, values: Tensor) -> Tensor:
        """(N, 1, H, W), 0 at unknown pixels, to (N,): the mean over the known ones."""
        return values.sum(dim=_PIXELS) / self.count

    def over_images(self, per_image: Tensor) -> Tensor:
        """(N,) to a scalar: the mean over the images that have a known pixel, 0 if none has."""
        return mean_where(self.known_images, per_image)


def mean_where(counts: Tensor, values: Tensor) -> Tensor:
    """The mean of those ``values`` (N,) at which ``counts`` (N,) is True; 0 if none is."""
    return torch.where(counts, values, 0.0).sum() / counts.sum().clamp(min=1)


def gradient_magnitude(error: Tensor, valid: Tensor) -> Tensor:
    """Sum of the absolute differences between neighbours, over the number of known pixels.

    ``error`` is (N, 1, H, W), finite everywhere. A difference counts where both of its pixels are known. The
    result is (N,); an image without a known pixel has 0.
    """
    along_x = (error[..., :, 1:] - error[..., :, :-1]) * (valid[..., :, 1:] & valid[..., :, :-1])
    along_y = (error[..., 1:, :] - error[..., :-1, :]) * (valid[..., 1:, :] & valid[..., :-1, :])
    total = along_x.abs().sum(dim=_PIXELS) + along_y.abs().sum(dim=_PIXELS)
    return total / valid.sum(dim=_PIXELS).clamp(min=1)
