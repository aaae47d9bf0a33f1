"""The ray caster of the demo data: closest hits in tiles, soft shadows and ambient occlusion.

Camera rays are scaled so that the ray parameter ``t`` is the depth along the optical axis, which is what a
stereo camera reports. Soft light is sampled by interleaving (Keller and Heidrich 2001): each pixel of a 4x4
pattern takes one of 16 samples, and shading averages the 4x4 pixels around it that show the same surface.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

import math

import numpy as np
from numpy.typing import NDArray

from sweep.data.demo.shading import shade, sky
from sweep.data.demo.solids import (
    AXES,
    CASTS,
    CENTRE,
    DOWN,
    FOCAL,
    FORWARD,
    HALF,
    IS_SUN,
    KIND,
    LEAVES,
    MISS,
    NO_SURFACE,
    ORIGIN,
    POSITION,
    RADIUS,
    REACH,
    RIGHT,
    SPREAD_U,
    SPREAD_V,
    Light,
    Primitives,
    View,
    blocked,
    closest,
    dot,
    kernel,
    surface,
    table_of,
)

_TILE = 8
_SUN_REACH = 80.0
# The 4x4 interleaving pattern: on one colour of a checkerboard, slots 0-7 hold cosine-weighted directions
# around the normal (a Vogel spiral); on the other, slots 8-15 hold places on the light's area, in -1..1.
_SLOTS = np.array([0, 10, 5, 15, 13, 7, 8, 2, 6, 12, 3, 9, 11, 1, 14, 4])
_AWAY = np.sqrt((np.arange(8) + 0.5) / 8)
_TURN = np.pi * (3 - np.sqrt(5)) * np.arange(8)
_HEMISPHERE = np.stack((_AWAY * np.cos(_TURN), _AWAY * np.sin(_TURN), np.sqrt(1 - _AWAY**2)), axis=1)
_AREA = np.stack((np.arange(8) - 3.5, (5 * np.arange(8)) % 8 - 3.5), axis=1) / 4  # one in each row and column
# The three samples of an edge pixel.
_GRID = np.array([[0.5, 0.5], [0.17, 0.33], [0.83, 0.67]])


@kernel
def _cull_frustum(p, view, height, width, row, column, found, normal):
    """Write the solids that may show in a tile to ``found`` and return their number."""
    f = view[FOCAL]
    x0, x1 = (column - 0.5 * width - 0.5) / f, (column + _TILE - 0.5 * width + 0.5) / f
    y0, y1 = (row - 0.5 * height - 0.5) / f, (row + _TILE - 0.5 * height + 0.5) / f
    for k in range(3):  # inward planes: left, right, top, bottom, front
        normal[0, k] = view[RIGHT + k] - x0 * view[FORWARD + k]
        normal[1, k] = -view[RIGHT + k] + x1 * view[FORWARD + k]
        normal[2, k] = view[DOWN + k] - y0 * view[FORWARD + k]
        normal[3, k] = -view[DOWN + k] + y1 * view[FORWARD + k]
        normal[4, k] = view[FORWARD + k]
    count = 0
    for i in range(p.shape[0]):
        x, y, z = (
            p[i, CENTRE] - view[ORIGIN],
            p[i, CENTRE + 1] - view[ORIGIN + 1],
            p[i, CENTRE + 2] - view[ORIGIN + 2],
        )
        inside = True
        for side in range(5):
            nx, ny, nz = normal[side, 0], normal[side, 1], normal[side, 2]
            extent = 0.0
            for axis in range(3):
                extent += abs(dot(p, i, AXES + 3 * axis, nx, ny, nz)) * p[i, HALF + axis]
            if nx * x + ny * y + nz * z < -extent:
                inside = False
                break
        if inside:
            found[count] = i
            count += 1
    return count


@kernel
def _cull_shaft(p, c, r, widening, ex, ey, ez, found):
    """Write the shadow casters near the segment from ``c`` along (ex, ey, ez) to ``found``.

    The shaft around the segment has the radius ``r`` at its start and ``r + widening`` at its end.
    """
    length2 = ex * ex + ey * ey + ez * ez + 1e-12
    length = math.sqrt(length2)
    count = 0
    for i in range(p.shape[0]):
        if p[i, CASTS] == 0.0:
            continue
        x, y, z = p[i, CENTRE] - c[0], p[i, CENTRE + 1] - c[1], p[i, CENTRE + 2] - c[2]
        s = min(max((x * ex + y * ey + z * ez) / length2, 0.0), 1.0)
        wide = r + widening * min(1.0, s + (p[i, RADIUS] + r) / length)
        sx, sy, sz = x - s * ex, y - s * ey, z - s * ez
        near = sx * sx + sy * sy + sz * sz < (p[i, RADIUS] + wide) ** 2
        if near:  # the ball is loose around long solids: compare extents along the solid's axes too
            for axis in range(3):
                centre = dot(p, i, AXES + 3 * axis, x, y, z)
                end = dot(p, i, AXES + 3 * axis, ex, ey, ez)
                reach = p[i, HALF + axis] + wide
                if centre + reach < min(end, 0.0) or centre - reach > max(end, 0.0):
                    near = False
                    break
        if near:
            found[count] = i
            count += 1
    return count


@kernel
def _aim(view, height, width, row, column, d):
    x, y = (column - 0.5 * width) / view[FOCAL], (row - 0.5 * height) / view[FOCAL]
    for k in range(3):
        d[k] = view[FORWARD + k] + x * view[RIGHT + k] + y * view[DOWN + k]


@kernel
def _trace_tile(p, textures, view, rows, columns, row, column, found, depth, key, normal, scratch):
    """Closest hits of one tile: depth along the axis, ``8 * solid + face`` and normal per pixel."""
    count = _cull_frustum(p, view, rows, columns, row, column, found, scratch)
    d = scratch[6]
    for r in range(row, min(row + _TILE, rows)):
        for c in range(column, min(column + _TILE, columns)):
            _aim(view, rows, columns, r + 0.5, c + 0.5, d)
            t, i = closest(p, textures, found, count, view, d)
            depth[r, c], key[r, c] = t, NO_SURFACE
            if i >= 0:
                x, y, z = view[ORIGIN] + t * d[0], view[ORIGIN + 1] + t * d[1], view[ORIGIN + 2] + t * d[2]
                nx, ny, nz, face = surface(p, i, x, y, z)
                if nx * d[0] + ny * d[1] + nz * d[2] > 0.0:  # the inside of a shell of leaves
                    nx, ny, nz = -nx, -ny, -nz
                key[r, c] = 8 * i + face
                normal[r, c, 0], normal[r, c, 1], normal[r, c, 2] = nx, ny, nz


@kernel
def _tile_ball(view, rows, columns, row, column, depth, key, ball, low, high, d):
    """Bounding ball (x, y, z, radius) of a tile's hits; a negative radius when there are none."""
    low[:3], high[:3] = MISS, -MISS
    for r in range(row, min(row + _TILE, rows)):
        for c in range(column, min(column + _TILE, columns)):
            if key[r, c] >= 0:
                _aim(view, rows, columns, r + 0.5, c + 0.5, d)
                for k in range(3):
                    x = view[ORIGIN + k] + depth[r, c] * d[k]
                    low[k], high[k] = min(low[k], x), max(high[k], x)
    ball[3] = -1.0
    if low[0] <= high[0]:
        square = 0.0
        for k in range(3):
            ball[k] = 0.5 * (low[k] + high[k])
            square += (high[k] - low[k]) ** 2
        ball[3] = 0.5 * math.sqrt(square) + 0.01


