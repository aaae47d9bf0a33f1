"""Things of real proportions, built from solids: furniture, people, plants, cars, houses.

Each function puts one thing at a pose, standing on its z = 0 and facing -y (towards a viewer who looks
along +y), and varies it with ``rng``.
"""

import math

import numpy as np

from sweep.data.demo.scene import WHITE, Builder, Colour, Material, Pose
from sweep.data.demo.textures import Texture

Rng = np.random.Generator


def colour(rng: Rng, saturation: float = 0.6, low: float = 0.08, high: float = 0.8) -> Colour:
    """A random tint: a grey between low and high, with up to ``saturation`` of colour."""
    value = rng.uniform(low, high)
    red, green, blue = value * (1 - saturation * rng.random(3))
    return float(red), float(green), float(blue)


def offset(rng: Rng) -> tuple[float, float]:
    u, v = rng.random(2) * 7
    return float(u), float(v)


def wood(rng: Rng) -> Material:
    tone = rng.uniform(0.4, 1.4)
    tint = (tone, tone * rng.uniform(0.85, 1.1), tone * rng.uniform(0.7, 1.2))
    return Material(Texture.WOOD, tint, rng.uniform(0.8, 1.6), 0.15, 30, 0, offset(rng))


def paint(rng: Rng, gloss: float = 0.1) -> Material:
    return Material(Texture.PLASTER, colour(rng), 1.5, gloss, 40, 0, offset(rng))


def cloth(rng: Rng) -> Material:
    return Material(Texture.FABRIC, colour(rng, 0.7), rng.uniform(0.6, 1.2), 0.02, 5, 0, offset(rng))


def metal(rng: Rng) -> Material:
    grey = rng.uniform(0.15, 0.6)
    return Material(Texture.PLASTER, (grey, grey, grey * 1.03), 0.8, 0.7, 60, 0, offset(rng))


DARK = Material(Texture.PLASTER, (0.03, 0.03, 0.035), 1.0, 0.3, 40)
RUBBER = Material(Texture.CONCRETE, (0.06, 0.06, 0.06), 0.5, 0.05, 10)


def legs(b: Builder, pose: Pose, x: float, y: float, height: float, thick: float, material: Material) -> None:
    for sx in (-1, 1):
        for sy in (-1, 1):
            b.box(pose, (sx * x, sy * y, height / 2), (thick, thick, height / 2), material)


def table(b: Builder, pose: Pose, rng: Rng, half_x: float, half_y: float, height: float) -> None:
    top = wood(rng) if rng.random() < 0.7 else paint(rng, 0.3)
    b.box(pose, (0, 0, height - 0.02), (half_x, half_y, 0.02), top)
    if rng.random() < 0.2:
        b.frustum(pose, (0, 0, height / 2), 0.05, height / 2, metal(rng))
        b.frustum(pose, (0, 0, 0.02), 0.25, 0.02, metal(rng))
        return
    legs(b, pose, half_x - 0.06, half_y - 0.06, height - 0.04, rng.uniform(0.02, 0.035), top)


