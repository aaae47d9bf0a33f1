"""Tileable procedural textures, with mip levels, for the demo data.

Every texture is a (256, 256, 4) float image in 0..1: linear RGB and a fourth channel, which scales the gloss
(or, for leaves, is their opacity). Row 0 is the bottom of an upright surface. All of them are periodic.
"""

from collections.abc import Callable
from enum import IntEnum, auto

import cv2
import numpy as np
from numpy.typing import NDArray

from sweep.data.demo.solids import MIP_LEVELS, TEXTURE_SIZE

Image = NDArray[np.float64]
Colour = tuple[float, float, float]
_N = TEXTURE_SIZE


class Texture(IntEnum):
    """Names of the textures; the value is the index in the atlas."""

    CLOUDS = 0
    PLASTER = auto()
    BRICK = auto()
    PLANKS = auto()
    WOOD = auto()
    TILES = auto()
    CHECKER = auto()
    CARPET = auto()
    FABRIC = auto()
    WALLPAPER = auto()
    CONCRETE = auto()
    ASPHALT = auto()
    GRASS = auto()
    PAVING = auto()
    LEAVES = auto()
    BARK = auto()
    FACADE = auto()
    OFFICES = auto()
    BOOKS = auto()
    ART = auto()
    GRAVEL = auto()
    ROOF = auto()
    RUG = auto()
    SHUTTER = auto()


def noise(rng: np.random.Generator, slope: float, low: float = 1.0) -> Image:
    """Periodic (256, 256) noise in 0..1 whose amplitude falls as frequency**-slope from ``low`` periods on."""
    fx, fy = np.meshgrid(np.fft.fftfreq(_N) * _N, np.fft.fftfreq(_N) * _N)
    frequency = np.hypot(fx, fy)
    amplitude = np.where(frequency >= low, np.maximum(frequency, 1.0) ** -slope, 0.0)
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((_N, _N))) * amplitude).real
    return np.asarray(np.clip(0.5 + field / (5 * field.std()), 0.0, 1.0))


def _grid() -> tuple[Image, Image]:
    """Row (upwards) and column of each texel's centre, as fractions of the period."""
    axis = (np.arange(_N) + 0.5) / _N
    return np.meshgrid(axis, axis, indexing="ij")[0], np.meshgrid(axis, axis, indexing="ij")[1]


def _rgba(value: Image, colour: Colour = (1.0, 1.0, 1.0), gloss: Image | float = 1.0) -> Image:
    rgb = value[..., None] * np.asarray(colour) if value.ndim == 2 else value
    return np.dstack((rgb, np.broadcast_to(gloss, (_N, _N))))


def _cells(rows: int, columns: int, shift: float) -> tuple[Image, Image, NDArray[np.int64]]:
    """Position inside each cell of a running bond (row, column, both 0..1) and the cell's number."""
    v, u = _grid()
    row = np.floor(v * rows)
    u = (u + (row % 2) * shift / columns) % 1.0
    column = np.floor(u * columns)
    return v * rows - row, u * columns - column, (row * columns + column).astype(np.int64)


def _joints(v: Image, u: Image, dv: float, du: float) -> Image:
    """1 inside a cell, 0 in joints that take the fractions dv and du of a cell."""
    return ((v > dv) & (v < 1 - dv) & (u > du) & (u < 1 - du)).astype(float)


def _masonry(
    rng: np.random.Generator, rows: int, columns: int, shift: float, joint: float, spread: float, grain: float
) -> Image:
    v, u, cell = _cells(rows, columns, shift)
    inside = cv2.GaussianBlur(_joints(v, u, joint * rows / 8, joint * columns / 8), (3, 3), 0.6)
    shade = 1 + spread * (rng.random(rows * columns)[cell] - 0.5)
    surface = 0.85 * shade * (1 + grain * (noise(rng, 0.8) - 0.5))
    return np.asarray(inside * surface + (1 - inside) * 0.55)


def _clouds(rng: np.random.Generator) -> Image:
    density = noise(rng, 1.9)
    return np.dstack((density, noise(rng, 1.6), density, density))


def _plaster(rng: np.random.Generator) -> Image:
    return _rgba(0.9 + 0.12 * (noise(rng, 0.5) - 0.5) + 0.12 * (noise(rng, 1.8) - 0.5))


