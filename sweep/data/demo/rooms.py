"""Indoor scenes: living rooms, bedrooms, offices, corridors, halls with racks, and table tops."""

import math
from collections.abc import Callable

import numpy as np

from sweep.data.demo import furniture, objects
from sweep.data.demo.interior import Opening, outside, pictures, shell
from sweep.data.demo.plan import FloorPlan, free_spot, look
from sweep.data.demo.scene import Builder, Camera, Material, Pose, Scene, Vector
from sweep.data.demo.solids import Light, Primitives
from sweep.data.demo.textures import Texture

Rng = np.random.Generator


def _interior_light(b: Builder, rng: Rng, size: Vector, windows: list[tuple[Pose, Opening]]) -> Light:
    """A ceiling lamp, the light of a window, or sunshine through it."""
    width, depth, height = size
    warm = np.array([1.0, rng.uniform(0.75, 1.0), rng.uniform(0.55, 1.0)])
    day = np.array([rng.uniform(0.8, 1.0), 0.95, 1.0])
    sky, wall = day * rng.uniform(2.0, 4.0), warm * rng.uniform(0.25, 0.55)
    common = {
        "zenith": sky * np.array([0.5, 0.75, 1.1]),
        "horizon": sky,
        "clouds": float(rng.uniform(0.2, 0.9)),
    }
    if windows and rng.random() < 0.65:
        pose, (left, right, low, high) = windows[int(rng.integers(0, len(windows)))]
        if rng.random() < 0.4:
            out = pose.at(rng.uniform(-0.9, 0.9), 1.0)
            towards = np.array([out.x - pose.x, out.y - pose.y, rng.uniform(0.35, 0.9)])
            towards /= np.linalg.norm(towards)
            return Light(
                towards, np.array([0.006, 0.006, 0]), np.array([0, 0, 0.008]), warm * rng.uniform(3, 6), True,
                wall, wall * 0.8, haze=0.0, reach=0.8, **common,
            )  # fmt: skip
        centre = pose.at((left + right) / 2, 0.35)
        along = pose.at((left + right) / 2 + 0.45 * (right - left), 0.35)
        position = np.array([centre.x, centre.y, (low + high) / 2])
        return Light(
            position, np.array([along.x - centre.x, along.y - centre.y, 0]), np.array([0, 0, 0.45 * (high - low)]),
            day * rng.uniform(1.5, 3.0), False, wall, wall * 0.8, haze=0.0, reach=0.8, **common,
        )  # fmt: skip
    position = np.array(
        [width * rng.uniform(0.35, 0.65), depth * rng.uniform(0.35, 0.65), height - rng.uniform(0.25, 0.5)]
    )
    shade = Material(Texture.PLASTER, (1.0, 0.95, 0.85), 1, 0, 5, 2.5)
    lamp = Pose(float(position[0]), float(position[1]), float(position[2]))
    b.frustum(lamp, (0, 0, 0), 0.2, 0.08, shade, top=0.7, casts=False)
    b.frustum(
        lamp, (0, 0, (height - position[2]) / 2), 0.01, (height - position[2]) / 2, objects.DARK, casts=False
    )
    power = warm * rng.uniform(0.8, 1.4) * max(1.0, depth * width / 30)
    dusk = {**common, "zenith": common["zenith"] * 0.3, "horizon": common["horizon"] * 0.3}
    return Light(
        position, np.array([0.2, 0, 0]), np.array([0, 0.2, 0]), power, False, wall, wall * 0.8,
        haze=0.0, reach=0.8, **dusk,
    )  # fmt: skip


def _furnish(b: Builder, rng: Rng, plan: FloorPlan, groups: tuple[furniture.Group, ...]) -> None:
    for group in groups:
        group(b, rng, plan)


def _rug(b: Builder, rng: Rng, width: float, depth: float) -> None:
    if rng.random() < 0.5:
        half = (rng.uniform(0.7, 1.2), rng.uniform(0.9, 1.6))
        rug = Material(
            Texture.RUG if rng.random() < 0.6 else Texture.CARPET, (1, 1, 1), 2 * half[1], 0, 5, 0, half
        )
        b.box(
            Pose(width * 0.5, depth * 0.5, 0.006, rng.normal(0, 0.1)),
            (0, 0, 0),
            (*half, 0.006),
            rug,
            casts=False,
        )


def _camera(rng: Rng, solids: Primitives, size: Vector) -> Camera:
    """Someone in the room, mostly near a wall, who looks across it."""
    width, depth, height = size
    top = min(height - 0.4, rng.choice((0.9, 1.5, 1.9)))
    low: Vector = (0.4, 0.4, min(0.45, top))
    position = free_spot(rng, solids, low, (width - 0.4, max(depth * 0.35, 0.6), float(top)), 0.5)
    target = (
        float(rng.uniform(0.15, 0.85)) * width,
        depth * float(rng.uniform(0.5, 1.0)),
        float(rng.uniform(0.1, 1.6)),
    )
    return look(rng, position, target, fov=(60, 92), wander=0.25)


