"""Four families of learning behaviour; each instance of a family draws its own figures.

In all of them a candidate's si-RMSE after its last epoch is a floor, which its cell sets, plus what its recipe
loses against that cell's best recipe. The loss is never negative and `Landscape.best_recipe` attains zero, so
the best of the whole space is known exactly. Floors fall with the cell's capacity, less and less: the best
Final Score lies neither at the smallest nor at the largest network.

They were written down before any search was tuned on them and are not changed since.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .cells import CONV_3X3, EDGES, SKIP, Cells
from .space import Recipe

OPERATION_CAPACITY: Final = (0.0, 0.03, 0.22, 1.0, 0.06)
"""What each operation adds to a network, in the order of `cells.OPERATIONS`."""

PAIRS: Final = tuple(
    (one, two) for one, (_, end) in enumerate(EDGES) for two, (start, _) in enumerate(EDGES) if start == end
)
"""Pairs of edges in a row."""


@dataclass(frozen=True)
class Curve:
    """How si-RMSE falls: ``amplitude * epoch ** -rate`` above an asymptote; NaN from ``diverges_at`` on."""

    amplitude: float
    rate: float
    diverges_at: int | None = None


class Landscape(ABC):
    """One instance of a family.

    Attributes:
        floor: (15625,), the si-RMSE of each cell after its last epoch under its best recipe.
        capacity: (15625,), 0 to 1.
    """

    def __init__(self, cells: Cells, instance: int) -> None:
        self.draw = np.random.default_rng([instance, *type(self).__name__.encode()])
        self.cells = cells
        self.capacity = self._capacity()
        self.floor = 0.26 + 0.30 * np.exp(-5.3 * self.capacity)
        self.center = self.draw.uniform(-2.9, -2.3)
        self.own_pace = self.draw.lognormal(0, 0.15, len(self.floor))
        self.offsets = dict(
            zip(("adam", "adamw", "sgd"), self.draw.permutation([0.0, 0.004, 0.009]), strict=True)
        )

    def _capacity(self) -> NDArray[np.float64]:
        weights = self.draw.dirichlet(np.full(len(EDGES), 10.0))
        values = np.array(OPERATION_CAPACITY) * self.draw.lognormal(0, 0.2, (len(EDGES), 5))
        capacity = np.zeros(len(self.cells.live))
        for edge in range(len(EDGES)):
            capacity += weights[edge] * values[edge][self.cells.live[:, edge]]
        return capacity

    @abstractmethod
    def loss(self, cell: int, recipe: Recipe) -> float:
        """What ``recipe`` loses against the cell's best, in si-RMSE; at least 0."""

    @abstractmethod
    def best_recipe(self, cell: int) -> Recipe:
        """The recipe that loses nothing."""

    def curve(self, cell: int, recipe: Recipe) -> Curve:
        """How the candidate learns: fast, and all about alike."""
        del recipe
        return Curve(float(self.own_pace[cell]) * (0.13 - 0.03 * float(self.capacity[cell])), rate=0.7)


class Additive(Landscape):
    """Smooth; every part of the recipe has one best value, whatever the cell and the other parts."""

    def __init__(self, cells: Cells, instance: int) -> None:
        super().__init__(cells, instance)
        optimizer = min(self.offsets, key=lambda name: self.offsets[name])
        self.best = Recipe(
            log_learning_rate=self.center,
            log_weight_decay=self.draw.uniform(-5, -3),
            optimizer=optimizer,
            momentum=self.draw.uniform(0.7, 0.95) if optimizer == "sgd" else 0.0,
            augmentation=self.draw.uniform(0.2, 0.8),
            loss_weight=self.draw.uniform(0.5, 1.5),
        )

    def loss(self, cell: int, recipe: Recipe) -> float:
        del cell
        best = self.best
        momentum = best.momentum or 0.9
        return float(
            self.offsets[recipe.optimizer]
            + 0.009 * (recipe.log_learning_rate - best.log_learning_rate) ** 2
            + 0.002 * (recipe.log_weight_decay - best.log_weight_decay) ** 2
            + (0.02 * (recipe.momentum - momentum) ** 2 if recipe.optimizer == "sgd" else 0.0)
            + 0.016 * (recipe.augmentation - best.augmentation) ** 2
            + 0.008 * (recipe.loss_weight - best.loss_weight) ** 2
        )

    def best_recipe(self, cell: int) -> Recipe:
        del cell
        return self.best


