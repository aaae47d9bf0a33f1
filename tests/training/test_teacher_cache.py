"""A teacher's outputs, kept per image and orientation, are those it would give again."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from teaching import MIRRORED, make_teacher
from tiny_training import make_candidate, make_split

from sweep.space.candidate import Augmentation
from sweep.training import teacher_cache
from sweep.training.batches import Batch, Batches
from sweep.training.teacher import Teacher, TeacherOutput
from sweep.training.teacher_cache import CachedLessons, LiveLessons, cache_bytes, lessons_of, orientation

CPU = torch.device("cpu")
SIZE = (16, 16)
IMAGES = 10


def batches_of(augmentation: dict[str, Any], epochs: int) -> list[Batch]:
    candidate = make_candidate(augmentation=augmentation)
    batches = Batches(
        make_split(IMAGES, 48, 64, seed=1),
        inner_size=(32, 32),
        output_size=SIZE,
        augmentation=candidate.recipe.augmentation,
        batch_size=4,
        device=CPU,
    )
    return [batch for epoch in range(epochs) for batch in batches.epoch(3, epoch)]


def cached(teacher: Teacher, dtype: torch.dtype, with_features: bool = True) -> CachedLessons:
    return CachedLessons(
        teacher,
        SIZE,
        images=IMAGES,
        orientations=4,
        with_features=with_features,
        device=CPU,
        dtype=dtype,
    )


class CountingTeacher(Teacher):
    """Counts the images that it looked at."""

    looked_at = 0

    def teach(self, images: torch.Tensor, size: tuple[int, int]) -> TeacherOutput:
        self.looked_at += len(images)
        return super().teach(images, size)


def test_kept_in_float32_outputs_equal_those_computed_anew_in_every_orientation() -> None:
    teacher = make_teacher()
    kept, anew = cached(teacher, torch.float32), LiveLessons(teacher, SIZE)
    batches = batches_of(MIRRORED, epochs=8)
    seen = Counter(int(code) for batch in batches for code in orientation(batch.drawn))
    assert seen.keys() == {0, 1, 2, 3}
    for batch in batches:
        found, expected = kept.of(batch), anew.of(batch)
        # A convolution over several images may add in another order than over one.
        torch.testing.assert_close(found.log_depth, expected.log_depth, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found.features, expected.features, rtol=1e-5, atol=1e-5)


def test_they_are_bit_for_bit_what_the_teacher_says_of_each_image_by_itself() -> None:
    teacher = make_teacher()
    kept = cached(teacher, torch.float32)
    for batch in batches_of(MIRRORED, epochs=4):
        found = kept.of(batch)
        for row in range(len(batch.images)):
            alone = teacher.teach(batch.images[row : row + 1], SIZE)
            assert torch.equal(found.log_depth[row], alone.log_depth[0])
            assert torch.equal(found.features[row], alone.features[0])


def test_kept_in_float16_they_are_the_nearest_numbers_of_that() -> None:
    teacher = make_teacher()
    whole, rounded = cached(teacher, torch.float32), cached(teacher, torch.float16)
    for batch in batches_of(MIRRORED, epochs=4):
        expected, found = whole.of(batch), rounded.of(batch)
        assert found.log_depth.dtype is found.features.dtype is torch.float32
        assert torch.equal(found.log_depth, expected.log_depth.half().float())
        assert torch.equal(found.features, expected.features.half().float())


def test_the_teacher_looks_at_each_image_once_in_each_orientation() -> None:
    teacher = CountingTeacher(make_teacher().network, "counts")
    lessons = cached(teacher, torch.float16)
    batches = batches_of(MIRRORED, epochs=6)
    for batch in batches:
        lessons.of(batch)
    pictures = {
        (image, code)
        for batch in batches
        for image, code in zip(batch.indices, orientation(batch.drawn), strict=True)
    }
    assert teacher.looked_at == len(pictures)


def test_what_was_learnt_depends_neither_on_the_order_nor_on_the_company() -> None:
    batches = batches_of(MIRRORED, epochs=6)
    forwards, backwards = cached(make_teacher(), torch.float32), cached(make_teacher(), torch.float32)
    for batch in reversed(batches):
        backwards.of(batch)
    for batch in batches:
        assert torch.equal(forwards.of(batch).features, backwards.of(batch).features)


@pytest.mark.parametrize(
    ("augmentation", "kept"),
    [
        (MIRRORED, True),
        ({**MIRRORED, "flip": False, "vertical_flip": False}, True),
        ({**MIRRORED, "colour": 0.1}, False),
        ({**MIRRORED, "rotation": 5}, False),
        ({**MIRRORED, "crop": {"kind": "random", "min_scale": 0.9}}, False),
    ],
    ids=["mirrored", "as it is", "colour", "rotation", "crop"],
)
def test_only_pictures_that_come_again_are_kept(augmentation: dict[str, Any], kept: bool) -> None:
    lessons = lessons_of(
        make_teacher(),
        SIZE,
        images=IMAGES,
        augmentation=Augmentation.model_validate(augmentation),
        with_features=True,
        device=CPU,
    )
    assert isinstance(lessons, CachedLessons if kept else LiveLessons)


@pytest.mark.parametrize(("with_features", "channels"), [(True, 9), (False, 1)])
@pytest.mark.parametrize(("room", "kept"), [(0, True), (-1, False)])
def test_a_cache_takes_no_more_memory_than_it_may(
    monkeypatch: pytest.MonkeyPatch, with_features: bool, channels: int, room: int, kept: bool
) -> None:
    needed = IMAGES * 4 * channels * 16 * 16 * 2
    teacher = make_teacher()
    assert cache_bytes(teacher, SIZE, IMAGES * 4, with_features) == needed
    monkeypatch.setattr(teacher_cache, "CACHE_BYTES", {"cpu": needed + room})
    lessons = lessons_of(
        teacher,
        SIZE,
        images=IMAGES,
        augmentation=Augmentation.model_validate(MIRRORED),
        with_features=with_features,
        device=CPU,
    )
    assert isinstance(lessons, CachedLessons if kept else LiveLessons)


def test_features_that_nobody_asks_for_are_not_kept() -> None:
    (batch, *_) = batches_of(MIRRORED, epochs=1)
    taught = cached(make_teacher(), torch.float32, with_features=False).of(batch)
    assert taught.features.numel() == 0
    assert np.isfinite(taught.log_depth.numpy()).all()