@kernel
def _towards_light(light, sample, px, py, pz):
    """Ray from a point to a sample of the light's area, and the parameter at which it arrives."""
    a, b = _AREA[sample, 0], _AREA[sample, 1]
    x = light[POSITION] + a * light[SPREAD_U] + b * light[SPREAD_V]
    y = light[POSITION + 1] + a * light[SPREAD_U + 1] + b * light[SPREAD_V + 1]
    z = light[POSITION + 2] + a * light[SPREAD_U + 2] + b * light[SPREAD_V + 2]
    if light[IS_SUN] != 0.0:
        return x, y, z, _SUN_REACH
    return x - px, y - py, z - pz, 0.999


@kernel
def _around(nx, ny, nz, sample):
    """A sample of the hemisphere around a normal, in the basis of Duff et al. 2017."""
    sign = math.copysign(1.0, nz)
    q = -1.0 / (sign + nz)
    s = nx * ny * q
    x, y, z = _HEMISPHERE[sample, 0], _HEMISPHERE[sample, 1], _HEMISPHERE[sample, 2]
    wx = x * (1.0 + sign * nx * nx * q) + y * s + z * nx
    wy = x * sign * s + y * (sign + ny * ny * q) + z * ny
    return wx, wy, -x * sign * nx - y * ny + z * nz


