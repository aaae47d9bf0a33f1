"""Random predictions, targets and masks, and the means over pixels and images written out plainly."""

from collections.abc import Callable

import numpy as np
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from sweep.training.losses import Comparison

Case = tuple[Tensor, Tensor, Tensor]
Image = NDArray[np.float64]
Mask = NDArray[np.bool_]
Formula = Callable[[Image, Image, Mask], float]


def random_case(seed: int, shape: tuple[int, int, int] = (3, 9, 11), known: float = 0.7) -> Case:
    """Float64 log depths around 2.7 m and a mask; the last image has no known pixel."""
    rng = np.random.default_rng(seed)
    frames, height, width = shape
    prediction, target = rng.normal(1, 1, (2, frames, 1, height, width))
    valid = rng.random((frames, 1, height, width)) < known
    valid[-1] = False
    return torch.from_numpy(prediction), torch.from_numpy(target), torch.from_numpy(valid)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any number of images, sizes from a single pixel on, and masks from empty to full."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 14)), draw(st.integers(1, 14)))
    return random_case(
        draw(st.integers(0, 2**32 - 1)), shape, draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    )


def compare(case: Case) -> Comparison:
    """The losses' argument."""
    return Comparison(*case)


def mean_over_images(case: Case, formula: Formula) -> float:
    """The formula's mean over the images with a known pixel, 0 if there is none; (H, W) arrays go in."""
    prediction, target, valid = (part[:, 0].numpy() for part in case)
    images = [
        formula(prediction[image], target[image], valid[image])
        for image in range(len(valid))
        if valid[image].any()
    ]
    return float(np.mean(images)) if images else 0.0
