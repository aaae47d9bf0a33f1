"""What happens to each training image, as plain numbers drawn before any pixel moves.

``draw`` draws for a whole epoch; image and depth then follow the same numbers (``sweep.training.augment_pixels``).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sweep.space.candidate import Augmentation, RandomCrop

Floats = npt.NDArray[np.float64]

_MAX_BRIGHTNESS = 0.4  # relative changes at colour = 1
_MAX_CONTRAST = 0.4
_MAX_CHANNEL_GAIN = 0.2


@dataclass(frozen=True)
class Draw:
    """What happens to each of N images.

    A window is cut out of the image, turned about the window's centre, and then mirrored.

    Attributes:
        flipped: (N,) bool, mirrored left and right.
        upside_down: (N,) bool, mirrored top and bottom.
        top, left, scale: (N,) the window's upper left corner and its side, as shares of the image's height
            and width; the window keeps the image's aspect ratio and lies inside of the image.
        angle: (N,) degrees by which the picture turns counter-clockwise.
        contrast: (N,) factor on the deviation from the image's mean.
        gain: (N, 3) factor on each channel: brightness times colour.
    """

    flipped: npt.NDArray[np.bool_]
    upside_down: npt.NDArray[np.bool_]
    top: Floats
    left: Floats
    scale: Floats
    angle: Floats
    contrast: Floats
    gain: Floats

    def __len__(self) -> int:
        return len(self.scale)

    def __getitem__(self, images: slice) -> "Draw":
        """What happens to some of the images."""
        return Draw(
            flipped=self.flipped[images],
            upside_down=self.upside_down[images],
            top=self.top[images],
            left=self.left[images],
            scale=self.scale[images],
            angle=self.angle[images],
            contrast=self.contrast[images],
            gain=self.gain[images],
        )


def resamples(augmentation: Augmentation) -> bool:
    """Whether pixels are interpolated, and not at most moved whole by mirroring."""
    return isinstance(augmentation.crop, RandomCrop) or augmentation.rotation > 0


def keeps_pixels(augmentation: Augmentation) -> bool:
    """Whether an image only ever appears as it is or mirrored: as at most four different pictures."""
    return not resamples(augmentation) and augmentation.colour == 0


def draw(augmentation: Augmentation, batches: int, size: int, rng: np.random.Generator) -> Draw:
    """Draw the augmentation of ``batches`` batches of ``size`` images, in the order in which they are trained.

    The same numbers are taken from ``rng`` whatever the settings, so recipes that differ in one setting see
    the same flips, windows and colours otherwise.
    """
    flip, cut, place_y, place_x, *colours = _per_image(rng.random((batches, 9, size)))
    # After all of the older settings' numbers, so that recipes without these see what they always saw.
    turn, upside_down = rng.random((2, batches * size))
    crop = augmentation.crop
    scale = 1 - (1 - crop.min_scale) * cut if isinstance(crop, RandomCrop) else np.ones(batches * size)
    brightness, contrast, *colour = (_between(-augmentation.colour, augmentation.colour, c) for c in colours)
    colour_cast = 1 + _MAX_CHANNEL_GAIN * np.stack(colour, axis=1)
    return Draw(
        flipped=(flip < 0.5) & augmentation.flip,
        upside_down=(upside_down < 0.5) & augmentation.vertical_flip,
        top=(1 - scale) * place_y,
        left=(1 - scale) * place_x,
        scale=scale,
        angle=_between(-augmentation.rotation, augmentation.rotation, turn),
        contrast=1 + _MAX_CONTRAST * contrast,
        gain=(1 + _MAX_BRIGHTNESS * brightness)[:, None] * colour_cast,
    )


def _per_image(numbers: Floats) -> Floats:
    """(batches, kinds, size) to (kinds, batches * size)."""
    return numbers.swapaxes(0, 1).reshape(numbers.shape[1], -1)


def _between(low: float, high: float, share: Floats) -> Floats:
    return low + (high - low) * share


def sampling_matrices(drawn: Draw, frame_size: tuple[int, int]) -> Floats:
    """Where the result's points lie in the image: (N, 2, 3), from (x, y, 1) to (x, y).

    Both are in -1..1 from the left or upper border to the right or lower one. Turning is by an angle of the
    picture as it was taken, so it needs the frame's height and width.
    """
    height, width = frame_size
    mirror_x = np.where(drawn.flipped, -1.0, 1.0)
    mirror_y = np.where(drawn.upside_down, -1.0, 1.0)
    angle = np.deg2rad(drawn.angle)
    cosine, sine = drawn.scale * np.cos(angle), drawn.scale * np.sin(angle)
    centre_x, centre_y = 2 * drawn.left + drawn.scale - 1, 2 * drawn.top + drawn.scale - 1
    x = np.stack([cosine * mirror_x, -sine * mirror_y * height / width, centre_x], axis=1)
    y = np.stack([sine * mirror_x * width / height, cosine * mirror_y, centre_y], axis=1)
    return np.stack([x, y], axis=1)
