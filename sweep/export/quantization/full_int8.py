"""Full integer quantisation after training, by TFLite's 8-bit quantisation specification.

Weights are int8 per output channel, activations int8 per tensor, biases int32. Two ends of a network are treated
apart:

- **The prefix** that only resizes the frame works on what the frame is made of: float32, or bytes. It turns into
  int8 at the inner size, which has a fraction of the frame's 921,600 numbers.
- **The tail**, from the last convolution's output on, stays float32: that output is the logarithm of the depth,
  for which 256 steps are plenty (2 % of the depth each), while 256 linear steps over 50 m are 196 mm each. The
  convolution itself is int8; in float32 it was neither more accurate nor faster.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sweep.export.errors import UnsupportedOperatorError
from sweep.export.graph import Quantization, TFLiteGraph, TFLiteOperator
from sweep.export.quantization.calibration import Calibration
from sweep.export.quantization.int8_rules import CHANNEL_AXIS, int8_rule, translate
from sweep.export.quantization.integer_graph import IntegerGraph
from sweep.export.quantization.log_depth import RESIZING, coded_range, read_log_tail
from sweep.export.quantization.scales import assign_scales

# RGB bytes are their own codes; as int8 the same steps are counted from -128.
FRAME_UINT8 = Quantization((1.0,), (0,))
FRAME_INT8 = Quantization((1.0,), (-128,))


@dataclass(frozen=True)
class Regions:
    """The operators of a depth network in three parts, and the tensor between the first two."""

    prefix: tuple[TFLiteOperator, ...]
    image: str
    body: tuple[TFLiteOperator, ...]
    tail: tuple[TFLiteOperator, ...]


def to_int8(graph: TFLiteGraph, calibration: Calibration, *, uint8_input: bool) -> TFLiteGraph:
    """The int8 form of a float network, with float32 RGB 0..255 or bytes as its input and float32 output.

    ``calibration`` is what `calibrate` found of that graph. Raises UnsupportedOperatorError for an operator
    without a rule, or a network without a convolution.
    """
    regions = split_regions(graph)
    integer = coded_body(graph, calibration, regions, uint8_input=uint8_input)
    for operator in regions.tail:
        integer.keep_float(operator)
    return integer.finished()


def coded_body(
    graph: TFLiteGraph, calibration: Calibration, regions: Regions, *, uint8_input: bool
) -> IntegerGraph:
    """Prefix and body of the int8 form; the tail is still to come.

    Logarithms of depth that the tail clamps get no codes.
    """
    tail = read_log_tail(graph, regions.tail)
    if tail is not None:
        log_depth = regions.body[-1].output
        found = calibration[log_depth]
        wanted = replace(found, range=coded_range(found.range, tail.clamp))
        calibration = {**calibration, log_depth: wanted}
    integer = start(graph, calibration, regions.body, {regions.image: FRAME_INT8})
    if uint8_input:
        integer.declare(graph.input, "uint8", FRAME_UINT8)
        for operator in regions.prefix:
            integer.on_uint8(operator, operator.inputs[0])
    else:
        integer.declare(graph.input)
        for operator in regions.prefix:
            integer.keep_float(operator)
    for operator in regions.body:
        translate(integer, operator)
    return integer


def quantize_all(graph: TFLiteGraph, calibration: Calibration) -> TFLiteGraph:
    """The int8 form of any float graph, with float32 input and output and neither prefix nor tail.

    Raises UnsupportedOperatorError for an operator without a rule.
    """
    integer = start(graph, calibration, graph.operators, {})
    integer.declare(graph.input)
    for operator in graph.operators:
        translate(integer, operator)
    return integer.finished()


def start(
    graph: TFLiteGraph,
    calibration: Calibration,
    body: tuple[TFLiteOperator, ...],
    fixed: Mapping[str, Quantization],
) -> IntegerGraph:
    """An integer graph without operators, but with the quantisation of every activation of the body."""
    ranges = {name: activation.range for name, activation in calibration.items()}
    quantized = tuple(operator for operator in body if int8_rule(operator) is not None)
    return IntegerGraph(graph, calibration, assign_scales(graph, ranges, quantized, fixed))


def split_regions(graph: TFLiteGraph) -> Regions:
    """Where prefix, body and tail of a depth network are."""
    convolutions = [index for index, op in enumerate(graph.operators) if op.builtin in CHANNEL_AXIS]
    if not convolutions:
        raise UnsupportedOperatorError("a network without a convolution has no int8 form")
    prefix: list[TFLiteOperator] = []
    image = graph.input
    while True:
        readers = [operator for operator in graph.operators if image in operator.inputs]
        if len(readers) != 1 or readers[0].builtin not in RESIZING:
            break
        prefix.append(readers[0])
        image = readers[0].output
    end = convolutions[-1] + 1
    body = tuple(operator for operator in graph.operators[:end] if operator not in prefix)
    return Regions(tuple(prefix), image, body, graph.operators[end:])
