"""Simulated problems: what a candidate's training and measurement would say, and what is true of it.

A problem is a landscape's instance under a noise regime. Methods see noisy si-RMSE and noisy latency only; the
true score belongs to the report. Noise follows from the seed, the candidate and the epoch alone, so it does not
depend on the order in which anything is asked: methods that train the same candidate see the same figures.

The problems were fixed before any search was tuned on them.
"""

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sweep.judging.score import C, final_score

from .cells import Cells, epoch_seconds, load_cells
from .landscapes import LANDSCAPES, Landscape
from .space import SimulatedCandidate, SimulatedSpace

MAX_EPOCHS: Final = 27
RUNGS: Final = (3, 9, 27)
REDUCTION_FACTOR: Final = 3
ADMISSION_SPREAD: Final = 0.01
"""Relative standard deviation of a measured latency."""

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Noise:
    """``spread``: standard deviation of si-RMSE, independent at each epoch.

    ``misleading``: that of a candidate's own deviation at the first rung, which shrinks to nothing.
    """

    spread: float
    misleading: float = 0.0


NOISES: Final = {
    "low": Noise(0.002),
    "medium": Noise(0.006),
    "high": Noise(0.012, misleading=0.03),
}


@dataclass(frozen=True)
class Problem:
    """One problem; ``seed`` names the landscape's instance and the noise.

    Attributes:
        optimum: the highest true score of the whole space.
        optimal_cell: the cell that has it, under `Landscape.best_recipe`.
    """

    name: str
    landscape: Landscape
    noise: Noise
    seed: int
    space: SimulatedSpace
    optimum: float
    optimal_cell: int

    @property
    def cells(self) -> Cells:
        """All architectures."""
        return self.space.cells

    def epoch_s(self, candidate: SimulatedCandidate) -> float:
        """GPU-seconds of one epoch."""
        return epoch_seconds(float(self.cells.modelled_ms[candidate.cell]))

    def observe_si_rmse(self, candidate: SimulatedCandidate, epoch: int) -> float:
        """The validation si-RMSE after ``epoch`` epochs, as it is seen; NaN once training has diverged."""
        true = self.true_si_rmse(candidate, epoch)
        identity = candidate.hash
        noise = self.noise.spread * self._normal(identity, f"epoch {epoch}")
        if self.noise.misleading:
            share = (math.sqrt(MAX_EPOCHS / epoch) - 1) / (math.sqrt(MAX_EPOCHS / RUNGS[0]) - 1)
            noise += self.noise.misleading * share * self._normal(identity, "misleading")
        return max(0.05, true + noise) if math.isfinite(true) else math.nan

    def observe_latency_ms(self, candidate: SimulatedCandidate, measurement: str) -> float:
        """A measured latency; ``measurement`` says which one (a second one has its own noise)."""
        noise = self._normal(candidate.architecture_hash, measurement)
        return self.true_latency_ms(candidate) * math.exp(ADMISSION_SPREAD * noise)

    def true_latency_ms(self, candidate: SimulatedCandidate) -> float:
        """Latency without noise."""
        return float(self.cells.latency_ms[candidate.cell])

    def true_si_rmse(self, candidate: SimulatedCandidate, epoch: int) -> float:
        """si-RMSE without noise after ``epoch`` epochs; NaN once training has diverged."""
        curve = self.landscape.curve(candidate.cell, candidate.recipe)
        if curve.diverges_at is not None and epoch >= curve.diverges_at:
            return math.nan
        final = float(self.landscape.floor[candidate.cell]) + self.landscape.loss(
            candidate.cell, candidate.recipe
        )
        progress = math.pow(epoch, -curve.rate) - math.pow(MAX_EPOCHS, -curve.rate)
        return final + curve.amplitude * progress

    def true_score(self, candidate: SimulatedCandidate) -> float:
        """The Final Score of the fully trained candidate without noise; 0 if training diverges."""
        si_rmse = self.true_si_rmse(candidate, MAX_EPOCHS)
        return final_score(si_rmse, self.true_latency_ms(candidate)) if math.isfinite(si_rmse) else 0.0

    def _normal(self, identity: str, what: str) -> float:
        """A standard normal number that belongs to this seed, candidate and occasion."""
        digest = hashlib.blake2b(
            f"{self.name} {self.seed} {identity} {what}".encode(), digest_size=8
        ).digest()
        return _NORMAL.inv_cdf((int.from_bytes(digest, "big") + 0.5) / 2**64)


def full_trainings_s(count: float) -> float:
    """GPU-seconds of ``count`` full trainings of a median network."""
    return count * MAX_EPOCHS * load_cells().median_epoch_s


@lru_cache(maxsize=8)
def make_problem(landscape: str, noise: str, seed: int) -> Problem:
    """The problem ``seed`` of a landscape in `LANDSCAPES` under a regime in `NOISES`."""
    cells = load_cells()
    made = make_landscape(landscape, seed)
    scores = best_scores(made)
    best = int(np.argmax(scores))
    return Problem(
        name=f"{landscape}-{noise}",
        landscape=made,
        noise=NOISES[noise],
        seed=seed,
        space=SimulatedSpace(cells),
        optimum=float(scores[best]),
        optimal_cell=best,
    )


@lru_cache(maxsize=4)
def make_landscape(name: str, instance: int) -> Landscape:
    """An instance of the family called ``name``."""
    return LANDSCAPES[name](load_cells(), instance)


def best_scores(landscape: Landscape) -> NDArray[np.float64]:
    """(15625,): the true score of each cell under its best recipe; 0 where nothing flows."""
    cells = landscape.cells
    latency_ms = np.where(cells.works, cells.latency_ms, np.inf)
    return np.asarray(2 ** (-20 * landscape.floor) / (C * latency_ms), dtype=np.float64)
