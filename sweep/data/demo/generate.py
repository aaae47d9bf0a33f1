"""Demo frames by seed: which scene, which camera, and the finished pair."""

import numpy as np
from numpy.typing import NDArray

from sweep.data.demo import DEMO_VERSION, sensor
from sweep.data.demo.outdoors import OUTDOORS
from sweep.data.demo.rooms import INDOORS
from sweep.data.demo.scene import Scene, clearance
from sweep.data.demo.textures import build_atlas
from sweep.data.demo.tracer import trace

Atlas = NDArray[np.uint8]
_STREAMS = {"train": 1, "validation": 2, "test": 3}  # no seed is in two splits
_ATTEMPTS = 12
_ROOM_M = 0.12
_KINDS = {**INDOORS, **OUTDOORS}


def atlas() -> Atlas:
    """The textures that every frame shares."""
    return build_atlas(DEMO_VERSION)


def _rng(split: str, index: int, attempt: int) -> np.random.Generator:
    return np.random.default_rng([DEMO_VERSION, _STREAMS[split], index, attempt])


def build_scene(rng: np.random.Generator) -> Scene:
    """A random scene of a random kind."""
    weights = np.array([weight for weight, _ in _KINDS.values()])
    kind = int(rng.choice(len(weights), p=weights / weights.sum()))
    return list(_KINDS.values())[kind][1](rng)


def render(
    scene: Scene, textures: Atlas, height: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """(H, W, 3) linear RGB, and (H, W) exact depth in metres along the optical axis, 0 for the sky."""
    radiance, depth_m = trace(scene.solids, scene.camera.view(width), scene.light, textures, height, width)
    return radiance, depth_m


def _is_worth_seeing(scene: Scene, textures: Atlas) -> bool:
    """Not a lens against a wall, nor a picture of nothing but sky; from a thumbnail."""
    if clearance(scene.solids, scene.camera.position) < _ROOM_M:
        return False
    _, depth_m = render(scene, textures, 24, 32)
    known = (depth_m > 0.4) & (depth_m < 50)
    return bool(known.mean() > 0.45 and np.median(depth_m[known]) > 0.7)


def choose_scene(split: str, index: int, textures: Atlas) -> tuple[Scene, np.random.Generator]:
    """The scene of a pair, and the generator for its noise."""
    for attempt in range(_ATTEMPTS):
        rng = _rng(split, index, attempt)
        scene = build_scene(rng)
        if _is_worth_seeing(scene, textures):
            break
    return scene, rng


def demo_pair(
    split: str, index: int, textures: Atlas, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """One pair: (H, W, 3) uint8 RGB and (H, W) uint16 depth in millimetres, the same for the same arguments."""
    scene, rng = choose_scene(split, index, textures)
    radiance, depth_m = render(scene, textures, height, width)
    focal = sensor.focal_of(width, scene.camera.horizontal_fov)
    return sensor.expose(radiance, rng), sensor.measure(depth_m, focal, rng)
