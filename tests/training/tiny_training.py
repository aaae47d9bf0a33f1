"""A tiny candidate and tiny splits: an epoch takes a fraction of a second."""

from typing import Any

import numpy as np

from sweep.data import Split
from sweep.space.candidate import Candidate

TINY_STAGE = {"depth": 1, "kernel": 3, "expansion": 2, "squeeze_excite": False, "activation": "relu"}
TINY_ARCHITECTURE = {
    "input": {"height": 32, "width": 32, "resize": "bilinear"},
    "encoder": {
        "kind": "mobilenetv3",
        "width": 0.25,
        "stem_activation": "hard_swish",
        "stage1": TINY_STAGE,
        "stage2": {**TINY_STAGE, "squeeze_excite": True},
        "stop": {"kind": "stride_8"},
    },
    "decoder": {"kind": "separable", "width": 16, "upsampling": "nearest", "kernel": 3},
    "output": {"stride": 2, "upsampling": "bilinear"},
}
TINY_RECIPE = {
    "optimizer": {"kind": "adamw", "weight_decay": 0.01},
    "learning_rate": 0.01,
    "schedule": {"kind": "cosine", "warmup": 0.1},
    "loss": {"silog": 1.0, "silog_lambda": 0.85, "gradient": 0.5, "l1": 0.1},
    "augmentation": {"flip": True, "crop": {"kind": "random", "min_scale": 0.6}, "colour": 0.5},
    "batch_size": 4,
}


def make_candidate(*, architecture: dict[str, Any] | None = None, **recipe: Any) -> Candidate:
    """The tiny candidate with some keys of its recipe, or of its architecture, replaced."""
    return Candidate.model_validate(
        {
            "architecture": TINY_ARCHITECTURE | (architecture or {}),
            "recipe": TINY_RECIPE | recipe,
        }
    )


def make_split(frames: int, height: int, width: int, seed: int) -> Split:
    """Pictures of a coloured box before a wall: the nearer, the brighter. A tenth of the depths is unknown."""
    rng = np.random.default_rng(seed)
    depth_mm = np.empty((frames, height, width), dtype=np.uint16)
    for frame in depth_mm:
        frame[:] = rng.integers(6_000, 20_000)
        top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
        frame[top : top + height // 2, left : left + width // 2] = rng.integers(800, 4_000)
    brightness = 255 * (1 - np.log(depth_mm / 500) / np.log(50))
    noise = rng.normal(0, 4, (frames, height, width, 3))
    rgb = np.clip(brightness[..., None] * [1.0, 0.9, 0.8] + noise, 0, 255).astype(np.uint8)
    depth_mm[rng.random(depth_mm.shape) < 0.1] = 0
    return Split(names=tuple(f"frame_{i:03}" for i in range(frames)), rgb=rgb, depth_mm=depth_mm)
