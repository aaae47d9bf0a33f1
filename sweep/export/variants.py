"""The forms that one trained network can be exported in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from sweep.export.graph import TFLiteGraph
    from sweep.export.quantization.calibration import Calibration

Variant = Literal["fp32", "fp16", "dynamic_int8", "int8", "int8_uint8_input", "uint8"]
"""A file's arithmetic and its input and output types.

- ``fp32``: everything float32;
- ``fp16``: weights stored as float16, arithmetic in float32;
- ``dynamic_int8``: weights stored as int8 per output channel, activations float32;
- ``int8``: weights and activations int8, float32 input and float32 millimetres as output;
- ``int8_uint8_input``: the same with a uint8 RGB input;
- ``uint8``: uint8 input, and a uint8 output that the file's ``depth_encoding`` translates.
"""

VARIANTS: Final[tuple[Variant, ...]] = get_args(Variant)

CALIBRATED: Final[frozenset[Variant]] = frozenset({"int8", "int8_uint8_input", "uint8"})
"""Those that need to know what values a network's tensors take on real frames."""


def convert(graph: TFLiteGraph, variant: Variant, calibration: Calibration | None = None) -> TFLiteGraph:
    """Another form of a float32 graph; ``calibration`` is what `calibrate` found of that graph.

    Raises UnsupportedOperatorError for a graph that has no such form, ValueError where a calibration is needed and
    there is none.
    """
    # The names above are read where nothing is exported and no interpreter is installed.
    from sweep.export.quantization.dynamic import to_dynamic_int8
    from sweep.export.quantization.full_int8 import to_int8
    from sweep.export.quantization.half import to_fp16
    from sweep.export.quantization.uint8_output import to_uint8

    match variant:
        case "fp32":
            return graph
        case "fp16":
            return to_fp16(graph)
        case "dynamic_int8":
            return to_dynamic_int8(graph)
    if calibration is None:
        raise ValueError(f"variant {variant!r} needs a calibration, found none")
    if variant == "uint8":
        return to_uint8(graph, calibration)
    return to_int8(graph, calibration, uint8_input=variant == "int8_uint8_input")
