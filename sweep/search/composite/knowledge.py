"""What trials tell, now or at an earlier time, as plain arrays."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sweep.lifecycle import Trial, TrialState

Floats = npt.NDArray[np.float64]
Curve = tuple[Floats, Floats]
"""Epochs, ascending, and ln(si-RMSE) after each."""

_BROKEN = (TrialState.FAILED, TrialState.INFEASIBLE)


def as_known(trials: Iterable[Trial], before: float) -> tuple[Trial, ...]:
    """The trials as they stood just before a time, as far as a fit looks at them.

    Epochs recorded at or after the time are left out, and so is every completion: the state does not say when
    its parts became known. Trials that had neither an epoch nor failed by then are left out altogether.
    """
    past = []
    for trial in trials:
        epochs = tuple(record for record in trial.epochs if record.time < before)
        broke = trial.state in _BROKEN and trial.changed_at < before
        if epochs or broke:
            state = trial.state if broke else TrialState.PAUSED
            past.append(replace(trial, state=state, epochs=epochs, completion=None, finals=()))
    return tuple(past)


def is_broken(trial: Trial) -> bool:
    """Whether the candidate did not work: training failed, or the network could not be exported or measured."""
    if trial.state is TrialState.INFEASIBLE:
        return trial.admission_latency_ms is None or bool(trial.epochs)
    return trial.state is TrialState.FAILED


def curve_of(trial: Trial) -> Curve:
    """Every epoch of a trained trial; the exported file's si-RMSE counts as one more at full fidelity."""
    pairs = [(record.epoch, record.si_rmse) for record in trial.epochs]
    if trial.completion is not None and "si_rmse" in trial.completion.metrics:
        pairs.append((trial.max_epochs, trial.completion.metrics["si_rmse"]))
    epochs, values = np.array(pairs, dtype=np.float64).T
    return epochs, np.log(np.maximum(values, 1e-6))


def ln_latency_ms(trial: Trial) -> float:
    """Of a trial whose latency was measured.

    Raises:
        ValueError: it was not.
    """
    return math.log(_present(trial, trial.latency_ms, "latency"))


def ln_size_mb(trial: Trial) -> float:
    """Of a trial whose file's size is known.

    Raises:
        ValueError: it is not.
    """
    return math.log(_present(trial, trial.size_mb, "size"))


def _present(trial: Trial, value: float | None, what: str) -> float:
    if value is None:
        raise ValueError(f"the {what} of trial {trial.number} is not known")
    return value


def most_telling(trials: Sequence[Trial], most: int) -> tuple[Trial, ...]:
    """At most ``most`` of the trials, in their order.

    Three in four are the furthest trained and, among equals, the best; the others are spread evenly over what
    is left, so that the models also keep to where nothing good was found.
    """
    if len(trials) <= most:
        return tuple(trials)
    ranked = sorted(trials, key=lambda t: (-t.epoch, -(t.partial_score or 0.0), t.number))
    first = most - most // 4
    left = sorted(ranked[first:], key=lambda t: t.number)
    spread = [left[len(left) * i // (most - first)] for i in range(most - first)]
    return tuple(sorted((*ranked[:first], *spread), key=lambda t: t.number))