def clutter(b: Builder, pose: Pose, rng: Rng, half_x: float, half_y: float, count: int) -> None:
    """Small things on a surface at z = 0 of the pose: books, mugs, bottles, bowls, fruit, boxes, a plant."""
    for _ in range(count):
        spot = pose.at(rng.uniform(-half_x, half_x), rng.uniform(-half_y, half_y), 0, rng.uniform(0, 6.3))
        kind = rng.integers(0, 7)
        if kind == 0:
            for level in range(int(rng.integers(1, 4))):
                half = (rng.uniform(0.07, 0.11), rng.uniform(0.1, 0.15), 0.014)
                b.box(
                    spot.at(0, 0, 0, rng.uniform(-0.3, 0.3)),
                    (0, 0, 0.014 + 0.028 * level),
                    half,
                    paint(rng, 0.3),
                )
        elif kind == 1:
            b.frustum(spot, (0, 0, 0.05), 0.04, 0.05, paint(rng, 0.5), top=1.05)
            b.box(spot, (0.05, 0, 0.05), (0.015, 0.006, 0.03), paint(rng, 0.5))
        elif kind == 2:
            glass = Material(Texture.PLASTER, colour(rng, 0.9, 0.05, 0.4), 1, 0.9, 120)
            b.frustum(spot, (0, 0, 0.1), 0.035, 0.1, glass)
            b.frustum(spot, (0, 0, 0.23), 0.035, 0.03, glass, top=0.35)
            b.frustum(spot, (0, 0, 0.28), 0.012, 0.02, glass)
        elif kind == 3:
            b.frustum(spot, (0, 0, 0.04), 0.07, 0.04, paint(rng, 0.6), top=1.6)
            for turn in range(3):
                fruit = Material(Texture.PLASTER, colour(rng, 0.95, 0.4, 0.8), 0.3, 0.3, 50)
                b.ellipsoid(spot.at(0, 0, 0, 2.1 * turn), (0.045, 0, 0.09), (0.04, 0.04, 0.038), fruit)
        elif kind == 4:
            half_z = rng.uniform(0.04, 0.14)
            b.box(
                spot,
                (0, 0, half_z),
                (rng.uniform(0.04, 0.15), rng.uniform(0.04, 0.12), half_z),
                paint(rng, 0.2),
            )
        elif kind == 5:
            radius = rng.uniform(0.03, 0.1)
            b.ellipsoid(spot, (0, 0, radius), (radius, radius, radius), paint(rng, 0.5))
        else:
            houseplant(b, spot, rng, rng.uniform(0.25, 0.45))


def houseplant(b: Builder, pose: Pose, rng: Rng, height: float) -> None:
    pot = 0.16 * height + 0.02
    b.frustum(pose, (0, 0, pot), pot * 0.75, pot, paint(rng, 0.4), top=1.3)
    leaf = Material(Texture.LEAVES, (0.8, 1.0, 0.8), rng.uniform(0.3, 0.7), 0, 5, 0, offset(rng))
    for _ in range(3):
        r = height * rng.uniform(0.16, 0.26)
        x, y = rng.uniform(-0.1, 0.1, 2) * height
        b.leaves(pose, (x, y, height * rng.uniform(0.5, 0.85)), (r, r, r * rng.uniform(0.8, 1.4)), leaf)


def chair(b: Builder, pose: Pose, rng: Rng) -> None:
    frame, seat = wood(rng), cloth(rng) if rng.random() < 0.5 else wood(rng)
    b.box(pose, (0, 0, 0.45), (0.21, 0.21, 0.025), seat)
    legs(b, pose, 0.19, 0.19, 0.43, 0.018, frame)
    b.box(pose, (-0.19, 0.2, 0.68), (0.018, 0.018, 0.23), frame)
    b.box(pose, (0.19, 0.2, 0.68), (0.018, 0.018, 0.23), frame)
    b.box(pose, (0, 0.2, 0.78), (0.2, 0.012, 0.13), seat)


def office_chair(b: Builder, pose: Pose, rng: Rng) -> None:
    fabric = cloth(rng)
    for turn in range(5):
        b.box(pose.at(0, 0, 0, turn * 1.2566), (0.15, 0, 0.06), (0.15, 0.02, 0.015), DARK)
    b.frustum(pose, (0, 0, 0.26), 0.03, 0.19, metal(rng))
    b.box(pose, (0, 0, 0.48), (0.24, 0.23, 0.04), fabric)
    b.box(pose, (0, 0.23, 0.8), (0.22, 0.03, 0.28), fabric)
    for side in (-1, 1):
        b.box(pose, (side * 0.27, 0.02, 0.68), (0.025, 0.15, 0.015), DARK)


def sofa(b: Builder, pose: Pose, rng: Rng) -> None:
    fabric, half = cloth(rng), rng.uniform(0.75, 1.1)
    b.box(pose, (0, 0, 0.2), (half, 0.42, 0.14), fabric)
    b.box(pose, (0, 0.36, 0.5), (half, 0.12, 0.34), fabric)
    for side in (-1, 1):
        b.box(pose, (side * (half + 0.08), 0, 0.31), (0.09, 0.44, 0.3), fabric)
    seats = 2 if half < 0.9 else 3
    for n in range(seats):
        x = (n - (seats - 1) / 2) * 2 * half / seats
        b.ellipsoid(pose, (x, -0.04, 0.36), (half / seats * 1.02, 0.42, 0.13), fabric)
    cushion = cloth(rng)
    b.ellipsoid(pose, (half * rng.choice((-0.75, 0.75)), 0.16, 0.6), (0.23, 0.09, 0.2), cushion)


