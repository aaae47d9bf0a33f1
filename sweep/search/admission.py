"""Admission: what a latency that was measured before training decides. Pure functions of a sweep's state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sweep.judging.score import FINAL_SCORE, Score
from sweep.lifecycle import SweepState, Trial, TrialState
from sweep.search.plausible import (
    lowest_final,
    lowest_latency_ms,
    lowest_plausible,
    reachable_score,
)
from sweep.space.constraint import Constraint


@dataclass(frozen=True)
class Verdict:
    """Why a trial stops: it breaks a constraint, or it cannot beat the best at the stated risk."""

    kind: Literal["constraint", "hopeless"]
    reason: str


@dataclass(frozen=True)
class AdmissionPolicy:
    """``risk``: accepted chance that a trial stopped for its score would have been the best; None: never stop one.

    ``extrapolation_risk`` is the same for trials that are in training. ``score`` is what the sweep maximises.
    """

    constraints: tuple[Constraint, ...] = ()
    risk: float | None = None
    extrapolation_risk: float | None = None
    score: Score = FINAL_SCORE

    @property
    def states_in_training(self) -> tuple[TrialState, ...]:
        """States in which `in_training` may have a verdict; none where extrapolation is off."""
        return () if self.extrapolation_risk is None else (TrialState.PAUSED,)

    def at_admission(self, state: SweepState, trial: Trial) -> Verdict | None:
        """The verdict on an admitted trial that was not trained yet; None: it may be trained."""
        broken = broken_constraint(self.constraints, trial)
        if broken is not None:
            return Verdict("constraint", broken)
        if self.risk is None:
            return None
        best = state.best
        if best is None or best.final_score is None:
            return None
        latency_ms = lowest_latency_ms(trial)
        si_rmse = lowest_plausible(state.complete.finished, latency_ms, self.risk)
        if si_rmse is None:
            return None
        return self._hopeless(si_rmse, latency_ms, best.final_score, best.number)

    def in_training(self, state: SweepState, trial: Trial) -> Verdict | None:
        """The verdict on a trial after its latest epoch; None: it may go on."""
        if self.extrapolation_risk is None or not trial.epochs:
            return None
        best = state.best
        if best is None or best.final_score is None:
            return None
        finished = state.complete.finished
        si_rmse = lowest_final(finished, trial.epoch, trial.epochs[-1].si_rmse, self.extrapolation_risk)
        if si_rmse is None:
            return None
        return self._hopeless(si_rmse, lowest_latency_ms(trial), best.final_score, best.number)

    def _hopeless(self, si_rmse: float, latency_ms: float, best_score: float, best: int) -> Verdict | None:
        reachable = reachable_score(si_rmse, latency_ms, self.score)
        if reachable >= best_score:
            return None
        reason = (
            f"at {latency_ms:.3g} ms a score of at most {reachable:.4g} is plausible (si-RMSE {si_rmse:.3f}); "
            f"trial {best} has {best_score:.4g}"
        )
        return Verdict("hopeless", reason)


def broken_constraint(constraints: Sequence[Constraint], trial: Trial) -> str | None:
    """What constraint the trial surely breaks, in words. A latency's whole interval must lie above the limit."""
    for constraint in constraints:
        value = lowest_latency_ms(trial) if constraint.metric == "latency_ms" else trial.size_mb
        if value is not None and constraint.violation(value) > 0:
            return f"breaks {constraint}: {constraint.metric} is {_known(constraint, trial):.4g}"
    return None


def _known(constraint: Constraint, trial: Trial) -> float:
    known = trial.latency_ms if constraint.metric == "latency_ms" else trial.size_mb
    return known if known is not None else float("nan")
