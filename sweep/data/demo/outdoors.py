"""Outdoor scenes: streets, parks, squares, car parks and garden corners."""

import math
from collections.abc import Callable

import numpy as np

from sweep.data.demo import objects
from sweep.data.demo.plan import FloorPlan, free_spot, look
from sweep.data.demo.scene import Builder, Material, Pose, Scene, Vector
from sweep.data.demo.solids import Light
from sweep.data.demo.textures import Texture

Rng = np.random.Generator
_ORIGIN = Pose(0, 0)


def _daylight(rng: Rng) -> Light:
    """Clear to overcast, morning to evening, clean air to mist."""
    overcast = float(rng.random()) ** 1.5
    height = float(rng.uniform(0.18, 1.2))
    azimuth = float(rng.uniform(0, 2 * math.pi))
    towards = np.array(
        [math.cos(azimuth) * math.cos(height), math.sin(azimuth) * math.cos(height), math.sin(height)]
    )
    low = max(0.0, 1 - height / 0.5)
    sun = np.array([1.0, 0.94 - 0.2 * low, 0.84 - 0.45 * low]) * 4.0 * (1 - 0.93 * overcast)
    blue = np.array([0.28, 0.5, 1.0]) * 1.3
    grey = np.array([0.82, 0.88, 0.95]) * 1.6
    zenith = blue * (1 - overcast) + grey * overcast
    horizon = np.array([1.0 + 0.25 * low, 1.05, 1.15 - 0.25 * low]) * 1.5
    soft = 0.006 + 0.08 * overcast
    visibility = float(np.exp(rng.uniform(math.log(150), math.log(4000))))
    return Light(
        position=towards,
        spread_u=np.array([-math.sin(azimuth), math.cos(azimuth), 0.0]) * soft,
        spread_v=np.array([0.0, 0.0, soft]),
        colour=sun,
        is_sun=True,
        above=zenith * 0.6 + 0.15,
        below=np.array([0.28, 0.26, 0.22]) * (0.6 + 0.6 * float(sun.mean()) / 4),
        zenith=zenith,
        horizon=horizon,
        clouds=float(np.clip(overcast * 1.3 + rng.uniform(-0.1, 0.3), 0, 1)),
        haze=3.0 / visibility,
        reach=1.8,
    )


def _ground(b: Builder, texture: Texture, period: float, rng: Rng) -> None:
    tone = float(rng.uniform(0.7, 1.2))
    tint = (tone, tone * float(rng.uniform(0.9, 1.1)), tone)
    ground = Material(texture, tint, period, 0.05, 10, 0, objects.offset(rng))
    b.box(_ORIGIN, (0, 0, -1), (300, 300, 1), ground, casts=False)


def _strip(b: Builder, x0: float, x1: float, thick: float, material: Material) -> None:
    """A strip of ground along y."""
    b.box(_ORIGIN, ((x0 + x1) / 2, 40, thick / 2), ((x1 - x0) / 2, 110, thick / 2), material, casts=False)


def _row_of_houses(b: Builder, rng: Rng, x: float, side: int) -> None:
    y = -12.0
    while y < 75:
        half, deep = float(rng.uniform(4, 9)), float(rng.uniform(4, 6))
        if rng.random() < 0.85:
            objects.building(
                b,
                Pose(x + side * (deep + float(rng.uniform(0, 1.5))), y + half, 0, -side * math.pi / 2),
                rng,
                half,
                deep,
            )
        else:
            objects.tree(b, Pose(x + side * 4, y + half), rng)
        y += 2 * half + (float(rng.uniform(1.5, 5)) if rng.random() < 0.3 else 0.05)


