"""The composite model: si-RMSE and latency apart, the score exactly from both.

(Astudillo & Frazier 2019: Bayesian optimisation of composite functions.) ln latency and ln size are Gaussian
processes over the architecture's parameters, and known where they were measured. ln si-RMSE is one over all
parameters and the fidelity. A last process tells where candidates break. `sweep.search.composite.utility` joins
the two to the score, on the scale on which it is compared.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

from sweep.lifecycle import Trial
from sweep.search.composite.acquisition import ln_chance_below
from sweep.search.composite.encoding import Coded, Encoding
from sweep.search.composite.gaussian_process import Prior
from sweep.search.composite.knowledge import curve_of, is_broken, ln_latency_ms, ln_size_mb
from sweep.search.composite.quantities import CurveModel, Fitted, Inputs, PointModel
from sweep.search.composite.utility import LN_FINAL_SCORE, Utility
from sweep.space.constraint import Constraint

Floats = npt.NDArray[np.float64]

ARCHITECTURE: Final = "architecture."
"""Parameters whose path starts so belong to the network; no other has a part in latency and size."""

LABEL_PRIOR: Final = Prior(noise=(0.5, 0.5))
"""A break may be bad luck: one must not close the whole region to the search."""


@dataclass(frozen=True)
class Evidence:
    """The trials that models learn from, by what they tell; each in order of proposal.

    Attributes:
        trained: have a learning curve and did not break.
        measured: have a latency.
        tried: have a latency, and either trained or broke.
    """

    trained: tuple[Trial, ...]
    measured: tuple[Trial, ...]
    tried: tuple[Trial, ...]

    @classmethod
    def of(cls, trials: Sequence[Trial]) -> "Evidence":
        measured = tuple(trial for trial in trials if trial.latency_ms is not None)
        trained = tuple(trial for trial in measured if trial.epochs and not is_broken(trial))
        return cls(trained, measured, tuple(t for t in measured if t.epochs or is_broken(t)))


@dataclass(frozen=True)
class Fits:
    """What is fitted now and then; in between a model is conditioned on new trials with the same fits.

    ``size`` is None where no size is known, ``working`` where nothing broke yet.
    """

    si_rmse: Fitted
    latency: Fitted
    size: Fitted | None
    working: Fitted | None


@dataclass(frozen=True)
class Belief:
    """What is believed of candidates; one entry each.

    Attributes:
        gain: mean of the score, on the utility's scale, less that of the best trial.
        gain_deviation: standard deviation of this difference.
        ln_works: ln of the chance that it neither breaks nor violates a constraint.
    """

    gain: Floats
    gain_deviation: Floats
    ln_works: Floats


def fit_models(coded: Coded, evidence: Evidence, max_epochs: int) -> Fits:
    """Fit all models; at least one trial must be trained."""
    encoding, trained = coded.encoding, evidence.trained
    ln_latency = np.array([ln_latency_ms(trial) for trial in trained])
    latency = PointModel.fit(_of_architecture(encoding, coded.rows(trained)), ln_latency)
    inputs = _of_trials(coded, trained)
    si_rmse = CurveModel.fit(inputs, [curve_of(trial) for trial in trained], max_epochs)
    return Fits(si_rmse, latency, _fit_size(coded, trained), _fit_working(coded, evidence.tried))


def _fit_size(coded: Coded, trials: Sequence[Trial]) -> Fitted | None:
    sized = [trial for trial in trials if trial.size_mb]
    if not sized:
        return None
    inputs = _of_architecture(coded.encoding, coded.rows(sized))
    return PointModel.fit(inputs, np.array([ln_size_mb(trial) for trial in sized]))


def _fit_working(coded: Coded, tried: Sequence[Trial]) -> Fitted | None:
    """Classification as regression on 0 and 1: which parameters decide is all that is asked of the fit."""
    if not any(is_broken(trial) for trial in tried):
        return None
    return PointModel.fit(_of_trials(coded, tried), _labels(tried), LABEL_PRIOR)


class KnownOrPredicted:
    """A quantity of the architecture alone: known where it was measured, elsewhere a Gaussian process."""

    def __init__(
        self, coded: Coded, fitted: Fitted, trials: Sequence[Trial], value_of: Callable[[Trial], float]
    ) -> None:
        self._encoding = coded.encoding
        codes = coded.rows(trials)
        by_key: dict[bytes, list[int]] = {}
        for row, key in enumerate(self._encoding.keys(codes, ARCHITECTURE)):
            by_key.setdefault(key, []).append(row)
        values = np.array([value_of(trial) for trial in trials])
        self._known = {key: float(values[rows].mean()) for key, rows in by_key.items()}
        distinct = codes[[rows[0] for rows in by_key.values()]]
        inputs = _of_architecture(self._encoding, distinct)
        self._model = PointModel(fitted, inputs, np.array(list(self._known.values())))

    def predict(self, codes: Floats) -> tuple[Floats, Floats]:
        """Mean and variance of the value of each code row's architecture."""
        mean, variance = self._model.predict(self._encoding.features(codes, ARCHITECTURE))
        for row, key in enumerate(self._encoding.keys(codes, ARCHITECTURE)):
            if key in self._known:
                mean[row], variance[row] = self._known[key], 0.0
        return mean, variance


