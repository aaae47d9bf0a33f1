"""Weights of other projects, made to compute the same in this package's encoders.

What differs is the encoders' input, batch normalisation's epsilon and the hard sigmoid's offset; each is folded
into the weights, so that the network needs no operator for it.

Two differences stay. Zero padding is black here and the mean colour there, so the features of the image's border
differ. And where the project pads a stride of 2 alike on both sides (torchvision, timm) and not as TensorFlow's
SAME does, features at stride s are here those of the image shifted by s - 1 pixels: the same network, looking at a
place less than one of its own pixels further to the bottom right.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sweep.models.encoder import INPUT_SCALE
from sweep.models.layers import BATCH_NORM_EPSILON, SqueezeExcite
from sweep.models.pretrained_layouts import Convention

STEM_WEIGHT, STEM_MEAN = "stem.conv.weight", "stem.norm.running_mean"


def folded(state: Mapping[str, Tensor], convention: Convention, encoder: nn.Module) -> dict[str, Tensor]:
    """The translated state with all three differences folded into it, in float64."""
    exact = {name: value.double() if value.is_floating_point() else value for name, value in state.items()}
    _fold_input(exact, convention)
    _fold_epsilon(exact, convention.epsilon)
    _fold_hard_sigmoid(exact, encoder)
    return exact


def _fold_input(state: dict[str, Tensor], convention: Convention) -> None:
    """(x / 255 - mean) / std becomes x * INPUT_SCALE: a scale of the weights and a shift of the stem's mean.

    The convolution's output no longer has the constant that the subtracted mean gives it, so neither has the
    running mean that batch normalisation subtracts.
    """
    if STEM_WEIGHT not in state or STEM_MEAN not in state:
        return
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in (convention.mean, convention.std))
    weights = state[STEM_WEIGHT] / std[:, None, None]
    state[STEM_MEAN] = state[STEM_MEAN] + torch.einsum("ochw,c->o", weights, mean)
    state[STEM_WEIGHT] = weights / (255 * INPUT_SCALE)


def _fold_epsilon(state: dict[str, Tensor], epsilon: float) -> None:
    """weight / sqrt(variance + epsilon) stays what it is with this package's epsilon."""
    for name in [name for name in state if name.endswith(".norm.weight")]:
        variance = state.get(name.removesuffix("weight") + "running_var")
        if variance is not None:
            state[name] = state[name] * torch.sqrt((variance + BATCH_NORM_EPSILON) / (variance + epsilon))


def _fold_hard_sigmoid(state: dict[str, Tensor], encoder: nn.Module) -> None:
    """The 3 of relu6(x + 3) / 6 is in the bias here."""
    for name, module in encoder.named_modules():
        bias = f"{name}.expand.bias"
        if isinstance(module, SqueezeExcite) and bias in state:
            state[bias] = state[bias] + 3
