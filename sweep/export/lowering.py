"""ONNX to TFLite, one operator at a time, from NCHW to NHWC.

The set is closed: every operator and every form of it that is lowered here has a parity test, and anything
else is refused by name. No TRANSPOSE is ever needed: a feature map changes its layout by changing its shape's
meaning, and constants are transposed here.
"""

from collections.abc import Mapping
from typing import cast

import numpy as np

from sweep.export.builder import Lowering, Rule, integers, number, refuse
from sweep.export.errors import UnsupportedOperatorError
from sweep.export.fusion import clip_bounds, is_hard_sigmoid, spatial_zero_pads
from sweep.export.graph import Node, OnnxGraph, Options, TFLiteGraph
from sweep.export.padding import same_padding
from sweep.export.resizing import lower_resize

ACTIVATION_CODES = {"NONE": 0, "RELU": 1, "RELU6": 3}  # ActivationFunctionType of the TFLite schema
SAME, VALID = 0, 1  # Padding of the TFLite schema
NHWC_AXIS = (0, 3, 1, 2)  # where each NCHW axis goes


def lower(graph: OnnxGraph) -> TFLiteGraph:
    """The TFLite form of the graph. Raises UnsupportedOperatorError naming the operator, node and form."""
    lowering = Lowering(graph)
    for node in graph.nodes:
        rule = RULES.get(node.op)
        if rule is None:
            raise UnsupportedOperatorError(
                f"ONNX operator {node.op} (node {node.name!r}) has no TFLite form here; supported are "
                f"{', '.join(sorted(RULES))}"
            )
        rule(lowering, node)
    return TFLiteGraph(
        tuple(lowering.tensors.values()), tuple(lowering.operators), input=graph.input, output=graph.output
    )


