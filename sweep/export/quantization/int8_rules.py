"""The int8 form of every operator that the exporter writes.

The set is closed, as the lowering's is: an operator either has an int8 kernel since TFLite 2.5.0, and a rule
here, or is known to have none and stays float, or is refused by name. Versions are those that TensorFlow's own
converter writes for int8 operands.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from sweep.export.errors import UnsupportedOperatorError
from sweep.export.graph import Quantization, TFLiteOperator, TFLiteTensor
from sweep.export.quantization.integer_graph import IntegerGraph
from sweep.export.quantization.weights import ConvolutionScales, quantize_weights

Translate = Callable[[IntegerGraph, TFLiteOperator, int], None]

# Where each convolution's weights have their output channels.
CHANNEL_AXIS: Mapping[str, int] = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}

# The specification fixes the output of a logistic function: codes -128 to 127 are 0 to 255/256.
FIXED_OUTPUTS: Mapping[str, Quantization] = {"LOGISTIC": Quantization((1 / 256,), (-128,))}


def translate_convolution(graph: IntegerGraph, operator: TFLiteOperator, version: int) -> None:
    """Weights per output channel; the kernel scales the accumulator down and applies the fused activation."""
    features, weights_name, bias_name = operator.inputs
    source = graph.as_int8(features)
    integers = quantize_weights(
        np.asarray(graph.source.tensor(weights_name).data, np.float32),
        np.asarray(graph.source.tensor(bias_name).data, np.float32),
        CHANNEL_AXIS[operator.builtin],
        ConvolutionScales(
            graph.quantizations[features].scales[0], graph.quantizations[operator.output].scales[0]
        ),
        graph.calibration[features].channel_means,
    )
    weights = TFLiteTensor(
        weights_name, integers.weights.shape, integers.weights, "int8", integers.weights_quantization
    )
    bias = TFLiteTensor(bias_name, integers.bias.shape, integers.bias, "int32", integers.bias_quantization)
    graph.on_int8(operator, (source, graph.constant(weights), graph.constant(bias)), version)


def translate_rescaling(graph: IntegerGraph, operator: TFLiteOperator, version: int) -> None:
    """An operator whose kernel takes any scales, of its operands and of its output."""
    graph.on_int8(operator, tuple(operand(graph, name, None) for name in operator.inputs), version)


def translate_same_scale(graph: IntegerGraph, operator: TFLiteOperator, version: int) -> None:
    """An operator that passes codes on: operands and output must have one scale and zero point."""
    wanted = graph.quantizations[operator.output]
    graph.on_int8(operator, tuple(operand(graph, name, wanted) for name in operator.inputs), version)


def operand(graph: IntegerGraph, name: str, wanted: Quantization | None) -> str:
    """An operand's int8 form, or itself if it is a constant of sizes or axes."""
    tensor = graph.source.tensor(name)
    return graph.as_int8(name, wanted) if tensor.type == "float32" else graph.as_is(name)


@dataclass(frozen=True)
class Int8Rule:
    """How an operator is translated, and the version of its int8 form (None: that of the float one)."""

    translate: Translate
    version: int | None = 2

    @property
    def same_scale(self) -> bool:
        """Whether operands and output share one scale and zero point."""
        return self.translate is translate_same_scale


INT8_RULES: Mapping[str, Int8Rule] = {
    "ADD": Int8Rule(translate_rescaling),
    "AVERAGE_POOL_2D": Int8Rule(translate_same_scale),
    "CONCATENATION": Int8Rule(translate_same_scale),
    "CONV_2D": Int8Rule(translate_convolution, version=3),
    "DEPTHWISE_CONV_2D": Int8Rule(translate_convolution, version=3),
    "HARD_SWISH": Int8Rule(translate_rescaling, version=1),
    "LOGISTIC": Int8Rule(translate_rescaling),
    "MAXIMUM": Int8Rule(translate_same_scale),
    "MEAN": Int8Rule(translate_rescaling),
    "MINIMUM": Int8Rule(translate_same_scale),
    "MUL": Int8Rule(translate_rescaling),
    "PAD": Int8Rule(translate_same_scale),  # the kernel pads with the output's zero point
    "RELU": Int8Rule(translate_rescaling),
    "RELU6": Int8Rule(translate_rescaling),
    "RESHAPE": Int8Rule(translate_same_scale, version=1),
    "RESIZE_BILINEAR": Int8Rule(translate_same_scale, version=None),  # half-pixel centres came after int8
    "RESIZE_NEAREST_NEIGHBOR": Int8Rule(translate_same_scale),
    "SUB": Int8Rule(translate_rescaling),
}

# Known, and without an int8 kernel in TFLite 2.5.0.
FLOAT_ONLY = frozenset({"DIV", "EXP"})


def int8_rule(operator: TFLiteOperator) -> Int8Rule | None:
    """The operator's rule; None for one that stays float.

    Raises UnsupportedOperatorError for an operator that is not known.
    """
    if operator.builtin in FLOAT_ONLY:
        return None
    if operator.builtin not in INT8_RULES:
        known = ", ".join(sorted(INT8_RULES.keys() | FLOAT_ONLY))
        raise UnsupportedOperatorError(
            f"TFLite operator {operator.builtin} (output {operator.output!r}) has no int8 form here; "
            f"supported are {known}"
        )
    return INT8_RULES[operator.builtin]


def translate(graph: IntegerGraph, operator: TFLiteOperator) -> None:
    """Append the int8 form of the operator, or the float one where there is no other."""
    rule = int8_rule(operator)
    if rule is None:
        graph.keep_float(operator)
    else:
        rule.translate(graph, operator, operator.version if rule.version is None else rule.version)
