"""Scenes as data: materials, posed solids, a camera and a light, packed into arrays for the ray caster.

Lengths are metres, x points right, y forward and z up. A pose turns around z only.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sweep.data.demo.solids import BOX, ELLIPSOID, FRUSTUM, LEAVES, TAPER, Light, Primitives, View
from sweep.data.demo.textures import Texture

Colour = tuple[float, float, float]
Vector = tuple[float, float, float]
WHITE: Colour = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Material:
    """How a surface looks: texture times tint, gloss (reflectance at grazing angles), emission in radiance."""

    texture: Texture
    tint: Colour = WHITE
    period: float = 1.0
    gloss: float = 0.0
    exponent: float = 20.0
    emission: float = 0.0
    offset: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Pose:
    """A place on the floor plan: position and turn (radians, counter-clockwise seen from above)."""

    x: float
    y: float
    z: float = 0.0
    yaw: float = 0.0

    def at(self, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> "Pose":
        """A pose given relative to this one."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return Pose(self.x + c * x - s * y, self.y + s * x + c * y, self.z + z, self.yaw + yaw)


# Rows are a solid's own axes in its pose's frame; "x" lays a frustum's axis along x, and so on.
_LAYS: dict[str, tuple[Vector, Vector, Vector]] = {
    "z": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "x": ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    "y": ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
}


@dataclass
class Builder:
    """Collects solids; each method takes a pose, the centre in the pose's frame, and half extents."""

    _rows: list[tuple[float, ...]] = field(default_factory=list)
    _materials: list[Material] = field(default_factory=list)

    def box(
        self, pose: Pose, centre: Vector, half: Vector, material: Material, *, casts: bool = True
    ) -> None:
        self._add(BOX, pose, centre, half, material, casts=casts)

    def ellipsoid(self, pose: Pose, centre: Vector, half: Vector, material: Material) -> None:
        self._add(ELLIPSOID, pose, centre, half, material)

    def leaves(self, pose: Pose, centre: Vector, half: Vector, material: Material) -> None:
        """An ellipsoidal shell with gaps between its leaves."""
        self._add(LEAVES, pose, centre, half, material)

    def taper(
        self, pose: Pose, centre: Vector, half: Vector, material: Material, top: tuple[float, float]
    ) -> None:
        """A box whose top is ``top`` (x, y) times as wide as its bottom; (1, 0) is a gable roof."""
        self._add(TAPER, pose, centre, half, material, shape=top)

    def frustum(
        self,
        pose: Pose,
        centre: Vector,
        radius: float,
        half_length: float,
        material: Material,
        *,
        top: float = 1.0,
        lay: str = "z",
        casts: bool = True,
    ) -> None:
        """A cylinder (``top`` = 1), cone (0) or cut cone with its axis along ``lay``."""
        half = (radius, radius, half_length)
        self._add(FRUSTUM, pose, centre, half, material, shape=(top, 1.0), lay=lay, casts=casts)

    def _add(
        self,
        kind: int,
        pose: Pose,
        centre: Vector,
        half: Vector,
        material: Material,
        *,
        shape: tuple[float, float] = (1.0, 1.0),
        lay: str = "z",
        casts: bool = True,
    ) -> None:
        c, s = math.cos(pose.yaw), math.sin(pose.yaw)
        x, y, z = centre
        position = (pose.x + c * x - s * y, pose.y + s * x + c * y, pose.z + z)
        axes = tuple(w for a, b, up in _LAYS[lay] for w in (c * a - s * b, s * a + c * b, up))
        self._rows.append((kind, *position, *axes, *half, *shape, casts))
        self._materials.append(material)

    def pack(self) -> Primitives:
        """The solids as arrays."""
        rows = np.array(self._rows, dtype=np.float64)
        looks = np.array(
            [
                (*m.tint, m.texture, m.period, *m.offset, m.gloss, m.exponent, m.emission)
                for m in self._materials
            ],
            dtype=np.float64,
        )
        return Primitives(
            kind=rows[:, 0].astype(np.int64),
            centre=np.ascontiguousarray(rows[:, 1:4]),
            axes=np.ascontiguousarray(rows[:, 4:13]).reshape(-1, 3, 3),
            half=np.ascontiguousarray(rows[:, 13:16]),
            shape=np.ascontiguousarray(rows[:, 16:18]),
            tint=np.ascontiguousarray(looks[:, :3]),
            texture=looks[:, 3].astype(np.int64),
            mapping=np.ascontiguousarray(looks[:, 4:7]),
            finish=np.ascontiguousarray(looks[:, 7:10]),
            casts=rows[:, 18] > 0,
        )


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at a place; pitch is up, roll clockwise, angles in radians."""

    position: Vector
    yaw: float
    pitch: float
    roll: float
    horizontal_fov: float

    def view(self, width: int) -> View:
        """The camera for frames that are ``width`` pixels wide. Yaw 0 looks along +y."""
        cy, sy = math.cos(self.yaw), math.sin(self.yaw)
        cp, sp = math.cos(self.pitch), math.sin(self.pitch)
        forward = np.array([-sy * cp, cy * cp, sp])
        level = np.array([cy, sy, 0.0])
        down = np.cross(forward, level)
        c, s = math.cos(self.roll), math.sin(self.roll)
        return View(
            origin=np.array(self.position, dtype=np.float64),
            right=c * level + s * down,
            down=c * down - s * level,
            forward=forward,
            focal=0.5 * width / math.tan(0.5 * self.horizontal_fov),
        )


@dataclass(frozen=True)
class Scene:
    """What one frame shows, and from where."""

    solids: Primitives
    camera: Camera
    light: Light


def clearance(solids: Primitives, point: Vector) -> float:
    """Distance from a point to the nearest solid's box, 0 inside one."""
    offset = np.asarray(point) - solids.centre
    local: NDArray[np.float64] = np.einsum("pij,pj->pi", solids.axes, offset)
    outside = np.maximum(np.abs(local) - solids.half, 0.0)
    return float(np.sqrt((outside**2).sum(axis=1)).min())
