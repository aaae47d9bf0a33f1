"""Keeping the held-out split apart: none of its pictures may be one that a search trains or chooses on."""

import hashlib
from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sweep.data import images
from sweep.data.cache import SIZES, Progress
from sweep.data.dataset import Dataset, Split
from sweep.data.parallel import map_indices
from sweep.data.reading import rgb_place
from sweep.data.source import Listing

SeenPictures = Mapping[str, Mapping[bytes, str]]
"""Per split that a search reads: what messages call each picture, by the digest of its prepared pixels."""


def seen_pictures(listing: Listing, dataset: Dataset, workers: int, progress: Progress) -> SeenPictures:
    """Digests of all pictures in ``dataset``, which was prepared from ``listing``."""
    splits = {"train": dataset.train, "validation": dataset.validation}
    seen = {}
    for name, split in splits.items():
        label = f"comparing with {name}"
        digests = map_indices(partial(_digest_of_frame, split), len(split), workers, label, progress)
        places = (rgb_place(name, frame) for frame in listing.frames[name])
        seen[name] = dict(zip(digests, places, strict=True))
    return seen


def refuse_seen(rgb: NDArray[np.uint8], seen: SeenPictures) -> None:
    """Raise ImageError, naming the other one, if (H, W, 3) ``rgb`` as stored is one of the seen pictures.

    The picture is brought to each split's size first, so that equal sources are found whatever sizes they
    are prepared at. Near duplicates, such as another compression of the same picture, are not found.
    """
    for split, places in seen.items():
        if place := places.get(_digest(images.fit_rgb(rgb, SIZES[split]))):
            raise images.ImageError(
                f"the same picture as {place}; allowed: pictures that are in neither train nor validation"
            )


def _digest_of_frame(split: Split, index: int) -> bytes:
    return _digest(split.rgb[index])


def _digest(rgb: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(rgb).data).digest()
