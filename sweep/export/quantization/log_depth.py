"""The end of a depth network: a logarithm, clamped, exponentiated, in millimetres, resized to the frame."""

from dataclasses import dataclass

import numpy as np

from sweep.export.graph import TFLiteGraph, TFLiteOperator
from sweep.export.quantization.ranges import Range

RESIZING = frozenset({"RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "RESHAPE"})
LOG_TAIL = ("MAXIMUM", "MINIMUM", "EXP", "MUL")

# Added to each end of the range of the logarithm that calibration saw, as a share of it and at the least: a depth
# beyond is cut off, and a wider range costs accuracy everywhere.
MARGIN = 0.05
LEAST_MARGIN = 0.05


@dataclass(frozen=True)
class LogTail:
    """What follows the logarithm of depth in metres: a clamp, and the factor that makes its exponential depth."""

    clamp: Range
    factor: float
    resizing: tuple[TFLiteOperator, ...]


def read_log_tail(graph: TFLiteGraph, tail: tuple[TFLiteOperator, ...]) -> LogTail | None:
    """The tail's numbers; None if it has another form."""
    operators, resizing = tail[: len(LOG_TAIL)], tail[len(LOG_TAIL) :]
    if tuple(operator.builtin for operator in operators) != LOG_TAIL:
        return None
    if not all(operator.builtin in RESIZING for operator in resizing):
        return None
    raised, lowered, _, scaled = operators
    low, high, factor = (number(graph, operator) for operator in (raised, lowered, scaled))
    if low is None or high is None or factor is None:
        return None
    return LogTail(Range(low, high), factor, resizing)


def number(graph: TFLiteGraph, operator: TFLiteOperator) -> float | None:
    """The operator's constant operand, if it is one number."""
    constants = [data for name in operator.inputs if (data := graph.tensor(name).data) is not None]
    return float(np.asarray(constants[0]).reshape(())) if constants and constants[0].size == 1 else None


def coded_range(seen: Range, clamp: Range) -> Range:
    """The logarithms that codes should express: those seen and a margin, within the clamp."""
    margin = max(MARGIN * seen.width, LEAST_MARGIN)
    low, high = (min(max(end, clamp.minimum), clamp.maximum) for end in (seen.minimum, seen.maximum))
    return Range(max(low - margin, clamp.minimum), min(high + margin, clamp.maximum))
