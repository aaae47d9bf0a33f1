"""What training and judging see of the data: splits of memory-mapped arrays, and their identity."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TRAIN_SIZE = (240, 320)  # height, width
JUDGE_SIZE = (480, 640)

_SHOWN = 30


@dataclass(frozen=True)
class Split:
    """N aligned pairs.

    Attributes:
        names: the pairs' names, in order.
        rgb: (N, H, W, 3) uint8, memory-mapped, read-only.
        depth_mm: (N, H, W) uint16 millimetres along the optical axis, memory-mapped, read-only, 0 = unknown.
    """

    names: tuple[str, ...]
    rgb: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Dataset:
    """A prepared data set. Hand its ``path`` to other processes, not the object: pickling copies the arrays.

    Attributes:
        name: ``demo-<version>``, or the folder's name; part of a sweep's identity.
        fingerprint: 16 hex digits, a hash of the prepared names and pixels.
        path: the cache directory that holds the arrays.
        train: at TRAIN_SIZE.
        validation: at JUDGE_SIZE.
        is_demo: whether these are generated images.
    """

    name: str
    fingerprint: str
    path: Path
    train: Split
    validation: Split
    is_demo: bool


@dataclass(frozen=True)
class TestSplit(Split):
    """The prepared held-out split, at JUDGE_SIZE: no search reads it, and winners are judged on it once.

    Hand its ``path`` to other processes, not the object: pickling copies the arrays.

    Attributes:
        name: ``demo-<version>-test``, or the folder's name and ``-test``.
        fingerprint: 16 hex digits, a hash of the prepared names and pixels of this split alone.
        path: the cache directory that holds the arrays; another one than that of the search's data set.
        is_demo: whether these are generated images.
    """

    name: str
    fingerprint: str
    path: Path
    is_demo: bool

    @property
    def frames(self) -> int:
        """How many pairs there are."""
        return len(self)


class DatasetError(Exception):
    """Data that cannot be used; ``problems`` has one line per file or folder, each starting with its name."""

    def __init__(self, subject: str, problems: tuple[str, ...]) -> None:
        self.problems = problems
        shown = [f"  {problem}" for problem in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            shown.append(f"  ... and {len(problems) - _SHOWN} more")
        count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
        super().__init__("\n".join([f"{subject}: {count}", *shown]))
