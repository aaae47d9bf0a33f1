"""Tiny files in the form of NYU Depth v2's labelled subset, as MATLAB writes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray]


def matlab_header() -> bytes:
    """The 512 bytes that MATLAB puts before the HDF5 file: a text, and the version with the byte order."""
    return b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM" + bytes(384)


def write_matlab(path: Path, arrays: Arrays, texts: Mapping[str, Sequence[str]] | None = None) -> Path:
    """Arrays as MATLAB sees them, and cell arrays of texts, N x 1, as a v7.3 file."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            stored = file.create_dataset(name, data=np.ascontiguousarray(values.T), compression="gzip")
            stored.attrs["MATLAB_class"] = np.bytes_(
                {"uint8": "uint8", "float32": "single"}.get(str(values.dtype), "double")
            )
        for name, cells in (texts or {}).items():
            references = [_text(file, f"#refs#/{name}{index}", cell).ref for index, cell in enumerate(cells)]
            stored = file.create_dataset(name, (1, len(cells)), h5py.ref_dtype)
            stored[0, :] = references
            stored.attrs["MATLAB_class"] = np.bytes_("cell")
    with path.open("r+b") as stream:
        stream.write(matlab_header())
    return path


def _text(file: h5py.File, place: str, text: str) -> h5py.Dataset:
    codes = np.frombuffer(text.encode("utf-16-le"), "<u2")
    stored = file.create_dataset(place, data=codes[:, None])
    stored.attrs["MATLAB_class"] = np.bytes_("char")
    return stored


def nyu_arrays(pairs: int, height: int = 46, width: int = 56, seed: int = 3) -> dict[str, NDArray]:
    """H x W x 3 x N pictures with a white border of 7 pixels, and H x W x N depths, raw ones with holes."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 250, (height, width, 3, pairs), dtype=np.uint8)
    inside = np.zeros((height, width), bool)
    inside[7:-7, 7:-7] = True
    images[~inside] = 255
    depths = rng.uniform(0.7, 9.9, (height, width, pairs)).astype(np.float32)
    raw = np.where(rng.random(depths.shape) < 0.2, np.float32(0), depths)
    raw[~inside] = 0
    return {"images": images, "depths": depths, "rawDepths": raw}
