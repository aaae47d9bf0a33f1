"""Where pairs come from: the port between a data set's own form and the prepared arrays.

A source lists its pairs without reading them; `sweep.data.prepare_dataset` reads each of them once, brings it to
size and keeps it in the cache. Whatever comes after, training and judging, sees the prepared arrays alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Frame:
    """A pair that is read when it is wanted, by any of several threads.

    Attributes:
        name: tells it from the split's other pairs.
        rgb: reads (H, W, 3) uint8 RGB.
        depth_mm: reads (H, W) uint16 millimetres along the optical axis, 0 = unknown. The two may differ in
            resolution, but not in aspect ratio. Both raise `sweep.data.ImageError` or OSError for what cannot
            be used.
        rgb_place: what messages call the picture, such as its file; empty: the split and the pair's name.
        depth_place: likewise of the depth map.
    """

    name: str
    rgb: Callable[[], NDArray[np.uint8]]
    depth_mm: Callable[[], NDArray[np.uint16]]
    rgb_place: str = ""
    depth_place: str = ""


@dataclass(frozen=True)
class Listing:
    """What a source holds of some splits, found without reading a pixel.

    Attributes:
        frames: the pairs by split, in order.
        state: plain data, as JSON has it, that is another when one of these pairs is, such as the files with
            their sizes and modification times. It is looked at before each sweep, so it must be cheap.
        problems: what is wrong with the layout, a line for each thing, its name first.
    """

    frames: Mapping[str, Sequence[Frame]]
    state: Any
    problems: Sequence[str] = ()


@runtime_checkable
class Source(Protocol):
    """Pairs of pictures and depth maps in splits: ``train``, ``validation`` and, held out, ``test``."""

    @property
    def name(self) -> str:
        """The data's name, which is part of a sweep's identity."""

    @property
    def kind(self) -> str:
        """Name and version of the reader: another one when it reads other pixels from the same files."""

    def scan(self, splits: Sequence[str]) -> Listing:
        """List ``splits`` and look at no other one: a search never asks for ``test``.

        Raises:
            DatasetError: there is nothing that could be listed.
        """