def bed(b: Builder, pose: Pose, rng: Rng) -> None:
    """The headboard is at +y."""
    frame, sheet, blanket = wood(rng), cloth(rng), cloth(rng)
    half = rng.uniform(0.48, 0.9)
    b.box(pose, (0, 0, 0.18), (half + 0.03, 1.03, 0.12), frame)
    b.box(pose, (0, 1.03, 0.5), (half + 0.03, 0.03, 0.5), frame)
    b.box(pose, (0, 0, 0.38), (half, 1.0, 0.1), Material(Texture.FABRIC, (0.75, 0.74, 0.7), 1.1))
    b.box(pose, (0, -0.3, 0.46), (half + 0.02, 0.72, 0.05), blanket)
    for side in (-0.5, 0.5) if half > 0.65 else (0.0,):
        b.ellipsoid(pose, (side * half, 0.75, 0.53), (min(0.36, half * 0.8), 0.22, 0.09), sheet)


def bookcase(b: Builder, pose: Pose, rng: Rng) -> None:
    frame, half, height = wood(rng), rng.uniform(0.35, 0.6), rng.uniform(1.2, 2.1)
    b.box(pose, (0, 0.13, height / 2), (half, 0.02, height / 2), frame)
    for side in (-1, 1):
        b.box(pose, (side * half, 0, height / 2), (0.015, 0.15, height / 2), frame)
    shelves = round(height / 0.34)
    for level in range(shelves + 1):
        z = 0.03 + level * (height - 0.05) / shelves
        b.box(pose, (0, 0, z), (half, 0.15, 0.012), frame)
        fill = rng.uniform(0.3, 0.95) * half
        if level < shelves and rng.random() < 0.85:
            spines = Material(Texture.BOOKS, WHITE, 0.66, 0.1, 20, 0, (float(rng.random()), -pose.z - z))
            b.box(pose, (fill - half + 0.02, 0.02, z + 0.13), (fill, 0.1, 0.12), spines)


def cupboard(b: Builder, pose: Pose, rng: Rng, half: float, depth: float, height: float) -> None:
    """A wardrobe, cabinet or refrigerator: a body with doors, gaps between them and handles."""
    front = wood(rng) if rng.random() < 0.5 else paint(rng, 0.3)
    b.box(pose, (0, 0, height / 2), (half, depth, height / 2), front)
    doors = max(1, round(half / 0.28))
    for n in range(doors):
        x = (n - (doors - 1) / 2) * 2 * half / doors
        b.box(pose, (x, -depth - 0.008, height / 2), (half / doors - 0.006, 0.01, height / 2 - 0.03), front)
        b.box(pose, (x + half / doors * 0.8, -depth - 0.03, height * 0.55), (0.008, 0.012, 0.07), metal(rng))


def desk(b: Builder, pose: Pose, rng: Rng) -> None:
    """A desk with a screen, a keyboard and things on it; the sitter's side is -y."""
    half = rng.uniform(0.6, 0.9)
    table(b, pose, rng, half, 0.38, 0.74)
    glow = Material(Texture.ART, (0.9, 0.95, 1.0), 0.9, 0.3, 80, rng.choice((0.0, 1.2)), offset(rng))
    b.box(pose, (0, 0.17, 1.0), (0.3, 0.02, 0.18), DARK)
    b.box(pose, (0, 0.15, 1.0), (0.285, 0.003, 0.165), glow)
    b.frustum(pose, (0, 0.2, 0.8), 0.03, 0.06, DARK)
    b.box(pose, (0, -0.12, 0.75), (0.21, 0.07, 0.01), DARK)
    clutter(b, pose.at(0, 0, 0.74), rng, half - 0.12, 0.3, int(rng.integers(1, 4)))
    if rng.random() < 0.6:
        cupboard(b, pose.at(half - 0.25, 0, 0), rng, 0.2, 0.3, 0.6)


def tv_stand(b: Builder, pose: Pose, rng: Rng) -> None:
    cupboard(b, pose, rng, rng.uniform(0.6, 0.9), 0.2, 0.45)
    b.box(pose, (0, 0.05, 0.88), (0.56, 0.025, 0.33), DARK)
    b.box(pose, (0, 0.02, 0.88), (0.54, 0.005, 0.31), Material(Texture.PLASTER, (0.015,) * 3, 2, 0.6, 150))
    b.box(pose, (0, 0.05, 0.5), (0.15, 0.1, 0.05), DARK)


