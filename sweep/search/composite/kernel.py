"""The covariance of two candidates, and what its hyperparameters change in it.

Features are divided by the length scale of their parameter (automatic relevance determination), then

    R(z, z') = linear * z.z' + matern(|z - z'|),   matern(r) = (1 + sqrt(5) r + 5/3 r^2) exp(-sqrt(5) r)

The linear part is a ridge regression on the features: it carries what few trials can tell of many parameters,
each alone. The Matern-5/2 part (Rasmussen & Williams 2006, eq. 4.17) carries what they do together. Both
share the length scales, so a parameter that does not matter drops out of both.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_SQRT_5 = float(np.sqrt(5.0))


@dataclass(frozen=True)
class Kernel:
    """Length scales, (features,), and the weight of the linear part."""

    length_scales: Floats
    linear: float

    def __call__(self, one: Floats, other: Floats) -> Floats:
        """R of every row of ``one`` with every row of ``other``."""
        a, b = one / self.length_scales, other / self.length_scales
        dot = a @ b.T
        square = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * dot
        return self.linear * dot + _matern(np.sqrt(np.maximum(square, 0.0)))

    def diagonal(self, rows: Floats) -> Floats:
        """R of every row with itself."""
        return np.asarray(self.linear * ((rows / self.length_scales) ** 2).sum(axis=1) + 1.0)

    def slopes(self, rows: Floats, weights: Floats) -> tuple[Floats, float]:
        """Derivatives of ``sum(weights * R(rows, rows))``, with symmetric weights.

        Returns:
            by the logarithm of each feature's length scale, (features,); by the logarithm of ``linear``.
        """
        z = rows / self.length_scales
        dot = z @ z.T
        square = np.diag(dot)[:, None] + np.diag(dot)[None, :] - 2 * dot
        distance = _SQRT_5 * np.sqrt(np.maximum(square, 0.0))
        # d matern / d ln(length of feature f) = 5/3 (1 + sqrt(5) r) exp(-sqrt(5) r) (z_f - z'_f)^2
        pull = weights * (5 / 3) * (1 + distance) * np.exp(-distance)
        by_matern = 2 * (pull.sum(axis=1) @ z**2 - (z * (pull @ z)).sum(axis=0))
        by_linear = -2 * self.linear * (z * (weights @ z)).sum(axis=0)
        return by_matern + by_linear, float(self.linear * (weights * dot).sum())


def _matern(distance: Floats) -> Floats:
    scaled = _SQRT_5 * distance
    return np.asarray((1 + scaled + scaled**2 / 3) * np.exp(-scaled))
