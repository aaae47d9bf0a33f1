"""Solids, camera and light as arrays, and compiled ray intersection with the solids.

Lengths are metres, z points up. A solid is a unit shape (a cube or ball of half extent 1, or a cone cut at
z = -1 and z = 1) that is scaled, turned and moved.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

BOX, ELLIPSOID, FRUSTUM, TAPER, LEAVES = range(5)
TEXTURE_SIZE = 256
MIP_LEVELS = 7
MISS = 1e30
NO_SURFACE = -1
_EPSILON = 1e-3

# Columns of the table that the kernels read: one row per solid, so that testing it touches few cache lines.
# (A tuple of arrays costs far more: Numba counts references for each of them on every call.)
KIND, CENTRE, TO_UNIT, SHAPE, RADIUS, CASTS, AXES, HALF = 0, 1, 4, 13, 15, 16, 17, 26
TINT, TEXTURE, MAPPING, FINISH = 29, 32, 33, 36
# Offsets in the flattened View and Light.
ORIGIN, RIGHT, DOWN, FORWARD, FOCAL = 0, 3, 6, 9, 12
POSITION, SPREAD_U, SPREAD_V, COLOUR, IS_SUN = 0, 3, 6, 9, 12
ABOVE, BELOW, ZENITH, HORIZON, CLOUDS, HAZE, REACH = 13, 16, 19, 22, 25, 26, 27


class Primitives(NamedTuple):
    """P solids, each the image of a unit shape under scaling by ``half`` and rotation by ``axes``."""

    kind: NDArray[np.int64]  # (P,)
    centre: NDArray[np.float64]  # (P, 3)
    axes: NDArray[np.float64]  # (P, 3, 3), rows are the solid's axes in the world
    half: NDArray[np.float64]  # (P, 3), half extents along the axes
    shape: NDArray[np.float64]  # (P, 2), FRUSTUM: top radius over base radius; TAPER: top x and y over base
    tint: NDArray[np.float64]  # (P, 3), multiplies the texture
    texture: NDArray[np.int64]  # (P,)
    mapping: NDArray[np.float64]  # (P, 3), metres per texture period, offsets in u and v
    finish: NDArray[np.float64]  # (P, 3), reflectance of the gloss, Phong exponent, emission
    casts: NDArray[np.bool_]  # (P,), whether it throws shadows


class View(NamedTuple):
    """A pinhole camera; ``focal`` is in pixels of the rendered image."""

    origin: NDArray[np.float64]  # (3,)
    right: NDArray[np.float64]
    down: NDArray[np.float64]
    forward: NDArray[np.float64]
    focal: float


class Light(NamedTuple):
    """One shadowed light (lamp, window or sun) above a hemispherical ambient term, and the air."""

    position: NDArray[np.float64]  # (3,), for the sun: a unit direction towards it
    spread_u: NDArray[np.float64]  # (3,), half extents of the light's area
    spread_v: NDArray[np.float64]
    colour: NDArray[np.float64]
    is_sun: bool
    above: NDArray[np.float64]  # ambient light from above and from below
    below: NDArray[np.float64]
    zenith: NDArray[np.float64]
    horizon: NDArray[np.float64]
    clouds: float  # 0..1
    haze: float  # extinction per metre
    reach: float  # metres over which ambient light is occluded


def table_of(p: Primitives, origin: NDArray[np.float64]) -> NDArray[np.float64]:
    """One row per solid, nearest first, so that rays soon know how far they need to look."""
    to_unit = p.axes / p.half[:, :, None]
    is_round = np.isin(p.kind, (ELLIPSOID, LEAVES))
    radius = np.where(is_round, p.half.max(axis=1), np.linalg.norm(p.half, axis=1))
    columns = (
        p.kind, p.centre, to_unit.reshape(-1, 9), p.shape, radius, p.casts, p.axes.reshape(-1, 9), p.half,
        p.tint, p.texture, p.mapping, p.finish,
    )  # fmt: skip
    nearest_first = np.argsort(np.linalg.norm(p.centre - origin, axis=1) - radius, kind="stable")
    return np.column_stack(columns).astype(np.float64)[nearest_first]


def kernel(function: Callable[..., Any], inline: str = "never") -> Any:
    """Compile with Numba for use from several threads; arrays are passed in, never allocated.

    There is no on-disk cache: it would not notice changes of a callee in another file, needs a writable
    place beside the package, and saves seconds on what is done once per machine.
    """
    return numba.njit(
        nogil=True,
        error_model="numpy",
        fastmath={"contract", "arcp", "nsz", "reassoc"},
        inline=inline,
        _nrt=False,  # counting references to arrays on every call took a third of the time
    )(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Like `kernel`, but copied into its callers before compilation."""
    return kernel(function, inline="always")


