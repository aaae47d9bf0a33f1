"""Real frames and small architectures for the export's tests."""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray

from sweep.space.candidate import Architecture


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Idle torch threads that spin make a busy machine crawl."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def photos() -> NDArray[np.uint8]:
    """Two photos that ship with scikit-image, at 480x640: (2, 480, 640, 3)."""
    pictures = (skimage.data.astronaut(), skimage.data.coffee())
    return np.stack([cv2.resize(picture, (640, 480)) for picture in pictures])


def stage(
    kernel: int, activation: str, *, gates: bool, depth: int = 2, expansion: float = 3
) -> dict[str, Any]:
    return {
        "depth": depth,
        "kernel": kernel,
        "expansion": expansion,
        "squeeze_excite": gates,
        "activation": activation,
    }


@pytest.fixture(scope="session")
def architectures() -> dict[str, Architecture]:
    """Three architectures that together use every choice of the candidate, and so every exported operator."""
    add = {
        "input": {"height": 96, "width": 128, "resize": "bilinear"},
        "encoder": {
            "kind": "mobilenetv3",
            "width": 0.5,
            "stem_activation": "hard_swish",
            "stage1": stage(3, "relu", gates=False, depth=1, expansion=1),
            "stage2": stage(5, "hard_swish", gates=True),
            "stop": {
                "kind": "stride_32",
                "stage3": stage(7, "relu6", gates=True),
                "stage4": stage(3, "hard_swish", gates=False, depth=1),
            },
        },
        "decoder": {"kind": "add", "width": 16, "upsampling": "bilinear"},
        "output": {"stride": 2, "upsampling": "bilinear"},
    }
    concat = {
        "input": {"height": 80, "width": 112, "resize": "pooled"},
        "encoder": {
            "kind": "mobilenetv3",
            "width": 1,
            "stem_activation": "relu6",
            "stage1": stage(3, "relu6", gates=True),
            "stage2": stage(3, "relu", gates=False),
            "stop": {"kind": "stride_16", "stage3": stage(5, "hard_swish", gates=True, expansion=2.5)},
        },
        "decoder": {"kind": "concat", "width": 32, "upsampling": "nearest", "taper": 0.5},
        "output": {"stride": 1, "upsampling": "nearest"},
    }
    separable = {
        "input": {"height": 64, "width": 64, "resize": "bilinear"},
        "encoder": {
            "kind": "mobilenetv3",
            "width": 0.75,
            "stem_activation": "relu",
            "stage1": stage(5, "relu", gates=False, depth=1),
            "stage2": stage(7, "relu", gates=True, depth=1),
            "stop": {"kind": "stride_8"},
        },
        "decoder": {"kind": "separable", "width": 24, "upsampling": "bilinear", "kernel": 5},
        "output": {"stride": 4, "upsampling": "nearest"},
    }
    spelled = {"add": add, "concat": concat, "separable": separable}
    return {name: Architecture.model_validate(value) for name, value in spelled.items()}
