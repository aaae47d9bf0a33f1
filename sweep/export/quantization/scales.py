"""Which scale and zero point each activation gets, from the ranges that calibration saw."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from sweep.export.graph import Quantization, TFLiteGraph, TFLiteOperator
from sweep.export.lowering import ACTIVATION_CODES
from sweep.export.quantization.int8_rules import CHANNEL_AXIS, FIXED_OUTPUTS, INT8_RULES
from sweep.export.quantization.ranges import STEPS, Range, asymmetric
from sweep.export.quantization.weights import natural_scales

# A skip connection that meets a wider tensor in a concatenation keeps its own scale for its other readers if that
# is finer by more than this factor; the concatenation then gets a converted copy, which costs an operator.
COARSEST_TIE = 2.0
# A convolution's kernel multiplies its accumulator by (input scale * weight scale / output scale); XNNPACK refuses
# factors of 256 and more.
LARGEST_MULTIPLIER = 250.0
# It multiplies in 32 bits: the largest sum that can come about must stay below 2**31 steps of the output, however
# early an activation cuts it off. With a factor to spare, as biases are corrected later.
LARGEST_SUM = 2.0**29
# TFLite refuses a HARD_SWISH whose output has a scale below 1/128 of its input's, and an ADD below 2**-19.
LARGEST_RATIO = 100.0
# Rounding to float32 and to whole zero points must not bring a widened scale back below what was asked for.
HEADROOM = 1.01
MOST_PASSES = 10
# TFLite's kernels compute the code of 6.0 as an int32.
LEAST_RELU6_SCALE = 2.0**-27


def assign_scales(
    graph: TFLiteGraph,
    ranges: Mapping[str, Range],
    operators: Sequence[TFLiteOperator],
    fixed: Mapping[str, Quantization],
) -> dict[str, Quantization]:
    """The int8 quantisation of every activation that the operators, all of which have an int8 rule, read or make.

    Tensors between which an operator passes codes on share one. ``fixed`` ones are taken as they are; where such
    a tensor meets others, its codes are to be converted.
    """
    given = dict(fixed)
    for operator in operators:
        if operator.builtin in FIXED_OUTPUTS:
            given[operator.output] = FIXED_OUTPUTS[operator.builtin]
    names = dict.fromkeys(name for operator in operators for name in activations(graph, operator))
    group_of = tied_groups(graph, operators, [name for name in names if name not in given], ranges)
    spans: dict[str, Range] = {}
    for name, group in group_of.items():
        spans[group] = ranges[name].union(spans.get(group, ranges[name]))
    widen_for_kernels(graph, operators, group_of, spans, given)
    return given | {name: asymmetric(spans[group]) for name, group in group_of.items()}


def widen_for_kernels(
    graph: TFLiteGraph,
    operators: Sequence[TFLiteOperator],
    group_of: Mapping[str, str],
    spans: dict[str, Range],
    given: Mapping[str, Quantization],
) -> None:
    """Widen the spans whose scale is finer than kernels can work with; they are those of nearly dead layers.

    A coarser scale may ask for another one, later in the graph or, where a skip closes a circle, earlier. Each
    step divides by a large ratio, so that a pass or two settle it; only absurd weights need the limit.
    """

    def scale(name: str) -> float:
        found = given[name] if name in given else asymmetric(spans[group_of[name]])
        return found.scales[0]

    for _ in range(MOST_PASSES):
        settled = True
        for operator in operators:
            least = least_output_scale(graph, operator, scale)
            if operator.output in group_of and scale(operator.output) < least:
                group = group_of[operator.output]
                spans[group] = widened(spans[group], least * HEADROOM)
                settled = False
        if settled:
            return


def activations(graph: TFLiteGraph, operator: TFLiteOperator) -> tuple[str, ...]:
    """The operator's operands and output, without constants."""
    return tuple(name for name in (*operator.inputs, operator.output) if graph.tensor(name).data is None)


def tied_groups(
    graph: TFLiteGraph,
    operators: Sequence[TFLiteOperator],
    names: Collection[str],
    ranges: Mapping[str, Range],
) -> dict[str, str]:
    """From each name to the one that stands for its group: tensors between which codes are passed on."""
    readers = Counter(name for operator in operators for name in activations(graph, operator)[:-1])
    group_of = {name: name for name in names}
    for operator in operators:
        if not INT8_RULES[operator.builtin].same_scale:
            continue
        *operands, output = activations(graph, operator)
        width = ranges[output].with_zero().width
        tied = [
            name
            for name in operands
            if readers[name] == 1 or ranges[name].with_zero().width * COARSEST_TIE >= width
        ]
        members = {group_of[name] for name in (*tied, output) if name in group_of}
        first = min(members)
        group_of = {name: first if group in members else group for name, group in group_of.items()}
    return group_of


def least_output_scale(graph: TFLiteGraph, operator: TFLiteOperator, scale: Callable[[str], float]) -> float:
    """The finest scale of the operator's output that its kernels can work with; 0 where any will do."""
    least = LEAST_RELU6_SCALE if ends_in_relu6(operator) else 0.0
    scales = [scale(name) for name in activations(graph, operator)[:-1]]
    match operator.builtin:
        case "CONV_2D" | "DEPTHWISE_CONV_2D":
            weights = np.asarray(graph.tensor(operator.inputs[1]).data, np.float32)
            channels = natural_scales(weights, CHANNEL_AXIS[operator.builtin])
            finest = scales[0] * float(channels.max()) / LARGEST_MULTIPLIER
            return max(least, finest, largest_sum(graph, operator, scales[0] * STEPS) / LARGEST_SUM)
        case "ADD" | "SUB" | "HARD_SWISH":
            return max(least, max(scales) / LARGEST_RATIO)
        case _:
            return least


def largest_sum(graph: TFLiteGraph, operator: TFLiteOperator, magnitude: float) -> float:
    """The largest magnitude of a convolution's output before its activation, of inputs up to ``magnitude``."""
    weights, bias = (np.asarray(graph.tensor(name).data, np.float64) for name in operator.inputs[1:3])
    axis = CHANNEL_AXIS[operator.builtin]
    others = tuple(i for i in range(weights.ndim) if i != axis)
    return float((np.abs(weights).sum(axis=others) * magnitude + np.abs(bias)).max())


def ends_in_relu6(operator: TFLiteOperator) -> bool:
    """Whether the operator is a RELU6, or one is fused into it."""
    fields = operator.options.fields if operator.options else {}
    return operator.builtin == "RELU6" or fields.get("FusedActivationFunction") == ACTIVATION_CODES["RELU6"]


def widened(span: Range, scale: float) -> Range:
    """The span stretched until its codes are ``scale`` apart; zero stays where it is."""
    span, wanted = span.with_zero(), scale * STEPS
    # A span too narrow to be stretched is as good as none.
    if span.width < wanted * 1e-9:
        return Range(0.0, wanted)
    return Range(span.minimum * wanted / span.width, span.maximum * wanted / span.width)
