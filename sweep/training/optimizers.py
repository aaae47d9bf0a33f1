"""Optimisers of a recipe."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from torch import nn, optim
from torch.nn import Parameter
from torch.optim import Optimizer

from sweep.space.candidate import SGD, Adam, AdamW, Recipe

ParameterGroups = list[dict[str, Any]]


def build_optimizer(recipe: Recipe, network: nn.Module) -> Optimizer:
    """The recipe's optimiser over the network's parameters, at the recipe's base learning rate.

    Weight decay acts on convolution and linear weights only. Biases and normalisation parameters (every
    parameter of fewer than two dimensions) are exempt: decaying them takes away capacity, not complexity.
    """
    return _BUILDERS[type(recipe.optimizer)](recipe.optimizer, network.parameters(), recipe.learning_rate)


def _adam(_: Adam, parameters: Iterable[Parameter], learning_rate: float) -> Optimizer:
    return optim.Adam(parameters, lr=learning_rate, fused=True)


def _adamw(settings: AdamW, parameters: Iterable[Parameter], learning_rate: float) -> Optimizer:
    return optim.AdamW(_decay_groups(parameters, settings.weight_decay), lr=learning_rate, fused=True)


def _sgd(settings: SGD, parameters: Iterable[Parameter], learning_rate: float) -> Optimizer:
    return optim.SGD(
        _decay_groups(parameters, settings.weight_decay),
        lr=learning_rate,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,  # Nesterov needs momentum; without, both are plain descent
        fused=True,
    )


def _decay_groups(parameters: Iterable[Parameter], weight_decay: float) -> ParameterGroups:
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]


_BUILDERS: Final[Mapping[type, Callable[[Any, Iterable[Parameter], float], Optimizer]]] = {
    Adam: _adam,
    AdamW: _adamw,
    SGD: _sgd,
}