def floor_lamp(b: Builder, pose: Pose, rng: Rng) -> None:
    height = rng.uniform(1.4, 1.8)
    b.frustum(pose, (0, 0, 0.015), 0.14, 0.015, DARK)
    b.frustum(pose, (0, 0, height / 2), 0.012, height / 2, metal(rng))
    shade = Material(Texture.FABRIC, (0.95, 0.85, 0.65), 1, 0, 5, rng.choice((0.0, 1.5)))
    b.frustum(pose, (0, 0, height), 0.2, 0.14, shade, top=0.7)


def rack(b: Builder, pose: Pose, rng: Rng, half: float, height: float, goods: int) -> None:
    """A shop or warehouse rack along x, loaded with boxes."""
    frame = Material(Texture.PLASTER, colour(rng, 0.9, 0.2, 0.7), 1, 0.4, 40)
    for x in (-half, half):
        for y in (-0.38, 0.38):
            b.box(pose, (x, y, height / 2), (0.03, 0.03, height / 2), frame)
    levels = max(2, round(height / 0.8))
    for level in range(levels):
        z = 0.1 + level * height / levels
        b.box(pose, (0, 0, z), (half, 0.4, 0.025), frame)
        x = -half + 0.1
        for _ in range(goods):
            w, h = rng.uniform(0.15, 0.4), rng.uniform(0.12, 0.36) * height / levels
            if x + 2 * w > half:
                break
            tint = (0.55, 0.4, 0.26) if rng.random() < 0.5 else colour(rng, 0.9, 0.2, 0.8)
            box = Material(Texture.PLASTER, tint, 1.2, 0.1, 20, 0, offset(rng))
            b.box(pose, (x + w, rng.uniform(-0.08, 0.08), z + 0.025 + h), (w * 0.95, 0.3, h), box)
            x += 2 * w + rng.uniform(0, 0.15)


def person(b: Builder, pose: Pose, rng: Rng) -> None:
    """A standing or walking figure, 1.5 to 1.95 m tall."""
    s = rng.uniform(1.5, 1.95) / 1.75
    skin_tone = rng.uniform(0.15, 0.7)
    skin = Material(Texture.PLASTER, (skin_tone, skin_tone * 0.72, skin_tone * 0.58), 1, 0.1, 15)
    hair = Material(Texture.BARK, colour(rng, 0.6, 0.1, 0.8), 0.2)
    shirt, trousers = cloth(rng), cloth(rng)
    stride = rng.uniform(0, 0.16)
    for side in (-1, 1):
        swing = side * stride * s
        b.frustum(pose, (side * 0.09 * s, swing / 2, 0.66 * s), 0.085 * s, 0.24 * s, trousers, top=1.12)
        b.frustum(pose, (side * 0.09 * s, swing, 0.25 * s), 0.06 * s, 0.21 * s, trousers, top=1.35)
        b.box(pose, (side * 0.09 * s, swing - 0.05 * s, 0.04 * s), (0.045 * s, 0.13 * s, 0.04 * s), DARK)
        b.frustum(pose, (side * 0.24 * s, -swing / 3, 1.22 * s), 0.045 * s, 0.2 * s, shirt, top=1.25)
        b.frustum(pose, (side * 0.25 * s, -swing * 0.7, 0.93 * s), 0.035 * s, 0.14 * s, skin, top=1.2)
    b.taper(pose, (0, 0, 1.18 * s), (0.16 * s, 0.1 * s, 0.28 * s), shirt, (1.2, 1.1))
    b.ellipsoid(pose, (0, 0, 1.4 * s), (0.22 * s, 0.12 * s, 0.1 * s), shirt)
    b.frustum(pose, (0, 0, 1.5 * s), 0.05 * s, 0.06 * s, skin)
    b.ellipsoid(pose, (0, -0.01 * s, 1.63 * s), (0.08 * s, 0.1 * s, 0.12 * s), skin)
    b.ellipsoid(pose, (0, 0.025 * s, 1.67 * s), (0.088 * s, 0.1 * s, 0.105 * s), hair)