class Interacting(Landscape):
    """The best recipe depends on the cell, its parts on one another; SGD with the right momentum is best."""

    def __init__(self, cells: Cells, instance: int) -> None:
        super().__init__(cells, instance)
        self.floor = self.floor + _interactions(cells, self.draw, 0.003)
        self.log_momentum = self.draw.uniform(0.8, 1.2)  # of 1 / (1 - momentum)
        self.weight_decay = self.draw.uniform(-4.5, -3.5)
        self.rates = {"adam": self.center, "adamw": self.center + 0.2, "sgd": self.center + 1.3}
        self.offsets = {"sgd": 0.0, "adamw": 0.006, "adam": 0.010}

    def loss(self, cell: int, recipe: Recipe) -> float:
        capacity = float(self.capacity[cell])
        gain = -math.log10(1 - recipe.momentum)
        effective = recipe.log_learning_rate + gain
        coupled = recipe.log_weight_decay + 0.6 * (recipe.log_learning_rate - self.center)
        return float(
            self.offsets[recipe.optimizer]
            + 0.010 * (effective - self._best_effective(cell, recipe.optimizer)) ** 2
            + 0.0025 * (coupled - self.weight_decay) ** 2
            + (0.012 * (gain - self.log_momentum) ** 2 if recipe.optimizer == "sgd" else 0.0)
            + 0.03 * (recipe.augmentation - (0.15 + 0.7 * capacity)) ** 2
            + 0.008 * (recipe.loss_weight - (1.5 - 1.1 * recipe.augmentation)) ** 2
        )

    def _best_effective(self, cell: int, optimizer: str) -> float:
        """Decimal logarithm of learning rate / (1 - momentum): deeper cells want it lower."""
        return float(self.rates[optimizer] - 0.3 * (self.cells.depth[cell] - 1.5))

    def best_recipe(self, cell: int) -> Recipe:
        rate = self._best_effective(cell, "sgd") - self.log_momentum
        augmentation = 0.15 + 0.7 * float(self.capacity[cell])
        return Recipe(
            log_learning_rate=rate,
            log_weight_decay=self.weight_decay - 0.6 * (rate - self.center),
            optimizer="sgd",
            momentum=1 - 10**-self.log_momentum,
            augmentation=augmentation,
            loss_weight=1.5 - 1.1 * augmentation,
        )

    def curve(self, cell: int, recipe: Recipe) -> Curve:
        """Too low a learning rate learns slowly."""
        effective = recipe.log_learning_rate - math.log10(1 - recipe.momentum)
        late = max(0.0, self._best_effective(cell, recipe.optimizer) - effective)
        return Curve(0.12 * float(self.own_pace[cell]), rate=0.75 / (1 + 0.3 * late))


class Rugged(Landscape):
    """Edges interact, the recipe has several optima, and a learning rate above the cell's limit diverges.

    The better of the two basins of the learning rate ends a quarter of a decade below that cliff.
    """

    def __init__(self, cells: Cells, instance: int) -> None:
        super().__init__(cells, instance)
        self.floor = np.maximum(self.floor + _interactions(cells, self.draw, 0.004), 0.24)
        convolutions = (cells.live == CONV_3X3).sum(1)
        residual = (cells.live == SKIP).any(1)
        jitter = self.draw.normal(0, 0.12, len(cells.live))
        self.best_rate = np.clip(
            self.center - 0.12 * (convolutions - 2) + 0.2 * residual + jitter, -3.6, -1.75
        )
        self.diverging_epoch = self.draw.integers(1, 5, len(cells.live))
        self.rate_shift = {"adam": 0.0, "adamw": 0.1, "sgd": 0.6}
        self.augmentation = self.draw.uniform(0.3, 0.7)
        self.weight_decay = self.draw.uniform(-5, -3)
        self.loss_weight = self.draw.uniform(0.4, 1.6)

    def loss(self, cell: int, recipe: Recipe) -> float:
        off = self._above_best(cell, recipe)
        augmentation = recipe.augmentation - self.augmentation
        loss_weight = abs(recipe.loss_weight - self.loss_weight)
        return float(
            self.offsets[recipe.optimizer]
            + min(0.020 * off**2, 0.008 + 0.025 * (off + 1.2) ** 2)
            + min(0.003 * (recipe.log_weight_decay - self.weight_decay) ** 2, 0.008)
            + (0.015 * (recipe.momentum - 0.9) ** 2 if recipe.optimizer == "sgd" else 0.0)
            + 0.015 * augmentation**2
            + 0.003 * (1 - math.cos(6 * math.pi * augmentation))
            + min(0.012 * loss_weight, 0.006 + 0.003 * abs(loss_weight - 0.8))
        )

    def _above_best(self, cell: int, recipe: Recipe) -> float:
        """How far the learning rate is above the cell's best, in decades."""
        best = float(self.best_rate[cell]) + self.rate_shift[recipe.optimizer]
        return recipe.log_learning_rate - best

    def best_recipe(self, cell: int) -> Recipe:
        optimizer = min(self.offsets, key=lambda name: self.offsets[name])
        return Recipe(
            log_learning_rate=float(self.best_rate[cell]) + self.rate_shift[optimizer],
            log_weight_decay=self.weight_decay,
            optimizer=optimizer,
            momentum=0.9 if optimizer == "sgd" else 0.0,
            augmentation=self.augmentation,
            loss_weight=self.loss_weight,
        )

    def curve(self, cell: int, recipe: Recipe) -> Curve:
        """Like the others', up to the cliff."""
        diverges = self._above_best(cell, recipe) > 0.25
        return Curve(
            0.12 * float(self.own_pace[cell]), 0.7, int(self.diverging_epoch[cell]) if diverges else None
        )


class SlowStarters(Additive):
    """The recipe is additive, but large networks and strong augmentation learn slowly: early epochs mislead."""

    def curve(self, cell: int, recipe: Recipe) -> Curve:
        """The more there is to learn, the higher it starts and the slower it falls."""
        capacity = float(self.capacity[cell])
        late = max(0.0, self.best.log_learning_rate - recipe.log_learning_rate)
        amplitude = 0.08 + 0.6 * capacity + 0.08 * recipe.augmentation
        rate = max(0.25, 1.2 - 1.6 * capacity) / (1 + 0.3 * late)
        return Curve(amplitude * float(self.own_pace[cell]), rate)


LANDSCAPES: Final[Mapping[str, Callable[[Cells, int], Landscape]]] = {
    "additive": Additive,
    "interacting": Interacting,
    "rugged": Rugged,
    "slow": SlowStarters,
}


def _interactions(cells: Cells, draw: np.random.Generator, spread: float) -> NDArray[np.float64]:
    """What pairs of live operations in a row add to each cell's si-RMSE; about zero on average."""
    added = np.zeros(len(cells.live))
    for one, two in PAIRS:
        table = draw.normal(0, spread, (5, 5))
        table[0, :] = table[:, 0] = 0.0
        added += table[cells.live[:, one], cells.live[:, two]]
    return added
