"""Convolutions on small feature maps, without the taps that only ever see the padding around them.

A 3x3 convolution of dilation 6 on a map of 4x5 pixels is a 1x1 convolution: eight of its nine taps never meet a
pixel. Atrous spatial pyramids and large depthwise kernels on the deepest features are full of these.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from sweep.export.graph import Constant, Node, OnnxGraph
from sweep.export.padding import same_padding


@dataclass(frozen=True)
class Axis:
    """A convolution along one axis: pixels in and out, kernel taps, stride, dilation, padding before and after."""

    size: int
    outputs: int
    taps: int
    stride: int
    dilation: int
    pads: tuple[int, int]

    def meets(self, tap: int) -> bool:
        """Whether the tap meets a pixel at any output."""
        first = tap * self.dilation - self.pads[0]
        return any(0 <= first + index * self.stride < self.size for index in range(self.outputs))

    def is_same(self) -> bool:
        """Whether it is padded as TensorFlow's SAME does."""
        return self.pads == same_padding(self.size, (self.taps - 1) * self.dilation + 1, self.stride)

    def live(self) -> range:
        """The taps from the first to the last that meet a pixel, all of them if none does."""
        alive = [tap for tap in range(self.taps) if self.meets(tap)]
        return range(alive[0], alive[-1] + 1) if alive else range(self.taps)

    def restricted(self, kept: range) -> "Axis":
        """The same convolution with some of its taps; its padding may be negative."""
        before, after = self.pads
        pads = (before - kept.start * self.dilation, after - (self.taps - kept.stop) * self.dilation)
        dilation = self.dilation if len(kept) > 1 else 1
        return replace(self, taps=len(kept), dilation=dilation, pads=pads)


def drop_dead_taps(graph: OnnxGraph) -> OnnxGraph:
    """Every convolution with constant weights has only taps that meet pixels, where TFLite can pad the rest."""
    constants = dict(graph.constants)
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.op != "Conv" or node.inputs[1] not in constants:
            nodes.append(node)
            continue
        rows, columns = axes_of(node, graph, constants)
        kept = (kept_taps(rows), kept_taps(columns))
        if kept == (range(rows.taps), range(columns.taps)):
            nodes.append(node)
            continue
        weights = f"{node.output}/live_weights"
        constants[weights] = np.ascontiguousarray(
            constants[node.inputs[1]][:, :, kept[0].start : kept[0].stop, kept[1].start : kept[1].stop]
        )
        nodes.append(with_taps(node, weights, rows.restricted(kept[0]), columns.restricted(kept[1])))
    return replace(graph, nodes=tuple(nodes), constants=constants)


def kept_taps(axis: Axis) -> range:
    """The live taps, or all of them where TFLite's convolutions could not pad what is left."""
    kept = axis.live()
    left = axis.restricted(kept)
    return kept if left.is_same() else range(axis.taps)


def axes_of(node: Node, graph: OnnxGraph, constants: Mapping[str, Constant]) -> tuple[Axis, Axis]:
    """Height and width of a Conv node."""
    sizes, outputs = graph.shapes[node.inputs[0]][2:], graph.shapes[node.output][2:]
    taps = constants[node.inputs[1]].shape[2:]
    strides, dilations = (
        cast(tuple[int, ...], node.attributes.get(name, (1, 1))) for name in ("strides", "dilations")
    )
    top, left, bottom, right = cast(tuple[int, ...], node.attributes.get("pads", (0, 0, 0, 0)))
    pads = ((top, bottom), (left, right))
    rows, columns = (Axis(sizes[i], outputs[i], taps[i], strides[i], dilations[i], pads[i]) for i in range(2))
    return rows, columns


def with_taps(node: Node, weights: str, rows: Axis, columns: Axis) -> Node:
    """The Conv node with other weights, of that shape and padding."""
    attributes = {
        **node.attributes,
        "kernel_shape": (rows.taps, columns.taps),
        "dilations": (rows.dilation, columns.dilation),
        "pads": (rows.pads[0], columns.pads[0], rows.pads[1], columns.pads[1]),
    }
    return replace(node, inputs=(node.inputs[0], weights, *node.inputs[2:]), attributes=attributes)
