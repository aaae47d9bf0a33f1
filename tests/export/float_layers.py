"""Small layers for the tests of the integer forms: a float graph, and the same function in float64 by torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from sweep.export.fusion import optimise
from sweep.export.graph import Constant, Node, OnnxGraph, TFLiteGraph
from sweep.export.lowering import lower

Formula = Callable[..., Tensor]


@dataclass(frozen=True)
class Layer:
    """ONNX nodes that read "x" and, one after the other, make the tensors that the formulas make of their inputs.

    A formula takes the node's operands as float64 NCHW tensors. ``steps``: by how many steps of its output the
    integer kernel may be off.
    """

    nodes: tuple[Node, ...]
    formulas: tuple[Formula, ...]
    shape: tuple[int, int, int, int]
    constants: dict[str, Constant] = field(default_factory=dict)
    steps: float = 1.0

    def graph(self) -> TFLiteGraph:
        shapes = {"x": self.shape}
        tensors = {"x": torch.zeros(self.shape, dtype=torch.float64)}
        for node, formula in zip(self.nodes, self.formulas, strict=True):
            tensors[node.output] = formula(*(self.operand(name, tensors) for name in node.inputs))
            shapes[node.output] = tuple(tensors[node.output].shape)
        output = self.nodes[-1].output
        return lower(optimise(OnnxGraph(self.nodes, self.constants, shapes, "x", output)))

    def operand(self, name: str, tensors: dict[str, Tensor]) -> Tensor:
        """A constant or a computed tensor in float64; an operand left out is empty."""
        if name in tensors:
            return tensors[name]
        return torch.from_numpy(np.asarray(self.constants.get(name, ()), np.float64))


def single(
    op: str,
    formula: Formula,
    shape: tuple[int, int, int, int],
    attributes: dict[str, Any] | None = None,
    *,
    others: tuple[str, ...] = (),
    constants: dict[str, Constant] | None = None,
    activation: Any = "NONE",
    steps: float = 1.0,
) -> Layer:
    """A layer of one node, whose operands are "x" and the others."""
    node = Node(op, op, ("x", *others), "y", attributes or {}, activation)
    return Layer((node,), (formula,), shape, constants or {}, steps)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "NONE": lambda x: x,
    "RELU": torch.relu,
    "RELU6": lambda x: x.clamp(0, 6),
}


@st.composite
def convolutions(draw: st.DrawFn) -> Layer:
    """Dense and depthwise; any kernel, stride, dilation, padding, multiplier and fused activation."""
    depthwise = draw(st.booleans())
    inputs, outputs = draw(st.integers(2 if depthwise else 1, 5)), draw(st.integers(1, 5))
    if depthwise:
        outputs = inputs * draw(st.integers(1, 2))
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride, dilation = draw(st.sampled_from([(1, 1), (2, 2), (1, 1)])), draw(st.sampled_from([1, 1, 2]))
    if stride != (1, 1):
        dilation = 1
    pads = draw(st.tuples(*[st.integers(0, 3)] * 4))
    reach = [(taps - 1) * dilation + 1 for taps in kernel]
    height, width = (draw(st.integers(max(1, reach[axis]), reach[axis] + 7)) for axis in (0, 1))
    activation = draw(st.sampled_from(list(ACTIVATIONS)))
    groups = inputs if depthwise else 1
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    weights = random.normal(size=(outputs, inputs // groups, *kernel)) * 10 ** draw(st.floats(-3, 3))
    if draw(st.booleans()):
        weights[0] = 0
    bias = random.normal(size=outputs)

    def formula(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        top, left, bottom, right = pads
        padded = F.pad(x, (left, right, top, bottom))
        return ACTIVATIONS[activation](F.conv2d(padded, w, b, stride, 0, dilation, groups))

    attributes = {"group": groups, "strides": stride, "dilations": (dilation, dilation), "pads": pads}
    constants = {"w": weights.astype(np.float32), "b": bias.astype(np.float32)}
    shape = (1, inputs, height, width)
    return single(
        "Conv", formula, shape, attributes, others=("w", "b"), constants=constants, activation=activation
    )


# The kernel of MEAN rounds its zero point, its scaled sum and the quotient.
MEAN_STEPS = 1.6


@st.composite
def arithmetic(draw: st.DrawFn) -> Layer:
    """Sums, differences and products with constants that broadcast, with itself and with its own channel means."""
    functions: dict[str, Formula] = {"Add": torch.add, "Sub": torch.sub, "Mul": torch.mul}
    op, activation = draw(st.sampled_from(list(functions))), draw(st.sampled_from(list(ACTIVATIONS)))
    shape = draw(shapes())
    channels, height, width = shape[1:]

    def formula(a: Tensor, b: Tensor) -> Tensor:
        return ACTIVATIONS[activation](functions[op](a, b))

    kind = draw(st.sampled_from(["number", "channels", "full", "itself", "means"]))
    if kind == "itself":
        return single(op, formula, shape, others=("x",), activation=activation)
    if kind == "means":
        mean = Node("GlobalAveragePool", "mean", ("x",), "mean", {})
        node = Node(op, op, ("x", "mean"), "y", {}, activation)
        return Layer((mean, node), (global_mean, formula), shape, steps=MEAN_STEPS)
    sizes = {"number": (), "channels": (1, channels, 1, 1), "full": (1, channels, height, width)}
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    constant = random.normal(size=sizes[kind]) * 10 ** draw(st.floats(-1, 1))
    constants = {"c": constant.astype(np.float32)}
    return single(op, formula, shape, others=("c",), constants=constants, activation=activation)


def global_mean(x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True)


@st.composite
def functions(draw: st.DrawFn) -> Layer:
    """Functions of one tensor, those without an int8 kernel among them."""
    shape = draw(shapes())
    bound = float(np.float32(draw(st.floats(-1, 1))))
    low, high = (number(value) for value in (bound, bound + 0.5))
    exponents = Node("Exp", "exp", ("x",), "exp", {})
    halves = Node("Add", "more", ("exp", "half"), "y", {})
    sigmoid, gated = Node("Sigmoid", "gate", ("x",), "gate", {}), Node("Mul", "gated", ("x", "gate"), "y", {})
    return draw(
        st.sampled_from(
            [
                single("Relu", torch.relu, shape),
                single("Clip", lambda x, *_: x.clamp(0, 6), shape, others=("zero", "six"), constants=BOUNDS),
                # The kernel rounds its input to 16 bits, multiplies by a 16-bit gate, and rounds again.
                single("HardSwish", F.hardswish, shape, steps=2.0),
                single("Sigmoid", torch.sigmoid, shape),
                single("Max", torch.maximum, shape, others=("c",), constants={"c": low}, steps=1.5),
                single("Min", torch.minimum, shape, others=("c",), constants={"c": high}, steps=1.5),
                single("GlobalAveragePool", global_mean, shape, steps=MEAN_STEPS),
                single("Exp", torch.exp, shape),
                single("Div", torch.div, shape, others=("c",), constants={"c": number(0.7)}),
                Layer((exponents, halves), (torch.exp, torch.add), shape, {"half": number(0.5)}),
                Layer((sigmoid, gated), (torch.sigmoid, torch.mul), shape),  # swish
            ]
        )
    )


def number(value: float) -> NDArray[np.float32]:
    return np.array(value, np.float32)


BOUNDS: dict[str, Constant] = {"zero": number(0), "six": number(6)}


def interpolation(size: int, new_size: int) -> Tensor:
    """(new_size, size) weights of a bilinear resize with half-pixel centres, as TFLite's integer kernel has them.

    It counts coordinates in steps of 1/1024: over many pixels the rounded scale moves them by some of these.
    """
    scale = (1024 * size + new_size // 2) // new_size
    places = (np.arange(new_size) * scale + scale // 2 - 512).clip(0) / 1024
    lower = np.floor(places).astype(int).clip(max=size - 1)
    upper = (lower + 1).clip(max=size - 1)
    weights = np.zeros((new_size, size))
    np.add.at(weights, (np.arange(new_size), lower), 1 - (places - lower))
    np.add.at(weights, (np.arange(new_size), upper), places - lower)
    return torch.from_numpy(weights)


@st.composite
def rearrangements(draw: st.DrawFn) -> Layer:
    """What passes codes on: resizes, pads, pools, concatenations, alone and in a row."""
    shape = draw(shapes())
    channels, height, width = shape[1:]
    size = draw(st.tuples(st.integers(2, 12), st.integers(2, 12)))
    sizes: Constant = np.array((1, channels, *size), np.int64)
    pads = draw(st.tuples(*[st.integers(0, 3)] * 4))
    top, left, bottom, right = pads
    amounts: Constant = np.array((0, 0, top, left, 0, 0, bottom, right), np.int64)
    pool = (draw(st.integers(1, height)), draw(st.integers(1, width)))
    relu = Node("Relu", "relu", ("x",), "relu", {})
    axis = draw(st.sampled_from([1, 2, 3]))
    joined = Node("Concat", "concat", ("x", "relu"), "y", {"axis": axis})
    sigmoid = Node("Sigmoid", "sigmoid", ("x",), "relu", {})
    several = [Node("Mul", name, ("x", name), f"{name}/x", {}) for name in ("a", "b", "c")]
    factors: dict[str, Constant] = {name: number(10 ** draw(st.floats(-2, 1))) for name in ("a", "b", "c")}
    parts = ("x", "relu", *(node.output for node in several), "relu")
    many = Node("Concat", "many", parts, "y", {"axis": axis})
    half_pixel = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    floor = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    resize = {"others": ("", "", "sizes"), "constants": {"sizes": sizes}}

    def bilinear(x: Tensor, *_: Tensor) -> Tensor:
        rows, columns = (interpolation(old, new) for old, new in zip(x.shape[2:], size, strict=True))
        return rows @ x @ columns.T

    def nearest(x: Tensor, *_: Tensor) -> Tensor:
        return F.interpolate(x, size=size, mode="nearest")

    return draw(
        st.sampled_from(
            [
                single("Resize", bilinear, shape, half_pixel, **resize),
                single("Resize", nearest, shape, floor, **resize),
                single(
                    "Pad",
                    lambda x, _: F.pad(x, (left, right, top, bottom)),
                    shape,
                    {"mode": "constant"},
                    others=("amounts",),
                    constants={"amounts": amounts},
                ),
                single(
                    "AveragePool",
                    lambda x: F.avg_pool2d(x, pool, 1),
                    shape,
                    {"kernel_shape": pool, "strides": (1, 1)},
                ),
                Layer((relu, joined), (torch.relu, lambda *parts: torch.cat(parts, axis)), shape),
                Layer((sigmoid, joined), (torch.sigmoid, lambda *parts: torch.cat(parts, axis)), shape),
                Layer(
                    (sigmoid, *several, many),
                    (torch.sigmoid, *[torch.mul] * 3, lambda *parts: torch.cat(parts, axis)),
                    shape,
                    factors,
                ),
            ]
        )
    )


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """NCHW shapes of small feature maps."""
    return (1, draw(st.integers(1, 6)), draw(st.integers(2, 9)), draw(st.integers(2, 9)))
