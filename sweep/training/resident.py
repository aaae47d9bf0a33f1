"""Where a training split's frames lie: on the device, whole, or in the memory-mapped files.

``Mapped`` reads frames from the split's arrays for each batch and brings them to the device; ``resident`` does
that once for all frames and keeps the result, if the device has room for it. A batch is the same either way,
so a candidate's result does not depend on how much memory a machine has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import psutil
import torch
from torch import Tensor

from sweep.models.layers import resize
from sweep.training.targets import nearest_centres

_CHUNK: Final = 32  # frames prepared at once


@dataclass(frozen=True)
class Indices:
    """Which frames, for both kinds of store: on the host and on the device, (N,) int64."""

    host: npt.NDArray[np.int64]
    device: Tensor

    @classmethod
    def upload(cls, host: npt.NDArray[np.int64], device: torch.device) -> "Indices":
        """The same numbers on both."""
        return cls(host, upload(torch.from_numpy(host), device))

    def __getitem__(self, some: slice) -> "Indices":
        return Indices(self.host[some], self.device[some])


class Frames(Protocol):
    """All frames of a split, of one kind."""

    def take(self, indices: Indices) -> Tensor:
        """Some frames, in that order, on the device."""


class Mapped:
    """Frames read from the host's array whenever they are asked for.

    Args:
        array: (M, ...) uint8, or uint16, which arrives as its bit patterns in int16.
        prepare: what is done to each batch of frames on the device.
        device: where they go; to a GPU through pinned memory, without waiting.
    """

    def __init__(
        self,
        array: npt.NDArray[Any],
        prepare: Callable[[Tensor], Tensor],
        device: torch.device,
    ) -> None:
        self._array = array if array.dtype != np.uint16 else array.view(np.int16)
        self._prepare = prepare
        self._device = device

    def __len__(self) -> int:
        return len(self._array)

    def take(self, indices: Indices) -> Tensor:
        """Some frames, prepared."""
        return self._prepare(upload(torch.from_numpy(self._array[indices.host]), self._device))


class Resident:
    """Frames that lie on the device.

    Args:
        frames: (M, ...), all of them.
    """

    def __init__(self, frames: Tensor) -> None:
        self._frames = frames

    def take(self, indices: Indices) -> Tensor:
        """Some frames, copied."""
        return self._frames.index_select(0, indices.device)


def resident(mapped: Mapped, device: torch.device, most_bytes: float) -> Frames:
    """All frames prepared once and kept on the device; ``mapped`` itself if that took over ``most_bytes``."""
    count = len(mapped)
    first = mapped.take(Indices.upload(np.zeros(1, np.int64), device))
    if first.nbytes * count > most_bytes:
        return mapped
    frames = torch.empty((count, *first.shape[1:]), dtype=first.dtype, device=device)
    for start in range(0, count, _CHUNK):
        chunk = np.arange(start, min(start + _CHUNK, count))
        frames[start : start + _CHUNK] = mapped.take(Indices.upload(chunk, device))
    return Resident(frames)


def free_bytes(device: torch.device) -> int:
    """Memory that new tensors could take on ``device``."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Bring a host tensor to the device; to a GPU through pinned memory, so that nothing waits for it."""
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def unchanged(frames: Tensor) -> Tensor:
    """Frames as they are stored."""
    return frames


def to_inner(size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """(N, H, W, 3) uint8 images to (N, *size, 3) by the networks' own input resize, rounded to 8 bits."""

    def prepare(frames: Tensor) -> Tensor:
        height, width = frames.shape[1:3]
        inner = resize(frames.permute(0, 3, 1, 2).float(), (height, width), size, "bilinear")
        return inner.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()

    return prepare


def to_nearest(
    size: tuple[int, int], frame_size: tuple[int, int], device: torch.device
) -> Callable[[Tensor], Tensor]:
    """(N, *frame_size) depth to (N, *size) by nearest sampling."""
    rows, columns = (
        torch.from_numpy(nearest_centres(wanted, found)).to(device)
        for wanted, found in zip(size, frame_size, strict=True)
    )

    def prepare(depth_mm: Tensor) -> Tensor:
        return depth_mm.index_select(1, rows).index_select(2, columns)

    return prepare
