"""The searched space: a NAS-Bench-201 cell and a training recipe, behind the port that any space serves."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sweep.space import (
    Assignment,
    Condition,
    ImpossibleCandidate,
    Options,
    Parameter,
    Primitive,
    RealRange,
    Suggest,
)

from .cells import EDGES, OPERATIONS, Cells, number_of

EDGE_PATHS: Final = tuple(f"architecture.edge_{start}_{end}" for start, end in EDGES)
LEARNING_RATE: Final = "recipe.learning_rate"
WEIGHT_DECAY: Final = "recipe.weight_decay"
OPTIMIZER: Final = "recipe.optimizer"
MOMENTUM: Final = "recipe.optimizer.sgd.momentum"
AUGMENTATION: Final = "recipe.augmentation"
LOSS_WEIGHT: Final = "recipe.loss_weight"
OPTIMIZERS: Final = ("adam", "adamw", "sgd")

PARAMETERS: Final = (
    *(Parameter(path, Options(OPERATIONS)) for path in EDGE_PATHS),
    Parameter(LEARNING_RATE, RealRange(1e-4, 1e-1, log=True)),
    Parameter(WEIGHT_DECAY, RealRange(1e-6, 1e-2, log=True)),
    Parameter(OPTIMIZER, Options(OPTIMIZERS)),
    Parameter(MOMENTUM, RealRange(0.0, 0.99), Condition(OPTIMIZER, "sgd")),
    Parameter(AUGMENTATION, RealRange(0.0, 1.0)),
    Parameter(LOSS_WEIGHT, RealRange(0.0, 2.0)),
)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; logarithms are decimal. ``momentum`` is 0 unless the optimiser is SGD."""

    log_learning_rate: float
    log_weight_decay: float
    optimizer: str
    momentum: float
    augmentation: float
    loss_weight: float

    def assignment(self) -> Assignment:
        """The recipe's part of an assignment."""
        values: Assignment = {
            LEARNING_RATE: 10**self.log_learning_rate,
            WEIGHT_DECAY: 10**self.log_weight_decay,
            OPTIMIZER: self.optimizer,
            AUGMENTATION: self.augmentation,
            LOSS_WEIGHT: self.loss_weight,
        }
        return {**values, MOMENTUM: self.momentum} if self.optimizer == "sgd" else values


@dataclass(frozen=True)
class SimulatedCandidate:
    """A cell, by number, with its recipe, and the assignment that spells them."""

    cell: int
    recipe: Recipe
    assignment: Assignment

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits: the identity of the whole candidate."""
        return _digest(f"{self.cell} {self.recipe}")

    @property
    def architecture_hash(self) -> str:
        """Sixteen hexadecimal digits: the identity of the cell alone."""
        return _digest(str(self.cell))

    def model_dump(self, *, mode: Literal["json"] = "json") -> dict[str, Any]:
        """Plain data for the journal and the trainer."""
        del mode
        return dict(self.assignment)


@dataclass(frozen=True)
class SimulatedSpace:
    """Serves `sweep.search.ports.SearchSpace`."""

    cells: Cells

    def parameters(self) -> tuple[Parameter, ...]:
        """Every searched value, each after the choice that opens it."""
        return PARAMETERS

    def sample(self, suggest: Suggest) -> Assignment:
        """Ask ``suggest`` for each parameter that exists."""
        assignment: Assignment = {}
        for parameter in PARAMETERS:
            condition = parameter.condition
            if condition is None or assignment[condition.path] == condition.option:
                assignment[parameter.path] = parameter.domain.ask(suggest, parameter.path)
        return assignment

    def candidate(self, assignment: Mapping[str, Primitive]) -> SimulatedCandidate:
        """What a complete assignment means.

        Raises:
            ImpossibleCandidate: the cell's input does not reach its output.
        """
        candidate = read_candidate(assignment)
        if not self.cells.works[candidate.cell]:
            raise ImpossibleCandidate("the cell's input does not reach its output", assignment)
        return candidate

    def random(self, suggest: Suggest) -> SimulatedCandidate:
        """A possible candidate drawn uniformly."""
        while True:
            try:
                return self.candidate(self.sample(suggest))
            except ImpossibleCandidate:
                continue


def read_candidate(assignment: Mapping[str, Primitive]) -> SimulatedCandidate:
    """The candidate of a complete assignment, possible or not."""
    recipe = Recipe(
        log_learning_rate=math.log10(float(assignment[LEARNING_RATE])),
        log_weight_decay=math.log10(float(assignment[WEIGHT_DECAY])),
        optimizer=str(assignment[OPTIMIZER]),
        momentum=float(assignment.get(MOMENTUM, 0.0)),
        augmentation=float(assignment[AUGMENTATION]),
        loss_weight=float(assignment[LOSS_WEIGHT]),
    )
    cell = number_of(tuple(str(assignment[path]) for path in EDGE_PATHS))
    return SimulatedCandidate(cell, recipe, dict(assignment))


def cell_assignment(cells: Cells, cell: int) -> Assignment:
    """The architecture's part of an assignment."""
    return {path: OPERATIONS[op] for path, op in zip(EDGE_PATHS, cells.operations[cell], strict=True)}


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
