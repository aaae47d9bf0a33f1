"""The rewrites that save arithmetic: convolutions without dead taps, parallel convolutions as one."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from float_layers import ACTIVATIONS
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from sweep.export.fusion import optimise
from sweep.export.graph import Node, OnnxGraph, TFLiteGraph
from sweep.export.lowering import lower
from sweep.export.quantization.calibration import inner_tensors


def lowered(graph: OnnxGraph) -> TFLiteGraph:
    return lower(optimise(graph))


def run(graph: TFLiteGraph, x: Tensor) -> NDArray[np.float64]:
    """The graph's output, NCHW, under tflite-runtime."""
    inputs = x.numpy().transpose(0, 2, 3, 1).astype(np.float32)
    (tensors,) = inner_tensors(graph, inputs, [graph.output])
    return tensors[graph.output].transpose(0, 3, 1, 2).astype(np.float64)


def random_array(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def one_convolution(
    x: Tensor, weights: NDArray[np.float32], y: Tensor, attributes: dict[str, Any]
) -> OnnxGraph:
    node = Node("Conv", "conv", ("x", "w"), "y", attributes)
    return OnnxGraph((node,), {"w": weights}, {"x": tuple(x.shape), "y": tuple(y.shape)}, "x", "y")


def live_taps(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    dilation: int,
    pads: tuple[int, int, int, int],
) -> NDArray[np.bool_]:
    """Which taps see a pixel: those whose one-hot kernel makes something of an image of ones."""
    taps = torch.eye(kernel[0] * kernel[1]).reshape(-1, 1, *kernel)
    top, left, bottom, right = pads
    image = F.pad(torch.ones(1, 1, *size), (left, right, top, bottom))
    seen = F.conv2d(image, taps, stride=stride, dilation=dilation).amax((0, 2, 3)) > 0
    return seen.numpy().reshape(kernel)


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.sampled_from([1, 2]),
    dilation=st.integers(1, 7),
    pads=st.tuples(*[st.integers(0, 14)] * 4),
    depthwise=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_a_convolution_with_any_padding_computes_the_same_without_its_dead_taps(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    dilation: int,
    pads: tuple[int, int, int, int],
    depthwise: bool,
    seed: int,
) -> None:
    dilation = 1 if stride > 1 else dilation
    top, left, bottom, right = pads
    reach = [(taps - 1) * dilation + 1 for taps in kernel]
    assume(size[0] + top + bottom >= reach[0] and size[1] + left + right >= reach[1])
    x = torch.from_numpy(random_array(seed, 1, 3, *size))
    weights = random_array(seed + 1, 3, 1 if depthwise else 3, *kernel)
    groups = 3 if depthwise else 1
    padded = F.pad(x.double(), (left, right, top, bottom))
    y = F.conv2d(padded, torch.from_numpy(weights).double(), None, stride, 0, dilation, groups)
    attributes = {"group": groups, "strides": (stride,) * 2, "dilations": (dilation,) * 2, "pads": pads}
    found = run(lowered(one_convolution(x, weights, y, attributes)), x)
    np.testing.assert_allclose(found, y.numpy(), rtol=1e-5, atol=1e-5)


def same(size: int, reach: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding, from its documentation."""
    total = max(reach - stride, 0) if size % stride == 0 else max(reach - size % stride, 0)
    return total // 2, total - total // 2


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    taps=st.sampled_from([1, 3, 5, 7]),
    dilation=st.integers(1, 9),
    depthwise=st.booleans(),
)
def test_with_same_padding_every_row_and_column_of_the_kernel_that_is_left_sees_a_pixel(
    size: tuple[int, int], taps: int, dilation: int, depthwise: bool
) -> None:
    reach = (taps - 1) * dilation + 1
    (top, bottom), (left, right) = (same(edge, reach, 1) for edge in size)
    pads = (top, left, bottom, right)
    alive = live_taps(size, (taps, taps), 1, dilation, pads)
    weights = random_array(taps, 4, 1 if depthwise else 4, taps, taps)
    x, groups = torch.zeros(1, 4, *size), 4 if depthwise else 1
    attributes = {"group": groups, "dilations": (dilation,) * 2, "pads": pads}
    graph = lowered(one_convolution(x, weights, x, attributes))
    (operator,) = graph.operators  # in particular no PAD
    rows, columns = (np.flatnonzero(alive.any(axis)) for axis in (1, 0))
    kept = weights[:, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    layout = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
    data = graph.tensor(operator.inputs[1]).data
    assert data is not None
    np.testing.assert_array_equal(data, kept.transpose(layout))


def test_a_wide_dilation_on_a_small_map_is_a_plain_pointwise_convolution() -> None:
    x, weights = torch.zeros(1, 8, 4, 5), random_array(0, 6, 8, 3, 3)
    y, attributes = torch.zeros(1, 6, 4, 5), {"dilations": (6, 6), "pads": (6, 6, 6, 6)}
    graph = lowered(one_convolution(x, weights, y, attributes))
    (operator,) = graph.operators
    assert operator.options is not None
    fields = operator.options.fields
    assert (fields["DilationHFactor"], fields["DilationWFactor"]) == (1, 1)
    np.testing.assert_array_equal(
        graph.tensor("y/weights").data, weights[:, :, 1:2, 1:2].transpose(0, 2, 3, 1)
    )


@dataclass(frozen=True)
class Branches:
    """Convolutions of "x" or of "r", its ReLU, and the order in which a concatenation reads what."""

    nodes: tuple[Node, ...]
    read: tuple[str, ...]


@st.composite
def branches(draw: st.DrawFn) -> Branches:
    """Some alike to their neighbours, some read twice, with other tensors between them."""
    forms = draw(st.lists(st.tuples(*[st.sampled_from([0, 0, 1])] * 4), min_size=1, max_size=3))
    nodes = []
    for index, form in enumerate(draw(st.lists(st.sampled_from(forms), min_size=2, max_size=6))):
        source, taps, active, depthwise = form
        kernel, name = 1 + 2 * taps, f"branch{index}"
        attributes = {"group": 1 + 2 * depthwise, "pads": (taps,) * 4, "kernel_shape": (kernel, kernel)}
        bias = ("b",) if index % 2 else ()
        inputs = ("r" if source else "x", f"w{kernel}{depthwise}", *bias)
        nodes.append(Node("Conv", name, inputs, name, attributes, "RELU6" if active else "NONE"))
    outputs = [node.output for node in nodes]
    more = draw(st.lists(st.sampled_from(["x", *outputs]), max_size=2))
    return Branches(tuple(nodes), tuple(draw(st.permutations([*outputs, *more]))))


def computed(node: Node, values: dict[str, Tensor], constants: dict[str, Any]) -> Tensor:
    """A branch in float64."""
    weights, *bias = (torch.from_numpy(constants[name]).double() for name in node.inputs[1:])
    padding, groups = node.attributes["pads"][0], node.attributes["group"]
    made = F.conv2d(values[node.inputs[0]], weights, *bias, padding=padding, groups=groups)
    return ACTIVATIONS[node.activation](made)


@settings(max_examples=60, deadline=None)
@given(drawn=branches(), seed=st.integers(0, 2**32))
def test_branches_of_a_concatenation_compute_the_same_when_alike_neighbours_are_joined(
    drawn: Branches, seed: int
) -> None:
    x = torch.from_numpy(random_array(seed, 1, 3, 5, 6))
    constants: dict[str, Any] = {
        f"w{kernel}{depthwise}": random_array(seed + kernel, 3, 1 if depthwise else 3, kernel, kernel)
        for kernel in (1, 3)
        for depthwise in (0, 1)
    } | {"b": random_array(seed, 3)}
    values = {"x": x.double(), "r": x.double().relu()}
    for node in drawn.nodes:
        values[node.output] = computed(node, values, constants)
    values["y"] = torch.cat([values[name] for name in drawn.read], 1)
    relu, concat = Node("Relu", "r", ("x",), "r", {}), Node("Concat", "y", drawn.read, "y", {"axis": 1})
    shapes = {name: tuple(value.shape) for name, value in values.items()}
    graph = lowered(OnnxGraph((relu, *drawn.nodes, concat), constants, shapes, "x", "y"))
    np.testing.assert_allclose(run(graph, x), values["y"].numpy(), rtol=1e-5, atol=1e-5)
    assert sum("CONV" in operator.builtin for operator in graph.operators) == convolutions_needed(drawn)


def convolutions_needed(drawn: Branches) -> int:
    """One for each run of neighbours that are alike, dense and read once, and one for each other branch."""
    joinable = {
        node.output: (node.inputs[0], node.attributes["pads"], node.activation)
        for node in drawn.nodes
        if drawn.read.count(node.output) == 1 and node.attributes["group"] == 1
    }
    forms = [None, *(joinable.get(name) for name in drawn.read)]
    runs = sum(form is not None and form != before for before, form in pairwise(forms))
    return runs + len(drawn.nodes) - len(joinable)
