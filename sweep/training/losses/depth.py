"""The recipe's weighted sum of losses."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sweep.space.losses import Loss
from sweep.training.losses.comparison import Comparison
from sweep.training.losses.gradients import gradient_matching, plain_gradient
from sweep.training.losses.pixelwise import l1, l2, robust, si_rmse, silog
from sweep.training.losses.structure import ssim
from sweep.training.losses.virtual_normals import virtual_normal

Term = Callable[[Comparison], Tensor]


def depth_loss(weights: Loss, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """The recipe's weighted sum, a scalar. Terms of weight 0 are not computed.

    ``prediction`` and ``target`` are (N, 1, H, W), natural log of the depth in metres; ``valid`` is bool, True
    where the depth is known.
    """
    compared = Comparison(prediction, target, valid)
    return torch.stack([weight * term(compared) for weight, term in terms(weights) if weight > 0]).sum()


def log_l1(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute error of the log depth: `l1` by itself, as for a teacher's depth."""
    return l1(Comparison(prediction, target, valid))


def terms(weights: Loss) -> tuple[tuple[float, Term], ...]:
    """Each loss of the recipe with its weight."""
    built_in: tuple[tuple[float, Term], ...] = (
        (weights.silog, partial(silog, variance_focus=weights.silog_lambda)),
        (weights.gradient, gradient_matching),
        (weights.l1, l1),
        (weights.l2, l2),
        (weights.si_rmse, si_rmse),
        (weights.plain_gradient, plain_gradient),
        (weights.virtual_normal, virtual_normal),
        (weights.robust, partial(robust, alpha=weights.robust_alpha, c=weights.robust_c)),
        (weights.ssim, ssim),
    )
    own = weights.own
    if own is None:
        return built_in
    # Unknown pixels hold 0 there, so even a loss that forgets its mask gives them no gradient.
    return (
        *built_in,
        (own.weight, lambda compared: own(compared.known_prediction, compared.known_target, compared.valid)),
    )
