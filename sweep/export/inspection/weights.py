"""What stands out in a file's constants."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sweep.export.inspection.remarks import (
    Remark,
    Rule,
    bytes_text,
    operator_names,
    tensor_names,
    times,
)
from sweep.export.model_info import ModelInfo, OperatorInfo, TensorInfo

OUTPUT_AXIS: Final[Mapping[str, int]] = {
    "CONV_2D": 0,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 0,
    "TRANSPOSE_CONV": 0,
}
"""Where the weights of an operator, its second input, have its output channels."""
NOTABLE_WASTE_BYTES: Final = 256
UNPACKING: Final = frozenset({"DEQUANTIZE", "DENSIFY"})


def zero_channels(model: ModelInfo) -> Iterator[Remark]:
    """Output channels that do not depend on the input."""
    idle = {
        p: count for p, operator in enumerate(model.operators) if (count := idle_channels(model, operator))
    }
    if idle:
        channels = sum(idle.values())
        spent = sum(model.operator_multiply_adds[p] * n / channel_count(model, p) for p, n in idle.items())
        listed = ", ".join(f"{n} of {channel_count(model, p)}" for p, n in list(idle.items())[:3])
        yield Remark(
            "zero_channels",
            "cost",
            f"{times(channels, 'output channel')} ({listed}) with no weight but 0, {spent / 1e6:.2f} M "
            f"multiply-adds: {operator_names(model, idle)}",
            "remove the channels and add their bias to what reads them",
            tuple(idle),
        )


def denormal_weights(model: ModelInfo) -> Iterator[Remark]:
    """Numbers so small that processors may take a slow path for them."""
    counts = {index: denormals(tensor) for index, tensor in enumerate(model.tensors)}
    found = tuple(index for index, count in counts.items() if count)
    if found:
        yield Remark(
            "denormal_weights",
            "cost",
            f"{times(sum(counts.values()), 'weight')} below {np.finfo(np.float32).tiny:.2g} but not 0, in "
            f"{tensor_names(model, found)}",
            "set them to 0: arithmetic with such numbers can be many times slower",
            tensors=found,
        )


def not_finite_weights(model: ModelInfo) -> Iterator[Remark]:
    """NaN and infinity."""
    counts = {index: not_finite(tensor) for index, tensor in enumerate(model.tensors)}
    found = tuple(index for index, count in counts.items() if count)
    if found:
        yield Remark(
            "not_finite_weights",
            "problem",
            f"{times(sum(counts.values()), 'weight')} NaN or infinite, in {tensor_names(model, found)}",
            "the network is broken: look at its training",
            tensors=found,
        )


def constants_stored_twice(model: ModelInfo) -> Iterator[Remark]:
    """Buffers with the same content; small ones are not worth a word."""
    holders: dict[bytes, dict[int, int]] = {}  # content -> buffer -> its first tensor
    for index, tensor in enumerate(model.tensors):
        if tensor.data is not None and tensor.data.size >= NOTABLE_WASTE_BYTES:
            holders.setdefault(tensor.data.tobytes(), {}).setdefault(tensor.buffer, index)
    copies = {content: tuple(buffers.values()) for content, buffers in holders.items() if len(buffers) > 1}
    if copies:
        wasted = sum(len(content) * (len(indexes) - 1) for content, indexes in copies.items())
        found = tuple(index for indexes in copies.values() for index in indexes)
        yield Remark(
            "constants_stored_twice",
            "cost",
            f"{bytes_text(wasted)} stored more than once: {tensor_names(model, found)}",
            "let the tensors share one buffer",
            tensors=found,
        )


WEIGHT_RULES: Final[tuple[Rule, ...]] = (
    not_finite_weights,
    zero_channels,
    denormal_weights,
    constants_stored_twice,
)


def idle_channels(model: ModelInfo, operator: OperatorInfo) -> int:
    """How many of the operator's output channels have only weights that stand for 0."""
    axis = OUTPUT_AXIS.get(operator.name)
    weights = None if axis is None else weights_of(model, operator)
    if axis is None or weights is None or weights.values is None or weights.values.ndim <= axis:
        return 0
    moved = np.moveaxis(weights.values, axis, 0).reshape(weights.shape[axis], -1)
    return int(np.count_nonzero((moved == zero_codes(weights, axis)).all(axis=1)))


def zero_codes(weights: TensorInfo, axis: int) -> NDArray[np.int64]:
    """What 0 is stored as: one number for all channels along ``axis``, or one for each, as a column."""
    quantization = weights.quantization
    if quantization is None:
        return np.zeros((1, 1), np.int64)
    codes = np.array(quantization.zero_points, np.int64)
    per_channel = len(codes) == weights.shape[axis] and quantization.axis == axis
    return (codes if per_channel else codes[:1]).reshape(-1, 1)


def channel_count(model: ModelInfo, position: int) -> int:
    """How many output channels an operator with weights has."""
    operator = model.operators[position]
    weights = weights_of(model, operator)
    return 1 if weights is None else weights.shape[OUTPUT_AXIS[operator.name]]


def weights_of(model: ModelInfo, operator: OperatorInfo) -> TensorInfo | None:
    """The operator's weights as the file stores them, seen through the operator that unpacks them."""
    if len(operator.inputs) < 2 or operator.inputs[1] < 0:
        return None
    index = operator.inputs[1]
    if index in model.writers:
        source = model.operators[model.writers[index]]
        if source.name not in UNPACKING or not source.inputs:
            return None
        index = source.inputs[0]
    tensor = model.tensors[index]
    return tensor if tensor.constant else None


def denormals(tensor: TensorInfo) -> int:
    """How many of a float32 constant's numbers are denormal."""
    values = float_values(tensor)
    if values is None:
        return 0
    size = np.abs(values)
    return int(np.count_nonzero((size > 0) & (size < np.finfo(np.float32).tiny)))


def not_finite(tensor: TensorInfo) -> int:
    """How many of a constant's numbers are NaN or infinite."""
    values = tensor.values if tensor.type == "float16" else float_values(tensor)
    return 0 if values is None else int(np.count_nonzero(~np.isfinite(values)))


def float_values(tensor: TensorInfo) -> NDArray[Any] | None:
    """The numbers of a float32 constant."""
    return tensor.values if tensor.type == "float32" else None