def street(rng: Rng) -> Scene:
    """A road along y with pavements, houses, parked cars, trees, lamps and people."""
    b = Builder()
    road, walk = float(rng.uniform(2.8, 4.8)), float(rng.uniform(1.8, 3.5))
    _ground(b, Texture.GRASS, 2.5, rng)
    asphalt = Material(Texture.ASPHALT, (float(rng.uniform(0.8, 1.6)),) * 3, 2.0, 0.2, 15)
    paving = Material(Texture.PAVING, (float(rng.uniform(0.6, 1.1)),) * 3, 2.4, 0.1, 15)
    kerb = Material(Texture.CONCRETE, (1.1, 1.1, 1.1), 1.0)
    _strip(b, -road, road, 0.02, asphalt)
    mark = Material(Texture.CONCRETE, (1.7, 1.7, 1.65), 0.7)
    for dash in range(-6, 60, 6):
        b.box(_ORIGIN, (0, dash, 0.022), (0.07, 1.5, 0.003), mark, casts=False)
    plan = FloorPlan(-road - walk, 1.5, road + walk, 60)
    for side in (-1, 1):
        inner, outer = sorted((side * (road + 0.15), side * (road + walk)))
        _strip(b, inner, outer, 0.14, paving)
        inner, outer = sorted((side * road, side * (road + 0.15)))
        _strip(b, inner, outer, 0.15, kerb)
        _row_of_houses(b, rng, side * (road + walk), side)
        trees, lamps, parked = rng.random() < 0.6, rng.random() < 0.6, rng.random() < 0.75
        y = float(rng.uniform(2, 6))
        while y < 48:
            spot = Pose(
                side * (road - 0.95), y + 2.4, 0.02, (0 if side < 0 else math.pi) + float(rng.normal(0, 0.02))
            )
            if parked and rng.random() < 0.6 and plan.claim(spot.x, spot.y, 0.95, 2.4):
                objects.car(b, spot, rng)
            edge = side * (road + 0.55)
            if trees and rng.random() < 0.5 and plan.claim(edge, y, 0.2, 0.2):
                objects.tree(b, Pose(edge, y, 0.1), rng)
            elif lamps and rng.random() < 0.4 and plan.claim(edge, y, 0.2, 0.2):
                objects.lamp_post(b, Pose(edge, y, 0.14, side * math.pi / 2), rng)
            y += float(rng.uniform(4.8, 8))
    _people(b, rng, plan, int(rng.integers(0, 7)), 0.14)
    solids = b.pack()
    on_road = rng.random() < 0.45
    centre = 0.0 if on_road else float(rng.choice((-1, 1))) * (road + walk / 2)
    high = float(rng.choice((0.7, 1.5, 2.2, 4.5), p=(0.2, 0.5, 0.2, 0.1)))
    position = free_spot(rng, solids, (centre - 0.8, -2, high - 0.2), (centre + 0.8, 3, high + 0.2), 0.8)
    target = (float(rng.normal(0, 4)) + 0.6 * centre, 16.0, high + float(rng.normal(-0.5, 2)))
    return Scene(solids, look(rng, position, target), _daylight(rng))


def _people(b: Builder, rng: Rng, plan: FloorPlan, count: int, z: float) -> None:
    for _ in range(count):
        if pose := plan.somewhere(rng, 0.4, 0.4):
            objects.person(b, Pose(pose.x, pose.y, z, float(rng.uniform(0, 6.3))), rng)


