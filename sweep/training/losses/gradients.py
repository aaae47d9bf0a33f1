"""Losses of how the log error changes from pixel to pixel: edges and slopes rather than depths."""

from torch import Tensor

from sweep.training.losses.comparison import Comparison, gradient_magnitude

GRADIENT_SCALES = 4


def plain_gradient(compared: Comparison) -> Tensor:
    """|dx e| + |dy e| over the number of known pixels. A difference counts where both pixels are known."""
    return compared.over_images(compared.gradient_magnitude)


def gradient_matching(compared: Comparison) -> Tensor:
    """Multi-scale gradient matching on the log residual (Li & Snavely 2018; MiDaS, Ranftl et al. 2020).

    The sum of `plain_gradient` at four scales, each taking every second pixel of the one before.
    """
    total = compared.gradient_magnitude
    for scale in range(1, GRADIENT_SCALES):
        step = 2**scale
        total = total + gradient_magnitude(
            compared.error[..., ::step, ::step], compared.valid[..., ::step, ::step]
        )
    return compared.over_images(total)
