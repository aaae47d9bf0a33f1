"""A picture of a data set, for people to look at."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sweep.data.dataset import Dataset, Split

_NEAREST_MM, _FARTHEST_MM = 400.0, 50_000.0
_CELL = (180, 240)  # height, width
_COLUMNS = 4
_GAP = 4


def colour_depth(depth_mm: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """(..., H, W) millimetres as (..., H, W, 3) RGB: near is bright, far is dark, unknown (0) is black.

    The logarithm of the depth, 0.4 to 50 m, is shown in Matplotlib's perceptually uniform "viridis", without
    its darkest tenth, so that far and unknown differ.
    """
    span = np.log(_FARTHEST_MM / _NEAREST_MM)
    near = 1.0 - np.log(np.clip(depth_mm, _NEAREST_MM, _FARTHEST_MM) / _NEAREST_MM) / span
    levels = np.round(255 * (0.1 + 0.9 * near)).astype(np.uint8)
    palette = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]
    coloured: NDArray[np.uint8] = palette[levels]
    coloured[depth_mm == 0] = 0
    return coloured


def contact_sheet(dataset: Dataset, count: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: ``count`` pairs of each split, evenly spread, picture above depth."""
    return np.concatenate([_sheet(dataset.train, count), _sheet(dataset.validation, count)])


def _sheet(split: Split, count: int) -> NDArray[np.uint8]:
    chosen = np.unique(np.linspace(0, len(split) - 1, min(max(count, 1), len(split))).round().astype(int))
    height, width = _CELL
    rows = -(-len(chosen) // _COLUMNS)
    pitch_y, pitch_x = 2 * height + 2 * _GAP, width + _GAP
    sheet = np.full((rows * pitch_y, _COLUMNS * pitch_x, 3), 255, np.uint8)
    for place, index in enumerate(chosen):
        y, x = place // _COLUMNS * pitch_y, place % _COLUMNS * pitch_x
        sheet[y : y + height, x : x + width] = cv2.resize(
            np.asarray(split.rgb[index]), (width, height), interpolation=cv2.INTER_AREA
        )
        depth_mm = cv2.resize(
            np.asarray(split.depth_mm[index]), (width, height), interpolation=cv2.INTER_NEAREST
        )
        sheet[y + height : y + 2 * height, x : x + width] = colour_depth(depth_mm)
    return sheet