def park(rng: Rng) -> Scene:
    """Grass, a path, trees, bushes, benches and people; woods or houses far behind."""
    b = Builder()
    _ground(b, Texture.GRASS, 2.2, rng)
    path = Material(rng.choice((Texture.GRAVEL, Texture.ASPHALT, Texture.PAVING)), (1, 1, 1), 2.0)
    bend, half = float(rng.uniform(-0.25, 0.25)), float(rng.uniform(0.8, 1.8))
    b.box(Pose(0, 20, 0, bend), (0, 0, 0.0), (half, 60, 0.015), path, casts=False)
    plan = FloorPlan(-18, 1.5, 18, 48)
    for step in range(1, 48, 3):
        plan.claim(-math.sin(bend) * (step - 20), step, half, 1.5)
    for _ in range(int(rng.integers(6, 20))):
        if pose := plan.somewhere(rng, 1.2, 1.2):
            objects.tree(b, pose, rng)
    for _ in range(int(rng.integers(2, 9))):
        if pose := plan.somewhere(rng, 0.8, 0.8):
            objects.bush(b, pose, rng, float(rng.uniform(0.6, 1.4)))
    for _ in range(int(rng.integers(1, 5))):
        if pose := plan.somewhere(rng, 0.9, 0.5):
            objects.bench(b, pose, rng)
    _people(b, rng, plan, int(rng.integers(1, 7)), 0.0)
    for _ in range(8):
        x, y = float(rng.uniform(-45, 45)), float(rng.uniform(42, 60))
        if rng.random() < 0.6:
            objects.tree(b, Pose(x, y), rng)
        else:
            objects.building(b, Pose(x, y + 5), rng, float(rng.uniform(5, 9)), 5)
    solids = b.pack()
    high = float(rng.choice((0.5, 1.4, 1.8, 3.5), p=(0.2, 0.4, 0.3, 0.1)))
    position = free_spot(rng, solids, (-4, -3, high), (4, 1.5, high + 0.2), 0.9)
    target = (float(rng.normal(0, 5)), 14.0, high + float(rng.normal(-0.6, 2)))
    return Scene(solids, look(rng, position, target), _daylight(rng))


def square(rng: Rng) -> Scene:
    """A paved square with houses around, trees in tubs, benches, bins and people."""
    b = Builder()
    half = float(rng.uniform(8, 22))
    _ground(b, Texture.PAVING, 2.8, rng)
    for turn in range(4):
        side = (
            Pose(0, half, 0, turn * math.pi / 2)
            if turn == 0
            else Pose(0, half).at(0, -half, 0, turn * math.pi / 2).at(0, half)
        )
        x = -half
        while x < half:
            wide = float(rng.uniform(4, 8))
            objects.building(b, side.at(x + wide, 5 + float(rng.uniform(0, 1))), rng, wide, 5)
            x += 2 * wide + float(rng.choice((0.05, 3.0)))
    plan = FloorPlan(-half + 1, -half + 1, half - 1, half - 1)
    for _ in range(int(rng.integers(2, 8))):
        if pose := plan.somewhere(rng, 0.8, 0.8):
            tub = objects.paint(rng)
            b.frustum(pose, (0, 0, 0.35), 0.6, 0.35, tub, top=1.15)
            objects.bush(b, pose.at(0, 0, 0.6), rng, 0.9)
    for _ in range(int(rng.integers(2, 7))):
        if pose := plan.somewhere(rng, 0.9, 0.5):
            objects.bench(b, pose, rng)
        if pose := plan.somewhere(rng, 0.35, 0.35):
            objects.bin_(b, pose, rng)
    _people(b, rng, plan, int(rng.integers(3, 14)), 0.0)
    solids = b.pack()
    high = float(rng.choice((0.8, 1.6, 2.4)))
    position = free_spot(
        rng, solids, (-half * 0.6, -half + 1, high), (half * 0.6, -half * 0.4, high + 0.2), 0.8
    )
    target = (float(rng.normal(0, half / 3)), half * 0.3, high + float(rng.normal(-0.6, 1.5)))
    return Scene(solids, look(rng, position, target), _daylight(rng))


