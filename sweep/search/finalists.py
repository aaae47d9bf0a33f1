"""Finalists: the best trials are measured in turns until their order is sure. Pure functions.

The si-RMSE of a file does not change from one judging to the next, so whether two finished files swap places
depends on their latencies alone. Rounds are interleaved: what the device did in a round touched all of them, and
the differences within rounds count (paired t interval on the score's scale, 95 %; see `sweep.search.scale`).
"""

import math
from collections.abc import Sequence
from itertools import pairwise, takewhile
from statistics import fmean, median, stdev

from scipy.special import stdtrit

from sweep.judging.score import FINAL_SCORE, Score
from sweep.lifecycle import SweepState, Trial, TrialState
from sweep.search.scale import Scale, scale_of

CONFIDENCE = 0.95
MIN_ROUNDS = 3
"""With two rounds the t interval is too wide to decide anything."""


def finalists(state: SweepState, top: int) -> tuple[Trial, ...]:
    """The ``top`` complete trials, best score first."""
    complete = state.in_state(TrialState.COMPLETE)
    return tuple(sorted(complete, key=lambda trial: (-(trial.final_score or 0.0), trial.number))[:top])


def standing(state: SweepState, score: Score = FINAL_SCORE) -> tuple[Trial, ...]:
    """All complete trials, the best first: by ``score``, but those that took turns at the top by their rounds.

    Rounds measure nobody but finalists, so they never move one past a trial that had none.
    """
    complete = finalists(state, len(state.complete))
    top = tuple(takewhile(lambda trial: len(trial.finals) >= MIN_ROUNDS, complete))
    return (*_by_rounds(top, scale_of(score)), *complete[len(top) :])


def next_finalist(state: SweepState, top: int, rounds: int, score: Score = FINAL_SCORE) -> Trial | None:
    """Whom to measure now, or None: the order is sure, nobody is left to compare, or all rounds are used."""
    rivals = finalists(state, top)
    if len(rivals) < 2 or rounds == 0:
        return None
    done = min(len(trial.finals) for trial in rivals)
    behind = [trial for trial in rivals if len(trial.finals) == done]
    in_mid_round = len(behind) < len(rivals)
    if in_mid_round:
        return min(behind, key=lambda trial: trial.number)
    if done >= rounds or (done >= MIN_ROUNDS and not _any_tie(rivals, score)):
        return None
    return min(rivals, key=lambda trial: trial.number)


def tied(better: Trial, worse: Trial, score: Score = FINAL_SCORE) -> bool:
    """True if the order of two complete trials is not significant.

    Rounds that both were measured in decide; without three of them, whether the ends of the two latency
    intervals would swap the scores. A latency that nothing but its median is known of leaves everything open.
    """
    scale = scale_of(score)
    rounds = min(len(better.finals), len(worse.finals))
    if rounds >= MIN_ROUNDS:
        return _tied_in_rounds(better, worse, rounds, scale)
    intervals = _interval(better), _interval(worse)
    if intervals[0] is None or intervals[1] is None:
        return True
    return scale.lead(better, worse) <= scale.slack(better, worse, intervals[0], intervals[1])


def ranks(ordered: Sequence[Trial], score: Score = FINAL_SCORE) -> tuple[int, ...]:
    """The ranks of trials in order of their scores; a trial tied with the one before it shares its rank."""
    found: list[int] = []
    for index, trial in enumerate(ordered):
        shared = index > 0 and tied(ordered[index - 1], trial, score)
        found.append(found[-1] if shared else index + 1)
    return tuple(found)


def _any_tie(rivals: Sequence[Trial], score: Score) -> bool:
    scale = scale_of(score)
    order = sorted(rivals, key=lambda trial: -_score_in_rounds(trial, scale))
    return any(tied(better, worse, score) for better, worse in pairwise(order))


def _by_rounds(top: Sequence[Trial], scale: Scale) -> list[Trial]:
    return sorted(top, key=lambda trial: (-_score_in_rounds(trial, scale), trial.number))


def _tied_in_rounds(better: Trial, worse: Trial, rounds: int, scale: Scale) -> bool:
    differences = [
        scale.lead_at(better, worse, one.latency_ms, other.latency_ms)
        for one, other in zip(better.finals[:rounds], worse.finals[:rounds], strict=True)
    ]
    quantile = float(stdtrit(rounds - 1, (1 + CONFIDENCE) / 2))
    return fmean(differences) <= quantile * stdev(differences) / math.sqrt(rounds)


def _score_in_rounds(trial: Trial, scale: Scale) -> float:
    """Where the trial stands at the median latency of its rounds."""
    return scale.at(trial, median(final.latency_ms for final in trial.finals))


def _interval(trial: Trial) -> tuple[float, float] | None:
    """The latency interval's ends in ms; of a drifting latency, which has none, the samples' range."""
    measurement = trial.completion.measurement if trial.completion else {}
    samples = measurement.get("samples_ms")
    interval = measurement.get("interval_ms") or ((min(samples), max(samples)) if samples else None)
    return (float(interval[0]), float(interval[1])) if interval else None