def tree(b: Builder, pose: Pose, rng: Rng) -> None:
    """A broad-leaved tree or a conifer, 4 to 14 m tall."""
    height = rng.uniform(4, 11)
    bark = Material(Texture.BARK, WHITE, 0.8, 0, 5, 0, offset(rng))
    season = rng.uniform(0.7, 1.3), rng.uniform(0.8, 1.2)
    leaf = Material(Texture.LEAVES, (season[0], season[1], 0.8), rng.uniform(1.4, 2.4), 0, 5, 0, offset(rng))
    trunk = 0.02 * height + 0.05
    if rng.random() < 0.25:
        b.frustum(pose, (0, 0, 0.15 * height), trunk, 0.15 * height, bark)
        dark = Material(Texture.LEAVES, (0.45, 0.7, 0.6), 1.6, 0, 5, 0, offset(rng))
        for level in range(5):
            z, r = height * (0.25 + 0.16 * level), height * (0.24 - 0.042 * level)
            b.leaves(pose, (0, 0, z), (r, r, height * 0.12), dark)
        return
    b.frustum(pose, (0, 0, 0.3 * height), trunk, 0.3 * height, bark, top=0.6)
    crown = height * rng.uniform(0.2, 0.3)
    b.leaves(pose, (0, 0, height * 0.72), (crown * 1.2, crown * 1.2, crown), leaf)
    for turn in range(int(rng.integers(4, 7))):
        angle, r = turn * 1.3 + rng.uniform(0, 1), crown * rng.uniform(0.5, 0.85)
        away = crown * rng.uniform(0.6, 1.1)
        place = (away * math.cos(angle), away * math.sin(angle), height * rng.uniform(0.52, 0.92))
        b.leaves(pose, place, (r, r, r * rng.uniform(0.7, 1.0)), leaf)


def bush(b: Builder, pose: Pose, rng: Rng, size: float) -> None:
    leaf = Material(
        Texture.LEAVES, (rng.uniform(0.6, 1.2), 1.0, 0.8), rng.uniform(0.7, 1.2), 0, 5, 0, offset(rng)
    )
    for _ in range(4):
        x, y = rng.uniform(-0.4, 0.4, 2) * size
        r = size * rng.uniform(0.35, 0.6)
        b.leaves(pose, (x, y, r * 0.8), (r, r, r * rng.uniform(0.8, 1.1)), leaf)


def bench(b: Builder, pose: Pose, rng: Rng) -> None:
    slats, iron = wood(rng), metal(rng)
    for n in range(3):
        b.box(pose, (0, -0.16 + 0.15 * n, 0.45), (0.8, 0.06, 0.018), slats)
        b.box(pose, (0, 0.28, 0.58 + 0.12 * n), (0.8, 0.018, 0.045), slats)
    for side in (-0.65, 0.65):
        b.box(pose, (side, 0, 0.22), (0.03, 0.24, 0.22), iron)
        b.box(pose, (side, 0.3, 0.62), (0.025, 0.018, 0.22), iron)


def car(b: Builder, pose: Pose, rng: Rng) -> None:
    """A car 3.8 to 4.8 m long; its nose is at -y."""
    length, width, height = rng.uniform(1.9, 2.4), rng.uniform(0.84, 0.95), rng.uniform(1.4, 1.75)
    body = Material(Texture.PLASTER, colour(rng, rng.choice((0.05, 0.9)), 0.04, 0.75), 3, 0.9, 90)
    glass = Material(Texture.PLASTER, (0.03, 0.04, 0.05), 3, 1.0, 120)
    belt = 0.58 * height
    b.box(pose, (0, 0, 0.2 + belt / 2 - 0.05), (width, length * 0.96, belt / 2 - 0.06), body)
    b.taper(pose, (0, -length * 0.55, belt), (width * 0.98, length * 0.42, 0.13), body, (0.9, 0.75))
    rear = rng.uniform(0.1, 0.35)
    cabin = (0, length * (0.1 + rear / 2), (belt + height) / 2 + 0.03)
    half = (width * 0.95, length * (0.75 - rear), (height - belt) / 2)
    b.taper(pose, cabin, half, glass, (0.78, 0.66))
    b.box(pose, (0, cabin[1], height + 0.02), (width * 0.74, half[1] * 0.64, 0.03), body)
    for side in (-1, 1):
        pillar = (side * width * 0.83, cabin[1] + half[1] * 0.05, cabin[2])
        b.taper(pose, pillar, (0.1, 0.06, half[2]), body, (0.7, 1.0))
        for axle in (-0.62, 0.62):
            spot = (side * (width - 0.1), axle * length, 0.32)
            b.frustum(pose, spot, 0.32, 0.115, RUBBER, lay="x")
            b.frustum(pose, spot, 0.19, 0.12, metal(rng), lay="x")
        front = Material(Texture.PLASTER, (0.9, 0.9, 0.85), 1, 0.8, 60)
        b.box(pose, (side * width * 0.72, -length * 0.965, belt * 0.85), (0.16, 0.02, 0.07), front)
        tail = Material(Texture.PLASTER, (0.6, 0.03, 0.02), 1, 0.6, 60)
        b.box(pose, (side * width * 0.8, length * 0.965, belt * 0.95), (0.1, 0.02, 0.1), tail)
    plate = Material(Texture.PLASTER, (0.8, 0.8, 0.75), 1, 0.2, 20)
    for end in (-1, 1):
        b.box(pose, (0, end * length * 0.97, 0.45), (0.26, 0.012, 0.06), plate)
        b.box(pose, (0, end * length * 0.965, 0.3), (width * 0.95, 0.02, 0.08), DARK)


