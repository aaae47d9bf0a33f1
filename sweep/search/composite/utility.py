"""From beliefs about si-RMSE and latency to one about the score, on the scale on which it is compared.

Both figures are known by their logarithms' normal distributions. A utility is the score, or a function that rises
with it, of the two logarithms; its slopes carry their variances over to it, to first order.
"""

import math
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from sweep.judging.own_score import LATENCIES_MS, SI_RMSES
from sweep.judging.score import FinalScore, Score

Floats = npt.NDArray[np.float64]

SCORE_PER_SI_RMSE: Final = -20 * math.log(2)
_STEP: Final = 1e-4
"""Of a logarithm, for slopes by central differences."""


class Utility(Protocol):
    """A function of ln si-RMSE and ln latency (in ms) that rises with the score."""

    def value(self, ln_si_rmse: Floats, ln_latency: Floats) -> Floats:
        """The utility of each entry."""

    def slopes(self, ln_si_rmse: Floats, ln_latency: Floats) -> tuple[Floats, Floats]:
        """Its derivatives by either argument."""

    def slope_at(self, ln_si_rmse: float, ln_latency: float) -> float:
        """Its derivative by ``ln_si_rmse`` at one place."""


class LnFinalScore:
    """ln(Final Score) up to its constant: ``-20 ln 2 * si_rmse - ln latency_ms``."""

    def value(self, ln_si_rmse: Floats, ln_latency: Floats) -> Floats:
        return np.asarray(SCORE_PER_SI_RMSE * np.exp(ln_si_rmse) - ln_latency)

    def slopes(self, ln_si_rmse: Floats, ln_latency: Floats) -> tuple[Floats, Floats]:
        return np.asarray(SCORE_PER_SI_RMSE * np.exp(ln_si_rmse)), -np.ones_like(ln_latency)

    def slope_at(self, ln_si_rmse: float, ln_latency: float) -> float:  # noqa: ARG002  # the same for all
        return SCORE_PER_SI_RMSE * math.exp(ln_si_rmse)


LN_FINAL_SCORE: Final = LnFinalScore()


@dataclass(frozen=True)
class OwnUtility:
    """A score of one's own, or its logarithm.

    Attributes:
        score: the score; only its values are known, so slopes are differences.
        logarithmic: whether the utility is ln(score), which suits scores over orders of magnitude.
    """

    score: Score
    logarithmic: bool

    def value(self, ln_si_rmse: Floats, ln_latency: Floats) -> Floats:
        pairs = zip(np.exp(ln_si_rmse).tolist(), np.exp(ln_latency).tolist(), strict=True)
        scores = np.array([self.score(si_rmse, latency_ms) for si_rmse, latency_ms in pairs], np.float64)
        return np.log(np.maximum(scores, np.finfo(np.float64).tiny)) if self.logarithmic else scores

    def slopes(self, ln_si_rmse: Floats, ln_latency: Floats) -> tuple[Floats, Floats]:
        by_error = self.value(ln_si_rmse + _STEP, ln_latency) - self.value(ln_si_rmse - _STEP, ln_latency)
        by_latency = self.value(ln_si_rmse, ln_latency + _STEP) - self.value(ln_si_rmse, ln_latency - _STEP)
        return by_error / (2 * _STEP), by_latency / (2 * _STEP)

    def slope_at(self, ln_si_rmse: float, ln_latency: float) -> float:
        slope, _ = self.slopes(np.array([ln_si_rmse]), np.array([ln_latency]))
        return float(slope[0])


def utility_of(score: Score) -> Utility:
    """The utility of ``score``: of one's own its logarithm, if it is above 0 wherever scores are checked."""
    if isinstance(score, FinalScore):
        return LN_FINAL_SCORE
    positive = all(score(si_rmse, latency_ms) > 0 for si_rmse in SI_RMSES for latency_ms in LATENCIES_MS)
    return OwnUtility(score, positive)