@inlined
def dot(p, i, column, x, y, z):
    return p[i, column] * x + p[i, column + 1] * y + p[i, column + 2] * z


@kernel
def _leaf_at(textures, p, i, x, y, z):
    """Whether a point of a LEAVES shell, in unit coordinates, shows a leaf rather than a gap."""
    u, v = x * p[i, HALF], z * p[i, HALF + 2]
    if abs(x) > abs(y) and abs(x) > abs(z):
        u = y * p[i, HALF + 1]
    elif abs(z) > abs(y):
        v = y * p[i, HALF + 1]
    scale = TEXTURE_SIZE / p[i, MAPPING]
    column = math.floor((u + p[i, MAPPING + 1]) * scale) & (TEXTURE_SIZE - 1)
    row = math.floor((v + p[i, MAPPING + 2]) * scale) & (TEXTURE_SIZE - 1)
    return textures[int(p[i, TEXTURE]), row * TEXTURE_SIZE + column, 3] > 127


@kernel
def _planes(ax, ay, az, bx, by, bz, kx, ky):
    """Entry into the six planes of a unit box whose sides lean in by ``kx`` and ``ky`` at the top."""
    near, far = -MISS, MISS
    sx, sy = 0.5 * (1.0 - kx), 0.5 * (1.0 - ky)
    for side in range(6):
        sign = 1.0 if side % 2 == 0 else -1.0
        if side < 2:
            gap, speed = 1.0 - sign * az, sign * bz
        elif side < 4:
            gap, speed = 1.0 - sx - sign * ax - sx * az, sign * bx + sx * bz
        else:
            gap, speed = 1.0 - sy - sign * ay - sy * az, sign * by + sy * bz
        if abs(speed) < 1e-12:
            if gap < 0.0:
                return MISS
        elif speed < 0.0:
            near = max(near, gap / speed)
        else:
            far = min(far, gap / speed)
    return near if near < far and near > _EPSILON else MISS


@kernel
def _slabs(ax, ay, az, bx, by, bz):
    ix = 1.0 / bx if abs(bx) > 1e-12 else 1e12
    iy = 1.0 / by if abs(by) > 1e-12 else 1e12
    iz = 1.0 / bz if abs(bz) > 1e-12 else 1e12
    ux, uy, uz = abs(ix), abs(iy), abs(iz)
    near = max(-ax * ix - ux, -ay * iy - uy, -az * iz - uz)
    far = min(-ax * ix + ux, -ay * iy + uy, -az * iz + uz)
    return near if near < far and near > _EPSILON else MISS


@kernel
def _frustum(ax, ay, az, bx, by, bz, k):
    """Entry into a capped cone of radius 1 at z = -1 and ``k`` at z = +1."""
    slope, middle = 0.5 * (k - 1.0), 0.5 * (k + 1.0)
    radius = middle + slope * az
    a = bx * bx + by * by - slope * slope * bz * bz
    b = ax * bx + ay * by - radius * slope * bz
    c = ax * ax + ay * ay - radius * radius
    best = MISS
    root = b * b - a * c
    if root > 0.0 and abs(a) > 1e-12:
        root = math.sqrt(root)
        for sign in (-1.0, 1.0):
            t = (-b + sign * root) / a
            z = az + t * bz
            if _EPSILON < t < best and -1.0 < z < 1.0 and middle + slope * z >= 0.0:
                best = t
    if abs(bz) > 1e-12:
        cap = -1.0 if bz > 0.0 else 1.0
        t = (cap - az) / bz
        x, y, limit = ax + t * bx, ay + t * by, middle + slope * cap
        if _EPSILON < t < best and x * x + y * y < limit * limit:
            best = t
    return best


@inlined
def _intersect(p, textures, i, ox, oy, oz, dx, dy, dz):
    """Ray parameter at which a ray from outside enters solid ``i``, or MISS."""
    x, y, z = ox - p[i, CENTRE], oy - p[i, CENTRE + 1], oz - p[i, CENTRE + 2]
    ax, ay, az = (
        dot(p, i, TO_UNIT + 0, x, y, z),
        dot(p, i, TO_UNIT + 3, x, y, z),
        dot(p, i, TO_UNIT + 6, x, y, z),
    )
    bx, by, bz = (
        dot(p, i, TO_UNIT + 0, dx, dy, dz),
        dot(p, i, TO_UNIT + 3, dx, dy, dz),
        dot(p, i, TO_UNIT + 6, dx, dy, dz),
    )
    kind = p[i, KIND]
    if kind == BOX:
        return _slabs(ax, ay, az, bx, by, bz)
    if kind == FRUSTUM:
        return _frustum(ax, ay, az, bx, by, bz, p[i, SHAPE])
    if kind == TAPER:
        return _planes(ax, ay, az, bx, by, bz, p[i, SHAPE], p[i, SHAPE + 1])
    a, b, c = bx * bx + by * by + bz * bz, ax * bx + ay * by + az * bz, ax * ax + ay * ay + az * az - 1.0
    root = b * b - a * c
    if root <= 0.0:
        return MISS
    root = math.sqrt(root)
    t = (-b - root) / a
    if kind == ELLIPSOID:
        return t if t > _EPSILON else MISS
    if t > _EPSILON and _leaf_at(textures, p, i, ax + t * bx, ay + t * by, az + t * bz):
        return t
    t = (-b + root) / a
    if t > _EPSILON and _leaf_at(textures, p, i, ax + t * bx, ay + t * by, az + t * bz):
        return t
    return MISS


