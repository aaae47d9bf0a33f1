"""What si-RMSE is still plausible for a trial, learned from the trials that finished. Pure functions.

Both questions are answered by a one-sided prediction bound of ordinary least squares with normal errors: a new
observation lies below it with probability ``risk``. Fewer than `MIN_FINISHED` finished trials give no bound,
because the quantiles of Student's t say next to nothing there.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from sweep.judging.score import FINAL_SCORE, Score
from sweep.lifecycle import Finished, Trial

MIN_FINISHED = 6


def lowest_plausible(finished: Sequence[Finished], latency_ms: float, risk: float) -> float | None:
    """The si-RMSE at full fidelity below which a network of this latency lies with probability ``risk``.

    A line over the logarithm of latency: slower networks tend to be more accurate. The best si-RMSE that was
    reached at all stays plausible for every latency.

    Returns:
        None while too few trials have finished.
    """
    if len(finished) < MIN_FINISHED:
        return None
    reached = np.array([trial.si_rmse[-1] for trial in finished])
    latencies = np.log([trial.latency_ms for trial in finished])
    bound = _prediction_bound(latencies, reached, math.log(latency_ms), risk)
    return max(0.0, min(bound, float(reached.min())))


def lowest_final(finished: Sequence[Finished], epoch: int, si_rmse: float, risk: float) -> float | None:
    """The si-RMSE at full fidelity below which a trial that stands at ``si_rmse`` ends with probability ``risk``.

    The logarithm of what finished trials still gained from ``epoch`` on, over the logarithm of their si-RMSE
    there: those that stand worse have more to gain. Staying as it is remains plausible for every trial.

    Returns:
        None while too few trials have finished.
    """
    pairs = [
        (trial.si_rmse[epoch - 1], trial.si_rmse[-1]) for trial in finished if len(trial.si_rmse) > epoch
    ]
    if len(pairs) < MIN_FINISHED or si_rmse <= 0 or min(min(pair) for pair in pairs) <= 0:
        return None
    there, final = np.log(np.array(pairs)).T
    gain = _prediction_bound(there, final - there, math.log(si_rmse), risk)
    return float(si_rmse * math.exp(min(gain, 0.0)))


def reachable_score(si_rmse: float, latency_ms: float, score: Score = FINAL_SCORE) -> float:
    """The score at the lowest plausible si-RMSE and the lowest plausible latency."""
    return score(max(si_rmse, 0.0), latency_ms)


def lowest_latency_ms(trial: Trial) -> float:
    """The lower end of the admission measurement's interval, or its median where there is none."""
    if trial.admission_latency_ms is None:
        raise ValueError(f"trial {trial.number} was not measured")
    interval = (trial.admission or {}).get("interval_ms")
    return float(interval[0]) if interval else trial.admission_latency_ms


def _prediction_bound(x: NDArray[np.float64], y: NDArray[np.float64], at: float, risk: float) -> float:
    """Lower prediction bound of ``y`` at ``at``; without spread in ``x``, of the mean."""
    n = len(x)
    centred = x - x.mean()
    spread = float(centred @ centred)
    slope = float(centred @ y) / spread if spread > 1e-12 else 0.0
    used = 2 if spread > 1e-12 else 1
    residuals = y - y.mean() - slope * centred
    variance = float(residuals @ residuals) / (n - used)
    leverage = 1 / n + ((at - float(x.mean())) ** 2 / spread if spread > 1e-12 else 0.0)
    middle = float(y.mean()) + slope * (at - float(x.mean()))
    return middle + float(stdtrit(n - used, risk)) * math.sqrt(variance * (1 + leverage))
