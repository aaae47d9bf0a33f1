"""On which scale a sweep's scores are compared: where equal steps of latency mean equal steps of score."""

import math
from dataclasses import dataclass
from typing import Protocol

from sweep.judging.score import FinalScore, Score
from sweep.lifecycle import Trial

Interval = tuple[float, float]
"""The ends of a latency's interval, in ms."""


class Scale(Protocol):
    """Compares complete trials.

    All methods raise ValueError for a trial that is not complete.
    """

    def at(self, trial: Trial, latency_ms: float) -> float:
        """Where the trial stands if its latency is ``latency_ms``."""

    def lead(self, better: Trial, worse: Trial) -> float:
        """How far the scores of the two are apart; 0 or less: ``better`` is not ahead."""

    def lead_at(self, better: Trial, worse: Trial, better_ms: float, worse_ms: float) -> float:
        """The same at other latencies."""

    def slack(self, better: Trial, worse: Trial, better_ms: Interval, worse_ms: Interval) -> float:
        """The lead that the intervals of the two latencies leave open: half of what they span."""


class LogarithmicScale:
    """Of the Final Score: its logarithm falls by as much as that of latency rises."""

    def at(self, trial: Trial, latency_ms: float) -> float:
        return _log_accuracy(trial) - math.log(latency_ms)

    def lead(self, better: Trial, worse: Trial) -> float:
        if not (better.final_score and worse.final_score):
            return 0.0
        return math.log(better.final_score / worse.final_score)

    def lead_at(self, better: Trial, worse: Trial, better_ms: float, worse_ms: float) -> float:
        return _log_accuracy(better) - _log_accuracy(worse) - math.log(better_ms / worse_ms)

    def slack(
        self,
        better: Trial,  # noqa: ARG002  # equal ratios of latency are equal steps of every trial's score
        worse: Trial,  # noqa: ARG002  # likewise
        better_ms: Interval,
        worse_ms: Interval,
    ) -> float:
        ends = [math.log(end) for end in (*better_ms, *worse_ms)]
        return (ends[1] - ends[0] + ends[3] - ends[2]) / 2


@dataclass(frozen=True)
class OwnScale:
    """Of a score of one's own, of which nothing but its values is known: the score itself."""

    score: Score

    def at(self, trial: Trial, latency_ms: float) -> float:
        return self.score(_si_rmse(trial), latency_ms)

    def lead(self, better: Trial, worse: Trial) -> float:
        if better.final_score is None or worse.final_score is None:
            raise ValueError(f"trials {better.number} and {worse.number} are not both complete")
        return better.final_score - worse.final_score

    def lead_at(self, better: Trial, worse: Trial, better_ms: float, worse_ms: float) -> float:
        return self.at(better, better_ms) - self.at(worse, worse_ms)

    def slack(self, better: Trial, worse: Trial, better_ms: Interval, worse_ms: Interval) -> float:
        return (self._width(better, better_ms) + self._width(worse, worse_ms)) / 2

    def _width(self, trial: Trial, interval_ms: Interval) -> float:
        return self.at(trial, interval_ms[0]) - self.at(trial, interval_ms[1])


def scale_of(score: Score) -> Scale:
    """The scale of ``score``."""
    return LogarithmicScale() if isinstance(score, FinalScore) else OwnScale(score)


def _log_accuracy(trial: Trial) -> float:
    """The logarithm of the Final Score's part that does not depend on latency."""
    if trial.final_score is None or trial.latency_ms is None:
        raise ValueError(f"trial {trial.number} is not complete")
    return math.log(trial.final_score * trial.latency_ms)


def _si_rmse(trial: Trial) -> float:
    if trial.completion is None:
        raise ValueError(f"trial {trial.number} is not complete")
    return float(trial.completion.metrics["si_rmse"])
