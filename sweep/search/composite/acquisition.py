"""Acquisition: how much a candidate promises, from a normal belief about its score.

All is in logarithms, so that candidates stay in order where improvement has become all but impossible (Ament
et al. 2023: expected improvement underflows long before its logarithm does).
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import erfcx, log_ndtr

Floats = npt.NDArray[np.float64]

_LEAST_DEVIATION = 1e-9
_LN_SQRT_2PI = 0.5 * math.log(2 * math.pi)
_FAR = -1e3
"""Below this the leading term of the asymptotic expansion is exact to double precision."""


def ln_expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """ln E[max(s - best, 0)] for s normal (Jones et al. 1998)."""
    safe = np.maximum(deviation, _LEAST_DEVIATION)
    return np.asarray(np.log(safe) + _ln_standard_improvement((mean - best) / safe))


def ln_chance_below(limit: float, mean: Floats, deviation: Floats) -> Floats:
    """ln P(value <= limit) for a normal value."""
    return np.asarray(log_ndtr((limit - mean) / np.maximum(deviation, _LEAST_DEVIATION)))


def _ln_standard_improvement(z: Floats) -> Floats:
    """ln(density(z) + z P(z)) of the standard normal."""
    near = np.maximum(z, -1.0)
    density = np.exp(-0.5 * near**2 - _LN_SQRT_2PI)
    by_definition = np.log(density + near * np.exp(log_ndtr(near)))
    # density(z) (1 - |z| sqrt(pi / 2) erfcx(|z| / sqrt 2)), where the difference does not cancel
    far = np.clip(-z, 1.0, -_FAR)
    ratio = far * math.sqrt(math.pi / 2) * erfcx(far / math.sqrt(2))
    by_tail = -0.5 * z**2 - _LN_SQRT_2PI + np.log1p(-ratio)
    by_limit = -0.5 * z**2 - _LN_SQRT_2PI - 2 * np.log(np.maximum(-z, 1.0))
    return np.where(z > -1.0, by_definition, np.where(z > _FAR, by_tail, by_limit))