@kernel
def surface(p, i, px, py, pz):
    """Outward unit normal at a point of solid ``i``, and the number of its smooth face."""
    x, y, z = px - p[i, CENTRE], py - p[i, CENTRE + 1], pz - p[i, CENTRE + 2]
    ax, ay, az = (
        dot(p, i, TO_UNIT + 0, x, y, z),
        dot(p, i, TO_UNIT + 3, x, y, z),
        dot(p, i, TO_UNIT + 6, x, y, z),
    )
    kind, face = p[i, KIND], 0
    nx, ny, nz = ax, ay, az
    if kind in (BOX, TAPER):
        sx, sy = (0.5 * (1.0 - p[i, SHAPE]), 0.5 * (1.0 - p[i, SHAPE + 1])) if kind == TAPER else (0.0, 0.0)
        wx, wy = abs(ax) + sx * az + sx, abs(ay) + sy * az + sy
        nx, ny, nz = 0.0, 0.0, 0.0
        if wx >= wy and wx >= abs(az):
            nx, nz, face = math.copysign(1.0, ax), sx, (0 if ax > 0.0 else 1)
        elif wy >= abs(az):
            ny, nz, face = math.copysign(1.0, ay), sy, (2 if ay > 0.0 else 3)
        else:
            nz, face = math.copysign(1.0, az), (4 if az > 0.0 else 5)
    elif kind == FRUSTUM:
        slope = 0.5 * (p[i, SHAPE] - 1.0)
        radius = 0.5 * (p[i, SHAPE] + 1.0) + slope * az
        if abs(az) > 0.9999 and ax * ax + ay * ay < radius * radius * 0.9998:
            nx, ny, nz, face = 0.0, 0.0, math.copysign(1.0, az), 1
        else:
            nz = -slope * radius
    mx = nx * p[i, TO_UNIT + 0] + ny * p[i, TO_UNIT + 3] + nz * p[i, TO_UNIT + 6]
    my = nx * p[i, TO_UNIT + 1] + ny * p[i, TO_UNIT + 4] + nz * p[i, TO_UNIT + 7]
    mz = nx * p[i, TO_UNIT + 2] + ny * p[i, TO_UNIT + 5] + nz * p[i, TO_UNIT + 8]
    length = math.sqrt(mx * mx + my * my + mz * mz) + 1e-12
    return mx / length, my / length, mz / length, face


@inlined
def _passes_by(p, i, ox, oy, oz, dx, dy, dz, square, reach):
    """Whether a ray misses the bounding ball of solid ``i`` before ``reach``; ``square`` is |d|^2."""
    x, y, z = p[i, CENTRE] - ox, p[i, CENTRE + 1] - oy, p[i, CENTRE + 2] - oz
    along, away = x * dx + y * dy + z * dz, x * x + y * y + z * z
    radius2 = p[i, RADIUS] * p[i, RADIUS]
    if away <= radius2:
        return False
    if along <= 0.0 or away * square - along * along > radius2 * square:
        return True
    beyond = along - reach * square
    return beyond > 0.0 and beyond * beyond > radius2 * square


@kernel
def closest(p, textures, found, count, o, d):
    best, winner = MISS, NO_SURFACE
    ox, oy, oz, dx, dy, dz = o[0], o[1], o[2], d[0], d[1], d[2]
    square = dx * dx + dy * dy + dz * dz
    for j in range(count):
        i = found[j]
        if not _passes_by(p, i, ox, oy, oz, dx, dy, dz, square, best):
            t = _intersect(p, textures, i, ox, oy, oz, dx, dy, dz)
            if t < best:
                best, winner = t, i
    return best, winner


@kernel
def blocked(p, textures, found, count, ox, oy, oz, dx, dy, dz, reach):
    """Ray parameter of some hit before ``reach``, or MISS."""
    square, result = dx * dx + dy * dy + dz * dz, MISS
    for j in range(count):
        i = found[j]
        if not _passes_by(p, i, ox, oy, oz, dx, dy, dz, square, reach):
            t = _intersect(p, textures, i, ox, oy, oz, dx, dy, dz)
            if t < reach:
                result = t
                break
    return result
