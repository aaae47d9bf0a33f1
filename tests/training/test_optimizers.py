"""What the optimisers decay, and what they leave alone."""

from typing import Any, get_args

import pytest
import torch
from tiny_training import make_candidate
from torch import nn

from sweep.models import build_network
from sweep.space.candidate import Recipe
from sweep.training.optimizers import build_optimizer

OPTIMIZERS: list[dict[str, Any]] = [
    {"kind": "adam"},
    {"kind": "adamw", "weight_decay": 0.1},
    {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.1},
    {"kind": "sgd", "momentum": 0.0, "weight_decay": 0.1},
]


def step_without_gradient(settings: dict[str, Any]) -> dict[str, torch.Tensor]:
    """How much each parameter of a tiny network keeps of itself over one step with zero gradients."""
    recipe = make_candidate(optimizer=settings, learning_rate=0.5).recipe
    network = build_network(make_candidate().architecture)
    for parameter in network.parameters():
        nn.init.constant_(parameter, 2.0)
        parameter.grad = torch.zeros_like(parameter)
    build_optimizer(recipe, network).step()
    return {name: parameter.detach() / 2 for name, parameter in network.named_parameters()}


def is_weight(name: str, kept: torch.Tensor) -> bool:
    return name.endswith("weight") and kept.ndim == 4


@pytest.mark.parametrize("settings", OPTIMIZERS[1:], ids=lambda settings: settings["kind"])
def test_weights_decay_and_biases_and_normalisation_do_not(settings: dict[str, Any]) -> None:
    kept = step_without_gradient(settings)
    assert {name for name, share in kept.items() if not torch.all(share == 1)} == {
        name for name, share in kept.items() if is_weight(name, share)
    }


def test_adamw_decays_by_learning_rate_times_weight_decay() -> None:
    kept = step_without_gradient({"kind": "adamw", "weight_decay": 0.1})
    assert all(
        torch.allclose(share, torch.tensor(0.95)) for name, share in kept.items() if is_weight(name, share)
    )


def test_adam_decays_nothing() -> None:
    assert all(torch.all(share == 1) for share in step_without_gradient({"kind": "adam"}).values())


@pytest.mark.parametrize("settings", OPTIMIZERS, ids=lambda settings: settings["kind"])
def test_every_parameter_is_trained_once_at_the_recipes_learning_rate(settings: dict[str, Any]) -> None:
    recipe = make_candidate(optimizer=settings, learning_rate=0.125).recipe
    network = build_network(make_candidate().architecture)
    groups = build_optimizer(recipe, network).param_groups
    trained = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(trained) == sorted(id(parameter) for parameter in network.parameters())
    assert {group["lr"] for group in groups} == {0.125}


def test_every_optimiser_of_the_recipe_is_tested_here() -> None:
    known = {
        kind.model_fields["kind"].annotation for kind in get_args(Recipe.model_fields["optimizer"].annotation)
    }
    assert {get_args(literal)[0] for literal in known} == {settings["kind"] for settings in OPTIMIZERS}
