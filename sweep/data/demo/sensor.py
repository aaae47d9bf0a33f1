"""From radiance and exact depth to what a camera and a stereo rig record."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
MIN_DEPTH_MM, MAX_DEPTH_MM = 400, 50_000
_BASELINE_M = 0.063
_TONE_STEPS = 4096
_GRAINS = 100_003  # repeated over the picture; no multiple of a row, so no pattern shows
_BRIGHTEST = 8.0


def expose(radiance: NDArray[np.float32], rng: Rng) -> NDArray[np.uint8]:
    """An 8-bit picture: lens, automatic exposure with errors, white balance, shot and read noise, tone curve.

    Args:
        radiance: (H, W, 3) linear RGB.

    Returns:
        (H, W, 3) uint8 sRGB-like RGB.
    """
    height, width, _ = radiance.shape
    blur = float(rng.uniform(0.0, 0.6)) * width / 640
    image = cv2.GaussianBlur(radiance, (0, 0), blur) if blur > 0.2 else radiance
    luminance = float(np.exp(np.log(image[::4, ::4].mean(axis=2) + 0.01).mean()))
    gain = 0.32 / luminance * 2.0 ** float(rng.normal(0.0, 0.35))
    balance = (gain * np.exp(rng.normal(0.0, 0.06, 3))).astype(np.float32)
    row, column = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    vignette = (1.0 - float(rng.uniform(0.0, 0.25)) * (row**2 + column**2)).astype(np.float32)
    # Shot noise grows with the root of the light, so it has one strength on the root of the image.
    root = cv2.sqrt(image * vignette[..., None] * balance)
    grain = np.resize(rng.standard_normal(_GRAINS, dtype=np.float32), image.shape)
    root = cv2.scaleAdd(grain, float(rng.uniform(0.002, 0.012)), root)
    steps = np.clip(root * np.float32((_TONE_STEPS - 1) / math.sqrt(_BRIGHTEST)), 0, _TONE_STEPS - 1)
    linear = np.linspace(0.0, 1.0, _TONE_STEPS) ** 2 * _BRIGHTEST
    shoulder = (1.0 - np.exp(-1.25 * linear)) ** (float(rng.uniform(0.95, 1.2)) / 2.1)
    return np.asarray(np.round(255 * shoulder).astype(np.uint8)[steps.astype(np.int16)])


def occluded(depth_m: NDArray[np.float64], focal: float) -> NDArray[np.bool_]:
    """Pixels of the left camera that the right one cannot see, because something nearer hides them."""
    with np.errstate(divide="ignore"):
        disparity = np.where(depth_m > 0, focal * _BASELINE_M / depth_m, 0.0)
    place = np.arange(depth_m.shape[1]) - disparity
    nearest = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(place > nearest + 0.75)


def _field(rng: Rng, height: int, width: int, cell: int) -> NDArray[np.float32]:
    """Smooth noise of unit variance at its nodes, ``cell`` pixels apart."""
    nodes = rng.standard_normal((height // cell + 2, width // cell + 2), dtype=np.float32)
    return np.asarray(cv2.resize(nodes, (width, height), interpolation=cv2.INTER_CUBIC))


def measure(depth_m: NDArray[np.float64], focal: float, rng: Rng) -> NDArray[np.uint16]:
    """A stereo camera's depth in millimetres, 0 = unknown.

    Unknown are the sky, what is nearer than 0.4 m or farther than 50 m, what one of the two cameras cannot
    see, and some patches. The error grows with the square of the depth, and stays below 0.2 m up to 8 m.
    """
    height, width = depth_m.shape
    scale = max(width // 40, 1)
    wave = 0.8 * _field(rng, height, width, scale) + 0.5 * _field(rng, height, width, max(scale // 3, 1))
    grade = float(rng.uniform(0.4, 1.0))
    error = np.clip(wave * grade * 1.2e-3 * depth_m**2, -0.19, 0.19)
    far = depth_m > 8.0
    error = np.where(far, np.clip(wave * grade * 1.2e-3 * depth_m**2, -0.03 * depth_m, 0.03 * depth_m), error)
    depth_mm = np.round(1000.0 * (depth_m + error))
    patches = _field(rng, height, width, 2 * scale) > float(rng.uniform(2.0, 2.8))
    unknown = (depth_m <= 0) | (depth_mm < MIN_DEPTH_MM) | (depth_mm > MAX_DEPTH_MM)
    unknown |= occluded(depth_m, focal) | patches
    return np.where(unknown, 0, depth_mm).astype(np.uint16)


def focal_of(width: int, horizontal_fov: float) -> float:
    """Focal length in pixels."""
    return 0.5 * width / math.tan(0.5 * horizontal_fov)
