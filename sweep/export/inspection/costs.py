"""What stands out in a file's costs: arithmetic, memory, and operators that XNNPACK leaves alone."""

from collections.abc import Iterator
from typing import Final

from sweep.export.inspection.delegation import Delegation
from sweep.export.inspection.memory import MemoryUse
from sweep.export.inspection.remarks import (
    Remark,
    bytes_text,
    operator_name,
    operators_by_kind,
    shape_text,
    short,
    times,
)
from sweep.export.model_info import ModelInfo, OperatorInfo

LARGE_SHARE_OF_MULTIPLY_ADDS: Final = 0.25
MANY_CHANNELS: Final = 4
RESIZES: Final = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")


def large_shares_of_multiply_adds(model: ModelInfo) -> Iterator[Remark]:
    """Operators that dominate the arithmetic, in a graph where it could be spread."""
    total, counts = model.multiply_adds, model.operator_multiply_adds
    if sum(count > 0 for count in counts) * LARGE_SHARE_OF_MULTIPLY_ADDS <= 1:
        return
    for position, count in enumerate(counts):
        if count > LARGE_SHARE_OF_MULTIPLY_ADDS * total:
            yield Remark(
                "large_share_of_multiply_adds",
                "cost",
                f"{operator_name(model, position)} takes {count / total:.0%} of the multiply-adds, "
                f"{count / 1e6:.1f} of {total / 1e6:.1f} M",
                "give it fewer channels, a lower resolution, or a depthwise form",
                (position,),
            )


def large_share_of_memory(model: ModelInfo, memory: MemoryUse) -> Iterator[Remark]:
    """A feature map at the peak that takes more than the graph's inputs and outputs together."""
    ends = {*model.input_indexes, *model.output_indexes}
    inner = [index for index in memory.peak_tensors if index not in ends]
    if memory.peak_operator is None or not inner:
        return
    largest = model.tensors[inner[0]]
    if largest.nbytes <= sum(model.tensors[index].nbytes for index in ends):
        return
    yield Remark(
        "large_share_of_memory",
        "cost",
        f"{short(largest.name)!r}, {shape_text(largest.shape)} {largest.type}, takes "
        f"{bytes_text(largest.nbytes)} of the peak of {bytes_text(memory.peak_bytes)}, at operator "
        f"{operator_name(model, memory.peak_operator)}",
        "compute it with fewer channels or at a lower resolution",
        (memory.peak_operator,),
        (inner[0],),
    )


def full_frame_resizes(model: ModelInfo) -> Iterator[Remark]:
    """Resizes of many channels to the size of the graph's own ends."""
    ends = (*model.inputs, *model.outputs)
    frame = max((t.shape[1] * t.shape[2] for t in ends if len(t.shape) == 4 and min(t.shape) > 0), default=0)
    for position, operator in enumerate(model.operators):
        shape = model.tensors[operator.outputs[0]].shape if operator.outputs else ()
        if operator.name not in RESIZES or len(shape) != 4 or shape[3] < MANY_CHANNELS:
            continue
        if frame > 0 and shape[1] * shape[2] >= frame:
            amount = model.tensors[operator.outputs[0]].nbytes
            yield Remark(
                "full_frame_resize",
                "cost",
                f"{operator_name(model, position)} brings {shape[3]} channels to the full {shape[1]}x{shape[2]}, "
                f"{bytes_text(amount)}",
                "reduce them to the output's channels first, then resize",
                (position,),
            )


def not_delegated(model: ModelInfo, delegation: Delegation) -> Iterator[Remark]:
    """Operators that the interpreter's own kernels run; each one amid the others parts the graph."""
    integers = {p for p, operator in enumerate(model.operators) if works_on_codes(model, operator)}
    left = set(delegation.left)
    if integers and integers <= left:
        yield Remark(
            "integers_not_delegated",
            "note",
            f"XNNPACK takes none of the {times(len(integers), 'quantised operator')}, as {delegation.runtime} is "
            "built",
            "measure it on the device: TensorFlow Lite's own integer kernels are quick on ARM, less so elsewhere",
            tuple(sorted(integers)),
        )
        left -= integers
    if left:
        found = tuple(sorted(left))
        written = sum(model.tensors[index].nbytes for p in found for index in model.operators[p].outputs)
        rest = f", and the rest falls into {delegation.partitions} parts" if delegation.partitions > 1 else ""
        yield Remark(
            "not_delegated",
            "cost",
            f"XNNPACK leaves {len(found)} of {times(len(model.operators), 'operator')} to slower kernels{rest}; "
            f"they write {bytes_text(written)}: {operators_by_kind(model, found)}",
            f"use forms that it takes, or keep them at the graph's ends (asked of {delegation.runtime})",
            found,
        )


def works_on_codes(model: ModelInfo, operator: OperatorInfo) -> bool:
    """Whether it reads or writes quantised activations."""
    ends = (*operator.inputs[:1], *operator.outputs[:1])
    activations = (model.tensors[index] for index in ends if index >= 0)
    return any(tensor.quantized and not tensor.constant for tensor in activations)
