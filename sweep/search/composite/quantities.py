"""Processes in the units of what they predict: values are standardised for the process and back."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sweep.search.composite.gaussian_process import Hyperparameters, Joint, Observed, Prior, Process, fit
from sweep.search.composite.knowledge import Curve
from sweep.search.composite.learning_curves import point_values, project

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

STANDARD = Prior()
_LEAST_SCALE = 1e-3


@dataclass(frozen=True)
class Units:
    """standardised = (value - centre) / scale."""

    centre: float
    scale: float

    def standardise(self, values: Floats) -> Floats:
        return (values - self.centre) / self.scale

    def restore(self, mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
        """Mean and variance of values from those of standardised values."""
        return self.centre + self.scale * mean, self.scale**2 * variance


@dataclass(frozen=True)
class Fitted:
    """Hyperparameters, and the units that they are meant in."""

    hyperparameters: Hyperparameters
    units: Units


@dataclass(frozen=True)
class Inputs:
    """Features, (n, features), and each feature's parameter, (features,)."""

    features: Floats
    groups: Indices


class PointModel:
    """A quantity that was observed once per row; noise belongs to it, as no feature can tell it."""

    def __init__(self, fitted: Fitted, inputs: Inputs, values: Floats) -> None:
        self._fitted = fitted
        curves = point_values(fitted.units.standardise(values))
        self._process = Process(Observed(inputs.features, inputs.groups, curves), fitted.hyperparameters)

    @staticmethod
    def fit(inputs: Inputs, values: Floats, prior: Prior = STANDARD) -> Fitted:
        """Fit to at least one row."""
        units = Units(float(values.mean()), max(float(values.std()), _LEAST_SCALE))
        curves = point_values(units.standardise(values))
        return Fitted(fit(Observed(inputs.features, inputs.groups, curves), prior), units)

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and variance of the values of further rows."""
        mean, variance = self._process.predict(features)
        return self._fitted.units.restore(mean, variance + self._fitted.hyperparameters.noise)


class CurveModel:
    """A quantity that was observed along learning curves, and is predicted at full fidelity."""

    def __init__(self, fitted: Fitted, inputs: Inputs, curves: Sequence[Curve], max_epochs: int) -> None:
        self._units = fitted.units
        observed = _observe(inputs, curves, fitted.units, max_epochs)
        self._process = Process(observed, fitted.hyperparameters)

    @staticmethod
    def fit(inputs: Inputs, curves: Sequence[Curve], max_epochs: int) -> Fitted:
        """Fit to at least one curve."""
        units = _units_of(curves)
        return Fitted(fit(_observe(inputs, curves, units, max_epochs), STANDARD), units)

    def predict_beside(self, features: Floats, trial: int, pending: Floats) -> Joint:
        """What is believed of further rows beside one of the given, while the ``pending`` ones are under way."""
        joint = self._process.predict_beside(features, trial, pending)
        return joint.in_units(self._units.centre, self._units.scale)

    def predict_observed(self) -> tuple[Floats, Floats]:
        """Mean and variance of each row that a curve was given of."""
        return self._units.restore(*self._process.predict_observed())


def _observe(inputs: Inputs, curves: Sequence[Curve], units: Units, max_epochs: int) -> Observed:
    standardised = [(epochs, units.standardise(values)) for epochs, values in curves]
    return Observed(inputs.features, inputs.groups, project(standardised, max_epochs))


def _units_of(curves: Sequence[Curve]) -> Units:
    """Centre: mean of the last values. Scale: spread between curves at equal epochs."""
    epochs = np.concatenate([epochs for epochs, _ in curves])
    values = np.concatenate([values for _, values in curves])
    distinct, place = np.unique(epochs, return_inverse=True)
    means = np.bincount(place, values) / np.bincount(place)
    freedom = max(len(values) - len(distinct), 1)
    scale = math.sqrt(float(((values - means[place]) ** 2).sum()) / freedom)
    return Units(float(np.mean([values[-1] for _, values in curves])), max(scale, _LEAST_SCALE))
