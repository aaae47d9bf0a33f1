"""What a predictor that never looks at the image can reach: the bar that a network must clear.

Two predictors, both fitted on the training split alone: one depth everywhere, and a map with one depth per
pixel. The means are of the logarithm, since si-RMSE is an error of the logarithm: a mean minimises it.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from sweep.data import Dataset, Split
from sweep.judging.metrics import DepthMetrics, depth_metrics, mean_metrics

_CHUNK: Final = 64


@dataclass(frozen=True)
class Baselines:
    """Both predictors' figures on the judged split.

    Attributes:
        constant: one depth everywhere; every constant has the same si-RMSE, so this is the best there is.
        mean_map: the mean log depth of each pixel.
        constant_mm: the constant, the geometric mean of all known training depths, in millimetres.
    """

    constant: DepthMetrics
    mean_map: DepthMetrics
    constant_mm: float


def baseline_metrics(dataset: Dataset, judged: Split | None = None) -> Baselines:
    """Fit both predictors on the training split and judge them on ``judged``, by default the validation split.

    Raises:
        NothingToScore: the judged split has no pixel of known depth.
        ValueError: the training split has none.
    """
    split = dataset.validation if judged is None else judged
    map_mm, constant_mm = fit_depth_map(dataset.train)
    height, width = split.depth_mm.shape[1:]
    resized_log = cv2.resize(np.log(map_mm), (width, height), interpolation=cv2.INTER_LINEAR)
    return Baselines(
        constant=_judge_map(np.full((height, width), constant_mm), split),
        mean_map=_judge_map(np.exp(resized_log), split),
        constant_mm=constant_mm,
    )


def fit_depth_map(split: Split) -> tuple[npt.NDArray[np.float64], float]:
    """Per-pixel and overall geometric mean of the known depths.

    Returns:
        The map in millimetres, (H, W) as the split's frames, where pixels never known hold the overall mean;
        and the overall mean in millimetres.

    Raises:
        ValueError: no pixel of the split has a known depth.
    """
    log_sum, count = _log_sums(split)
    if not count.any():
        raise ValueError("the training split has no pixel of known depth")
    overall = log_sum.sum() / count.sum()
    mean = np.where(count > 0, log_sum / np.maximum(count, 1), overall)
    return np.exp(mean), float(np.exp(overall))


def _log_sums(split: Split) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Sum of ln(depth in mm) and number of known depths, per pixel, a chunk of frames at a time."""
    log_of = np.log(np.maximum(np.arange(2**16, dtype=np.float64), 1.0))  # unknown (0 or 1 mm) adds nothing
    height, width = split.depth_mm.shape[1:]
    log_sum = np.zeros((height, width))
    count = np.zeros((height, width), dtype=np.int64)
    for start in range(0, len(split.depth_mm), _CHUNK):
        depth_mm = np.asarray(split.depth_mm[start : start + _CHUNK])
        log_sum += log_of[depth_mm].sum(axis=0)
        count += (depth_mm > 1).sum(axis=0)
    return log_sum, count


def _judge_map(map_mm: npt.NDArray[np.float64], split: Split) -> DepthMetrics:
    return mean_metrics(
        depth_metrics(map_mm, depth_mm, frame=name)
        for name, depth_mm in zip(split.names, split.depth_mm, strict=True)
    )
