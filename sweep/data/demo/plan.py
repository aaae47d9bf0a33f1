"""Where things go: a floor plan that keeps footprints apart, and cameras with room in front of them."""

import math
from dataclasses import dataclass, field

import numpy as np

from sweep.data.demo.scene import Camera, Pose, Vector, clearance
from sweep.data.demo.solids import Primitives

Rng = np.random.Generator


@dataclass
class FloorPlan:
    """Taken rectangles, axis-aligned, as (x0, y0, x1, y1) in metres."""

    x0: float
    y0: float
    x1: float
    y1: float
    _taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def claim(self, x: float, y: float, half_x: float, half_y: float) -> bool:
        """Take a rectangle if it lies inside the plan and is free."""
        box = (x - half_x, y - half_y, x + half_x, y + half_y)
        if box[0] < self.x0 or box[1] < self.y0 or box[2] > self.x1 or box[3] > self.y1:
            return False
        for a in self._taken:
            if box[0] < a[2] and a[0] < box[2] and box[1] < a[3] and a[1] < box[3]:
                return False
        self._taken.append(box)
        return True

    def somewhere(self, rng: Rng, half_x: float, half_y: float, tries: int = 8) -> Pose | None:
        """A free place for a thing of this size, turned at random by quarter turns and a little more."""
        for _ in range(tries):
            x, y = float(rng.uniform(self.x0, self.x1)), float(rng.uniform(self.y0, self.y1))
            quarter = int(rng.integers(0, 4))
            if self.claim(x, y, *((half_x, half_y) if quarter % 2 == 0 else (half_y, half_x))):
                return Pose(x, y, 0.0, quarter * math.pi / 2 + float(rng.normal(0, 0.05)))
        return None

    def against_wall(self, rng: Rng, half_x: float, half_y: float, tries: int = 8) -> Pose | None:
        """A free place with the thing's back (its +y) at one of the plan's sides."""
        for _ in range(tries):
            side = int(rng.integers(0, 4))
            wide, deep = (half_x, half_y) if side % 2 == 0 else (half_y, half_x)
            gap = 0.02 + half_y
            x = float(rng.uniform(self.x0 + half_x, max(self.x1 - half_x, self.x0 + half_x + 1e-6)))
            y = float(rng.uniform(self.y0 + half_x, max(self.y1 - half_x, self.y0 + half_x + 1e-6)))
            spot = ((x, self.y1 - gap), (self.x0 + gap, y), (x, self.y0 + gap), (self.x1 - gap, y))[side]
            if self.claim(*spot, wide, deep):
                return Pose(*spot, 0.0, side * math.pi / 2)
        return None


def look(
    rng: Rng, position: Vector, target: Vector, *, fov: tuple[float, float] = (58, 90), wander: float = 0.15
) -> Camera:
    """A hand-held camera that looks about at a target; fov is horizontal, in degrees."""
    dx, dy, dz = (b - a for a, b in zip(position, target, strict=True))
    yaw = math.atan2(-dx, dy) + float(rng.normal(0, wander))
    pitch = math.atan2(dz, math.hypot(dx, dy)) + float(rng.normal(0, 0.9 * wander))
    roll = float(rng.normal(0, 0.025))
    return Camera(position, yaw, pitch, roll, math.radians(float(rng.uniform(*fov))))


def free_spot(
    rng: Rng, solids: Primitives, low: Vector, high: Vector, margin: float, tries: int = 20
) -> Vector:
    """A point of the box low..high at least ``margin`` from everything, or the best of the tries."""
    best, best_gap = low, -1.0
    for _ in range(tries):
        x, y, z = (float(rng.uniform(a, b)) for a, b in zip(low, high, strict=True))
        gap = clearance(solids, (x, y, z))
        if gap > best_gap:
            best, best_gap = (x, y, z), gap
        if gap >= margin:
            break
    return best
