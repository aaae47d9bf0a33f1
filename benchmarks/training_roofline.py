"""What this machine could do at best, and how much work a training step is.

The roofline of Williams et al. 2009: a step takes at least its FLOPs over the peak of arithmetic, and at least
its bytes over the peak of memory.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ROUNDS = 9


@dataclass(frozen=True)
class Peaks:
    """The best of some rounds each.

    Attributes:
        matmul, convolution: FLOP/s of a 1024x1024 product, and of a 3x3 convolution of 64 to 64 channels.
        bytes: read and written per second by a copy of 256 MB.
    """

    matmul: float
    convolution: float
    bytes: float

    @property
    def flops(self) -> float:
        """FLOP/s."""
        return max(self.matmul, self.convolution)


@dataclass(frozen=True)
class Work:
    """One training step's.

    Attributes:
        flops: of its products and convolutions, forwards and backwards; a multiply-add is two.
        bytes: read and written by its operators, each as if alone: none finds its inputs in a cache.
    """

    flops: float
    bytes: float

    def seconds(self, peaks: Peaks) -> float:
        """The least that a step takes: all of one of the two peaks."""
        return max(self.flops / peaks.flops, self.bytes / peaks.bytes)


def measure_peaks(device: torch.device, dtype: torch.dtype = torch.float32) -> Peaks:
    """Measure this machine, with as many threads as torch is set to."""
    left = torch.rand(1024, 1024, device=device, dtype=dtype)
    image = torch.rand(8, 64, 64, 64, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    kernel = torch.rand(64, 64, 3, 3, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    source = torch.rand(32 << 20, device=device)
    copy = torch.empty_like(source)
    with torch.inference_mode():
        return Peaks(
            matmul=2 * 1024**3 / _best(lambda: left @ left, device),
            convolution=2
            * 8
            * 64**2
            * 64
            * 64
            * 9
            / _best(lambda: torch.conv2d(image, kernel, padding=1), device),
            bytes=2 * source.nbytes / _best(lambda: copy.copy_(source), device),
        )


def measure_work(step: Callable[[], object]) -> Work:
    """Count what ``step`` does."""
    with _Counter() as counter:
        step()
    return Work(counter.flops, counter.bytes)


class _Counter(TorchDispatchMode):
    """Adds up the FLOPs of products and convolutions, and the bytes of all tensors read and written.

    torch's own FlopCounterMode takes the weight gradient of a depthwise convolution for that of a full one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.bytes = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,  # torch's signature
        args: Any = (),
        kwargs: Any = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        self.flops += _flops(func, args, found)
        if not func.is_view:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, found)) if isinstance(leaf, Tensor)]
            self.bytes += sum(tensor.nbytes for tensor in tensors)
        return found


def _flops(func: Any, args: Any, found: Any) -> int:
    """Two for each multiply-add of a product or convolution; each of a convolution's gradients has as many."""
    aten = torch.ops.aten
    if func is aten.convolution.default:
        image, weight, transposed = args[0], args[1], args[6]
        return _convolution_flops(image if transposed else found, weight)
    if func is aten.convolution_backward.default:
        gradient, image, weight, transposed, wanted = args[0], args[1], args[2], args[7], args[10]
        return sum(wanted[:2]) * _convolution_flops(image if transposed else gradient, weight)
    if func in (aten.mm.default, aten.bmm.default):
        return int(2 * found.numel() * args[0].shape[-1])
    if func is aten.addmm.default:
        return int(2 * found.numel() * args[1].shape[-1])
    return 0


def _convolution_flops(pixels: Tensor, weight: Tensor) -> int:
    """``pixels``: what each of the weight's first dimension is applied for."""
    return 2 * pixels.numel() * weight[0].numel()


def _best(work: Callable[[], object], device: torch.device) -> float:
    seconds = []
    for _ in range(ROUNDS):
        synchronize(device)
        started = time.perf_counter()
        work()
        synchronize(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
