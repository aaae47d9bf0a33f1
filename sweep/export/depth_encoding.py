"""Depth as the codes 0 to 255 of a uint8 output: what they mean, and the metadata entry that says so.

The entry is named ``depth_encoding`` and holds JSON such as
``{"kind": "log", "min_mm": 400.0, "max_mm": 50000.0}``: code 0 is ``min_mm``, code 255 is ``max_mm``, and the
codes between are evenly spaced, in the logarithm of the depth (``log``) or in the depth itself (``linear``).
"""

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.export.errors import ContractError
from sweep.export.graph import DepthEncoding
from sweep.export.writer import DEPTH_ENCODING

HIGHEST_CODE = 255
LARGEST_MM = 1e6
KINDS = ("log", "linear")
KEYS = ("kind", "min_mm", "max_mm")


def decode(codes: NDArray[np.uint8], encoding: DepthEncoding) -> NDArray[np.float32]:
    """The depths in millimetres that the codes stand for, in the same shape."""
    if codes.dtype != np.uint8:
        raise ValueError(f"codes are {codes.dtype}, allowed is uint8")
    return code_depths_mm(encoding)[codes]


def encode(depth_mm: NDArray[Any], encoding: DepthEncoding) -> NDArray[np.uint8]:
    """The nearest codes, on the encoding's own scale; depths beyond its ends get the code of that end."""
    low, high = encoding.min_mm, encoding.max_mm
    inside = np.clip(np.asarray(depth_mm, np.float64), low, high)
    if encoding.kind == "log":
        share = np.log(inside / low) / math.log(high / low)
    else:
        share = (inside - low) / (high - low)
    codes: NDArray[np.uint8] = np.rint(share * HIGHEST_CODE).astype(np.uint8)
    return codes


def code_depths_mm(encoding: DepthEncoding) -> NDArray[np.float32]:
    """The depth of each of the 256 codes, in millimetres."""
    low, high = encoding.min_mm, encoding.max_mm
    spaced = np.geomspace if encoding.kind == "log" else np.linspace
    return spaced(low, high, HIGHEST_CODE + 1, dtype=np.float64).astype(np.float32)


def parse_depth_encoding(data: bytes, source: str) -> DepthEncoding:
    """Read the metadata entry of the file that ``source`` names.

    Raises ContractError naming the file, the key, what was found and what is allowed.
    """
    place = f"{source}: metadata entry {DEPTH_ENCODING!r}"
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{place} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ContractError(f"{place}: found {brief(found)}, allowed is an object with {', '.join(KEYS)}")
    check_keys(place, found)
    if found["kind"] not in KINDS:
        raise ContractError(f"{place}: kind is {brief(found['kind'])}, allowed is {' or '.join(KINDS)}")
    low, high = (bound_mm(place, key, found[key]) for key in ("min_mm", "max_mm"))
    if found["kind"] == "log" and low == 0:
        raise ContractError(f"{place}: min_mm is 0, allowed is a number above 0, for kind log")
    if not np.float32(low) < np.float32(high):
        raise ContractError(
            f"{place}: max_mm is {high:g}, allowed is a number above min_mm, which is {low:g}"
        )
    return DepthEncoding(found["kind"], low, high)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError where a key occurs twice."""
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"key {key!r} occurs {keys.count(key)} times")
    return dict(pairs)


def check_keys(place: str, found: dict[str, Any]) -> None:
    """ContractError unless the object has just the keys that belong to it."""
    for key in found:
        if key not in KEYS:
            raise ContractError(f"{place}: found key {brief(key)}, allowed are {', '.join(KEYS)}")
    for key in KEYS:
        if key not in found:
            raise ContractError(f"{place}: key {key} is missing; found {', '.join(found) or 'none'}")


def bound_mm(place: str, key: str, found: Any) -> float:
    """An end of the range; ContractError if it is none."""
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= LARGEST_MM:
        raise ContractError(f"{place}: {key} is {brief(found)}, allowed is a number from 0 to {LARGEST_MM:g}")
    return float(found)


def brief(found: Any) -> str:
    """What was found, cut short."""
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:57]}..."