def lower_conv(lowering: Lowering, node: Node) -> None:
    """CONV_2D, or DEPTHWISE_CONV_2D where every group has one input channel."""
    weights = lowering.graph.constants.get(node.inputs[1])
    if weights is None:
        raise refuse(node, "computed weights", "constant weights")
    groups = cast(int, node.attributes.get("group", 1))
    outputs, inputs_per_group = weights.shape[:2]
    bias = lowering.graph.constants[node.inputs[2]] if len(node.inputs) > 2 else np.zeros(outputs, np.float32)
    source, padding = lower_padding(lowering, node)
    stride, dilation = integers(node, "strides", (1, 1)), integers(node, "dilations", (1, 1))
    fields: dict[str, int | bool | float] = {
        "Padding": padding,
        "StrideH": stride[0],
        "StrideW": stride[1],
        "DilationHFactor": dilation[0],
        "DilationWFactor": dilation[1],
        "FusedActivationFunction": ACTIVATION_CODES[node.activation],
    }
    depthwise = groups > 1 and inputs_per_group == 1
    if groups > 1 and not depthwise:
        raise refuse(node, f"group={groups} over {inputs_per_group * groups} channels", "1, or one a channel")
    layout = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
    operands = (
        source,
        lowering.constant(f"{node.output}/weights", weights.astype(np.float32).transpose(layout)),
        lowering.constant(f"{node.output}/bias", bias.astype(np.float32)),
    )
    if depthwise:
        options = Options("DepthwiseConv2DOptions", fields | {"DepthMultiplier": outputs // groups})
        lowering.emit("DEPTHWISE_CONV_2D", node, operands, options, version=1 if dilation == (1, 1) else 2)
    else:
        lowering.emit("CONV_2D", node, operands, Options("Conv2DOptions", fields))


def lower_padding(lowering: Lowering, node: Node) -> tuple[str, int]:
    """The convolution's input and its TFLite padding; a PAD before it where neither SAME nor VALID fits."""
    if node.attributes.get("auto_pad", "NOTSET") != "NOTSET":
        raise refuse(node, f"auto_pad={node.attributes['auto_pad']}", "auto_pad=NOTSET")
    pads = integers(node, "pads", (0, 0, 0, 0))
    if not any(pads):
        return node.inputs[0], VALID
    kernel = lowering.graph.constants[node.inputs[1]].shape[2:]
    stride, dilation = integers(node, "strides", (1, 1)), integers(node, "dilations", (1, 1))
    same = [
        same_padding(size, (taps - 1) * gap + 1, step)
        for size, taps, gap, step in zip(
            lowering.shape(node.inputs[0])[2:], kernel, dilation, stride, strict=True
        )
    ]
    (top, bottom), (left, right) = same
    if pads == (top, left, bottom, right):
        return node.inputs[0], SAME
    return emit_pad(lowering, node.inputs[0], f"{node.output}/padded", pads), VALID


def emit_pad(lowering: Lowering, source: str, output: str, pads: tuple[int, ...]) -> str:
    """PAD with zeros by (top, left, bottom, right); returns the padded tensor's name."""
    top, left, bottom, right = pads
    amounts = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    batch, height, width, channels = lowering.tensors[source].shape
    shape = (batch, top + height + bottom, left + width + right, channels)
    operands = (source, lowering.constant(f"{output}/amounts", amounts))
    return lowering.intermediate("PAD", operands, output, shape, Options("PadOptions"))


def arithmetic(builtin: str, table: str) -> Rule:
    """The rule of a two-operand operator that can fuse an activation."""

    def rule(lowering: Lowering, node: Node) -> None:
        operands = tuple(lowering.operand(node, name) for name in node.inputs)
        options = Options(table, {"FusedActivationFunction": ACTIVATION_CODES[node.activation]})
        lowering.emit(builtin, node, operands, options)

    return rule


def extremum(builtin: str) -> Rule:
    """The rule of MAXIMUM and MINIMUM; ONNX allows any number of operands, TFLite two."""

    def rule(lowering: Lowering, node: Node) -> None:
        if len(node.inputs) != 2:
            raise refuse(node, f"{len(node.inputs)} operands", "2 operands")
        operands = tuple(lowering.operand(node, name) for name in node.inputs)
        lowering.emit(builtin, node, operands, Options("MaximumMinimumOptions"))

    return rule


def unary(builtin: str, table: str | None) -> Rule:
    """The rule of a function of one tensor without parameters."""

    def rule(lowering: Lowering, node: Node) -> None:
        lowering.emit(builtin, node, node.inputs, Options(table) if table else None)

    return rule


def lower_clip(lowering: Lowering, node: Node) -> None:
    """RELU or RELU6 for their bounds, else MAXIMUM and MINIMUM."""
    match clip_bounds(node, lowering.graph.constants):
        case (0.0, 6.0):
            lowering.emit("RELU6", node, node.inputs[:1], None)
        case (0.0, None):
            lowering.emit("RELU", node, node.inputs[:1], None)
        case (float(low), float(high)):
            shape, options = lowering.tensors[node.inputs[0]].shape, Options("MaximumMinimumOptions")
            operands = (node.inputs[0], lowering.constant(f"{node.output}/minimum", number(low)))
            raised = lowering.intermediate("MAXIMUM", operands, f"{node.output}/raised", shape, options)
            operands = (raised, lowering.constant(f"{node.output}/maximum", number(high)))
            lowering.emit("MINIMUM", node, operands, options)
        case bounds:
            raise refuse(node, f"bounds {bounds}", "two constant bounds, or a minimum of 0")


def lower_hard_sigmoid(lowering: Lowering, node: Node) -> None:
    """relu6(x + 3) / 6 as ADD with a fused RELU6 and MUL."""
    if not is_hard_sigmoid(node):
        raise refuse(node, f"attributes {dict(node.attributes)}", "alpha 1/6, beta 1/2")
    shape = lowering.tensors[node.inputs[0]].shape
    operands = (node.inputs[0], lowering.constant(f"{node.output}/three", number(3)))
    options = Options("AddOptions", {"FusedActivationFunction": ACTIVATION_CODES["RELU6"]})
    shifted = lowering.intermediate("ADD", operands, f"{node.output}/shifted", shape, options)
    operands = (shifted, lowering.constant(f"{node.output}/sixth", number(1 / 6)))
    lowering.emit("MUL", node, operands, Options("MulOptions"))


def lower_concat(lowering: Lowering, node: Node) -> None:
    """CONCATENATION of feature maps along any axis."""
    if any(name in lowering.graph.constants for name in node.inputs):
        raise refuse(node, "a constant operand", "feature maps")
    axis = NHWC_AXIS[cast(int, node.attributes["axis"]) % 4]
    options = Options("ConcatenationOptions", {"Axis": axis, "FusedActivationFunction": 0})
    lowering.emit("CONCATENATION", node, node.inputs, options)


def lower_mean(lowering: Lowering, node: Node) -> None:
    """MEAN over height and width, dimensions kept: ONNX's ReduceMean so restricted, or GlobalAveragePool."""
    axes = integers(node, "axes", (2, 3)) if node.op == "ReduceMean" else (2, 3)
    kept = node.attributes.get("keepdims", 1)
    if sorted(axis % 4 for axis in axes) != [2, 3] or kept != 1:
        raise refuse(node, f"axes {axes} and keepdims={kept}", "height and width, keepdims=1")
    axes_name = lowering.constant(f"{node.output}/axes", np.array([1, 2], np.int32))
    lowering.emit("MEAN", node, (node.inputs[0], axes_name), Options("ReducerOptions", {"KeepDims": True}))


def lower_average_pool(lowering: Lowering, node: Node) -> None:
    """AVERAGE_POOL_2D without padding."""
    kernel = integers(node, "kernel_shape", ())
    stride, pads = integers(node, "strides", (1, 1)), integers(node, "pads", (0, 0, 0, 0))
    unusual = node.attributes.get("ceil_mode", 0) or node.attributes.get("auto_pad", "NOTSET") != "NOTSET"
    if any(pads) or unusual or len(kernel) != 2:
        raise refuse(node, f"attributes {dict(node.attributes)}", "two dimensions, no padding, no ceil_mode")
    fields: dict[str, int | bool | float] = {
        "Padding": VALID,
        "StrideH": stride[0],
        "StrideW": stride[1],
        "FilterHeight": kernel[0],
        "FilterWidth": kernel[1],
        "FusedActivationFunction": 0,
    }
    lowering.emit("AVERAGE_POOL_2D", node, node.inputs, Options("Pool2DOptions", fields))


def lower_pad(lowering: Lowering, node: Node) -> None:
    """PAD of height and width with zeros."""
    pads = spatial_zero_pads(node, lowering.graph.constants)
    if pads is None:
        raise refuse(node, "another form", "constant zero padding of height and width")
    lowering.feature_map(node.output)
    emit_pad(lowering, node.inputs[0], node.output, pads)


RULES: Mapping[str, Rule] = {
    "Add": arithmetic("ADD", "AddOptions"),
    "AveragePool": lower_average_pool,
    "Clip": lower_clip,
    "Concat": lower_concat,
    "Conv": lower_conv,
    "Div": arithmetic("DIV", "DivOptions"),
    "Exp": unary("EXP", "ExpOptions"),
    "GlobalAveragePool": lower_mean,
    "HardSigmoid": lower_hard_sigmoid,
    "HardSwish": unary("HARD_SWISH", "HardSwishOptions"),
    "Max": extremum("MAXIMUM"),
    "Min": extremum("MINIMUM"),
    "Mul": arithmetic("MUL", "MulOptions"),
    "Pad": lower_pad,
    "ReduceMean": lower_mean,
    "Relu": unary("RELU", None),
    "Resize": lower_resize,
    "Sigmoid": unary("LOGISTIC", None),
    "Sub": arithmetic("SUB", "SubOptions"),
}
