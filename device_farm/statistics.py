"""Statistics of latency samples: the median and its distribution-free confidence interval."""

import math
from collections.abc import Sequence
from statistics import median

__all__ = ["median", "median_interval", "median_interval_ranks"]


def median_interval_ranks(samples: int, confidence: float = 0.95) -> tuple[int, int]:
    """The narrowest symmetric pair of order statistics that covers the median with ``confidence``.

    For independent samples of any continuous distribution, the number of samples below the median is
    Binomial(n, 1/2), so that x(l) <= median <= x(n + 1 - l) holds with probability
    1 - 2 P(Binomial(n, 1/2) < l) (Conover, Practical Nonparametric Statistics, section 3.2).

    Returns:
        One-based ranks (l, n + 1 - l).

    Raises:
        ValueError: so few samples that even their minimum and maximum cover the median less often.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    tail, rank = 0.0, 0
    while rank < samples // 2:
        tail += _half_binomial(samples, rank)
        if 2 * tail > 1 - confidence:
            break
        rank += 1
    if rank == 0:
        raise ValueError(f"{samples} samples are too few for a {confidence:.0%} interval of the median")
    return rank, samples + 1 - rank


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """The interval of ``median_interval_ranks`` for these samples, in their unit."""
    low, high = median_interval_ranks(len(values), confidence)
    ordered = sorted(values)
    return ordered[low - 1], ordered[high - 1]


def _half_binomial(n: int, k: int) -> float:
    """P(Binomial(n, 1/2) = k), by logarithms so that large n do not overflow."""
    log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
    return math.exp(log)
