"""An epoch's batches."""

import numpy as np
import torch
from tiny_training import make_candidate, make_split

from sweep.training.batches import Batch, steps_per_epoch, training_batches

CPU = torch.device("cpu")


def epoch_of(frames: int, *, seed: int = 0, epoch: int = 0, batch_size: int = 4) -> list[Batch]:
    return list(
        training_batches(
            make_split(frames, 48, 64, seed=1),
            inner_size=(32, 32),
            output_size=(16, 16),
            augmentation=make_candidate().recipe.augmentation,
            batch_size=batch_size,
            seed=seed,
            epoch=epoch,
            device=CPU,
        )
    )


def same(left: list[Batch], right: list[Batch]) -> bool:
    return all(
        torch.equal(a.images, b.images) and torch.equal(a.target, b.target) and torch.equal(a.valid, b.valid)
        for a, b in zip(left, right, strict=True)
    )


def test_an_epoch_is_the_same_for_the_same_seed_and_number_and_another_otherwise() -> None:
    first = epoch_of(10)
    assert same(first, epoch_of(10))
    assert not same(first, epoch_of(10, seed=1))
    assert not same(first, epoch_of(10, epoch=1))


def test_batches_are_full_and_have_the_networks_sizes() -> None:
    batches = epoch_of(10)
    assert [(b.images.shape, b.target.shape, b.valid.shape) for b in batches] == [
        ((4, 3, 32, 32), (4, 1, 16, 16), (4, 1, 16, 16))
    ] * steps_per_epoch(10, 4)
    assert all(batch.images.is_contiguous(memory_format=torch.channels_last) for batch in batches)


def test_a_split_smaller_than_a_batch_is_one_batch() -> None:
    assert [len(batch.images) for batch in epoch_of(3, batch_size=8)] == [3]


def test_every_image_is_seen_once_in_an_epoch_in_a_new_order() -> None:
    # Each frame has one depth, so that the targets tell which frames a batch holds.
    split = make_split(12, 48, 64, seed=1)
    split.depth_mm[:] = 1000 * (1 + np.arange(12))[:, None, None]

    def order(epoch: int) -> list[int]:
        batches = training_batches(
            split,
            inner_size=(32, 32),
            output_size=(16, 16),
            augmentation=make_candidate().recipe.augmentation,
            batch_size=4,
            seed=0,
            epoch=epoch,
            device=CPU,
        )
        return [round(float(metres)) for batch in batches for metres in batch.target[:, 0, 0, 0].exp()]

    assert sorted(order(0)) == sorted(order(1)) == list(range(1, 13))
    assert order(0) != order(1)


def test_unknown_depth_stays_unknown_and_known_depth_stays_the_frames_own() -> None:
    split = make_split(10, 48, 64, seed=1)
    own = {
        round(float(np.log(np.float32(value / 1000))), 4) for value in np.unique(split.depth_mm) if value > 1
    }
    batches = epoch_of(10)
    found = {round(float(value), 4) for batch in batches for value in batch.target[batch.valid]}
    assert found <= own
    unknown = np.mean([1 - batch.valid.float().mean() for batch in batches])
    assert 0.05 < unknown < 0.15
