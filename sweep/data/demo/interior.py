"""The shell of an interior: floor, ceiling, walls with doors and windows, what is behind them, pictures."""

import math

import numpy as np

from sweep.data.demo import objects
from sweep.data.demo.scene import Builder, Material, Pose
from sweep.data.demo.textures import Texture

Rng = np.random.Generator
Opening = tuple[float, float, float, float]  # along the wall from, to; height from, to
_ORIGIN = Pose(0, 0)
_THICK = 0.1


def _wall_material(rng: Rng) -> Material:
    kind = rng.random()
    tint = objects.colour(rng, 0.3, 0.55, 0.95)
    if kind < 0.65:
        return Material(Texture.PLASTER, tint, 2.5, 0.03, 10, 0, objects.offset(rng))
    if kind < 0.8:
        return Material(Texture.WALLPAPER, tint, rng.uniform(0.8, 1.6), 0.03, 10, 0, objects.offset(rng))
    if kind < 0.9:
        return Material(Texture.BRICK, objects.colour(rng, 0.2, 0.8, 1.6), 1.5, 0.03, 10)
    return Material(Texture.CONCRETE, tint, 2.0, 0.05, 10)


def _floor_material(rng: Rng) -> Material:
    texture, period, gloss = (
        (Texture.PLANKS, 1.6, 0.3),
        (Texture.PLANKS, 1.2, 0.15),
        (Texture.TILES, rng.uniform(1.2, 2.4), 0.5),
        (Texture.CHECKER, rng.uniform(1.2, 2.4), 0.4),
        (Texture.CARPET, 1.0, 0.0),
        (Texture.CONCRETE, 2.5, 0.15),
    )[int(rng.integers(0, 6))]
    tone = rng.uniform(0.6, 1.2)
    tint = objects.colour(rng, 0.5, 0.3, 0.9) if texture in (Texture.CARPET, Texture.TILES) else (tone,) * 3
    return Material(texture, tint, period, gloss, 60, 0, objects.offset(rng))


def _wall(
    b: Builder, pose: Pose, length: float, height: float, material: Material, openings: list[Opening]
) -> None:
    """A wall along the pose's x from 0 to ``length``, outside at +y, with openings left to right."""

    def piece(x0: float, x1: float, z0: float, z1: float) -> None:
        if x1 - x0 > 0.01 and z1 - z0 > 0.01:
            centre = ((x0 + x1) / 2, _THICK, (z0 + z1) / 2)
            b.box(pose, centre, ((x1 - x0) / 2, _THICK, (z1 - z0) / 2), material)

    skirting = Material(Texture.PLASTER, (0.85, 0.85, 0.82), 1, 0.2, 30)
    at = -2 * _THICK
    for left, right, low, high in [*openings, (length + 2 * _THICK, 0.0, 0.0, 0.0)]:
        piece(at, left, 0, height)
        if left - at > 0.05:
            b.box(
                pose, ((at + left) / 2, -0.008, 0.05), ((left - at) / 2, 0.012, 0.05), skirting, casts=False
            )
        if right > left:
            piece(left, right, 0, low)
            piece(left, right, high, height)
            at = right


def _window(b: Builder, pose: Pose, opening: Opening, rng: Rng) -> None:
    """Frame, sill, cross and often curtains of a window in a wall at the pose."""
    left, right, low, high = opening
    middle, half = (left + right) / 2, (right - left) / 2
    white = Material(Texture.PLASTER, (0.9, 0.9, 0.88), 1, 0.2, 30)
    for x in (left + 0.03, middle, right - 0.03):
        b.box(pose, (x, _THICK, (low + high) / 2), (0.03, 0.04, (high - low) / 2), white)
    for z in (low + 0.03, high - 0.03):
        b.box(pose, (middle, _THICK, z), (half, 0.04, 0.03), white)
    b.box(pose, (middle, -0.06, low - 0.02), (half + 0.08, 0.09, 0.02), white)
    if rng.random() < 0.55:
        cloth = objects.cloth(rng)
        drop = 0.05 if rng.random() < 0.5 else low - 0.15
        for side in (left - 0.05, right + 0.05):
            for fold in range(3):
                x = side + (fold - 1) * 0.11
                half_z = (high + 0.12 - drop) / 2
                b.frustum(pose, (x, -0.09, drop + half_z), 0.06, half_z, cloth)
        b.frustum(pose, (middle, -0.09, high + 0.14), 0.015, half + 0.35, objects.metal(rng), lay="x")
    if low > 0.6 and rng.random() < 0.4:
        b.box(
            pose,
            (middle, -0.07, 0.4),
            (half * 0.8, 0.05, 0.25),
            Material(Texture.SHUTTER, (1.4,) * 3, 0.9, 0.2),
        )