def lamp_post(b: Builder, pose: Pose, rng: Rng) -> None:
    height, iron = rng.uniform(4, 7), metal(rng)
    b.frustum(pose, (0, 0, height / 2), 0.08, height / 2, iron, top=0.6)
    b.box(pose, (0, -0.5, height), (0.04, 0.55, 0.03), iron)
    b.box(pose, (0, -1.0, height - 0.03), (0.12, 0.25, 0.05), iron)


def bin_(b: Builder, pose: Pose, rng: Rng) -> None:
    b.frustum(pose, (0, 0, 0.45), 0.25, 0.45, paint(rng, 0.4), top=1.15)
    b.frustum(pose, (0, 0, 0.93), 0.3, 0.04, DARK, top=0.8)


def building(b: Builder, pose: Pose, rng: Rng, half_x: float, half_y: float) -> None:
    """A house with storeys of 3 m, its front at -y; 1 to 7 storeys, flat or gabled."""
    storeys = int(rng.integers(2, 8)) if half_x > 4.5 else int(rng.integers(1, 4))
    height = 3.0 * storeys
    style = Texture.FACADE if rng.random() < 0.65 else Texture.OFFICES
    tint = colour(rng, 0.45, 0.35, 0.9)
    wall = Material(style, tint, 12.0, 0.8, 60, 0, (float(rng.uniform(0, 12)), 0.0))
    b.box(pose, (0, 0, height / 2), (half_x, half_y, height / 2), wall)
    trim = Material(Texture.CONCRETE, (1.1, 1.1, 1.1), 2.0)
    b.box(pose, (0, 0, 0.25), (half_x + 0.05, half_y + 0.05, 0.25), trim)
    if storeys <= 3 and rng.random() < 0.7:
        tiles = Material(Texture.ROOF, colour(rng, 0.3, 0.5, 1.1), 3.0)
        b.taper(pose, (0, 0, height + 1.3), (half_x + 0.3, half_y + 0.4, 1.3), tiles, (1.0, 0.0))
    else:
        b.box(pose, (0, 0, height + 0.15), (half_x + 0.2, half_y + 0.2, 0.15), trim)
    door = wood(rng)
    x = rng.uniform(-0.6, 0.6) * half_x
    b.box(pose, (x, -half_y - 0.03, 1.1), (0.7, 0.05, 1.12), trim)
    b.box(pose, (x, -half_y - 0.06, 1.05), (0.55, 0.05, 1.05), door)
    if rng.random() < 0.5:
        awning = Material(Texture.WALLPAPER, colour(rng, 0.9, 0.3, 0.9), 1.5)
        b.box(pose, (-x * 0.7, -half_y - 0.6, 2.6), (1.8, 0.6, 0.05), awning)
        shop = Material(Texture.OFFICES, (1.0, 1.0, 1.0), 9.0, 0.9, 80, 0, offset(rng))
        b.box(pose, (-x * 0.7, -half_y - 0.02, 1.3), (1.7, 0.04, 1.2), shop)