@kernel
def _light_tile(
    p, textures, view, light, rows, columns, row, column, found, depth, key, normal, lit, open_, scratch
):
    """One interleaved sample per pixel of the light's visibility and of the ambient light's."""
    ball, d = scratch[5], scratch[6]
    _tile_ball(view, rows, columns, row, column, depth, key, ball, scratch[0], scratch[1], d)
    if ball[3] < 0.0:
        return
    far = _SUN_REACH if light[IS_SUN] != 0.0 else 1.0
    ex, ey, ez = far * light[POSITION], far * light[POSITION + 1], far * light[POSITION + 2]
    if light[IS_SUN] == 0.0:
        ex, ey, ez = ex - ball[0], ey - ball[1], ez - ball[2]
    spread = 0.0
    for k in range(3):
        spread += (far * (abs(light[SPREAD_U + k]) + abs(light[SPREAD_V + k]))) ** 2
    casters = _cull_shaft(p, ball, ball[3], math.sqrt(spread), ex, ey, ez, found[0])
    near = _cull_shaft(p, ball, ball[3] + light[REACH], 0.0, 0.0, 0.0, 0.0, found[1])
    for r in range(row, min(row + _TILE, rows)):
        for c in range(column, min(column + _TILE, columns)):
            if key[r, c] < 0:
                continue
            _aim(view, rows, columns, r + 0.5, c + 0.5, d)
            t, i = depth[r, c], key[r, c] // 8
            px, py, pz = view[ORIGIN] + t * d[0], view[ORIGIN + 1] + t * d[1], view[ORIGIN + 2] + t * d[2]
            nx, ny, nz = normal[r, c, 0], normal[r, c, 1], normal[r, c, 2]
            lift = 2e-3 + 4e-4 * t
            px, py, pz = px + lift * nx, py + lift * ny, pz + lift * nz
            slot = _SLOTS[(r & 3) * 4 + (c & 3)]
            lit[r, c], open_[r, c] = -1.0, -1.0
            if slot >= 8:
                lx, ly, lz, limit = _towards_light(light, slot - 8, px, py, pz)
                lit[r, c] = 0.0
                if nx * lx + ny * ly + nz * lz > 0.0 or p[i, KIND] == LEAVES:
                    hit = blocked(p, textures, found[0], casters, px, py, pz, lx, ly, lz, limit)
                    lit[r, c] = 1.0 if hit >= MISS else 0.0
            else:
                wx, wy, wz = _around(nx, ny, nz, slot)
                hit = blocked(p, textures, found[1], near, px, py, pz, wx, wy, wz, light[REACH])
                open_[r, c] = 1.0 if hit >= MISS else 0.15 + 0.75 * hit / light[REACH]


@kernel
def _gather(lit, open_, key, rows, columns, r, c, wanted):
    """Mean visibilities over the 4x4 pixels around (r, c) that show the surface ``wanted``."""
    bright, ambient, lights, skies = 0.0, 0.0, 0, 0
    for y in range(max(r - 2, 0), min(r + 2, rows)):
        for x in range(max(c - 2, 0), min(c + 2, columns)):
            if key[y, x] == wanted:
                if lit[y, x] >= 0.0:
                    bright += lit[y, x]
                    lights += 1
                else:
                    ambient += open_[y, x]
                    skies += 1
    return bright / lights if lights > 0 else 0.6, ambient / skies if skies > 0 else 0.7


@kernel
def _is_edge(key, depth, rows, columns, r, c):
    for dr, dc in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        y, x = r + dr, c + dc
        if 0 <= y < rows and 0 <= x < columns:
            if key[y, x] != key[r, c]:
                return True
            if abs(depth[y, x] - depth[r, c]) > 0.2 * depth[r, c]:
                return True
    return False


