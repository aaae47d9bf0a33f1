"""The rung policy: which paused trials deserve more epochs. Pure functions over a sweep's state.

Asynchronous successive halving (Li et al. 2020), on the Final Score instead of the loss: of all trials that
reached a rung, the best ``1 / reduction_factor`` go on. The factor may differ from rung to rung: a lower one at
the first rungs keeps more of those whose early epochs mislead. A trial that is not good enough yet stays paused
and may still be promoted when weaker trials arrive. When no new trial will start any more (`closing`), at least
``min_full`` of the trials are taken to full fidelity.

With ``hyperband`` (Li et al. 2018, asynchronous as in the same paper) trials take turns in brackets: those of
bracket b pass the first b rungs without being compared there, in case early epochs mislead. A rung compares all
trials that reached it, whatever their bracket.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from sweep.lifecycle import SweepState, Trial, TrialState


@dataclass(frozen=True)
class RungPolicy:
    """Rungs in epochs, strictly increasing; the last one is full fidelity.

    ``reduction_factor`` is one for all rungs, or one for each from the first on, of which the last serves the
    rungs that have none.

    Raises:
        ValueError: rungs not increasing from at least 1, or a reduction factor of 1 or less, or none.
    """

    epochs: tuple[int, ...]
    reduction_factor: float | tuple[float, ...]
    min_full: int
    hyperband: bool = False

    def __post_init__(self) -> None:
        increasing = all(low < high for low, high in zip(self.epochs, self.epochs[1:], strict=False))
        if not self.epochs or self.epochs[0] < 1 or not increasing:
            raise ValueError(f"rungs {list(self.epochs)} must increase from at least 1")
        if not self._factors or min(self._factors) <= 1:
            raise ValueError(f"reduction factor {self.reduction_factor} must be above 1")

    @property
    def max_epochs(self) -> int:
        """Full fidelity."""
        return self.epochs[-1]

    @property
    def _factors(self) -> tuple[float, ...]:
        factor = self.reduction_factor
        return factor if isinstance(factor, tuple) else (factor,)

    def reduction_at(self, rung: int) -> float:
        """Of this many trials at the rung, the best one goes on."""
        return self._factors[min(self.epochs.index(rung), len(self._factors) - 1)]

    def first_rung(self, trial: int) -> int:
        """The rung at which the trial of this number is compared for the first time."""
        return self.epochs[self._bracket(trial)] if self.hyperband else self.epochs[0]

    def next_rung(self, trial: int, epoch: int) -> int:
        """The first rung above ``epoch`` at which the trial of this number stops."""
        return next(rung for rung in self.epochs if rung > epoch and rung >= self.first_rung(trial))

    def _bracket(self, trial: int) -> int:
        """Hyperband gives each bracket the same epochs, so brackets that start later get fewer trials."""
        rungs = len(self.epochs)
        shares = [self.epochs[-1] / first / (rungs - index) for index, first in enumerate(self.epochs)]
        cycle = [
            bracket for bracket, share in enumerate(shares) for _ in range(max(1, round(share / shares[-1])))
        ]
        return cycle[trial % len(cycle)]


def promotable(policy: RungPolicy, state: SweepState, *, closing: bool) -> tuple[Trial, ...]:
    """The paused trials that may go on to their next rung; highest rungs and best scores first.

    ``closing`` says that no new trial will join the first rung.
    """
    paused = state.in_state(TrialState.PAUSED)
    chosen: list[Trial] = []
    for rung in reversed(policy.epochs[:-1]):
        waiting = [trial for trial in paused if trial.epoch == rung]
        if waiting:
            scores, quota = state.scores[rung], _quota(policy, state, rung, closing)
            here = [trial for trial in waiting if _better(scores, trial) < quota]
            chosen += sorted(here, key=lambda trial: (-(trial.partial_score or 0.0), trial.number))
    return tuple(chosen)


def _quota(policy: RungPolicy, state: SweepState, rung: int, closing: bool) -> int:
    quota = int(len(state.scores.get(rung, ())) / policy.reduction_at(rung))
    return max(quota, policy.min_full) if closing else quota


def _better(scores: tuple[tuple[float, int], ...], trial: Trial) -> int:
    """How many trials were better than ``trial`` at its rung; of equals the earlier one is the better."""
    score = trial.partial_score or 0.0
    above = len(scores) - bisect_right(scores, (score, math.inf))
    earlier_equals = bisect_left(scores, (score, trial.number)) - bisect_left(scores, (score, -1))
    return above + earlier_equals


def interrupted(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """The paused trials whose last attempt did not get where it was sent: it must go on."""
    return tuple(
        trial for trial in trials if trial.state is TrialState.PAUSED and trial.epoch < trial.target_epoch
    )