def car_park(rng: Rng) -> Scene:
    """Rows of cars on asphalt, lamps, a few trees and houses behind."""
    b = Builder()
    _ground(b, Texture.GRASS, 2.5, rng)
    asphalt = Material(Texture.ASPHALT, (float(rng.uniform(0.9, 1.7)),) * 3, 2.0, 0.2, 15)
    b.box(_ORIGIN, (0, 20, 0), (24, 34, 0.02), asphalt, casts=False)
    mark = Material(Texture.CONCRETE, (1.7, 1.7, 1.65), 0.7)
    plan = FloorPlan(-24, 1, 24, 54)
    for row in range(4):
        y = 6.0 + row * 11
        for column in range(-6, 7):
            x = column * 2.7
            b.box(_ORIGIN, (x + 1.35, y, 0.022), (0.05, 2.4, 0.003), mark, casts=False)
            if abs(column) < 6 and rng.random() < 0.55 and plan.claim(x, y, 1.0, 2.4):
                turn = math.pi * float(rng.integers(0, 2)) + float(rng.normal(0, 0.03))
                objects.car(b, Pose(x, y, 0.02, turn), rng)
    for _ in range(5):
        if pose := plan.somewhere(rng, 0.4, 0.4):
            (objects.lamp_post if rng.random() < 0.5 else objects.tree)(b, pose, rng)
    _people(b, rng, plan, int(rng.integers(0, 5)), 0.02)
    for x in range(-30, 31, 15):
        objects.building(b, Pose(x, 60 + float(rng.uniform(0, 6))), rng, 6.5, 5)
    solids = b.pack()
    high = float(rng.choice((0.9, 1.6, 3.0)))
    position = free_spot(rng, solids, (-8, -2, high), (8, 3, high + 0.2), 0.9)
    target = (float(rng.normal(0, 4)), 12.0, 0.8 + float(rng.normal(0, 1)))
    return Scene(solids, look(rng, position, target), _daylight(rng))


def garden(rng: Rng) -> Scene:
    """A close corner: a wall or hedge a few metres away, bushes, pots, a bench."""
    b = Builder()
    _ground(b, rng.choice((Texture.GRASS, Texture.PAVING, Texture.GRAVEL)), 2.0, rng)
    back = float(rng.uniform(2.5, 8))
    if rng.random() < 0.5:
        high = float(rng.uniform(1.2, 2.6))
        brick = Material(Texture.BRICK, objects.colour(rng, 0.3, 0.8, 1.5), 1.5, 0.05, 10)
        b.box(_ORIGIN, (0, back + 0.15, high / 2), (14, 0.15, high / 2), brick)
        b.box(
            _ORIGIN,
            (0, back + 0.15, high + 0.03),
            (14, 0.2, 0.03),
            Material(Texture.CONCRETE, (1, 1, 1), 1.0),
        )
    else:
        for x in np.arange(-9, 9, 0.9):
            objects.bush(b, Pose(float(x), back + 0.4), rng, float(rng.uniform(1.3, 1.8)))
    objects.building(b, Pose(float(rng.uniform(-9, 9)), back + float(rng.uniform(9, 20))), rng, 7, 4)
    for _ in range(3):
        objects.tree(b, Pose(float(rng.uniform(-12, 12)), back + float(rng.uniform(3, 16))), rng)
    plan = FloorPlan(-4, 0.9, 4, back - 0.2)
    for _ in range(int(rng.integers(3, 9))):
        if pose := plan.somewhere(rng, 0.45, 0.45):
            if rng.random() < 0.5:
                objects.houseplant(b, pose, rng, float(rng.uniform(0.4, 1.1)))
            else:
                objects.bush(b, pose, rng, 0.55)
    if pose := plan.somewhere(rng, 0.9, 0.5):
        objects.bench(b, pose, rng)
    if pose := plan.somewhere(rng, 1.1, 1.1):
        objects.table(b, pose, rng, 0.6, 0.5, 0.74)
        objects.clutter(b, pose.at(0, 0, 0.74), rng, 0.4, 0.3, 4)
        for side in (-1, 1):
            objects.chair(b, pose.at(0, 0.75 * side, 0, 0 if side > 0 else math.pi), rng)
    solids = b.pack()
    low: Vector = (-1.5, -0.8, 0.5)
    position = free_spot(rng, solids, low, (1.5, 0.6, 1.9), 0.5)
    target = (float(rng.normal(0, 1.5)), back, float(rng.uniform(0.1, 1.4)))
    return Scene(solids, look(rng, position, target), _daylight(rng))


OUTDOORS: dict[str, tuple[float, Callable[[Rng], Scene]]] = {
    "street": (0.14, street),
    "park": (0.1, park),
    "square": (0.07, square),
    "car park": (0.05, car_park),
    "garden": (0.08, garden),
}
