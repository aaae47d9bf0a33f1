"""Groups of furniture, each placed on a floor plan if there is room for it."""

import math
from collections.abc import Callable

import numpy as np

from sweep.data.demo import objects
from sweep.data.demo.plan import FloorPlan
from sweep.data.demo.scene import Builder, Pose

Rng = np.random.Generator
Group = Callable[[Builder, Rng, FloorPlan], None]


def sofa(b: Builder, rng: Rng, plan: FloorPlan) -> None:
    """A sofa at a wall, with a low table before it if that fits."""
    pose = plan.against_wall(rng, 1.25, 0.5)
    if pose is None:
        return
    objects.sofa(b, pose, rng)
    low = pose.at(0, -1.1)
    if plan.claim(low.x, low.y, 0.55, 0.55):
        objects.table(b, low, rng, 0.5, 0.3, 0.42)
        objects.clutter(b, low.at(0, 0, 0.42), rng, 0.4, 0.2, 2)


def bed(b: Builder, rng: Rng, plan: FloorPlan) -> None:
    if pose := plan.against_wall(rng, 0.95, 1.1):
        objects.bed(b, pose, rng)


def bookcase(b: Builder, rng: Rng, plan: FloorPlan) -> None:
    if pose := plan.against_wall(rng, 0.62, 0.18):
        objects.bookcase(b, pose, rng)


def cupboard(b: Builder, rng: Rng, plan: FloorPlan) -> None:
    """A wardrobe, or a chest with things on it."""
    half, height = float(rng.uniform(0.3, 0.9)), float(rng.choice((0.85, 1.8, 2.05)))
    pose = plan.against_wall(rng, half + 0.02, 0.34)
    if pose is None:
        return
    objects.cupboard(b, pose, rng, half, 0.3, height)
    if height < 1:
        objects.clutter(b, pose.at(0, 0, height), rng, half - 0.1, 0.2, 3)


def desk(b: Builder, rng: Rng, plan: FloorPlan) -> None:
    if pose := plan.against_wall(rng, 0.95, 0.75):
        objects.desk(b, pose.at(0, 0.33), rng)
        objects.office_chair(b, pose.at(0, -0.4, 0, math.pi + float(rng.normal(0, 0.3))), rng)


def table(b: Builder, rng: Rng, plan: FloorPlan) -> None:
    """A table that is laid, with two or four chairs."""
    pose = plan.somewhere(rng, 1.2, 1.1)
    if pose is None:
        return
    half = float(rng.uniform(0.5, 0.8))
    objects.table(b, pose, rng, half, 0.42, 0.75)
    objects.clutter(b, pose.at(0, 0, 0.75), rng, half - 0.15, 0.25, int(rng.integers(2, 6)))
    for side in (-1, 1):
        for x in (-0.4, 0.4) if half > 0.62 else (0.0,):
            turn = math.pi if side < 0 else 0.0
            objects.chair(b, pose.at(x, side * 0.62, 0, turn + float(rng.normal(0, 0.15))), rng)


def television(b: Builder, rng: Rng, plan: FloorPlan) -> None:
    if pose := plan.against_wall(rng, 0.95, 0.25):
        objects.tv_stand(b, pose, rng)


def lamp(b: Builder, rng: Rng, plan: FloorPlan) -> None:
    if pose := plan.against_wall(rng, 0.25, 0.25):
        objects.floor_lamp(b, pose, rng)


def plant(b: Builder, rng: Rng, plan: FloorPlan) -> None:
    if pose := plan.against_wall(rng, 0.35, 0.35):
        objects.houseplant(b, pose, rng, float(rng.uniform(0.7, 1.5)))


def person(b: Builder, rng: Rng, plan: FloorPlan) -> None:
    if pose := plan.somewhere(rng, 0.4, 0.4):
        objects.person(b, Pose(pose.x, pose.y, 0, float(rng.uniform(0, 6.3))), rng)


def clutter(b: Builder, rng: Rng, plan: FloorPlan) -> None:
    if pose := plan.somewhere(rng, 0.35, 0.35):
        objects.clutter(b, pose, rng, 0.25, 0.25, 3)


def chair(b: Builder, rng: Rng, plan: FloorPlan) -> None:
    if pose := plan.somewhere(rng, 0.35, 0.35):
        objects.chair(b, pose, rng)


def some(rng: Rng, groups: tuple[Group, ...], low: int, high: int) -> tuple[Group, ...]:
    """Between ``low`` and ``high`` - 1 of the groups, in random order."""
    order = rng.permutation(len(groups))[: int(rng.integers(low, high))]
    return tuple(groups[int(n)] for n in order)


# What each room is furnished with, most likely things several times.
LIVING_ROOM: tuple[Group, ...] = (sofa, television, bookcase, lamp, plant, cupboard, table, clutter, person)
BEDROOM: tuple[Group, ...] = (cupboard, bookcase, desk, lamp, plant, chair, clutter)
OFFICE: tuple[Group, ...] = (
    desk,
    desk,
    desk,
    table,
    cupboard,
    bookcase,
    cupboard,
    bookcase,
    plant,
    clutter,
    person,
    person,
    chair,
)
CORRIDOR: tuple[Group, ...] = (plant, cupboard, bookcase, person, clutter, chair)
HALL: tuple[Group, ...] = (person, person, clutter)
BACKGROUND: tuple[Group, ...] = (cupboard, bookcase, sofa, plant, lamp, chair)
