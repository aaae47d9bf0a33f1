"""NYU Depth v2 (Silberman et al. 2012): the labelled subset, one MATLAB file of 1,449 pairs.

``nyu_depth_v2_labeled.mat`` is a MATLAB v7.3 file, which is HDF5. HDF5 has MATLAB's dimensions in reverse, so an
image that is H x W x 3 x N there is (N, 3, W, H) here. By the data set's documentation:

- ``images``: RGB, uint8. Undistorting left a white border of some pixels around each, so 8 pixels are cut off at
  every side.
- ``rawDepths``: depth in metres, projected onto the picture, before missing values were filled in; 0 where the
  camera saw none. ``depths`` has the holes painted in, which nobody measured, and is not read.
- ``scenes``: a cell array with each pair's scene. Pairs of one scene look alike, so validation takes whole scenes.

The official split lies in a file of its own, ``splits.mat``, with the numbers (from 1) ``trainNdxs`` and
``testNdxs``. Where it lies beside the labelled file, its test pairs are the held-out split, which no search reads,
and validation is taken out of its training pairs. Else there is no held-out split.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sweep.data.dataset import DatasetError
from sweep.data.images import ImageError
from sweep.data.matlab import MatlabError, MatlabFile, read_numbers
from sweep.data.source import Frame, Listing

BORDER: Final = 8
"""Pixels cut off at each side of a picture and its depth."""

VALIDATION_SHARE: Final = 0.15
"""Of the pairs that are not held out, at least; whole scenes are taken until it is reached."""

SPLITS_FILE: Final = "splits.mat"
_NO_TEST = (
    "test: found no {place}; judging on held-out pairs needs the official split in it "
    "(trainNdxs and testNdxs), or data with a test split"
)


class NyuDepthV2:
    """The labelled file, with the official split beside it or without.

    Args:
        file: ``nyu_depth_v2_labeled.mat``, or one of the same form.
    """

    kind: Final = "nyu-depth-v2-1"

    def __init__(self, file: Path) -> None:
        self._file = file
        self._splits = file.parent / SPLITS_FILE

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self._file.resolve().stem

    def scan(self, splits: Sequence[str]) -> Listing:
        """The pairs of ``splits`` by number; reads scenes and numbers, but no pixels.

        The state has both files' names, bytes and modification times in ns.

        Raises:
            DatasetError: a file is not of this form; names the data set in it, what was found and is allowed.
        """
        if splits == ("test",) and not self._splits.is_file():
            return Listing({}, (), (_NO_TEST.format(place=self._splits),))
        try:
            scenes = self._scenes()
            numbers = self._numbers(scenes)
        except MatlabError as error:
            raise DatasetError(str(self._file), (str(error),)) from error
        frames = {split: tuple(map(self._frame, numbers[split])) for split in splits}
        return Listing(frames, tuple(_state(file) for file in (self._file, self._splits) if file.is_file()))

    def _scenes(self) -> tuple[str, ...]:
        """Each pair's scene, once all that is read later is known to be of the right form."""
        with MatlabFile(self._file) as file:
            shape = file.shape("images", "(N, 3, W, H) uint8", _are_images)
            count, _, width, height = shape
            depths = (count, width, height)
            file.shape(
                "rawDepths", f"{depths} of floats", lambda found, kind: found == depths and kind == "f"
            )
            return file.texts("scenes", count)

    def _numbers(self, scenes: Sequence[str]) -> Mapping[str, Sequence[int]]:
        """The pairs' numbers, from 1, by split."""
        searched: Sequence[int] = range(1, len(scenes) + 1)
        test: Sequence[int] = ()
        if self._splits.is_file():
            searched = read_numbers(self._splits, "trainNdxs", len(scenes))
            test = read_numbers(self._splits, "testNdxs", len(scenes))
            if both := sorted({*searched} & {*test}):
                raise MatlabError(
                    self._splits, "testNdxs", f"{both[0]}, which is in trainNdxs", "other pairs"
                )
        validation = _held_scenes({number: scenes[number - 1] for number in searched})
        if not validation:
            allowed = "pairs of at least two scenes, one of them for validation"
            raise MatlabError(self._file, "scenes", "one scene", allowed)
        return {
            "train": [number for number in searched if scenes[number - 1] not in validation],
            "validation": [number for number in searched if scenes[number - 1] in validation],
            "test": test,
        }

    def _frame(self, number: int) -> Frame:
        return Frame(
            f"{number:04d}",
            partial(_read, self._file, "images", number, _rgb),
            partial(_read, self._file, "rawDepths", number, _depth_mm),
            f"images, number {number}",
            f"rawDepths, number {number}",
        )


def _are_images(shape: tuple[int, ...], kind: str) -> bool:
    big_enough = len(shape) == 4 and min(shape[2:]) > 2 * BORDER
    return kind == "u1" and big_enough and shape[0] > 0 and shape[1] == 3


def _held_scenes(scenes: Mapping[int, str]) -> frozenset[str]:
    """The scenes to validate on, drawn by their names' digests: the same ones whatever else is in the file."""
    pairs = Counter(scenes.values())
    order = sorted(pairs, key=lambda scene: hashlib.sha256(scene.encode()).digest())
    held: list[str] = []
    while len(held) < len(order) - 1 and sum(pairs[s] for s in held) < VALIDATION_SHARE * len(scenes):
        held.append(order[len(held)])
    return frozenset(held)


def _read(file: Path, dataset: str, number: int, convert: Callable[[NDArray[Any]], NDArray[Any]]) -> Any:
    """One pair's half, without its border.

    Raises:
        ImageError: the file is damaged there.
    """
    try:
        with MatlabFile(file) as opened:
            values = opened.values(dataset, number - 1)
    except MatlabError as error:
        raise ImageError(error.found) from error
    return convert(values)[BORDER:-BORDER, BORDER:-BORDER]


def _rgb(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(3, W, H) as (H, W, 3)."""
    return np.ascontiguousarray(values.transpose(2, 1, 0))


def _depth_mm(metres: NDArray[np.floating[Any]]) -> NDArray[np.uint16]:
    """(W, H) metres as (H, W) millimetres; what is no depth, or beyond what 16 bits hold, is unknown."""
    millimetres = np.round(metres.T.astype(np.float64) * 1000)
    known = np.isfinite(millimetres) & (millimetres > 0) & (millimetres <= np.iinfo(np.uint16).max)
    return np.where(known, millimetres, 0).astype(np.uint16)


def _state(file: Path) -> tuple[str, int, int]:
    status = file.stat()
    return file.name, status.st_size, status.st_mtime_ns