def _brick(rng: np.random.Generator) -> Image:
    value = _masonry(rng, 16, 6, 0.5, 0.045, 0.5, 0.5)
    mortar = (np.abs(value - 0.55) < 0.02)[..., None]
    warm = value[..., None] * np.array([0.62, 0.28, 0.19])
    return _rgba(np.where(mortar, 0.45 * (0.8 + 0.4 * noise(rng, 0.6))[..., None], warm), gloss=0.2)


def _streaks(rng: np.random.Generator, along: int) -> Image:
    """Noise stretched along the columns, as wood grain."""
    field = cv2.blur(np.tile(noise(rng, 0.7), (1, 3)), (along, 1))[:, _N : 2 * _N]
    low, high = np.percentile(field, (2, 98))
    return np.asarray(np.clip((field - low) / (high - low), 0.0, 1.0))


def _planks(rng: np.random.Generator) -> Image:
    v, u, cell = _cells(8, 2, 0.37)
    tone = 0.72 + 0.5 * (rng.random(16)[cell] - 0.5)
    gap = _joints(v, u, 0.03, 0.006)
    value = tone * (0.75 + 0.4 * _streaks(rng, 61)) * (0.35 + 0.65 * gap)
    return _rgba(value, (0.62, 0.38, 0.2))


def _wood(rng: np.random.Generator) -> Image:
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (6 * _grid()[0] + 1.5 * noise(rng, 2.2)))
    return _rgba(0.6 + 0.25 * _streaks(rng, 91) + 0.2 * rings, (0.6, 0.37, 0.2))


def _tiles(rng: np.random.Generator) -> Image:
    v, u, cell = _cells(4, 4, 0.0)
    inside = _joints(v, u, 0.025, 0.025)
    value = (0.8 + 0.12 * (rng.random(16)[cell] - 0.5)) * (0.9 + 0.2 * noise(rng, 1.5))
    return _rgba(inside * value + (1 - inside) * 0.35, gloss=0.2 + 0.8 * inside)