@kernel
def _shade_tile(
    p,
    textures,
    view,
    light,
    rows,
    columns,
    row,
    column,
    found,
    depth,
    key,
    normal,
    lit,
    open_,
    image,
    scratch,
):
    """Colours of one tile: one sample at a pixel's centre, three at the edges of surfaces."""
    count = _cull_frustum(p, view, rows, columns, row, column, found, scratch)
    d, colour, texel = scratch[6], scratch[7], scratch[8]
    for r in range(row, min(row + _TILE, rows)):
        for c in range(column, min(column + _TILE, columns)):
            edge = _is_edge(key, depth, rows, columns, r, c)
            samples = 3 if edge else 1
            for k in range(3):
                image[r, c, k] = 0.0
            for n in range(samples):
                _aim(view, rows, columns, r + _GRID[n, 0], c + _GRID[n, 1], d)
                t, i, wanted = depth[r, c], key[r, c] // 8, key[r, c]
                nx, ny, nz = normal[r, c, 0], normal[r, c, 1], normal[r, c, 2]
                if n > 0:
                    t, i = closest(p, textures, found, count, view, d)
                    if i >= 0:
                        x, y, z = (
                            view[ORIGIN] + t * d[0],
                            view[ORIGIN + 1] + t * d[1],
                            view[ORIGIN + 2] + t * d[2],
                        )
                        nx, ny, nz, face = surface(p, i, x, y, z)
                        if nx * d[0] + ny * d[1] + nz * d[2] > 0.0:
                            nx, ny, nz = -nx, -ny, -nz
                        wanted = 8 * i + face
                if i < 0:
                    length = math.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
                    sky(textures, light, d[0] / length, d[1] / length, d[2] / length, colour, texel)
                else:
                    bright, ambient = _gather(lit, open_, key, rows, columns, r, c, wanted)
                    shade(
                        p, textures, light, i, view, d, t, (nx, ny, nz), 1.0 / view[FOCAL], bright, ambient,
                        colour, texel,
                    )  # fmt: skip
                for k in range(3):
                    image[r, c, k] += colour[k] / samples


@kernel
def _trace(p, view, light, textures, found, scratch, key, normal, lit, open_, depth, image):
    rows, columns = depth.shape
    for row in range(0, rows, _TILE):
        for column in range(0, columns, _TILE):
            _trace_tile(p, textures, view, rows, columns, row, column, found[0], depth, key, normal, scratch)
            _light_tile(
                p,
                textures,
                view,
                light,
                rows,
                columns,
                row,
                column,
                found,
                depth,
                key,
                normal,
                lit,
                open_,
                scratch,
            )
    for row in range(0, rows, _TILE):
        for column in range(0, columns, _TILE):
            _shade_tile(
                p, textures, view, light, rows, columns, row, column, found[0],
                depth, key, normal, lit, open_, image, scratch,
            )  # fmt: skip
    for r in range(rows):
        for c in range(columns):
            if key[r, c] < 0:
                depth[r, c] = 0.0


def trace(
    solids: Primitives, view: View, light: Light, textures: NDArray[np.uint8], height: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Render one frame.

    Args:
        textures: (T, texels of all mip levels, 4) uint8, square-root encoded RGB and gloss or opacity.

    Returns:
        (height, width, 3) float32 linear RGB without upper bound, and (height, width) float64 depth along
        the optical axis in metres, at pixel centres without antialiasing, 0 where there is only sky.
    """
    table, frame = table_of(solids, view.origin), (height, width)
    found, scratch = np.empty((2, len(table)), np.int64), np.empty((9, 4))
    key, normal = np.empty(frame, np.int32), np.empty((*frame, 3), np.float32)
    lit, open_ = np.zeros(frame, np.float32), np.zeros(frame, np.float32)
    depth_m, image = np.empty(frame), np.empty((*frame, 3), np.float32)
    shine = np.hstack(light).astype(np.float64)
    _trace(table, np.hstack(view), shine, textures, found, scratch, key, normal, lit, open_, depth_m, image)
    return image, depth_m
