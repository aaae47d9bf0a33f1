"""Frames on the device are the frames of the files."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as run_settings
from hypothesis import strategies as st
from tiny_training import make_split

from sweep.training.resident import (
    Frames,
    Indices,
    Mapped,
    Resident,
    free_bytes,
    resident,
    to_inner,
    to_nearest,
    unchanged,
)
from sweep.training.targets import sample_nearest

CPU = torch.device("cpu")
SPLIT = make_split(40, 24, 32, seed=1)  # more than are prepared at once


def chosen(*indices: int) -> Indices:
    return Indices.upload(np.array(indices), CPU)


def stores() -> dict[str, Mapped]:
    return {
        "inner images": Mapped(SPLIT.rgb, to_inner((16, 20)), CPU),
        "whole images": Mapped(SPLIT.rgb, unchanged, CPU),
        "sampled depth": Mapped(SPLIT.depth_mm, to_nearest((8, 10), (24, 32), CPU), CPU),
        "whole depth": Mapped(SPLIT.depth_mm, unchanged, CPU),
    }


@given(st.sampled_from(sorted(stores())), st.lists(st.integers(0, 39), min_size=1, max_size=12))
@run_settings(deadline=None)
def test_resident_frames_equal_those_prepared_for_each_batch(kind: str, indices: list[int]) -> None:
    mapped = stores()[kind]
    kept = resident(mapped, CPU, most_bytes=1e9)
    assert isinstance(kept, Resident)
    assert torch.equal(kept.take(chosen(*indices)), mapped.take(chosen(*indices)))


def test_frames_stay_in_the_files_where_the_device_has_no_room_for_them() -> None:
    mapped = stores()["inner images"]
    needed = 40 * 16 * 20 * 3
    assert resident(mapped, CPU, most_bytes=needed - 1) is mapped
    assert isinstance(resident(mapped, CPU, most_bytes=needed), Resident)


@pytest.mark.parametrize("size", [(16, 20), (24, 32), (48, 64)])
def test_inner_images_are_resized_and_rounded_to_8_bits(size: tuple[int, int]) -> None:
    exact = F.interpolate(
        torch.from_numpy(SPLIT.rgb).permute(0, 3, 1, 2).double(), size=size, mode="bilinear"
    ).permute(0, 2, 3, 1)
    found = Mapped(SPLIT.rgb, to_inner(size), CPU).take(chosen(*range(40)))
    assert found.dtype == torch.uint8
    assert found.is_contiguous()
    assert (found - exact).abs().max() <= 0.5 + 1e-4


@pytest.mark.parametrize("kind", ["whole depth", "sampled depth"])
def test_all_16_bits_of_depth_arrive(kind: str) -> None:
    depth_mm = np.arange(65_536, dtype=np.uint16).reshape(2, 128, 256)
    prepare = unchanged if kind == "whole depth" else to_nearest((64, 128), (128, 256), CPU)
    expected = depth_mm if kind == "whole depth" else sample_nearest(depth_mm, (64, 128))
    frames: Frames = Mapped(depth_mm, prepare, CPU)
    for store in (frames, resident(frames, CPU, most_bytes=1e9)):
        found = store.take(chosen(0, 1))
        assert found.dtype == torch.int16
        np.testing.assert_array_equal(found.numpy().view(np.uint16), expected)


def test_indices_are_the_same_on_host_and_device() -> None:
    part = chosen(3, 1, 4, 1, 5)[1:4]
    assert part.host.tolist() == part.device.tolist() == [1, 4, 1]


def test_this_machine_has_memory() -> None:
    assert free_bytes(CPU) > 1e6
