"""An epoch's batches."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as run_settings
from hypothesis import strategies as st
from test_augment import augmentation, settings
from tiny_training import make_split

from sweep.data import Split
from sweep.space.candidate import Augmentation
from sweep.training.augment import draw, resamples
from sweep.training.batches import Batch, Batches, steps_per_epoch
from sweep.training.targets import sample_nearest

CPU = torch.device("cpu")
SPLIT = make_split(10, 48, 64, seed=1)
USUAL = augmentation(flip=True, min_scale=0.6, colour=0.5)
ALL = augmentation(flip=True, min_scale=0.6, colour=0.5, rotation=10.0, vertical_flip=True)


def batches_of(split: Split = SPLIT, chosen: Augmentation = USUAL, batch_size: int = 4, **more) -> Batches:
    more = {"device": CPU, **more}
    return Batches(
        split, inner_size=(32, 32), output_size=(16, 16), augmentation=chosen, batch_size=batch_size, **more
    )


def assert_same(left: list[Batch], right: list[Batch]) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        for field in ("images", "target", "valid"):
            assert torch.equal(getattr(a, field), getattr(b, field))
        np.testing.assert_array_equal(a.indices, b.indices)


def test_an_epoch_is_the_same_for_the_same_seed_and_number_and_another_otherwise() -> None:
    batches = batches_of(chosen=ALL)
    first = list(batches.epoch(0, 0))
    assert_same(first, list(batches.epoch(0, 0)))
    assert_same(first, list(batches_of(chosen=ALL).epoch(0, 0)))
    for other in (batches.epoch(1, 0), batches.epoch(0, 1)):
        assert not torch.equal(first[0].images, next(other).images)


@given(settings, st.integers(1, 12), st.integers(1, 9))
@run_settings(deadline=None, max_examples=30)
def test_batches_are_full_and_have_the_networks_sizes(
    chosen: Augmentation, frames: int, batch_size: int
) -> None:
    batches = batches_of(make_split(frames, 24, 32, seed=1), chosen, batch_size)
    found = list(batches.epoch(0, 0))
    size = min(frames, batch_size)
    assert len(batches) == len(found) == steps_per_epoch(frames, batch_size)
    for batch in found:
        assert batch.images.shape == (size, 3, 32, 32)
        assert batch.target.shape == batch.valid.shape == (size, 1, 16, 16)
        assert (batch.images.dtype, batch.target.dtype) == (torch.float32, torch.float32)
        assert batch.valid.dtype == torch.bool
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.target.isfinite().all()
        assert 0 <= batch.images.min() <= batch.images.max() <= 255
        assert len(batch.indices) == len(batch.drawn) == size


def test_every_image_is_seen_once_in_an_epoch_in_a_new_order() -> None:
    batches = batches_of(make_split(12, 48, 64, seed=1))
    first, second = (
        [index for batch in batches.epoch(0, epoch) for index in batch.indices.tolist()] for epoch in (0, 1)
    )
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second


@pytest.mark.parametrize("chosen", [augmentation(flip=True), ALL], ids=["mirrored", "all"])
def test_indices_tell_which_images_a_batch_holds(chosen: Augmentation) -> None:
    # Each frame has one depth, so that the targets tell which frames a batch holds.
    split = make_split(12, 48, 64, seed=1)
    split.depth_mm[:] = 1000 * (1 + np.arange(12))[:, None, None]
    for batch in batches_of(split, chosen).epoch(0, 0):
        metres = batch.target.amax(dim=(1, 2, 3)).exp()
        assert metres.round().int().tolist() == (1 + batch.indices).tolist()


def test_order_and_numbers_are_drawn_from_seed_and_epoch_in_a_fixed_order() -> None:
    rng = np.random.default_rng((3, 7))
    order = rng.permutation(10)
    drawn = draw(ALL, 2, 4, rng)
    for number, batch in enumerate(batches_of(chosen=ALL).epoch(3, 7)):
        rows = slice(4 * number, 4 * number + 4)
        np.testing.assert_array_equal(batch.indices, order[rows])
        for field in dataclasses.fields(drawn):
            np.testing.assert_array_equal(getattr(batch.drawn, field.name), getattr(drawn, field.name)[rows])


@pytest.mark.parametrize("colour", [0.0, 0.5])
def test_mirrored_batches_are_the_resized_and_mirrored_frames(colour: float) -> None:
    chosen = augmentation(flip=True, vertical_flip=True, colour=colour)
    frames = torch.from_numpy(SPLIT.rgb).permute(0, 3, 1, 2).double()
    inner = F.interpolate(frames, size=(32, 32), mode="bilinear").round().numpy()
    depth_mm = sample_nearest(SPLIT.depth_mm, (16, 16))
    mirrors = set()
    for batch in batches_of(chosen=chosen).epoch(0, 0):
        for row, index in enumerate(batch.indices):
            ways = (-1 if batch.drawn.upside_down[row] else 1, -1 if batch.drawn.flipped[row] else 1)
            mirrors.add(ways)
            image = inner[index][:, :: ways[0], :: ways[1]]
            mean, contrast = image.mean(), batch.drawn.contrast[row]
            changed = (mean + contrast * (image - mean)) * batch.drawn.gain[row][:, None, None]
            found = batch.images[row].numpy()
            # Where a float32 rounds to another of the 8-bit values than a float64, it is 1 off.
            assert np.abs(found - changed.clip(0, 255)).max() <= 1.7
            assert np.abs(found - changed.clip(0, 255)).mean() < 0.01
            depth = depth_mm[index][:: ways[0], :: ways[1]]
            np.testing.assert_array_equal(batch.valid[row, 0].numpy(), depth > 1)
            np.testing.assert_allclose(
                batch.target[row, 0].exp().numpy(), np.maximum(depth, 1) / 1000, rtol=1e-6
            )
    assert len(mirrors) == 4


@given(settings, st.integers(0, 5))
@run_settings(deadline=None, max_examples=30)
def test_batches_do_not_depend_on_where_frames_lie(chosen: Augmentation, epoch: int) -> None:
    kept = batches_of(chosen=chosen, most_bytes=1e9)
    read_anew = batches_of(chosen=chosen, most_bytes=0)
    assert_same(list(kept.epoch(0, epoch)), list(read_anew.epoch(0, epoch)))


@pytest.mark.parametrize(
    "chosen", [USUAL, augmentation(rotation=3.0), augmentation(flip=True, colour=0.1)], ids=str
)
def test_a_cpu_keeps_no_copy_of_frames_that_are_resampled_and_needs_no_files_for_others(
    chosen: Augmentation,
) -> None:
    split = make_split(8, 48, 64, seed=1)
    batches = batches_of(split, chosen)
    split.rgb[:], split.depth_mm[:] = 0, 0  # as if the files had changed
    batch = next(batches.epoch(0, 0))
    assert bool(batch.valid.any()) != resamples(chosen)
    assert bool(batch.images.any()) != resamples(chosen)


def test_unknown_depth_stays_unknown_and_known_depth_stays_the_frames_own() -> None:
    own = {
        round(float(np.log(np.float32(value / 1000))), 4) for value in np.unique(SPLIT.depth_mm) if value > 1
    }
    batches = list(batches_of().epoch(0, 0))
    found = {round(float(value), 4) for batch in batches for value in batch.target[batch.valid]}
    assert found <= own
    unknown = np.mean([1 - batch.valid.float().mean() for batch in batches])
    assert 0.05 < unknown < 0.15


@pytest.mark.gpu
@pytest.mark.parametrize("most_bytes", [None, 0], ids=["resident", "read for each batch"])
@pytest.mark.parametrize("chosen", [augmentation(flip=True, colour=0.5), ALL], ids=["mirrored", "all"])
def test_a_gpu_makes_the_same_batches_without_waiting_for_the_host(
    chosen: Augmentation, most_bytes: float | None
) -> None:
    device = torch.device("cuda")
    batches = batches_of(chosen=chosen, device=device, most_bytes=most_bytes)
    list(batches.epoch(0, 0))  # memory is allocated, and kernels are loaded
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = list(batches.epoch(0, 1))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for ours, expected in zip(found, batches_of(chosen=chosen).epoch(0, 1), strict=True):
        assert (ours.images.cpu() - expected.images).abs().max() < 2.0
        assert (ours.images.cpu() - expected.images).abs().mean() < 0.01
        torch.testing.assert_close(ours.target.cpu(), expected.target)
        assert torch.equal(ours.valid.cpu(), expected.valid)