def _door(b: Builder, pose: Pose, opening: Opening, rng: Rng, *, is_open: bool) -> None:
    left, right, _, high = opening
    frame = (
        objects.wood(rng) if rng.random() < 0.4 else Material(Texture.PLASTER, (0.85, 0.85, 0.8), 1, 0.2, 30)
    )
    for x in (left - 0.03, right + 0.03):
        b.box(pose, (x, _THICK, high / 2), (0.04, _THICK + 0.03, high / 2), frame)
    b.box(
        pose,
        ((left + right) / 2, _THICK, high + 0.03),
        ((right - left) / 2 + 0.07, _THICK + 0.03, 0.04),
        frame,
    )
    leaf = pose.at(left, 0.05, 0, rng.uniform(-1.9, -1.2) if is_open else 0.0)
    half = (right - left) / 2
    b.box(leaf, (half, 0, high / 2), (half - 0.01, 0.02, high / 2 - 0.01), frame)
    b.ellipsoid(leaf, (2 * half - 0.08, -0.06, 1.02), (0.03, 0.03, 0.03), objects.metal(rng))


def outside(b: Builder, width: float, depth: float, rng: Rng) -> None:
    """What is seen through the windows."""
    level = float(rng.choice((-0.4, -3.5, -9.0)))
    grass = Material(Texture.GRASS, (1, 1, 1), 2.5)
    b.box(_ORIGIN, (width / 2, depth / 2, level - 1), (120, 120, 1), grass, casts=False)
    for _ in range(4):
        angle, away = rng.uniform(0, 2 * math.pi), rng.uniform(14, 28) + depth / 2
        pose = Pose(
            width / 2 + away * math.cos(angle), depth / 2 + away * math.sin(angle), level, angle - math.pi / 2
        )
        if rng.random() < 0.5:
            objects.building(b, pose, rng, rng.uniform(5, 9), 4)
        else:
            objects.tree(b, pose, rng)


def shell(
    b: Builder, rng: Rng, width: float, depth: float, height: float, windows: float
) -> list[tuple[Pose, Opening]]:
    """Floor, ceiling and four walls of a room [0, width] x [0, depth]; returns its windows."""
    walls, found = _wall_material(rng), []
    b.box(
        _ORIGIN,
        (width / 2, depth / 2, -0.1),
        (width / 2 + 3, depth / 2 + 3, 0.1),
        _floor_material(rng),
        casts=False,
    )
    tone = rng.uniform(0.75, 0.95)
    ceiling = Material(
        Texture.TILES if rng.random() < 0.25 else Texture.PLASTER, (tone, tone, tone), 2.4, 0.0
    )
    b.box(_ORIGIN, (width / 2, depth / 2, height + 0.1), (width / 2 + 0.25, depth / 2 + 0.25, 0.1), ceiling)
    sides = (
        Pose(0, depth),
        Pose(0, 0, 0, math.pi / 2),
        Pose(width, 0, 0, math.pi),
        Pose(width, depth, 0, -math.pi / 2),
    )
    for number, (pose, length) in enumerate(zip(sides, (width, depth, width, depth), strict=True)):
        openings: list[Opening] = []
        at = rng.uniform(0.3, 1.0)
        has_windows = rng.random() < windows
        while at + 0.95 < length - 0.3:
            if has_windows:
                wide, low = rng.uniform(0.9, 1.8), rng.uniform(0.3, 1.0)
                opening = (
                    at,
                    min(at + wide, length - 0.2),
                    low,
                    min(height - 0.25, low + rng.uniform(1.1, 1.7)),
                )
                _window(b, pose, opening, rng)
                found.append((pose, opening))
            elif number != 1 or rng.random() < 0.5:
                opening = (at, at + 0.85, 0.0, 2.03)
                _door(b, pose, opening, rng, is_open=rng.random() < 0.35)
            else:
                break
            openings.append(opening)
            at = opening[1] + rng.uniform(0.5, 3.5)
        _wall(b, pose, length, height, walls, openings)
    _beyond(b, rng, width, depth, height)
    return found


def _beyond(b: Builder, rng: Rng, width: float, depth: float, height: float) -> None:
    """A neighbouring corridor behind one wall, seen through open doors."""
    if rng.random() < 0.6:
        b.box(
            _ORIGIN,
            (width + 2.6, depth / 2, height / 2),
            (0.1, depth / 2 + 3, height / 2),
            _wall_material(rng),
        )
        b.box(_ORIGIN, (width + 1.4, depth / 2, height + 0.1), (1.3, depth / 2 + 3, 0.1), objects.paint(rng))


def pictures(b: Builder, rng: Rng, width: float, depth: float) -> None:
    for pose, length in (
        (Pose(0, depth), width),
        (Pose(0, 0, 0, math.pi / 2), depth),
        (Pose(width, depth, 0, -math.pi / 2), depth),
    ):
        for _ in range(int(rng.integers(0, 3))):
            x, z = rng.uniform(0.5, max(length - 0.5, 0.6)), rng.uniform(1.3, 1.8)
            half_x, half_z = rng.uniform(0.15, 0.5), rng.uniform(0.15, 0.4)
            art = Material(Texture.ART, (1, 1, 1), 1.6, 0.3, 80, 0, objects.offset(rng))
            b.box(pose, (x, -0.02, z), (half_x + 0.025, 0.015, half_z + 0.025), objects.wood(rng))
            b.box(pose, (x, -0.03, z), (half_x, 0.012, half_z), art)
