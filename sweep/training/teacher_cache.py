"""A teacher's outputs, computed once for each image and orientation, or anew for each batch.

A batch that was only mirrored shows one of a few images: the stored one in one of its orientations. What the
teacher sees there does not change, so it is computed when it is first needed and kept. Crops, colours and
rotations make new images all the time; then the teacher looks at every batch.
"""

from collections.abc import Mapping
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sweep.space.candidate import Augmentation
from sweep.training import augment
from sweep.training.batches import Batch
from sweep.training.resident import upload
from sweep.training.teacher import Size, Teacher, TeacherOutput

CACHE_BYTES: Final[Mapping[str, int]] = {"cpu": 2**30, "cuda": 4 * 2**30}
"""Memory of the training device that one trainer's cache may take; one that would be larger is none at all.

Fixed, and not a share of what is free: a training that goes on elsewhere must be taught the same.
"""

Which = npt.NDArray[np.int64]


class Lessons(Protocol):
    """What a teacher says of batches."""

    def of(self, batch: Batch) -> TeacherOutput:
        """The teacher's outputs on the batch's images."""


class LiveLessons:
    """The teacher looks at each batch."""

    def __init__(self, teacher: Teacher, size: Size) -> None:
        self._teacher = teacher
        self._size = size

    def of(self, batch: Batch) -> TeacherOutput:
        """See `Lessons`."""
        return self._teacher.teach(batch.images, self._size)


class CachedLessons:
    """Outputs per image and orientation, on the training device.

    Args:
        teacher: is asked for what is missing.
        size: height and width of the outputs.
        images: how many training images there are.
        orientations: how many of an image's orientations occur, the upright one first; see `orientation`.
        with_features: False if only the depth is of interest; the features then have no channels.
        device: where batches are.
        dtype: of what is kept. float16 rounds a depth by at most 0.2 %.
    """

    def __init__(
        self,
        teacher: Teacher,
        size: Size,
        *,
        images: int,
        orientations: int,
        with_features: bool,
        device: torch.device,
        dtype: torch.dtype = torch.float16,
    ) -> None:
        self._teacher = teacher
        self._size = size
        self._orientations = orientations
        self._channels = teacher.feature_channels if with_features else 0
        places = images * orientations
        self._log_depth = torch.empty((places, 1, *size), dtype=dtype, device=device)
        self._features = torch.empty((places, self._channels, *size), dtype=dtype, device=device)
        self._known = np.zeros(places, dtype=bool)  # on the host: looking does not wait for the device

    def of(self, batch: Batch) -> TeacherOutput:
        """See `Lessons`."""
        places = batch.indices * self._orientations + orientation(batch.drawn)
        self._learn(batch.images, places)
        at = upload(torch.from_numpy(places), self._log_depth.device)
        return TeacherOutput(self._log_depth[at].float(), self._features[at].float())

    def _learn(self, images: Tensor, places: Which) -> None:
        missing = np.flatnonzero(~self._known[places])
        if not missing.size:
            return
        # One image at a time on a CPU, whose arithmetic then cannot depend on which others were missing with it:
        # a training that goes on from a checkpoint, with an empty cache, repeats it bit for bit.
        for which in [missing] if images.is_cuda else missing[:, None]:
            self._keep(images[upload(torch.from_numpy(which), images.device)], places[which])
        self._known[places] = True

    def _keep(self, images: Tensor, places: Which) -> None:
        taught = self._teacher.teach(images, self._size)
        at = upload(torch.from_numpy(places), images.device)
        self._log_depth[at] = taught.log_depth.to(self._log_depth.dtype)
        self._features[at] = taught.features[:, : self._channels].to(self._features.dtype)


def lessons_of(
    teacher: Teacher,
    size: Size,
    *,
    images: int,
    augmentation: Augmentation,
    with_features: bool,
    device: torch.device,
) -> Lessons:
    """Lessons that are kept where the augmentation only mirrors and `CACHE_BYTES` hold them all."""
    orientations = _orientations(augmentation)
    needed = cache_bytes(teacher, size, images * orientations, with_features)
    if not augment.keeps_pixels(augmentation) or needed > CACHE_BYTES[device.type]:
        return LiveLessons(teacher, size)
    return CachedLessons(
        teacher, size, images=images, orientations=orientations, with_features=with_features, device=device
    )


def cache_bytes(teacher: Teacher, size: Size, places: int, with_features: bool) -> int:
    """Memory of the outputs on so many images in float16."""
    channels = 1 + (teacher.feature_channels if with_features else 0)
    return places * channels * size[0] * size[1] * torch.float16.itemsize


def orientation(drawn: augment.Draw) -> Which:
    """(N,), 0 upright, 1 mirrored left and right, 2 upside down, 3 both."""
    return drawn.flipped.astype(np.int64) + 2 * drawn.upside_down.astype(np.int64)


def _orientations(augmentation: Augmentation) -> int:
    """How many of them occur, counted from 0."""
    if augmentation.vertical_flip:
        return 4
    return 2 if augmentation.flip else 1
