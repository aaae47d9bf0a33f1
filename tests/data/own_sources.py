"""Sources as somebody else's package would have them."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from sweep.data import Frame, ImageError, Listing


def picture(seed: int, height: int = 12, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def depths(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(400, 5000, (12, 16), dtype=np.uint16)


class Office:
    """Three training pairs, two for validation and one held out."""

    name = "office"
    kind = "office-reader-1"
    seeds: ClassVar = {"train": (1, 2, 3), "validation": (4, 5), "test": (6,)}

    def scan(self, splits: Sequence[str]) -> Listing:
        frames = {split: [self.frame(seed) for seed in self.seeds[split]] for split in splits}
        return Listing(frames, state=[self.seeds[split] for split in splits])

    def frame(self, seed: int) -> Frame:
        return Frame(f"pair-{seed}", lambda: picture(seed), lambda: depths(seed))


class Peeking(Office):
    """Its held-out picture is one that it trains on."""

    seeds: ClassVar = {**Office.seeds, "test": (2,)}


class Broken(Office):
    """Everything that a reader can get wrong."""

    def scan(self, splits: Sequence[str]) -> Listing:
        assert splits == ("train", "validation")

        def refuse() -> np.ndarray:
            raise ImageError("the shutter was closed")

        train = [
            Frame("a", lambda: picture(1).astype(float), lambda: depths(1)),
            Frame("a", lambda: picture(1), lambda: depths(1).astype(np.float32)),
            Frame("c", refuse, lambda: depths(1), rgb_place="roll 7, frame 3"),
            Frame("d", lambda: picture(1, 12, 12), lambda: depths(1)),
            Frame("e", lambda: picture(1), lambda: depths(1) * np.uint16(0)),
        ]
        return Listing({"train": train}, state="never changes")


class Stateless(Office):
    def scan(self, splits: Sequence[str]) -> Listing:
        return Listing(super().scan(splits).frames, state={1, 2})


class Nameless:
    kind = "nameless"

    def scan(self, splits: Sequence[str]) -> Listing:
        raise NotImplementedError


class Unwilling:
    def __init__(self, path: str) -> None:
        self.path = path


def office() -> Office:
    return Office()


NOTHING = 3
