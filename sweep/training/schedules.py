"""Learning-rate schedules: pure functions of how much of full fidelity is done.

A schedule spans full fidelity, not an attempt: an attempt from epoch 2 to 6 of 6 sees exactly the factors
that an uninterrupted run sees there. There is no state to save.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from sweep.space.candidate import Cosine, OneCycle, Polynomial

_ONE_CYCLE_START: Final = 1 / 25  # Smith & Topin start well below the peak, not at zero

Schedule = Cosine | Polynomial | OneCycle


def learning_rate_factor(schedule: Schedule, step: int, total_steps: int) -> float:
    """What the base learning rate is multiplied with at ``step``.

    Each step stands for its middle, (step + 1/2) / total_steps, so neither the first nor the last step is
    spent on a learning rate of zero.

    Args:
        schedule: the recipe's schedule.
        step: optimisation steps already done, in [0, total_steps).
        total_steps: optimisation steps of full fidelity.

    Returns:
        A factor in (0, 1].

    Raises:
        ValueError: the step lies outside of full fidelity.
    """
    if not 0 <= step < total_steps:
        raise ValueError(f"step {step} lies outside of full fidelity, [0, {total_steps})")
    return _FACTORS[type(schedule)](schedule, (step + 0.5) / total_steps)


def _cosine(schedule: Cosine, progress: float) -> float:
    """Linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2017)."""
    if progress < schedule.warmup:
        return progress / schedule.warmup
    return _half_cosine((progress - schedule.warmup) / (1 - schedule.warmup))


def _polynomial(schedule: Polynomial, progress: float) -> float:
    """Linear warm-up, then (1 - t)^power, t running from 0 to 1 after the warm-up."""
    if progress < schedule.warmup:
        return progress / schedule.warmup
    remaining = 1 - (progress - schedule.warmup) / (1 - schedule.warmup)
    return float(remaining**schedule.power)


def _one_cycle(schedule: OneCycle, progress: float) -> float:
    """Half a cosine up from 1/25 to the peak, half a cosine down to zero (Smith & Topin 2018)."""
    if progress < schedule.peak:
        return 1 - (1 - _ONE_CYCLE_START) * _half_cosine(progress / schedule.peak)
    return _half_cosine((progress - schedule.peak) / (1 - schedule.peak))


def _half_cosine(t: float) -> float:
    """From 1 at t = 0 to 0 at t = 1."""
    return 0.5 * (1 + math.cos(math.pi * t))


_FACTORS: Final[Mapping[type, Callable[[Any, float], float]]] = {
    Cosine: _cosine,
    Polynomial: _polynomial,
    OneCycle: _one_cycle,
}
