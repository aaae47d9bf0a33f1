"""One pass through a network, in which every tensor operation is seen: its costs, and where its outputs look."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakTensorKeyDictionary

from sweep.models.describe_reach import Sight, Span, joined

_RESIZES: Final[Mapping[str, Literal["nearest", "bilinear"]]] = {
    "upsample_nearest2d": "nearest",
    "upsample_bilinear2d": "bilinear",
}
_BILINEAR_TAPS: Final = 4
# Not marked as pointwise by torch, and yet no position looks at another; batch normalisation is so in evaluation.
_EACH_FOR_ITSELF: Final = frozenset(
    {
        *("detach", "alias", "_to_copy", "hardswish", "hardswish_", "_prelu_kernel"),
        *("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit_no_training"),
    }
)


class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch gives no types for its modes
    """Counts and follows the operations run under it, in evaluation mode, on a batch of one image.

    Attributes:
        multiply_adds: by module name, those of convolutions and matrix products, and the modules' inner ones.
        resize_multiply_adds: by phase, of bilinear resizes: four for each number put out.
        phase: under what name resizes are counted now.
    """

    def __init__(self, phase: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # likewise
        self.phase = phase
        self.multiply_adds: Counter[str] = Counter()
        self.resize_multiply_adds: Counter[str] = Counter()
        self._running: list[str] = []
        self._sights: MutableMapping[Tensor, Sight | None] = WeakTensorKeyDictionary()

    def follow(self, image: Tensor) -> None:
        """From here on, say of each tensor which pixels of this (1, C, H, W) image it depends on."""
        height, width = image.shape[2:]
        self._sights[image] = Sight((Span.of_input(height), Span.of_input(width)), whole=False)

    def sight(self, tensor: Tensor) -> Sight | None:
        """What the tensor depends on; None for one that an unknown operation has had a part in."""
        return self._sights.get(tensor)

    @contextmanager
    def naming(self, network: nn.Module, seen: Callable[[str, Tensor], None]) -> Iterator[None]:
        """Count by the network's modules while it runs; ``seen`` gets each one's name and output, if a tensor."""
        hooks = [
            hook
            for name, module in network.named_modules()
            for hook in (
                module.register_forward_pre_hook(
                    lambda _module, _inputs, name=name: self._running.append(name)
                ),
                module.register_forward_hook(
                    lambda _module, _inputs, out, name=name: self._left(name, out, seen)
                ),
            )
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _left(self, name: str, output: object, seen: Callable[[str, Tensor], None]) -> None:
        self._running.pop()
        for tensor in tree_leaves(output):
            if isinstance(tensor, Tensor):
                seen(name, tensor)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],  # torch passes it
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        outputs = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        output = next((leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)), None)
        if output is not None:
            self._count(func, name, args, kwargs or {}, output)
            self._look(func, name, args, output)
        return outputs

    def _count(
        self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
    ) -> None:
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            flops = int(formula(*args, **kwargs, out_val=output))
            self.multiply_adds.update(dict.fromkeys(self._running, flops // 2))
        elif _RESIZES.get(name) == "bilinear":
            self.resize_multiply_adds[self.phase] += _BILINEAR_TAPS * output.numel()

    def _look(self, func: Any, name: str, args: tuple[Any, ...], output: Tensor) -> None:
        inputs = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor) and leaf in self._sights]
        if not inputs:
            return
        sights = [sight for sight in map(self.sight, inputs) if sight is not None]
        known = len(sights) == len(inputs)
        self._sights[output] = _through(func, name, args, inputs, sights, output) if known else None


def _through(
    func: Any, name: str, args: tuple[Any, ...], inputs: list[Tensor], sights: list[Sight], output: Tensor
) -> Sight | None:
    """What the output of an operation depends on, from what its inputs do; None for an unknown operation."""
    sight = sights[0]
    if name == "convolution":
        stride, padding, dilation, transposed = args[3:7]
        return None if transposed else _windowed(sight, args[1].shape[2:], stride, padding, dilation)
    if name in ("max_pool2d_with_indices", "avg_pool2d"):
        return _pooled(sight, *args[1:])
    if name in _RESIZES:
        return _resized(sight, inputs[0].shape[2:], output.shape[2:], _RESIZES[name])
    if name == "constant_pad_nd":
        return _padded(sight, args[1])
    if name in ("mean", "_adaptive_avg_pool2d", "amax") and tuple(output.shape[2:]) in ((), (1, 1)):
        return Sight(None, whole=True)
    if name == "cat" and args[1:] not in ((1,), (-3,)):
        return None
    if name == "cat" or name in _EACH_FOR_ITSELF or torch.Tag.pointwise in func.tags:
        return joined(sights)
    return Sight(None, whole=True) if all(each.local is None for each in sights) else None


def _windowed(
    sight: Sight,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Sight:
    if sight.local is None:
        return sight
    rows, columns = sight.local
    (tall, wide), (down, across), (above, left), (spread_y, spread_x) = kernel, stride, padding, dilation
    return Sight(
        (rows.windowed(tall, down, spread_y, above), columns.windowed(wide, across, spread_x, left)),
        sight.whole,
    )


def _pooled(sight: Sight, kernel: Sequence[int], *rest: Any) -> Sight:
    """``rest``: strides (none: the kernel's sides) and paddings, as far as they are given."""
    stride = rest[0] if rest and rest[0] else kernel
    padding = rest[1] if len(rest) > 1 else (0, 0)
    return _windowed(sight, kernel, stride, padding, (1, 1))


def _resized(
    sight: Sight, size: Sequence[int], new_size: Sequence[int], kind: Literal["nearest", "bilinear"]
) -> Sight:
    if sight.local is None:
        return sight
    spans = zip(sight.local, size, new_size, strict=True)
    rows, columns = (span.resized(old, new, kind) for span, old, new in spans)
    return Sight((rows, columns), sight.whole)


def _padded(sight: Sight, amounts: Sequence[int]) -> Sight:
    """``amounts``: left, right, above, below, as ``F.pad`` has them."""
    if sight.local is None:
        return sight
    rows, columns = sight.local
    return Sight(
        (rows.padded(amounts[2] if len(amounts) > 2 else 0), columns.padded(amounts[0])), sight.whole
    )
