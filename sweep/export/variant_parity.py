"""Does a variant's file compute what the float32 file computes, within what its arithmetic allows?"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.export.differences import relative_difference, si_rmse_between
from sweep.export.errors import ParityError
from sweep.export.graph import TFLiteGraph
from sweep.export.parity import check_other_runtimes, tflite_depth_mm
from sweep.export.quantization.calibration import inner_tensors
from sweep.export.quantization.ranges import dequantize
from sweep.export.variants import Variant


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be off: ``depth``, the mean over all pixels of the relative difference in depth;
    ``layer``, the root mean square of a layer's difference over that of its values.

    The depth decides; the layers only say where it went wrong. Both lie well beyond what rounding does: trained
    networks and random ones were off by 0.001 at most as fp16, by 0.03 as dynamic_int8 and by 0.05 as int8 (0.09
    when calibrated with four frames), while a wrong zero point or scale somewhere is off by 0.3 and more. How good
    a file within them is, only its own metrics tell.
    """

    depth: float
    layer: float


_INT8 = Tolerance(0.2, 0.5)
TOLERANCES: Mapping[Variant, Tolerance] = {
    "fp32": Tolerance(0, 0),
    "fp16": Tolerance(0.01, 0.05),
    "dynamic_int8": Tolerance(0.1, 0.2),
    "int8": _INT8,
    "int8_uint8_input": _INT8,
    "uint8": _INT8,
}


@dataclass(frozen=True)
class Difference:
    """|file - fp32 file| / fp32 file over all pixels of the frames, and the si-RMSE between the two."""

    max_relative: float
    mean_relative: float
    si_rmse: float


def check_variant(
    graph: TFLiteGraph,
    converted: TFLiteGraph,
    variant: Variant,
    tflite: Path,
    frames: NDArray[np.uint8],
    expected_mm: NDArray[np.float32],
) -> Difference:
    """Compare a variant's file, made of ``converted``, with the float32 file's depth (N, 480, 640).

    Raises ParityError where the file is further off than TOLERANCES allow, naming the first layer that diverges,
    or answers the same frame differently from one time to the next.
    """
    found_mm = tflite_depth_mm(tflite, frames)
    error = relative_difference(found_mm, expected_mm)
    allowed = TOLERANCES[variant]
    if not error.mean() <= allowed.depth:
        worst = frames[int(error.mean(axis=(1, 2)).argmax())]
        raise ParityError(
            f"the {variant} file differs from the float32 file by {error.mean():.3g} of the depth on average, "
            f"allowed is {allowed.depth:.3g}; {first_divergence(graph, converted, worst, allowed.layer)}"
        )
    check_other_runtimes(tflite, frames[0], found_mm[0], allowed.depth)
    return Difference(float(error.max()), float(error.mean()), si_rmse_between(found_mm, expected_mm))


def first_divergence(
    graph: TFLiteGraph, converted: TFLiteGraph, frame: NDArray[np.uint8], tolerance: float
) -> str:
    """Which layer of the converted graph is the first that is off by more than the tolerance."""
    for name, difference in layer_differences(graph, converted, frame).items():
        if not difference <= tolerance:
            return f"the first layer that diverges is {name!r}, by {difference:.3g} of its values"
    return "no single layer does"


def layer_differences(
    graph: TFLiteGraph, converted: TFLiteGraph, frame: NDArray[np.uint8]
) -> dict[str, float]:
    """For each tensor that both graphs compute, the root mean square of the difference over that of the values."""
    made = {operator.output for operator in graph.operators}
    # Bytes are the frame, or codes of the depth under the depth's name: nothing to compare.
    common = [
        operator.output
        for operator in converted.operators
        if operator.output in made and converted.tensor(operator.output).type != "uint8"
    ]
    (expected,) = inner_tensors(graph, frame[np.newaxis], common)
    (found,) = inner_tensors(converted, frame[np.newaxis], common)
    return {name: relative_rms(value_of(converted, name, found[name]), expected[name]) for name in common}


def value_of(graph: TFLiteGraph, name: str, data: NDArray[Any]) -> NDArray[np.float64]:
    """A tensor's values, whatever its type."""
    quantization = graph.tensor(name).quantization
    return np.asarray(data, np.float64) if quantization is None else dequantize(data, quantization)


def relative_rms(found: NDArray[np.float64], expected: NDArray[np.float32]) -> float:
    """The root mean square of the difference over that of what is expected."""
    scale = max(float(np.sqrt(np.mean(np.square(expected, dtype=np.float64)))), 1e-12)
    return float(np.sqrt(np.mean(np.square(found - expected)))) / scale
