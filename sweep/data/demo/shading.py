"""Compiled shading: mip-mapped textures, diffuse and glossy reflection, the sky and the air."""

# mypy: allow-untyped-defs, allow-untyped-calls

import math

from sweep.data.demo.solids import (
    ABOVE,
    AXES,
    BELOW,
    CENTRE,
    CLOUDS,
    COLOUR,
    FINISH,
    FRUSTUM,
    HALF,
    HAZE,
    HORIZON,
    IS_SUN,
    KIND,
    LEAVES,
    MAPPING,
    MIP_LEVELS,
    POSITION,
    TEXTURE,
    TEXTURE_SIZE,
    TINT,
    TO_UNIT,
    ZENITH,
    dot,
    kernel,
)


@kernel
def _sample(textures, texture, u, v, footprint, out):
    """Bilinear sample of a mip level into ``out`` (linear RGB, gloss); u, v and footprint are in periods."""
    start, size = 0, TEXTURE_SIZE
    while footprint * size > 1.414 and size > TEXTURE_SIZE >> (MIP_LEVELS - 1):
        start += size * size
        size //= 2
    x, y = u * size - 0.5, v * size - 0.5
    x0, y0 = math.floor(x), math.floor(y)
    fx, fy = x - x0, y - y0
    mask = size - 1
    c0, r0 = int(x0) & mask, int(y0) & mask
    c1, r1 = (c0 + 1) & mask, (r0 + 1) & mask
    i00, i01 = start + r0 * size + c0, start + r0 * size + c1
    i10, i11 = start + r1 * size + c0, start + r1 * size + c1
    for k in range(4):
        top = textures[texture, i00, k] * (1.0 - fx) + textures[texture, i01, k] * fx
        low = textures[texture, i10, k] * (1.0 - fx) + textures[texture, i11, k] * fx
        value = (top * (1.0 - fy) + low * fy) / 255.0
        out[k] = value * value if k < 3 else value


@kernel
def sky(textures, light, dx, dy, dz, out, texel):
    """Radiance of the sky in a unit direction; texture 0 holds the clouds' density."""
    up = max(dz, 0.0)
    blend = math.sqrt(up)
    for k in range(3):
        out[k] = light[HORIZON + k] + (light[ZENITH + k] - light[HORIZON + k]) * blend
    if light[IS_SUN] != 0.0:
        towards = dx * light[POSITION] + dy * light[POSITION + 1] + dz * light[POSITION + 2]
        glow = 0.6 * max(towards, 0.0) ** 24 * (1.0 - 0.8 * light[CLOUDS])
        for k in range(3):
            out[k] += glow * light[COLOUR + k] * 0.3
    if up > 0.01:
        _sample(textures, 0, 0.2 * dx / (up + 0.1), 0.2 * dy / (up + 0.1), 0.004, texel)
        cover = min(max((texel[0] - 1.0 + light[CLOUDS]) * 2.5, 0.0), 1.0) * min(up * 6.0, 1.0)
        for k in range(3):
            white = (
                light[HORIZON + k] * 0.5
                + 0.5 * (light[HORIZON] + light[HORIZON + 1] + light[HORIZON + 2]) / 3.0
            )
            out[k] += cover * (white * (1.05 - 0.25 * texel[1]) - out[k])


