"""A small real data set in the challenge's layout, cut from the stereo pair that scikit-image ships.

The scene is "Motorcycle" of the Middlebury 2014 stereo data (Scharstein et al. 2014), at a quarter of its
resolution. Depth follows from the disparity, the focal length, the baseline and the principal points' offset.
"""

from pathlib import Path

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

BASELINE_M, FOCAL_PX, OFFSET_PX = 0.193001, 994.978, 31.086


def motorcycle() -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """(500, 741, 3) uint8 RGB and (500, 741) uint16 depth in millimetres, 0 = unknown."""
    left, _, disparity = skimage.data.stereo_motorcycle()
    known = np.isfinite(disparity)
    depth_m = BASELINE_M * FOCAL_PX / (np.where(known, disparity, 0) + OFFSET_PX)
    return left, np.where(known, np.round(1000 * depth_m), 0).astype(np.uint16)


def write_pair(folder: Path, name: str, rgb: NDArray[np.uint8], depth_mm: NDArray[np.uint16]) -> None:
    """One pair as PNG files below ``folder``, which is a split's."""
    for kind, image in (("rgb", rgb[..., ::-1]), ("depth", depth_mm)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / kind / f"{name}.png"), image)


def write_real_pairs(directory: Path, train: int = 4, validation: int = 2, test: int = 0) -> Path:
    """Write ``train``, ``validation`` and ``test`` different 240x320 crops; returns ``directory``."""
    splits = ["train"] * train + ["validation"] * validation + ["test"] * test
    rgb, depth_mm = motorcycle()
    spots = np.random.default_rng(0).permutation(
        [(y, x) for y in range(0, 261, 20) for x in range(0, 421, 20)]
    )
    for split, (y, x) in zip(splits, spots[: len(splits)], strict=True):
        window = np.s_[y : y + 240, x : x + 320]
        write_pair(directory / split, f"motorcycle-{y:03d}-{x:03d}", rgb[window], depth_mm[window])
    return directory
