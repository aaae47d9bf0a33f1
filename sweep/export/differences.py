"""How far two depth maps of one frame are apart."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Depths = NDArray[np.floating[Any]]
"""Depth in millimetres, (N, 480, 640)."""


def relative_difference(found_mm: Depths, expected_mm: Depths) -> NDArray[np.float64]:
    """|found - expected| / |expected|, for each pixel."""
    expected = expected_mm.astype(np.float64)
    difference: NDArray[np.float64] = np.abs(found_mm - expected) / np.abs(expected)
    return difference


def si_rmse_between(found_mm: Depths, expected_mm: Depths) -> float:
    """The largest scale-invariant RMSE of any frame of one against the other; no unit.

    By the triangle inequality a frame's si-RMSE against a truth that is known everywhere differs by no more
    between the two. Depths below a millimetre count as one.
    """
    found, expected = (np.log(np.maximum(depth.astype(np.float64), 1.0)) for depth in (found_mm, expected_mm))
    return float((found - expected).std(axis=(1, 2)).max())
