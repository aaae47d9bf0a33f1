"""Finalists: the best trials are measured in turns until their order is sure. Pure functions.

The si-RMSE of a file does not change from one judging to the next, so whether two finished files swap places
depends on their latencies alone. Rounds are interleaved: what the device did in a round touched all of them, and
the differences within rounds count (paired t interval of the logarithms, 95 %).
"""

import math
from collections.abc import Sequence
from itertools import pairwise, takewhile
from statistics import fmean, median, stdev

from scipy.special import stdtrit

from sweep.lifecycle import SweepState, Trial, TrialState

CONFIDENCE = 0.95
MIN_ROUNDS = 3
"""With two rounds the t interval is too wide to decide anything."""


def finalists(state: SweepState, top: int) -> tuple[Trial, ...]:
    """The ``top`` complete trials, best score first."""
    complete = state.in_state(TrialState.COMPLETE)
    return tuple(sorted(complete, key=lambda trial: (-(trial.final_score or 0.0), trial.number))[:top])


def standing(state: SweepState) -> tuple[Trial, ...]:
    """All complete trials, the best first: by score, but those that took turns at the top by their rounds.

    Rounds measure nobody but finalists, so they never move one past a trial that had none.
    """
    complete = finalists(state, len(state.complete))
    top = tuple(takewhile(lambda trial: len(trial.finals) >= MIN_ROUNDS, complete))
    return (*sorted(top, key=lambda trial: (-_score_in_rounds(trial), trial.number)), *complete[len(top) :])


def next_finalist(state: SweepState, top: int, rounds: int) -> Trial | None:
    """Whom to measure now, or None: the order is sure, nobody is left to compare, or all rounds are used."""
    rivals = finalists(state, top)
    if len(rivals) < 2 or rounds == 0:
        return None
    done = min(len(trial.finals) for trial in rivals)
    behind = [trial for trial in rivals if len(trial.finals) == done]
    in_mid_round = len(behind) < len(rivals)
    if in_mid_round:
        return min(behind, key=lambda trial: trial.number)
    if done >= rounds or (done >= MIN_ROUNDS and not _any_tie(rivals)):
        return None
    return min(rivals, key=lambda trial: trial.number)


def tied(better: Trial, worse: Trial) -> bool:
    """True if the order of two complete trials is not significant.

    Rounds that both were measured in decide; without three of them, whether the ends of the two latency
    intervals would swap the scores. A latency that nothing but its median is known of leaves everything open.
    """
    rounds = min(len(better.finals), len(worse.finals))
    if rounds >= MIN_ROUNDS:
        return _tied_in_rounds(better, worse, rounds)
    pair = (_log_interval(better), _log_interval(worse))
    if pair[0] is None or pair[1] is None:
        return True
    slack = (pair[0][1] - pair[0][0] + pair[1][1] - pair[1][0]) / 2
    return _log_ratio(better, worse) <= slack


def ranks(ordered: Sequence[Trial]) -> tuple[int, ...]:
    """The ranks of trials in order of their scores; a trial tied with the one before it shares its rank."""
    found: list[int] = []
    for index, trial in enumerate(ordered):
        shared = index > 0 and tied(ordered[index - 1], trial)
        found.append(found[-1] if shared else index + 1)
    return tuple(found)


def _any_tie(rivals: Sequence[Trial]) -> bool:
    order = sorted(rivals, key=lambda trial: -_score_in_rounds(trial))
    return any(tied(better, worse) for better, worse in pairwise(order))


def _tied_in_rounds(better: Trial, worse: Trial, rounds: int) -> bool:
    offset = _log_accuracy(better) - _log_accuracy(worse)
    differences = [
        offset - math.log(one.latency_ms / other.latency_ms)
        for one, other in zip(better.finals[:rounds], worse.finals[:rounds], strict=True)
    ]
    quantile = float(stdtrit(rounds - 1, (1 + CONFIDENCE) / 2))
    return fmean(differences) <= quantile * stdev(differences) / math.sqrt(rounds)


def _score_in_rounds(trial: Trial) -> float:
    """The logarithm of the Final Score at the median latency of the trial's rounds."""
    return _log_accuracy(trial) - math.log(median(final.latency_ms for final in trial.finals))


def _log_accuracy(trial: Trial) -> float:
    """The logarithm of the Final Score's part that does not depend on latency."""
    if trial.final_score is None or trial.latency_ms is None:
        raise ValueError(f"trial {trial.number} is not complete")
    return math.log(trial.final_score * trial.latency_ms)


def _log_ratio(better: Trial, worse: Trial) -> float:
    if not (better.final_score and worse.final_score):
        return 0.0
    return math.log(better.final_score / worse.final_score)


def _log_interval(trial: Trial) -> tuple[float, float] | None:
    """The logarithms of the latency interval's ends; of a drifting latency, which has none, the samples' range."""
    measurement = trial.completion.measurement if trial.completion else {}
    samples = measurement.get("samples_ms")
    interval = measurement.get("interval_ms") or ((min(samples), max(samples)) if samples else None)
    return (math.log(interval[0]), math.log(interval[1])) if interval else None
