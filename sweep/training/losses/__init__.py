"""The losses of a recipe, on the log depth; and those of distillation, on feature maps.

`depth_loss` is the recipe's weighted sum. Each of its terms is a function of a `Comparison`: what is predicted,
what is true and where that is known, with what several losses need of them worked out once. Each averages over
an image's known pixels and then over the images that have any, so one image's scale error never mixes with
another's, and the training loss is the metric's kin (si-RMSE is a per-image mean too). A pixel of unknown depth
has a gradient of exactly zero, whatever the prediction or the target hold there; a batch without a known pixel
has the loss zero. All shapes are known beforehand and nothing waits for the device, so a CUDA graph can hold it.
"""

from sweep.training.losses.comparison import Comparison
from sweep.training.losses.depth import depth_loss, log_l1
from sweep.training.losses.features import feature_l2, pairwise_similarity
from sweep.training.losses.gradients import gradient_matching, plain_gradient
from sweep.training.losses.pixelwise import l1, l2, robust, si_rmse, silog
from sweep.training.losses.structure import ssim, ssim_map
from sweep.training.losses.virtual_normals import draw_triples, normal_difference, virtual_normal

__all__ = [
    "Comparison",
    "depth_loss",
    "draw_triples",
    "feature_l2",
    "gradient_matching",
    "l1",
    "l2",
    "log_l1",
    "normal_difference",
    "pairwise_similarity",
    "plain_gradient",
    "robust",
    "si_rmse",
    "silog",
    "ssim",
    "ssim_map",
    "virtual_normal",
]
