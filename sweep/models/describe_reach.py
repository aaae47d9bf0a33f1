"""Receptive fields: which pixels of the inner image a position of a feature map depends on.

All that these networks do to rows they do to columns alike and apart, so a field is a span of rows and a span of
columns. Spans are followed from operation to operation, exactly, with no border in the way: positions beyond a
map's edges are followed too, as they are where the map is larger.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import numpy as np
from numpy.typing import NDArray

MARGIN = 1 << 13
"""Pixels beyond the inner image's edges that are followed; fields up to about twice as wide are exact."""


class TooWide(ValueError):
    """A field reaches farther than what is followed."""


@dataclass(frozen=True)
class Span:
    """Along one axis, the first and the last input pixel that positions ``first``, ``first`` + 1, ... depend on.

    ``low`` and ``high`` never fall from one position to the next; no operation here turns an axis around.
    """

    first: int
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @classmethod
    def of_input(cls, size: int) -> "Span":
        """An image of ``size`` pixels: each depends on itself."""
        pixels = np.arange(-MARGIN, size + MARGIN)
        return cls(-MARGIN, pixels, pixels)

    def windowed(self, kernel: int, stride: int, dilation: int, padding: int) -> "Span":
        """After a convolution or a pooling window of that geometry."""
        reach = (kernel - 1) * dilation
        begin = -(-(self.first + padding) // stride)
        end = (self._last + padding - reach) // stride
        starts = np.arange(begin, end + 1) * stride - padding
        return self._taken(begin, starts, starts + reach)

    def resized(self, size: int, new_size: int, kind: Literal["nearest", "bilinear"]) -> "Span":
        """After a resize with half-pixel centres, as torch has them."""
        begin, end = self.first * new_size // size - 2, (self._last + 1) * new_size // size + 2
        places = np.arange(begin, end + 1)
        if kind == "nearest":
            sources = places * size // new_size
            return self._clipped(begin, sources, sources)
        doubled = (2 * places + 1) * size - new_size  # the source's place times 2 new_size
        return self._clipped(begin, doubled // (2 * new_size), -(-doubled // (2 * new_size)))

    def padded(self, before: int) -> "Span":
        """After ``before`` positions were put in front."""
        return Span(self.first + before, self.low, self.high)

    def joined(self, other: "Span") -> "Span":
        """Of what is made of two maps, position by position."""
        first, last = max(self.first, other.first), min(self._last, other._last)
        mine, theirs = (slice(first - span.first, last + 1 - span.first) for span in (self, other))
        return Span(
            first,
            np.minimum(self.low[mine], other.low[theirs]),
            np.maximum(self.high[mine], other.high[theirs]),
        )

    def extent(self, size: int) -> int:
        """Pixels that the most far-sighted of positions 0 to ``size`` - 1 depends on.

        Raises:
            TooWide: that is more than what is followed.
        """
        if self.first > 0 or self._last < size - 1:
            raise TooWide(f"a receptive field of more than {MARGIN} pixels")
        inside = slice(-self.first, size - self.first)
        return int((self.high[inside] - self.low[inside]).max()) + 1

    @property
    def _last(self) -> int:
        return self.first + len(self.low) - 1

    def _clipped(self, begin: int, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> "Span":
        """`_taken`, without the positions whose sources are not followed."""
        kept = np.flatnonzero((starts >= self.first) & (ends <= self._last))
        if len(kept) == 0:
            raise TooWide(f"a receptive field of more than {MARGIN} pixels")
        return self._taken(begin + int(kept[0]), starts[kept], ends[kept])

    def _taken(self, first: int, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> "Span":
        if len(starts) == 0:
            raise TooWide(f"a receptive field of more than {MARGIN} pixels")
        return Span(first, self.low[starts - self.first], self.high[ends - self.first])


@dataclass(frozen=True)
class Sight:
    """What each position of a feature map depends on.

    Attributes:
        local: the spans of rows and of columns that it depends on through convolutions and resizes; None for what
            has no place in the image, such as channels' means.
        whole: whether it also depends on the whole image, through a mean over it.
    """

    local: tuple[Span, Span] | None
    whole: bool


def joined(sights: Iterable[Sight]) -> Sight:
    """Of what is made of several maps, position by position, or from means that are the same everywhere."""
    sights = tuple(sights)
    spans = [sight.local for sight in sights if sight.local is not None]
    whole = any(sight.whole for sight in sights)
    if not spans:
        return Sight(None, whole)
    return Sight(reduce(lambda one, other: (one[0].joined(other[0]), one[1].joined(other[1])), spans), whole)
