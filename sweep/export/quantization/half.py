"""Float16 weights: a file of half the size that computes in float32.

As TensorFlow's converter does it, each constant is stored as float16 and brought back to float32 by a DEQUANTIZE,
which a runtime executes once, when it prepares the graph.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sweep.export.graph import Options, TFLiteGraph, TFLiteOperator, TFLiteTensor

DEQUANTIZE_FLOAT16 = 3
"""The version of DEQUANTIZE that takes float16."""

# A DEQUANTIZE and the tensor that it makes take about 200 bytes of the file: as much as 100 numbers save.
FEWEST_ELEMENTS = 128

LARGEST_HALF = float(np.finfo(np.float16).max)
SMALLEST_NORMAL_HALF = float(np.finfo(np.float16).smallest_normal)


def to_fp16(graph: TFLiteGraph) -> TFLiteGraph:
    """The float graph with its constants stored as float16; everything is still computed in float32.

    A number changes by at most 2**-11 of itself, and by at most 2**-25 where it is below 2**-14. These constants
    stay as they are:

    - integers: shapes, sizes and axes;
    - those with fewer than 128 numbers, which would not make the file smaller;
    - those that float16 cannot hold: with a number beyond 65504, or with none as large as 2**-14;
    - those that something is divided by, since a tiny one would become 0.
    """
    divisors = {operator.inputs[1] for operator in graph.operators if operator.builtin == "DIV"}
    halved = tuple(t for t in graph.tensors if is_halved(t) and t.name not in divisors)
    names = {tensor.name for tensor in halved}
    restored = (replace(tensor, data=None) if tensor.name in names else tensor for tensor in graph.tensors)
    return replace(
        graph,
        tensors=(*(as_half(tensor) for tensor in halved), *restored),
        operators=(*(restoring(tensor) for tensor in halved), *graph.operators),
    )


def is_halved(tensor: TFLiteTensor) -> bool:
    """Whether the tensor is a constant that float16 holds, and that makes the file smaller so."""
    if tensor.data is None or tensor.type != "float32" or tensor.data.size < FEWEST_ELEMENTS:
        return False
    return bool(SMALLEST_NORMAL_HALF <= np.abs(tensor.data).max() <= LARGEST_HALF)


def as_half(tensor: TFLiteTensor) -> TFLiteTensor:
    """The stored form of a constant, under a name of its own."""
    return replace(tensor, name=half_name(tensor), data=rounded(tensor), type="float16")


def restoring(tensor: TFLiteTensor) -> TFLiteOperator:
    """The operator that makes the constant's float32 form under its old name."""
    options = Options("DequantizeOptions")
    return TFLiteOperator("DEQUANTIZE", DEQUANTIZE_FLOAT16, (half_name(tensor),), tensor.name, options)


def rounded(tensor: TFLiteTensor) -> NDArray[np.float16]:
    """The constant's numbers, each rounded to the nearest float16."""
    return np.asarray(tensor.data).astype(np.float16)


def half_name(tensor: TFLiteTensor) -> str:
    """The name of a constant's stored form."""
    return f"{tensor.name}/float16"