class ScoreModel:
    """The score of candidates and trials, given all evidence, on the utility's scale."""

    def __init__(
        self,
        coded: Coded,
        fits: Fits,
        evidence: Evidence,
        *,
        max_epochs: int,
        constraints: Sequence[Constraint] = (),
        utility: Utility = LN_FINAL_SCORE,
    ) -> None:
        self._encoding, self._constraints = coded.encoding, tuple(constraints)
        self._utility = utility
        self.trials = evidence.trained
        self.codes = coded.rows(evidence.trained)
        self._latency = KnownOrPredicted(coded, fits.latency, evidence.measured, ln_latency_ms)
        sized = tuple(trial for trial in evidence.measured if trial.size_mb)
        self._size = KnownOrPredicted(coded, fits.size, sized, ln_size_mb) if fits.size and sized else None
        inputs = _of_trials(coded, self.trials)
        self._si_rmse = CurveModel(fits.si_rmse, inputs, [curve_of(t) for t in self.trials], max_epochs)
        self._working = None
        if fits.working is not None and evidence.tried:
            inputs = _of_trials(coded, evidence.tried)
            self._working = PointModel(fits.working, inputs, _labels(evidence.tried))

    def predict(self, codes: Floats, pending: Floats) -> Belief:
        """What is believed of the candidates of code rows, while those of ``pending`` rows are under way."""
        ln_latency, latency_variance = self._latency.predict(codes)
        features, waiting = self._encoding.features(codes), self._encoding.features(pending)
        joint = self._si_rmse.predict_beside(features, self.best, waiting)
        # by ln si_rmse, so that what is unknown of all candidates alike cancels
        slope, latency_slope = self._utility.slopes(joint.mean, ln_latency)
        best_slope = self._utility.slope_at(joint.trial_mean, ln_latency_ms(self.trials[self.best]))
        variance = joint.difference_variance(slope, best_slope) + latency_slope**2 * latency_variance
        return Belief(
            self._utility.value(joint.mean, ln_latency) - float(self.scores[self.best]),
            np.sqrt(variance),
            self._ln_works(features) + self._ln_kept(codes, ln_latency, latency_variance),
        )

    @cached_property
    def scores(self) -> Floats:
        """The score that each of ``trials`` is expected to have at full fidelity, on the utility's scale."""
        mean, _ = self._finals
        return self._utility.value(mean, np.array([ln_latency_ms(trial) for trial in self.trials]))

    @cached_property
    def _finals(self) -> tuple[Floats, Floats]:
        """Mean and variance of ln(si-RMSE) at full fidelity of each of ``trials``."""
        return self._si_rmse.predict_observed()

    @cached_property
    def best(self) -> int:
        """The index of the best of ``trials`` that keep the constraints; of the worst of all if none does."""
        kept = np.array([keeps(self._constraints, trial) for trial in self.trials])
        if not kept.any():
            return int(np.argmin(self.scores))
        return int(np.argmax(np.where(kept, self.scores, -math.inf)))

    def predict_final(self, trial: Trial) -> tuple[float, float] | None:
        """Median and standard deviation of a trained trial's si-RMSE at full fidelity.

        None if the trial is not among ``trials``.
        """
        row = self._rows.get(trial.number)
        if row is None:
            return None
        mean, variance = self._finals[0][row], self._finals[1][row]
        # Both are of the log-normal; its mean would follow the uncertainty, its median does not.
        return math.exp(mean), math.exp(mean + variance / 2) * math.sqrt(math.expm1(variance))

    @cached_property
    def _rows(self) -> dict[int, int]:
        return {trial.number: row for row, trial in enumerate(self.trials)}

    def _ln_works(self, features: Floats) -> Floats:
        if self._working is None:
            return np.zeros(len(features))
        mean, variance = self._working.predict(features)
        return np.asarray(log_ndtr((mean - 0.5) / np.sqrt(variance)))

    def _ln_kept(self, codes: Floats, ln_latency: Floats, latency_variance: Floats) -> Floats:
        """ln of the chance that every constraint is kept; a size that nobody measured is no obstacle."""
        kept = np.zeros(len(codes))
        for constraint in self._constraints:
            if constraint.metric == "latency_ms":
                mean, variance = ln_latency, latency_variance
            elif self._size is not None:
                mean, variance = self._size.predict(codes)
            else:
                continue
            kept += ln_chance_below(math.log(constraint.limit), mean, np.sqrt(variance))
        return kept


def _of_architecture(encoding: Encoding, codes: Floats) -> Inputs:
    return Inputs(encoding.features(codes, ARCHITECTURE), encoding.groups(ARCHITECTURE))


def _of_trials(coded: Coded, trials: Sequence[Trial]) -> Inputs:
    """All parameters."""
    return Inputs(coded.encoding.features(coded.rows(trials)), coded.encoding.groups())


def keeps(constraints: Sequence[Constraint], trial: Trial) -> bool:
    """Whether nothing that is known of the trial breaks a constraint."""
    known = {"latency_ms": trial.latency_ms, "size_mb": trial.size_mb}
    values = [(constraint, known[constraint.metric]) for constraint in constraints]
    return all(value is None or constraint.violation(value) <= 0 for constraint, value in values)


def _labels(trials: Sequence[Trial]) -> Floats:
    return np.array([0.0 if is_broken(trial) else 1.0 for trial in trials])