@kernel
def _coordinates(p, i, px, py, pz, nx, ny, nz):
    """Texture coordinates in metres: along the axis for frusta, else across the face that the normal favours."""
    ux, uy, uz = (
        dot(p, i, AXES, px, py, pz),
        dot(p, i, AXES + 3, px, py, pz),
        dot(p, i, AXES + 6, px, py, pz),
    )
    wx, wy, wz = (
        abs(dot(p, i, AXES, nx, ny, nz)),
        abs(dot(p, i, AXES + 3, nx, ny, nz)),
        abs(dot(p, i, AXES + 6, nx, ny, nz)),
    )
    kind = p[i, KIND]
    if kind == LEAVES:  # the same coordinates as _leaf_at
        ux -= dot(p, i, AXES, p[i, CENTRE], p[i, CENTRE + 1], p[i, CENTRE + 2])
        uy -= dot(p, i, AXES + 3, p[i, CENTRE], p[i, CENTRE + 1], p[i, CENTRE + 2])
        uz -= dot(p, i, AXES + 6, p[i, CENTRE], p[i, CENTRE + 1], p[i, CENTRE + 2])
        wx, wy, wz = abs(ux) / p[i, HALF], abs(uy) / p[i, HALF + 1], abs(uz) / p[i, HALF + 2]
    if kind == FRUSTUM and wz < 0.9:
        x, y, z = px - p[i, CENTRE], py - p[i, CENTRE + 1], pz - p[i, CENTRE + 2]
        angle = math.atan2(dot(p, i, TO_UNIT + 3, x, y, z), dot(p, i, TO_UNIT, x, y, z))
        return angle * p[i, HALF], uz
    if wx >= wy and wx >= wz:
        return uy, uz
    if wy >= wz:
        return ux, uz
    return ux, uy


@kernel
def shade(p, textures, light, i, o, d, t, normal, pixel, lit, open_, out, texel):
    """Radiance from a hit towards the camera; ``lit`` and ``open_`` tell how much light and sky it sees."""
    length = math.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    px, py, pz = o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2]
    nx, ny, nz = normal
    facing = -(nx * d[0] + ny * d[1] + nz * d[2]) / length
    kind = p[i, KIND]
    u, v = _coordinates(p, i, px, py, pz, nx, ny, nz)
    period = p[i, MAPPING]
    footprint = t * pixel / math.sqrt(max(facing, 0.02)) / period
    _sample(
        textures,
        int(p[i, TEXTURE]),
        (u + p[i, MAPPING + 1]) / period,
        (v + p[i, MAPPING + 2]) / period,
        footprint,
        texel,
    )

    lx, ly, lz = light[POSITION], light[POSITION + 1], light[POSITION + 2]
    strength = 1.0
    if light[IS_SUN] == 0.0:
        lx, ly, lz = lx - px, ly - py, lz - pz
        distance2 = lx * lx + ly * ly + lz * lz
        distance = math.sqrt(distance2) + 1e-9
        lx, ly, lz = lx / distance, ly / distance, lz / distance
        strength = 4.0 / (distance2 + 1.0)
    cosine = nx * lx + ny * ly + nz * lz
    if kind == LEAVES:
        cosine = 0.35 + 0.65 * abs(cosine)
    diffuse = max(cosine, 0.0) * strength * lit
    # Phong gloss on the mirrored view ray, and a weak reflection of the sky that grows at grazing angles.
    rx, ry, rz = (
        d[0] / length + 2.0 * facing * nx,
        d[1] / length + 2.0 * facing * ny,
        d[2] / length + 2.0 * facing * nz,
    )
    gloss = p[i, FINISH] * texel[3] if kind != LEAVES else 0.02
    mirror = gloss * (0.25 + 0.75 * (1.0 - facing) ** 4)
    along = rx * lx + ry * ly + rz * lz
    highlight = 0.0
    if gloss * lit > 0.004 and along > 0.7:  # below, the power is next to nothing
        exponent = p[i, FINISH + 1]
        highlight = gloss * along**exponent * strength * lit * (1.0 + 0.1 * exponent)
    tilt = 0.5 + 0.5 * nz
    seen = 0.5 + 0.5 * rz
    fog = math.exp(-light[HAZE] * t * length) if light[HAZE] > 0.0 else 1.0
    for k in range(3):
        ambient = (light[BELOW + k] + (light[ABOVE + k] - light[BELOW + k]) * tilt) * open_
        albedo = texel[k] * p[i, TINT + k]
        around = (light[BELOW + k] + (light[ABOVE + k] - light[BELOW + k]) * seen) * open_
        value = albedo * (light[COLOUR + k] * diffuse + ambient) * (1.0 - mirror) + mirror * around
        value += highlight * light[COLOUR + k] * 0.3 + p[i, FINISH + 2] * albedo
        out[k] = value * fog + light[HORIZON + k] * 0.9 * (1.0 - fog)
