"""The challenge's four depth metrics, per frame and averaged over frames.

Definitions: report of the Mobile AI & AIM 2022 challenge on single-image depth estimation (Ignatov et al.).
Scale invariance follows Eigen et al. 2014 with lambda = 1. Every frame is scored by itself and frames weigh
the same; a batch-pooled si-RMSE would be another number.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_MM_PER_METRE = 1000.0
_LN_10 = float(np.log(10.0))


class NonFinitePrediction(ValueError):
    """A prediction holds NaN or infinity: the network or the exported file is broken."""


class NothingToScore(ValueError):
    """No frame had a single valid pixel."""


@dataclass(frozen=True)
class DepthMetrics:
    """The four errors, of one frame or averaged over frames. Smaller is better.

    Attributes:
        si_rmse: scale-invariant RMSE of the natural log depth; no unit.
        rmse: root mean squared error in metres.
        log10: mean absolute error of the decimal log depth; no unit.
        rel: mean absolute error relative to the true depth; no unit.
    """

    si_rmse: float
    rmse: float
    log10: float
    rel: float


def depth_metrics(
    prediction_mm: npt.ArrayLike, target_mm: npt.ArrayLike, *, frame: str = "frame"
) -> DepthMetrics | None:
    """Score one frame, in float64.

    With p the prediction and t the target, both raised to at least 1 mm, over the n pixels where t > 1 mm:
    RMSE is ``sqrt(sum(((t - p) / 1000)^2) / n)``, si-RMSE the standard deviation of ``d = ln p - ln t``,
    LOG10 ``sum|log10 p - log10 t| / n`` and REL ``sum(|p - t| / t) / n``. The variance is taken in two
    passes, which never gets below zero and has no cancellation.

    Args:
        prediction_mm: predicted depth in millimetres, any real dtype, any shape; not changed.
        target_mm: true depth in millimetres, the same shape; 0 or 1: unknown; not changed.
        frame: name of the frame, for errors.

    Returns:
        The metrics, or None if no pixel of the target is valid: such a frame has no score.

    Raises:
        NonFinitePrediction: the prediction holds NaN or infinity, at a valid pixel or not.
        ValueError: the shapes differ.
    """
    prediction, target = np.asarray(prediction_mm), np.asarray(target_mm)
    if prediction.shape != target.shape:
        raise ValueError(
            f"{frame}: the prediction has shape {prediction.shape}; it must have the target's, {target.shape}"
        )
    if not np.isfinite(prediction).all():
        broken = int(np.count_nonzero(~np.isfinite(prediction)))
        raise NonFinitePrediction(
            f"{frame}: {broken} of {prediction.size} predicted depths are NaN or infinite; all must be finite"
        )
    valid = target > 1
    t = target[valid].astype(np.float64)
    if t.size == 0:
        return None
    p = np.maximum(prediction[valid].astype(np.float64), 1.0)
    difference_mm = np.abs(p - t)
    log_ratio = np.log(p / t)
    return DepthMetrics(
        si_rmse=float(np.std(log_ratio)),
        rmse=float(np.sqrt(np.mean(np.square(difference_mm)))) / _MM_PER_METRE,
        log10=float(np.mean(np.abs(log_ratio))) / _LN_10,
        rel=float(np.mean(difference_mm / t)),
    )


def mean_metrics(metrics: Iterable[DepthMetrics | None]) -> DepthMetrics:
    """Average over frames, each weighing the same; frames without a score (None) are left out.

    Raises:
        NothingToScore: no frame has a score.
    """
    rows = [(m.si_rmse, m.rmse, m.log10, m.rel) for m in metrics if m is not None]
    if not rows:
        raise NothingToScore("none of the frames has a pixel of known depth, so there is nothing to score")
    si_rmse, rmse, log10, rel = np.mean(np.array(rows, dtype=np.float64), axis=0)
    return DepthMetrics(float(si_rmse), float(rmse), float(log10), float(rel))
