"""What all methods have in common: the budget, what a step costs, and the record of a run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from .problems import Problem, full_trainings_s
from .space import SimulatedCandidate
from .virtual_time import Simulation

BUDGET_TRAININGS: Final = 40
"""The budget, in full trainings of a median network."""

START_S: Final = 5.0
"""GPU-seconds to start or resume a training: loading the data and the checkpoint."""

ADMISSION_S: Final = 12.0
FINAL_S: Final = 20.0
"""Seconds that a board is taken by a measurement before and after training."""


@dataclass(frozen=True)
class Point:
    """After ``spent_s`` GPU-seconds the method would choose a candidate whose true score is ``true_score``."""

    spent_s: float
    true_score: float


@dataclass(frozen=True)
class Rejections:
    """What admission stopped before the first epoch.

    Attributes:
        count: candidates.
        saved: GPU time that they would have taken up to their first rung, as a share of the budget.
        lost_best: whether one of them was truly better than all that was let in.
    """

    count: int = 0
    saved: float = 0.0
    lost_best: bool = False


@dataclass(frozen=True)
class Run:
    """What one method did on one problem.

    Attributes:
        curve: what it would have chosen when; a point for each change.
        granted_s: GPU-seconds it spent in all.
        proposed: candidates it proposed.
        trained: those with at least an epoch.
        full: those trained in full.
        elapsed_s: virtual time.
    """

    curve: tuple[Point, ...]
    granted_s: float
    proposed: int
    trained: int
    full: int
    elapsed_s: float
    rejections: Rejections = Rejections()

    @property
    def final_score(self) -> float:
        """True score of the candidate chosen in the end; 0 if there is none."""
        return self.curve[-1].true_score if self.curve else 0.0


@dataclass
class Scribe:
    """Notes what would be chosen whenever that changes."""

    problem: Problem
    simulation: Simulation
    points: list[Point] = field(default_factory=list)
    _chosen: SimulatedCandidate | None = None

    def note(self, chosen: SimulatedCandidate | None) -> None:
        """The method's leaderboard now has ``chosen`` at the top."""
        if chosen is None or chosen == self._chosen:
            return
        self._chosen = chosen
        self.points.append(Point(self.simulation.spent_s, self.problem.true_score(chosen)))


Method = Callable[[Problem, float], Run]
"""Searches a problem with so many GPU-seconds."""


def default_budget_s() -> float:
    """GPU-seconds that every method may spend."""
    return full_trainings_s(BUDGET_TRAININGS)
