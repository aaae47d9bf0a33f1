"""What is said of many runs: paired differences with a bootstrap interval, and the GPU time saved."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

RESAMPLES: Final = 10_000
CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its interval."""

    estimate: float
    low: float
    high: float


def paired_difference(ours: Sequence[float], theirs: Sequence[float], seed: int = 0) -> Interval:
    """The mean of ``ours - theirs``, pair by pair, as a share of the median of ``theirs``.

    The interval is a percentile bootstrap over pairs (Efron 1979) at `CONFIDENCE`: resamples draw problems, with
    what both methods reached there, so that problems hard for both do not widen it.

    Raises:
        ValueError: the two differ in length, there is no pair, or the median of ``theirs`` is not above 0.
    """
    if len(ours) != len(theirs) or not ours:
        raise ValueError(f"{len(ours)} scores against {len(theirs)}; pairs are needed")
    reference = median(theirs)
    if reference <= 0:
        raise ValueError(f"the median to compare with is {reference}; it must be above 0")
    differences = (np.array(ours) - np.array(theirs)) / reference
    draws = np.random.default_rng(seed).integers(0, len(differences), (RESAMPLES, len(differences)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(differences[draws].mean(axis=1), [tail, 1 - tail])
    return Interval(float(differences.mean()), float(low), float(high))


def median_share(shares: Sequence[float | None]) -> float:
    """The median of shares of a budget; None stands for never, and counts as infinite."""
    return median(math.inf if share is None else share for share in shares)


@dataclass(frozen=True)
class Curve:
    """A step function: from each share of the budget on, what the method would have chosen is worth so much.

    ``steps`` are pairs (share of the budget, share of the optimum), ordered by the first; 0 before the first.
    """

    steps: tuple[tuple[float, float], ...]

    @property
    def final(self) -> float:
        """The worth at the end."""
        return self.steps[-1][1] if self.steps else 0.0

    def at(self, spent: float) -> float:
        """The worth after ``spent`` of the budget."""
        return next((worth for share, worth in reversed(self.steps) if share <= spent), 0.0)

    def reached(self, worth: float) -> float | None:
        """From when on the worth is at least ``worth`` and stays so; None: it is not in the end."""
        since: float | None = None
        for share, value in self.steps:
            if value < worth:
                since = None
            elif since is None:
                since = share
        return since


def median_curve(curves: Sequence[Curve]) -> Curve:
    """The median of several curves at every hundredth of the budget."""
    shares = [percent / 100 for percent in range(101)]
    return Curve(tuple((share, median(curve.at(share) for curve in curves)) for share in shares))
