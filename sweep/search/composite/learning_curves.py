"""Learning curves as a few numbers per trial.

A trial's si-RMSE after epoch t of T is modelled as

    y(t) = f + d_1 b_1(t) + d_2 b_2(t) + noise

with b_k(T) = 0, so f is the value at full fidelity. Since that is linear, a curve of any length says no more
of (f, d_1, d_2) than its projection on the bases does: at most three numbers with the same noise as a single
epoch, and the energy of the rest, which tells the noise. So long curves cost as little as short ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_NEGLIGIBLE = 1e-3
"""Singular values below this share of the largest one tell nothing beside the noise."""


@dataclass(frozen=True)
class Curves:
    """Projected curves of n trials, N rows in all, ordered by trial.

    Attributes:
        rows: each row's weights of the bases, (N, bases); the first basis is f.
        values: what was observed along each row, (N,).
        trials: each row's trial, from 0 to n - 1, ascending, each at least once, (N,).
        rest_energy: sum of squares outside of the projections.
        rest_count: dimensions outside of the projections.
    """

    rows: Floats
    values: Floats
    trials: Indices
    rest_energy: float = 0.0
    rest_count: int = 0


def bases(epochs: Floats, max_epochs: int) -> Floats:
    """1, 1 - u and (1 - u)^2 with u = ln t / ln T, (epochs, bases); only the first one if T is 1."""
    if max_epochs == 1:
        return np.ones((len(epochs), 1))
    left = 1 - np.log(epochs) / math.log(max_epochs)
    return np.stack([np.ones_like(left), left, left**2], axis=1)


def point_values(values: Floats) -> Curves:
    """One value per trial, at full fidelity."""
    count = len(values)
    return Curves(np.ones((count, 1)), values, np.arange(count))


def project(curves: Sequence[tuple[Floats, Floats]], max_epochs: int) -> Curves:
    """Curves of (epochs, values), one per trial, each with at least one epoch of 1 to ``max_epochs``."""
    rows, values, trials = [], [], []
    energy, count = 0.0, 0
    factors: dict[bytes, tuple[Floats, Floats]] = {}  # most trials stopped at one of few rungs
    for trial, (epochs, observed) in enumerate(curves):
        key = epochs.tobytes()
        if key not in factors:
            factors[key] = _factorised(bases(epochs, max_epochs))
        onto, weights = factors[key]
        seen = onto @ observed
        rows.append(weights)
        values.append(seen)
        trials.append(np.full(len(seen), trial))
        energy += max(float(observed @ observed - seen @ seen), 0.0)
        count += len(observed) - len(seen)
    return Curves(np.concatenate(rows), np.concatenate(values), np.concatenate(trials), energy, count)


def _factorised(design: Floats) -> tuple[Floats, Floats]:
    """Orthonormal rows that span what ``design`` can show, (r, epochs), and their weights of the bases."""
    left, singular, right = np.linalg.svd(design, full_matrices=False)
    kept = singular > _NEGLIGIBLE * singular[0]
    return left.T[kept], singular[kept, None] * right[kept]
