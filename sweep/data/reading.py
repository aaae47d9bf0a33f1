"""From a source's listing to the arrays of a prepared data set."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sweep.data import images
from sweep.data.cache import SIZES, Progress, reserve_split, write_manifest
from sweep.data.dataset import DatasetError
from sweep.data.parallel import map_indices
from sweep.data.source import Frame, Listing

CheckPicture = Callable[[NDArray[np.uint8]], None]
"""Raises ImageError for (H, W, 3) RGB, as stored, that a split must not hold."""


def accept_every_picture(_rgb: NDArray[np.uint8]) -> None:
    """Find nothing wrong."""


def build(
    place: str,
    listing: Listing,
    splits: Sequence[str],
    name: str,
    into: Path,
    workers: int,
    progress: Progress,
    check: CheckPicture = accept_every_picture,
) -> None:
    """Read every pair of ``splits`` into the arrays of ``into``, a data set called ``name``.

    Raises:
        DatasetError: with all problems of the layout and of the pairs; ``place`` says of what.
    """
    problems = [*listing.problems, *_repeated_names(listing)]
    listed = {split: listing.frames.get(split, ()) for split in splits}
    for split, frames in listed.items():
        if frames:
            arrays = reserve_split(into, split, len(frames))
            problems += _read_split(split, frames, arrays, check, workers, progress)
        elif not listing.problems:
            problems.append(f"{split}: no pairs")
    if problems:
        raise DatasetError(place, tuple(problems))
    names = {split: tuple(frame.name for frame in frames) for split, frames in listed.items()}
    write_manifest(into, name, names, is_demo=False)


def rgb_place(split: str, frame: Frame) -> str:
    """What messages call the pair's picture."""
    return frame.rgb_place or f"{split}/{frame.name}, picture"


def depth_place(split: str, frame: Frame) -> str:
    """What messages call the pair's depth map."""
    return frame.depth_place or f"{split}/{frame.name}, depth"


def _repeated_names(listing: Listing) -> Iterator[str]:
    for split, frames in listing.frames.items():
        for name, count in Counter(frame.name for frame in frames).items():
            if count > 1:
                yield f"{split}/{name}: {count} pairs of one name"


def _read_split(
    split: str,
    frames: Sequence[Frame],
    arrays: tuple[NDArray[np.uint8], NDArray[np.uint16]],
    check: CheckPicture,
    workers: int,
    progress: Progress,
) -> list[str]:
    """Fill a split's arrays; returns the problems in the order of the pairs."""
    rgb, depth_mm = arrays

    def read(index: int) -> tuple[str, ...]:
        try:
            rgb[index], depth_mm[index] = _read_pair(split, frames[index], check)
        except DatasetError as error:
            return error.problems
        return ()

    found = map_indices(read, len(frames), workers, f"reading {split}", progress)
    return [problem for problems in found for problem in problems]


def _read_pair(split: str, frame: Frame, check: CheckPicture) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """The pair's colours and depth at the split's size.

    Raises:
        DatasetError: with what is wrong with either, in ``check``'s opinion too.
    """
    size, problems = SIZES[split], []
    try:
        rgb = images.checked_rgb(frame.rgb())
        check(rgb)
    except (images.ImageError, OSError) as error:
        problems.append(f"{rgb_place(split, frame)}: {error}")
    try:
        depth_mm = images.checked_depth(frame.depth_mm())
        if not problems:
            images.check_pair(rgb, depth_mm)
        fitted = images.fit_depth(depth_mm, size)
        if not fitted.any():
            raise images.ImageError("all depth is unknown (0)")
    except (images.ImageError, OSError) as error:
        problems.append(f"{depth_place(split, frame)}: {error}")
    if problems:
        raise DatasetError(frame.name, tuple(problems))
    return images.fit_rgb(rgb, size), fitted
