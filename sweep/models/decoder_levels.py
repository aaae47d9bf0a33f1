"""What the decoders have in common: how levels, skips and channels go together.

Level 0 is the deepest; each level doubles the resolution and has the encoder's features of that stride as its
skip. At stride 1 the encoder has none.
"""

from collections.abc import Sequence

from torch import Tensor

from sweep.space.published import round_channels


def skip_channels(encoder_channels: Sequence[int], output_stride: int) -> tuple[int, ...]:
    """Channels of each level's skip, deep to shallow, 0 where there is none.

    ``encoder_channels`` are those at strides 2, 4, 8, ..., of which ``output_stride`` is a smaller one, or 1.
    """
    strided = (0, *encoder_channels)  # at strides 1, 2, 4, ...; the image itself is no skip
    return strided[output_stride.bit_length() - 1 : -1][::-1]


def skip_of(features: Sequence[Tensor], level: int) -> Tensor | None:
    """The encoder's features (shallow to deep) at the stride of that decoder level, or None at stride 1."""
    index = len(features) - 2 - level
    return features[index] if index >= 0 else None


def tapered(width: int, taper: float, levels: int) -> list[int]:
    """Channels per level, deep to shallow: each is ``taper`` times the one before, a multiple of 8."""
    return [round_channels(width * taper**level) for level in range(levels)]
