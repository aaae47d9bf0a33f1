"""Small splits with holes."""

import numpy as np

from sweep.data import Split


def make_split(frames: int, height: int, width: int, seed: int) -> Split:
    """Random images and depths of 0.4 to 50 m with a tenth of the pixels unknown."""
    rng = np.random.default_rng(seed)
    depth_mm = rng.integers(400, 50_000, (frames, height, width), dtype=np.uint16)
    depth_mm[rng.random(depth_mm.shape) < 0.1] = 0
    rgb = rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    return Split(names=tuple(f"frame_{i:03}" for i in range(frames)), rgb=rgb, depth_mm=depth_mm)
