"""Depth as bytes: 256 codes evenly spaced in the logarithm of the depth.

The last convolution's int8 output is such a code already, and resizing codes interpolates logarithms. So nothing
is computed after it but the resize, on a quarter of the bytes of a float32 depth.
"""

import math
from dataclasses import replace

from sweep.export.errors import UnsupportedOperatorError
from sweep.export.graph import DepthEncoding, Quantization, TFLiteGraph
from sweep.export.quantization.calibration import Calibration
from sweep.export.quantization.full_int8 import coded_body, split_regions
from sweep.export.quantization.log_depth import LOG_TAIL, RESIZING, coded_range, read_log_tail
from sweep.export.quantization.ranges import STEPS, asymmetric

# int8 counts from -128, uint8 from 0.
UINT8_OFFSET = 128


def to_uint8(graph: TFLiteGraph, calibration: Calibration) -> TFLiteGraph:
    """The int8 form of a float network with bytes as its input and depth codes as its output.

    The graph's ``depth_encoding`` spans the depths that calibration saw and a little more, within the network's
    own clamp. Raises UnsupportedOperatorError for a network that does not end in a clamp, an exponential, a
    factor and resizes, and as `to_int8` does.
    """
    regions = split_regions(graph)
    tail = read_log_tail(graph, regions.tail)
    if tail is None:
        found = ", ".join(operator.builtin for operator in regions.tail) or "a convolution"
        raise UnsupportedOperatorError(
            f"a network that ends in {found} has no uint8 output; supported is an end of {', '.join(LOG_TAIL)} "
            f"with numbers, and {', '.join(sorted(RESIZING))}"
        )
    integer = coded_body(graph, calibration, regions, uint8_input=True)
    log_depth = regions.body[-1].output
    # The int8 output has the same steps, unless its convolution needs coarser ones: then QUANTIZE converts them.
    int8 = asymmetric(coded_range(calibration[log_depth].range, tail.clamp))
    codes = Quantization(int8.scales, (int8.zero_points[0] + UINT8_OFFSET,))
    source = integer.converted(log_depth, f"{log_depth}/codes", "uint8", codes)
    for operator in tail.resizing:
        integer.on_uint8(operator, source)
        source = operator.output
    return replace(integer.finished(encoding(codes, tail.factor)), output=source)


def encoding(codes: Quantization, factor: float) -> DepthEncoding:
    """What codes of the logarithm of depth mean; ``factor`` turns its exponential into millimetres."""
    (scale,), (zero_point,) = codes.scales, codes.zero_points
    first, last = (factor * math.exp(scale * (code - zero_point)) for code in (0, STEPS))
    return DepthEncoding("log", first, last)
