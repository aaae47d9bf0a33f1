"""Dynamic-range quantisation: int8 weights, float32 everything else; needs no calibration.

The runtime's hybrid kernels quantise each input to int8 by its own range when they run, multiply integers, and
scale the sums back to float32. What is quantised, and how, follows TensorFlow's converter; unlike there, an
operator whose weights stay float32 keeps the version that it had.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from sweep.export.graph import Quantization, TFLiteGraph, TFLiteOperator, TFLiteTensor
from sweep.export.quantization.ranges import SMALLEST_SCALE, quantize
from sweep.export.quantization.weights import natural_scales

FEWEST_ELEMENTS = 1024
"""Smaller weights stay float32, as with TensorFlow's converter: they hardly count in size or time."""


@dataclass(frozen=True)
class Hybrid:
    """The form of a convolution with float32 features and int8 weights, quantised per output channel.

    Attributes:
        channel_axis: where its weights have the output channels.
        dilates: whether the kernel of TFLite 2.5.0 heeds a dilation.
    """

    version: int
    channel_axis: int
    dilates: bool


HYBRIDS: Mapping[str, Hybrid] = {
    "CONV_2D": Hybrid(version=5, channel_axis=0, dilates=False),  # since TFLite 2.4.0
    "DEPTHWISE_CONV_2D": Hybrid(version=6, channel_axis=3, dilates=True),  # since TFLite 2.3.0
}


def to_dynamic_int8(graph: TFLiteGraph) -> TFLiteGraph:
    """The float graph with the convolutions' weights as int8, symmetric, with a scale for each output channel.

    A weight changes by at most half its channel's scale, which is the channel's largest weight over 127. Weights
    with fewer than 1024 numbers, biases, and the constants of other operators stay float32; so do the weights of
    dilated dense convolutions, whose hybrid kernel in TFLite 2.5.0 takes no notice of the dilation.
    """
    weights = {
        operator.inputs[1]: HYBRIDS[operator.builtin]
        for operator in graph.operators
        if becomes_hybrid(graph, operator)
    }
    return replace(
        graph,
        tensors=tuple(
            as_int8(tensor, weights[tensor.name].channel_axis) if tensor.name in weights else tensor
            for tensor in graph.tensors
        ),
        operators=tuple(
            replace(operator, version=HYBRIDS[operator.builtin].version)
            if becomes_hybrid(graph, operator)
            else operator
            for operator in graph.operators
        ),
    )


def becomes_hybrid(graph: TFLiteGraph, operator: TFLiteOperator) -> bool:
    """Whether the operator is a convolution with a hybrid kernel, and with weights that are worth it."""
    hybrid = HYBRIDS.get(operator.builtin)
    if hybrid is None or (is_dilated(operator) and not hybrid.dilates):
        return False
    weights = graph.tensor(operator.inputs[1])
    return weights.data is not None and weights.type == "float32" and weights.data.size >= FEWEST_ELEMENTS


def is_dilated(operator: TFLiteOperator) -> bool:
    """Whether the convolution's taps lie apart."""
    fields = {} if operator.options is None else operator.options.fields
    return any(fields.get(f"Dilation{edge}Factor", 1) != 1 for edge in "HW")


def as_int8(tensor: TFLiteTensor, channel_axis: int) -> TFLiteTensor:
    """The weights as int8 codes of -127 to 127 with zero point 0."""
    weights = np.asarray(tensor.data, np.float32)
    scales = np.maximum(natural_scales(weights, channel_axis), SMALLEST_SCALE).astype(np.float32)
    quantization = Quantization(tuple(scales.tolist()), (0,) * scales.size, channel_axis)
    return replace(tensor, data=quantize(weights, quantization), type="int8", quantization=quantization)