def _checker(rng: np.random.Generator) -> Image:
    v, u, cell = _cells(4, 4, 0.0)
    dark = ((cell // 4 + cell % 4) % 2).astype(float)
    return _rgba((0.8 - 0.62 * dark) * _joints(v, u, 0.015, 0.015) * (0.85 + 0.3 * noise(rng, 1.4)) + 0.02)


def _carpet(rng: np.random.Generator) -> Image:
    return _rgba(0.45 + 0.5 * noise(rng, 0.1, 20) + 0.3 * (noise(rng, 1.6) - 0.5), gloss=0.0)


def _fabric(rng: np.random.Generator) -> Image:
    v, u = _grid()
    weave = 0.5 + 0.25 * np.sin(2 * np.pi * 48 * v) + 0.25 * np.sin(2 * np.pi * 48 * u)
    folds = noise(rng, 2.0)
    return _rgba(0.55 + 0.2 * weave + 0.4 * (folds - 0.5) + 0.1 * noise(rng, 0.2), gloss=0.1)


def _wallpaper(rng: np.random.Generator) -> Image:
    v, u = _grid()
    stripe = (np.floor(u * 8) % 2)[..., None]
    petals = (np.sin(2 * np.pi * 8 * v) * np.sin(2 * np.pi * 8 * u) > 0.55)[..., None]
    value = 0.72 + 0.13 * stripe + 0.06 * (noise(rng, 0.5)[..., None] - 0.5)
    return _rgba(np.where(petals, value * np.array([0.75, 0.6, 0.55]), value * np.ones(3)), gloss=0.1)


def _concrete(rng: np.random.Generator) -> Image:
    pits = 1 - 0.5 * (noise(rng, 0.3, 8) > 0.9)
    return _rgba((0.5 + 0.45 * (noise(rng, 1.5) - 0.5) + 0.15 * (noise(rng, 0.3) - 0.5)) * pits, gloss=0.2)


def _asphalt(rng: np.random.Generator) -> Image:
    value = 0.16 + 0.16 * (noise(rng, 0.05, 10) - 0.5) + 0.1 * (noise(rng, 1.7) - 0.5)
    cracks = np.abs(noise(rng, 1.7) - 0.5) < 0.006
    return _rgba(np.maximum(value * np.where(cracks, 0.4, 1.0), 0.02), (1.0, 1.0, 1.04), gloss=0.4)


def _grass(rng: np.random.Generator) -> Image:
    blades = cv2.blur(np.tile(noise(rng, 0.1, 10), (3, 1)), (1, 5))[_N : 2 * _N]
    value = np.clip(0.5 + 2.2 * (blades - 0.5), 0.1, 1.0) * (0.75 + 0.5 * noise(rng, 1.6))
    dry = noise(rng, 1.6)[..., None]
    return _rgba(
        value[..., None] * (np.array([0.16, 0.26, 0.06]) + dry * np.array([0.16, 0.06, 0.03])), gloss=0.0
    )


def _paving(rng: np.random.Generator) -> Image:
    return _rgba(_masonry(rng, 4, 4, 0.5, 0.02, 0.25, 0.5) * 0.62, (1.0, 0.96, 0.9), gloss=0.3)


def _leaves(rng: np.random.Generator) -> Image:
    """Overlapping elliptic leaves, drawn on a torus, with gaps between them."""
    image = np.zeros((_N, _N, 4), np.float32)
    image[..., :3] = (0.02, 0.04, 0.01)
    for _ in range(430):
        x, y, angle, length = rng.random(4) * (_N, _N, 360, 9) + (0, 0, 0, 9)
        tone = 0.35 + 0.65 * rng.random()
        colour = (0.2 * tone + 0.06 * rng.random(), 0.36 * tone, 0.07 * tone, 1.0)
        for dx in (-_N, 0, _N):
            for dy in (-_N, 0, _N):
                centre = (round(x + dx), round(y + dy))
                cv2.ellipse(image, centre, (round(length), round(length * 0.45)), angle, 0, 360, colour, -1)
    return image.astype(np.float64)


def _bark(rng: np.random.Generator) -> Image:
    ridges = np.rot90(_streaks(rng, 41))
    return _rgba(0.3 + 0.7 * ridges * noise(rng, 0.8) * 1.6, (0.34, 0.26, 0.19), gloss=0.0)


def _windows(
    rng: np.random.Generator, wall: Image, box: tuple[float, float, float, float], frame: float
) -> Image:
    """A facade of 4x4 windows per period; box = (bottom, top, left, right) in fractions of a cell."""
    v, u, cell = _cells(4, 4, 0.0)
    bottom, top, left, right = box
    framed = (v > bottom - frame) & (v < top + frame) & (u > left - frame) & (u < right + frame)
    glass = (v > bottom) & (v < top) & (u > left) & (u < right) & (np.abs(u - (left + right) / 2) > frame / 2)
    curtain = (rng.random(16) < 0.4)[cell] & (v > bottom + (top - bottom) * rng.random(16)[cell])
    pane = np.array([0.035, 0.05, 0.065]) * (0.5 + rng.random(16)[cell])[..., None]
    pane = np.where(curtain[..., None], np.array([0.4, 0.38, 0.33]), pane)
    image = np.where(framed[..., None], 0.7, wall)
    image = np.where(glass[..., None], pane, image)
    sill = (v > bottom - 2 * frame) & (v < bottom - frame) & (u > left - 2 * frame) & (u < right + 2 * frame)
    image = np.where(sill[..., None], 0.35, image)
    return np.dstack((image, np.where(glass, 1.0, 0.05)))


def _facade(rng: np.random.Generator) -> Image:
    wall = (0.8 + 0.2 * (noise(rng, 1.5) - 0.5) + 0.08 * (noise(rng, 0.3) - 0.5))[..., None] * np.ones(3)
    return _windows(rng, wall, (0.3, 0.78, 0.3, 0.7), 0.025)


def _offices(rng: np.random.Generator) -> Image:
    wall = (0.55 + 0.15 * (noise(rng, 1.2) - 0.5))[..., None] * np.array([1.0, 1.0, 1.02])
    return _windows(rng, wall, (0.22, 0.9, 0.05, 0.95), 0.02)


def _books(rng: np.random.Generator) -> Image:
    """Two rows of spines on shelves that are the dark gaps between them."""
    v, _ = _grid()
    image = np.full((_N, _N, 3), 0.03)
    for shelf in range(2):
        start = shelf * _N // 2
        column = 0
        while column < _N:
            width = min(int(rng.integers(5, 14)), _N - column)
            top = start + int(rng.integers(80, 112))
            image[start + 6 : top, column : column + width - 1] = rng.random(3) ** 1.5 * 0.6 + 0.03
            band = start + int(rng.integers(20, 70))
            image[band : band + 5, column : column + width - 1] += 0.25
            column += width
    return _rgba(image * (0.9 + 0.2 * v[..., None] ** 0), gloss=0.3)


def _art(rng: np.random.Generator) -> Image:
    """Four abstract pictures; each quarter of the period is one."""
    image = np.empty((_N, _N, 3))
    half = _N // 2
    for row in (0, half):
        for column in (0, half):
            low, high = rng.random(3) * 0.5, rng.random(3) * 0.7 + 0.2
            mix = np.clip((noise(rng, 2.0)[:half, :half, None] - 0.5) * 4 + 0.5, 0, 1)
            part = np.ascontiguousarray(low + (high - low) * mix)
            for _ in range(6):
                x, y, r = (int(i) for i in rng.integers(0, half, 3))
                cv2.circle(part, (x, y), r // 4 + 3, rng.random(3).tolist(), int(rng.integers(-1, 1)) or 2)
            image[row : row + half, column : column + half] = part
    return _rgba(image, gloss=0.6)


def _gravel(rng: np.random.Generator) -> Image:
    stones = noise(rng, 0.4, 16)
    return _rgba(0.25 + 0.9 * np.abs(stones - 0.5) + 0.35 * noise(rng, 1.6), (0.72, 0.66, 0.56), gloss=0.0)


def _roof(rng: np.random.Generator) -> Image:
    v, _, cell = _cells(12, 10, 0.5)
    tone = 0.6 + 0.3 * rng.random(120)[cell]
    return _rgba(tone * (0.35 + 0.65 * np.sqrt(v)), (0.55, 0.27, 0.2), gloss=0.1)


def _rug(rng: np.random.Generator) -> Image:
    v, u = _grid()
    ring = np.floor(10 * np.maximum(np.abs(v - 0.5), np.abs(u - 0.5))).astype(int)
    palette = 0.08 + 0.6 * rng.random((8, 3))
    diamonds = (np.floor(6 * (u + v)) + np.floor(6 * (u - v))).astype(int) % 2
    return _rgba(palette[(ring + diamonds) % 8] * (0.75 + 0.5 * noise(rng, 0.2)[..., None]), gloss=0.0)


def _shutter(rng: np.random.Generator) -> Image:
    v, _ = _grid()
    return _rgba(0.45 + 0.4 * (v * 16 % 1.0) + 0.1 * noise(rng, 1.0), gloss=0.6)


_PAINTERS: dict[Texture, Callable[[np.random.Generator], Image]] = {
    Texture.CLOUDS: _clouds,
    Texture.PLASTER: _plaster,
    Texture.BRICK: _brick,
    Texture.PLANKS: _planks,
    Texture.WOOD: _wood,
    Texture.TILES: _tiles,
    Texture.CHECKER: _checker,
    Texture.CARPET: _carpet,
    Texture.FABRIC: _fabric,
    Texture.WALLPAPER: _wallpaper,
    Texture.CONCRETE: _concrete,
    Texture.ASPHALT: _asphalt,
    Texture.GRASS: _grass,
    Texture.PAVING: _paving,
    Texture.LEAVES: _leaves,
    Texture.BARK: _bark,
    Texture.FACADE: _facade,
    Texture.OFFICES: _offices,
    Texture.BOOKS: _books,
    Texture.ART: _art,
    Texture.GRAVEL: _gravel,
    Texture.ROOF: _roof,
    Texture.RUG: _rug,
    Texture.SHUTTER: _shutter,
}


def _mip_chain(image: Image) -> NDArray[np.uint8]:
    """All mip levels, finest first, flattened to (texels, 4); RGB is square-root encoded."""
    levels = []
    for _ in range(MIP_LEVELS):
        encoded = np.dstack((np.sqrt(np.clip(image[..., :3], 0, 1)), np.clip(image[..., 3], 0, 1)))
        levels.append(np.round(255 * encoded).astype(np.uint8).reshape(-1, 4))
        image = image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2, 4).mean(axis=(1, 3))
    return np.concatenate(levels)


def build_atlas(seed: int) -> NDArray[np.uint8]:
    """The textures as the renderer reads them: (textures, texels of all mip levels, 4) uint8."""
    return np.stack(
        [_mip_chain(_PAINTERS[texture](np.random.default_rng([seed, texture]))) for texture in Texture]
    )
