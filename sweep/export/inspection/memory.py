"""How much memory a file's activations need when its operators run in order.

A tensor lives from the operator that writes it to the last one that reads it. The interpreter keeps some longer:
the graph's inputs and variables from the start to the end, its outputs to the end, and what follows from constants
alone (weights stored as float16, say, once they are unpacked) for good. The largest sum of what lives at the same
time is the least that an arena can do with. Kernels' own scratch memory is not in it; newer runtimes need less
where they let a RESHAPE's output share its input's place.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sweep.export.model_info import ModelInfo


@dataclass(frozen=True)
class MemoryUse:
    """What activations take, in bytes.

    Attributes:
        peak_bytes: the largest sum of activations that live at the same time.
        peak_operator: the first operator, by index, that needs so much; None in a graph without operators.
        peak_tensors: what lives then, by index, the largest first.
        operator_bytes: the sum while each operator runs.
        unpacked_bytes: the part of every sum that follows from constants alone.
    """

    peak_bytes: int
    peak_operator: int | None
    peak_tensors: tuple[int, ...]
    operator_bytes: tuple[int, ...]
    unpacked_bytes: int


@dataclass(frozen=True)
class Lifetime:
    """The operators, first and last, while which a tensor must keep its place."""

    tensor: int
    first: int
    last: int


def memory_use(model: ModelInfo) -> MemoryUse:
    """What the activations of the first subgraph take; sizes that are not known count as 1."""
    lives = tuple(lifetimes(model))
    size = [tensor.nbytes for tensor in model.tensors]
    sums = [0] * len(model.operators)
    for life in lives:
        for position in range(life.first, life.last + 1):
            sums[position] += size[life.tensor]
    unpacked = sum(size[index] for index in unpacked_tensors(model))
    if not sums:
        return MemoryUse(0, None, (), (), unpacked)
    peak = max(range(len(sums)), key=sums.__getitem__)
    alive = [life.tensor for life in lives if life.first <= peak <= life.last]
    alive.sort(key=size.__getitem__, reverse=True)
    return MemoryUse(sums[peak], peak, tuple(alive), tuple(sums), unpacked)


def lifetimes(model: ModelInfo) -> Iterator[Lifetime]:
    """When each tensor that is no constant, and that anything writes, lives."""
    end = len(model.operators) - 1
    unpacked = unpacked_tensors(model)
    for index, tensor in enumerate(model.tensors):
        if tensor.constant:
            continue
        if index in unpacked or index in model.input_indexes or tensor.variable:
            yield Lifetime(index, 0, end)
        elif index in model.writers:
            written = model.writers[index]
            read = max(model.readers.get(index, ()), default=written)
            yield Lifetime(index, written, end if index in model.output_indexes else max(read, written))


def unpacked_tensors(model: ModelInfo) -> frozenset[int]:
    """The tensors that operators compute from constants alone: the same at each invocation."""
    fixed = {index for index, tensor in enumerate(model.tensors) if tensor.constant and not tensor.variable}
    computed: set[int] = set()
    for operator in model.operators:
        operands = [index for index in operator.inputs if index >= 0]
        if operands and fixed.issuperset(operands):
            computed.update(operator.outputs)
            fixed.update(operator.outputs)
    return frozenset(computed)
