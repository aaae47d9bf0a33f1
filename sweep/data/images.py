"""Strict decoding of the challenge's images, and bringing them to a fixed size.

OpenCV decodes; but it returns None for what it cannot read and half a picture for a truncated file, so the
files' structure is checked first.
"""

import struct
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_ASPECT = 4 / 3


class ImageError(Exception):
    """Why an image cannot be used, without its name."""


def decode_rgb(data: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of an 8-bit colour PNG or JPEG, as stored: EXIF orientation is ignored."""
    if data.startswith(_JPEG):
        _check_jpeg(data)
    else:
        _check_png(data, "neither PNG nor JPEG")
    image = _decode(data)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"found {_kind(image)}, expected 8-bit RGB")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def decode_depth(data: bytes) -> NDArray[np.uint16]:
    """(H, W) uint16 millimetres of a 16-bit single-channel PNG."""
    _check_png(data, "not a PNG")
    image = _decode(data)
    if image.dtype != np.uint16 or image.ndim != 2:
        raise ImageError(f"found {_kind(image)}, expected 16-bit single-channel PNG")
    return image.astype(np.uint16, copy=False)


def checked_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same array. Raises ImageError unless it is (H, W, 3) uint8 with pixels."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ImageError(f"found {image.shape} {image.dtype}, expected (H, W, 3) uint8")
    return image


def checked_depth(image: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """The same array. Raises ImageError unless it is (H, W) uint16 with pixels."""
    if image.dtype != np.uint16 or image.ndim != 2 or not image.size:
        raise ImageError(f"found {image.shape} {image.dtype}, expected (H, W) uint16 in millimetres")
    return image


def _decode(data: bytes) -> NDArray[np.uint8 | np.uint16]:
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"unreadable ({error.err})") from error
    if image is None:
        raise ImageError("unreadable")
    return np.asarray(image)


def _kind(image: NDArray[np.uint8 | np.uint16]) -> str:
    channels = image.shape[2] if image.ndim == 3 else 1
    colours = {1: "grey", 3: "RGB", 4: "RGBA"}.get(channels, f"{channels} channels")
    return f"{8 * image.dtype.itemsize}-bit {colours}"


def _check_png(data: bytes, otherwise: str) -> None:
    """Walk the chunks up to IEND; raise if one is cut short or its checksum is wrong."""
    if not data:
        raise ImageError("empty file")
    if not data.startswith(_PNG):
        raise ImageError(otherwise)
    at, kind = len(_PNG), b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise ImageError("truncated PNG")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            raise ImageError("truncated PNG")
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise ImageError(f"damaged PNG (checksum of its {kind.decode('latin-1')} chunk)")
        at = end + 4


def _check_jpeg(data: bytes) -> None:
    """Walk the segments to the scan data, which must be followed by an end-of-image marker."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == 0xDA:
            if data.rfind(b"\xff\xd9") > at:
                return
            break
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise ImageError("truncated JPEG")


def crop_to_aspect(image: NDArray[np.uint8 | np.uint16]) -> NDArray[np.uint8 | np.uint16]:
    """The largest centred 4:3 part."""
    height, width = image.shape[:2]
    if width > height * _ASPECT:
        keep = max(round(height * _ASPECT), 1)
        left = (width - keep) // 2
        return image[:, left : left + keep]
    keep = max(round(width / _ASPECT), 1)
    top = (height - keep) // 2
    return image[top : top + keep]


def fit_rgb(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Crop to 4:3 and resize to (height, width): by area when shrinking, bilinearly when enlarging."""
    cropped = crop_to_aspect(image)
    height, width = size
    shrinks = cropped.shape[0] >= height and cropped.shape[1] >= width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(cropped, (width, height), interpolation=method), np.uint8)


def fit_depth(image: NDArray[np.uint16], size: tuple[int, int]) -> NDArray[np.uint16]:
    """Crop to 4:3 and take, for each pixel of (height, width), the source pixel under its centre."""
    cropped = crop_to_aspect(image)
    rows = _nearest(cropped.shape[0], size[0])
    columns = _nearest(cropped.shape[1], size[1])
    return np.asarray(cropped[rows[:, None], columns[None, :]], np.uint16)


def _nearest(source: int, target: int) -> NDArray[np.int64]:
    return ((2 * np.arange(target) + 1) * source) // (2 * target)


def check_pair(rgb: NDArray[np.uint8], depth_mm: NDArray[np.uint16]) -> None:
    """Raise unless the two have the same aspect ratio within 1 %; their resolutions may differ."""
    (rgb_height, rgb_width), (height, width) = rgb.shape[:2], depth_mm.shape
    if abs(rgb_width * height / (rgb_height * width) - 1) > 0.01:
        raise ImageError(
            f"{width}x{height}, but its picture is {rgb_width}x{rgb_height}: not the same aspect ratio"
        )
