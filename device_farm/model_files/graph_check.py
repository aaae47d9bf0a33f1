"""Whether a TFLite file's operators and tensors make sense, where interpreters do not ask themselves.

Each check stands for a damage that kills an interpreter instead of making it complain: an operator that reads
what nothing has written, a window that does not move, a scale that is no scale, a string that ends before it
starts. All take tables whose bounds and indexes are sound already, and raise Damaged.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from device_farm.model_files.flatbuffer import Damaged, Reader, Span, Table
from device_farm.model_files.tflite_schema import builtin_name

# Operators with a sliding window cannot do without their options; the others have defaults that work.
WINDOW_OPTIONS: Mapping[str, str] = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONV_2D": "Conv2DOptions",
    "CONV_3D": "Conv3DOptions",
    "CONV_3D_TRANSPOSE": "Conv3DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "L2_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
}
POSITIVE_OPTIONS = ("stride_", "dilation_", "filter_")  # how the names of these fields start
PADDINGS = (0, 1)  # "same" and "valid"
ABSENT_TENSOR = -1  # an operator's optional input that is not given
SMALLEST_SCALE = 2.0**-126  # below it, float32 loses precision; kernels abort on such scales


def check_order(subgraph: Table, buffers: Sequence[Table], codes: Sequence[Table], reader: Reader) -> None:
    """Every tensor that an operator reads, or that leaves the subgraph, has got its content before."""
    tensors = subgraph["tensors"]
    filled = set(reader.integers(subgraph["inputs"]))
    filled.update(index for index, tensor in enumerate(tensors) if _starts_filled(tensor, buffers, reader))
    for index, operator in enumerate(subgraph["operators"]):
        inputs = reader.integers(operator["inputs"])
        if builtin_name(codes[operator["opcode_index"]]) == "RESHAPE":
            inputs = inputs[:1]  # the second may be a tensor without content, there for its shape alone
        for tensor in inputs:
            if tensor not in filled and tensor != ABSENT_TENSOR:
                raise Damaged(f"reads tensor {tensor}, which nothing has filled").within(f"operator {index}")
        filled.update(reader.integers(operator["outputs"]))
    for tensor in reader.integers(subgraph["outputs"]):
        if tensor not in filled:
            raise Damaged(f"outputs has {tensor}, but nothing fills this tensor")


def _starts_filled(tensor: Table, buffers: Sequence[Table], reader: Reader) -> bool:
    """Whether the tensor needs no operator: a constant, a variable, or nothing to fill."""
    return (
        stored_bytes(buffers[tensor["buffer"]]) > 0
        or tensor["is_variable"] != 0
        or tensor["external_buffer"] != 0
        or 0 in reader.integers(tensor["shape"])
    )


def stored_bytes(buffer: Table) -> int:
    """How many bytes a buffer holds, in the flatbuffer or, in files beyond 2 GiB, behind it."""
    return int(buffer["data"].length or (buffer["size"] if lies_behind(buffer["offset"]) else 0))


def lies_behind(offset: int) -> bool:
    """Whether data lies behind the flatbuffer; writers put 1 for an offset that they fill in later."""
    return offset > 1


def check_window(operator: Table, code: Table) -> None:
    """The operator has the options that it needs, and its window can be moved."""
    name = builtin_name(code)
    needed = WINDOW_OPTIONS.get(name)
    if needed is None:
        return
    options = operator["builtin_options"]
    if options is None or options.kind != needed:
        found = "no options" if options is None else options.kind or "unknown options"
        raise Damaged(f"{name} has {found}, but needs {needed}")
    for field, value in options.values.items():
        if value < 1 and field.startswith(POSITIVE_OPTIONS):
            raise Damaged(f"{field} of {name} is {value}, but must be at least 1")
    if options["padding"] not in PADDINGS:
        raise Damaged(f"padding of {name} is {options['padding']}, but must be 0 (same) or 1 (valid)")


def check_quantization(quantization: Table, reader: Reader) -> None:
    """Scales are numbers that quantisation can work with, and each has its zero point."""
    scales, zero_points = reader.floats(quantization["scale"]), quantization["zero_point"].length
    if zero_points not in (0, len(scales)):
        raise Damaged(f"{len(scales)} scales, but {zero_points} zero points")
    for scale in scales:
        if scale != 0 and not SMALLEST_SCALE <= scale < math.inf:
            raise Damaged(f"a scale is {scale}")


def check_strings(data: Span, elements: int, reader: Reader) -> None:
    """The content of a constant tensor of strings: their count, where each starts, the last one's end."""
    count = reader.integers(Span(data.position, 1))[0] if data.length >= 4 else 0
    starts_end = 4 * (count + 2)
    if count != elements or starts_end > data.length:
        raise Damaged(f"{data.length} bytes that claim to be {count} strings, for {elements} elements")
    starts = reader.integers(Span(data.position + 4, count + 1))
    if starts[0] != starts_end or starts[-1] > data.length or any(b < a for a, b in pairwise(starts)):
        raise Damaged(f"{count} strings that do not follow each other within {data.length} bytes")