def _assemble(
    rng: Rng, size: Vector, windows: float, groups: tuple[furniture.Group, ...], *, rug: bool = True
) -> Scene:
    width, depth, height = size
    b = Builder()
    found = shell(b, rng, width, depth, height, windows)
    if found:
        outside(b, width, depth, rng)
    _furnish(b, rng, FloorPlan(0.03, 0.03, width - 0.03, depth - 0.03), groups)
    pictures(b, rng, width, depth)
    if rug:
        _rug(b, rng, width, depth)
    light = _interior_light(b, rng, size, found)
    solids = b.pack()
    return Scene(solids, _camera(rng, solids, size), light)


def living_room(rng: Rng) -> Scene:
    size = (float(rng.uniform(3.2, 5.5)), float(rng.uniform(3.8, 7.5)), float(rng.uniform(2.4, 3.0)))
    return _assemble(
        rng,
        size,
        0.45,
        (furniture.sofa, furniture.table, *furniture.some(rng, furniture.LIVING_ROOM, 4, 9)),
    )


def bedroom(rng: Rng) -> Scene:
    size = (float(rng.uniform(2.8, 4.5)), float(rng.uniform(3.2, 5.5)), float(rng.uniform(2.3, 2.8)))
    return _assemble(
        rng,
        size,
        0.45,
        (furniture.bed, *furniture.some(rng, furniture.BEDROOM, 3, 7)),
    )


def office(rng: Rng) -> Scene:
    size = (float(rng.uniform(4, 9)), float(rng.uniform(5, 13)), float(rng.uniform(2.6, 3.2)))
    return _assemble(
        rng,
        size,
        0.5,
        (furniture.desk, furniture.desk, *furniture.some(rng, furniture.OFFICE, 5, 12)),
        rug=False,
    )


def corridor(rng: Rng) -> Scene:
    size = (float(rng.uniform(1.6, 2.8)), float(rng.uniform(7, 30)), float(rng.uniform(2.4, 3.2)))
    return _assemble(
        rng,
        size,
        0.2,
        furniture.some(rng, furniture.CORRIDOR, 2, 6),
        rug=False,
    )


def hall(rng: Rng) -> Scene:
    """A shop or warehouse with aisles of racks along y."""
    size = width, depth, height = (
        float(rng.uniform(8, 16)),
        float(rng.uniform(15, 40)),
        float(rng.uniform(3.5, 7)),
    )
    b = Builder()
    found = shell(b, rng, width, depth, height, 0.2)
    top = float(rng.uniform(1.5, min(height - 0.8, 3.8)))
    spacing = float(rng.uniform(2.6, 3.6))
    columns = int((width - 1.5) / spacing)
    for column in range(columns):
        x = 1.2 + spacing * (column + 0.5)
        for y in np.arange(depth * 0.25, depth - 2, float(rng.uniform(3.4, 6))):
            if rng.random() < 0.85:
                turn = math.pi / 2 * float(rng.choice((-1, 1)))
                objects.rack(b, Pose(x, float(y), 0, turn), rng, 1.5, top, 4)
    plan = FloorPlan(0.5, 3.0, width - 0.5, depth)
    _furnish(b, rng, plan, furniture.some(rng, furniture.HALL, 0, 4))
    light = _interior_light(b, rng, size, found)
    light = light._replace(above=light.above * 1.5, below=light.below * 1.5)
    solids = b.pack()
    return Scene(solids, _camera(rng, solids, size), light)


def table_top(rng: Rng) -> Scene:
    """A close look at things on a table or a desk, 0.4 to 1.5 m away."""
    size = width, depth, height = float(rng.uniform(3, 5)), float(rng.uniform(3.5, 6)), 2.6
    b = Builder()
    found = shell(b, rng, width, depth, height, 0.4)
    y = depth * float(rng.uniform(0.45, 0.75))
    pose = Pose(width / 2, y, 0, float(rng.normal(0, 0.2)))
    plan = FloorPlan(0.03, 0.03, width - 0.03, depth - 0.03)
    plan.claim(pose.x, pose.y, 0.9, 0.7)
    objects.table(b, pose, rng, 0.75, 0.45, 0.75)
    objects.clutter(b, pose.at(0, 0, 0.75), rng, 0.6, 0.35, int(rng.integers(6, 13)))
    _furnish(
        b,
        rng,
        plan,
        furniture.some(rng, furniture.BACKGROUND, 4, 5),
    )
    pictures(b, rng, width, depth)
    light = _interior_light(b, rng, size, found)
    solids = b.pack()
    near, high = float(rng.uniform(0.75, 1.2)), float(rng.uniform(1.0, 1.6))
    position = (pose.x + float(rng.uniform(-0.4, 0.4)), pose.y - near, high)
    target = (pose.x + float(rng.uniform(-0.2, 0.2)), pose.y + float(rng.uniform(-0.1, 0.3)), 0.8)
    return Scene(solids, look(rng, position, target, wander=0.1), light)


INDOORS: dict[str, tuple[float, Callable[[Rng], Scene]]] = {
    "living room": (0.15, living_room),
    "bedroom": (0.09, bedroom),
    "office": (0.11, office),
    "corridor": (0.06, corridor),
    "hall": (0.08, hall),
    "table top": (0.07, table_top),
}
