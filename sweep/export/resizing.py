"""How a resize becomes TFLite operators."""

from dataclasses import dataclass

import numpy as np

from sweep.export.builder import Lowering, refuse
from sweep.export.graph import Node, Options


def lower_resize(lowering: Lowering, node: Node) -> None:
    """RESIZE_BILINEAR with half-pixel centres, or RESIZE_NEAREST_NEIGHBOR of pixel floor(i * size / new)."""
    batch, channels, height, width = lowering.shape(node.inputs[0])
    new_batch, new_channels, new_height, new_width = lowering.shape(node.output)
    if (batch, channels) != (new_batch, new_channels):
        raise refuse(node, "a new batch size or channel count", "height and width")
    check_scales(lowering, node, (height, width), (new_height, new_width))
    kernel = resize_kernel(node, (new_height, new_width))
    if channels == 1 and new_height > height:
        rows = resize_columns(lowering, node, kernel)
        resize_rows(lowering, node, kernel, rows)
    else:
        size = lowering.constant(f"{node.output}/size", np.array([new_height, new_width], np.int32))
        lowering.emit(kernel.builtin, node, (node.inputs[0], size), kernel.options, kernel.version)


@dataclass(frozen=True)
class ResizeKernel:
    """The TFLite operator, without its operands, that a Resize node stands for."""

    builtin: str
    options: Options
    version: int


def resize_kernel(node: Node, new_size: tuple[int, int]) -> ResizeKernel:
    """The operator for the node's mode. Raises UnsupportedOperatorError for any other."""
    mode, coordinates = node.attributes["mode"], node.attributes.get("coordinate_transformation_mode", "")
    rounding = node.attributes.get("nearest_mode", "round_prefer_floor")
    if mode == "linear" and coordinates in ("half_pixel", "pytorch_half_pixel") and min(new_size) > 1:
        options = Options("ResizeBilinearOptions", {"AlignCorners": False, "HalfPixelCenters": True})
        return ResizeKernel("RESIZE_BILINEAR", options, version=3)
    if mode == "nearest" and coordinates == "asymmetric" and rounding == "floor":
        options = Options("ResizeNearestNeighborOptions", {"AlignCorners": False})
        return ResizeKernel("RESIZE_NEAREST_NEIGHBOR", options, version=1)
    found = f"mode={mode}, coordinates={coordinates}, rounding={rounding} to {new_size}"
    raise refuse(node, found, "linear with half_pixel, nearest with asymmetric and floor")


def resize_columns(lowering: Lowering, node: Node, kernel: ResizeKernel) -> str:
    """First half of a one-channel resize: to the new width. Returns the name of the (N, H, W', 1) tensor.

    TFLite's resize kernels work pixel by pixel on all channels at once, which is slow for one channel: the
    last resize to 480x640 took most of a small network's time. Width first, on the few rows there are, and
    then height with each row taken as the channels of one pixel is the same arithmetic three to five times
    faster.
    """
    batch, _, height, width = lowering.shape(node.inputs[0])
    new_width = lowering.shape(node.output)[3]
    if new_width == width:
        return node.inputs[0]
    size = lowering.constant(f"{node.output}/size", np.array([height, new_width], np.int32))
    operands, shape = (node.inputs[0], size), (batch, height, new_width, 1)
    output = f"{node.output}/columns"
    return lowering.intermediate(kernel.builtin, operands, output, shape, kernel.options, kernel.version)


def resize_rows(lowering: Lowering, node: Node, kernel: ResizeKernel, columns: str) -> None:
    """Second half: (N, H, W', 1) is seen as (N, H, 1, W'), resized to (N, H', 1, W'), seen as (N, H', W', 1)."""
    batch, height, new_width, _ = lowering.tensors[columns].shape
    new_height = lowering.shape(node.output)[2]
    reshape = Options("ReshapeOptions")
    folded, resized = (batch, height, 1, new_width), (batch, new_height, 1, new_width)
    operands = (columns, lowering.constant(f"{node.output}/folded_shape", np.array(folded, np.int32)))
    rows = lowering.intermediate("RESHAPE", operands, f"{node.output}/folded", folded, reshape)
    operands = (rows, lowering.constant(f"{node.output}/rows_size", np.array([new_height, 1], np.int32)))
    output = f"{node.output}/rows"
    rows = lowering.intermediate(kernel.builtin, operands, output, resized, kernel.options, kernel.version)
    shape = np.array((batch, new_height, new_width, 1), np.int32)
    operands = (rows, lowering.constant(f"{node.output}/shape", shape))
    lowering.emit("RESHAPE", node, operands, reshape)


def check_scales(lowering: Lowering, node: Node, size: tuple[int, int], new_size: tuple[int, int]) -> None:
    """TFLite derives the scale from the two sizes; a stated scale must be the same."""
    scales = lowering.graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
    if scales is None or scales.size == 0:
        return
    implied = [new / old for old, new in zip(size, new_size, strict=True)]
    if not np.array_equal(scales[2:].astype(np.float64), implied):
        raise refuse(node, f"scales {scales.tolist()}", f"scales that give whole sizes, such as {implied}")
