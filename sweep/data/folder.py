"""The challenge's folder layout: ``SPLIT/rgb/NAME.png|jpg|jpeg`` beside ``SPLIT/depth/NAME.png``."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sweep.data import images
from sweep.data.cache import SIZES, Progress, reserve_split, write_manifest
from sweep.data.dataset import DatasetError
from sweep.data.parallel import map_indices

_SUFFIXES = {"rgb": (".png", ".jpg", ".jpeg"), "depth": (".png",)}
CheckPicture = Callable[[NDArray[np.uint8]], None]
"""Raises ImageError for (H, W, 3) RGB, as stored, that a split must not hold."""


@dataclass(frozen=True)
class Pair:
    """The two files of a pair."""

    name: str
    rgb: Path
    depth: Path


@dataclass(frozen=True)
class Listing:
    """What a folder holds: pairs per split, what is wrong, and a cheap token of every file's state."""

    pairs: dict[str, tuple[Pair, ...]]
    problems: tuple[str, ...]
    state: tuple[tuple[str, int, int], ...]  # path, bytes, modification time in ns


def scan(directory: Path, splits: Iterable[str]) -> Listing:
    """List ``splits`` without opening a file; no other split is looked at. Hidden files are passed over."""
    pairs: dict[str, tuple[Pair, ...]] = {}
    problems: list[str] = []
    state: list[tuple[str, int, int]] = []
    for split in splits:
        found: dict[str, dict[str, Path]] = {}
        for kind in _SUFFIXES:
            folder = directory / split / kind
            try:
                files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
                state += [_state(directory, file) for file in files]
            except OSError as error:
                problems.append(f"{split}/{kind}: cannot list the folder ({error.strerror})")
                continue
            found[kind], wrong = _images(directory, files, kind)
            problems += wrong
        if len(found) == len(_SUFFIXES):
            pairs[split], wrong = _match(directory, split, found)
            problems += wrong
    return Listing(pairs, tuple(problems), tuple(state))


def _state(directory: Path, file: Path) -> tuple[str, int, int]:
    status = file.stat()
    return str(file.relative_to(directory)), status.st_size, status.st_mtime_ns


def _images(directory: Path, files: list[Path], kind: str) -> tuple[dict[str, Path], list[str]]:
    """Files by stem, and complaints about what is not an image of this kind."""
    problems = []
    usable = []
    for file in files:
        if file.suffix.lower() in _SUFFIXES[kind] and file.is_file():
            usable.append(file)
        else:
            allowed = ", ".join(_SUFFIXES[kind])
            problems.append(
                f"{file.relative_to(directory)}: not an image file of {kind} (allowed: {allowed})"
            )
    for stem, count in Counter(file.stem for file in usable).items():
        if count > 1:
            named = ", ".join(file.name for file in usable if file.stem == stem)
            problems.append(
                f"{files[0].parent.relative_to(directory)}/{stem}: {count} files of one name ({named})"
            )
    return {file.stem: file for file in usable}, problems


def _match(
    directory: Path, split: str, found: dict[str, dict[str, Path]]
) -> tuple[tuple[Pair, ...], list[str]]:
    rgb, depth = found["rgb"], found["depth"]
    problems = []
    if not rgb and not depth:
        problems.append(f"{split}: no images")
    problems += [
        f"{rgb[n].relative_to(directory)}: no depth of this name" for n in sorted(rgb.keys() - depth.keys())
    ]
    problems += [
        f"{depth[n].relative_to(directory)}: no rgb of this name" for n in sorted(depth.keys() - rgb.keys())
    ]
    return tuple(Pair(n, rgb[n], depth[n]) for n in sorted(rgb.keys() & depth.keys())), problems


def read_pair(
    directory: Path, pair: Pair, size: tuple[int, int], check: CheckPicture
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """The pair's colours and depth at (height, width).

    Raises:
        DatasetError: with what is wrong with either file, in ``check``'s opinion too.
    """
    problems = []
    try:
        rgb = images.decode_rgb(pair.rgb.read_bytes())
        check(rgb)
    except (images.ImageError, OSError) as error:
        problems.append(f"{pair.rgb.relative_to(directory)}: {error}")
    try:
        depth_mm = images.decode_depth(pair.depth.read_bytes())
        if not problems:
            images.check_pair(rgb, depth_mm)
        fitted = images.fit_depth(depth_mm, size)
        if not fitted.any():
            raise images.ImageError("all depth is unknown (0)")
    except (images.ImageError, OSError) as error:
        problems.append(f"{pair.depth.relative_to(directory)}: {error}")
    if problems:
        raise DatasetError(pair.name, tuple(problems))
    return images.fit_rgb(rgb, size), fitted


def accept_every_picture(_rgb: NDArray[np.uint8]) -> None:
    """Find nothing wrong."""


def build(
    directory: Path,
    listing: Listing,
    name: str,
    into: Path,
    workers: int,
    progress: Progress,
    check: CheckPicture = accept_every_picture,
) -> None:
    """Decode every listed pair into the arrays of ``into``, a data set called ``name``.

    Raises:
        DatasetError: with all problems of the layout and of the files.
    """
    problems = list(listing.problems)
    for split, pairs in listing.pairs.items():
        if pairs:
            arrays = reserve_split(into, split, len(pairs))
            problems += _decode_split(directory, split, pairs, arrays, check, workers, progress)
    if problems:
        raise DatasetError(str(directory), tuple(problems))
    names = {split: tuple(pair.name for pair in pairs) for split, pairs in listing.pairs.items()}
    write_manifest(into, name, names, is_demo=False)


def _decode_split(
    directory: Path,
    split: str,
    pairs: tuple[Pair, ...],
    arrays: tuple[NDArray[np.uint8], NDArray[np.uint16]],
    check: CheckPicture,
    workers: int,
    progress: Progress,
) -> list[str]:
    """Fill a split's arrays; returns the problems in the order of names."""
    rgb, depth_mm = arrays

    def decode(index: int) -> tuple[str, ...]:
        try:
            rgb[index], depth_mm[index] = read_pair(directory, pairs[index], SIZES[split], check)
        except DatasetError as error:
            return error.problems
        return ()

    found = map_indices(decode, len(pairs), workers, f"reading {split}", progress)
    return [problem for problems in found for problem in problems]
