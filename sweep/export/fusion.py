"""Rewrites of the ONNX graph that save operators: each takes a graph and returns an equal, smaller one."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sweep.export.dead_taps import drop_dead_taps
from sweep.export.graph import Constant, FusedActivation, Node, OnnxGraph
from sweep.export.parallel import join_parallel_convolutions

FUSABLE = frozenset({"Conv", "Add", "Sub", "Mul", "Div"})


def optimise(graph: OnnxGraph) -> OnnxGraph:
    """All rewrites, in the order in which they feed each other."""
    rewrites = (
        merge_padding,
        drop_dead_taps,
        fold_input_scale,
        recognise_hard_swish,
        drop_dead,
        fuse_activations,
        join_parallel_convolutions,
    )
    for rewrite in rewrites:
        graph = rewrite(graph)
    return drop_dead(graph)


def merge_padding(graph: OnnxGraph) -> OnnxGraph:
    """A spatial zero Pad becomes the padding of the convolution that reads it."""
    producers = graph.producers()

    def merged(node: Node) -> Node:
        pad = producers.get(node.inputs[0]) if node.op == "Conv" else None
        pads = None if pad is None else spatial_zero_pads(pad, graph.constants)
        if pad is None or pads is None:
            return node
        own = node.attributes.get("pads", (0, 0, 0, 0))
        assert isinstance(own, tuple)
        total = tuple(int(a) + int(b) for a, b in zip(own, pads, strict=True))
        inputs = (pad.inputs[0], *node.inputs[1:])
        return replace(node, inputs=inputs, attributes={**node.attributes, "pads": total})

    return replace(graph, nodes=tuple(merged(node) for node in graph.nodes))


def spatial_zero_pads(node: Node, constants: Mapping[str, Constant]) -> tuple[int, int, int, int] | None:
    """(top, left, bottom, right) of a node that pads height and width with zeros; None for any other."""
    if node.op != "Pad" or node.attributes.get("mode", "constant") != "constant":
        return None
    if len(node.inputs) > 2 and node.inputs[2] and scalar(constants, node.inputs[2]) != 0:
        return None
    pads = constants.get(node.inputs[1])
    if pads is None or pads.size != 8 or any(pads[[0, 1, 4, 5]]) or (pads < 0).any():
        return None
    top, left, bottom, right = (int(pads[index]) for index in (2, 3, 6, 7))
    return top, left, bottom, right


def fold_input_scale(graph: OnnxGraph) -> OnnxGraph:
    """A convolution of an image times a number becomes one with scaled weights. Zero padding stays zero."""
    producers = graph.producers()
    constants = dict(graph.constants)

    def folded(node: Node) -> Node:
        scaling = producers.get(node.inputs[0]) if node.op == "Conv" else None
        if scaling is None or scaling.op != "Mul":
            return node
        for image, factor in (scaling.inputs, scaling.inputs[::-1]):
            value = scalar(constants, factor)
            if value is not None and image not in constants:
                weights = f"{node.name}/scaled_weights"
                constants[weights] = constants[node.inputs[1]] * np.float32(value)
                return replace(node, inputs=(image, weights, *node.inputs[2:]))
        return node

    nodes = tuple(folded(node) for node in graph.nodes)
    return replace(graph, nodes=nodes, constants=constants)


def recognise_hard_swish(graph: OnnxGraph) -> OnnxGraph:
    """x * HardSigmoid(x), as ONNX defines its HardSwish, becomes one HardSwish node."""
    producers = graph.producers()

    def recognised(node: Node) -> Node:
        if node.op != "Mul":
            return node
        for features, gate_name in (node.inputs, node.inputs[::-1]):
            gate = producers.get(gate_name)
            if gate is not None and gate.inputs == (features,) and is_hard_sigmoid(gate):
                return Node("HardSwish", node.name or gate_name, (features,), node.output, {})
        return node

    return replace(graph, nodes=tuple(recognised(node) for node in graph.nodes))


def is_hard_sigmoid(node: Node) -> bool:
    """Whether the node is relu6(x + 3) / 6, the hard sigmoid of MobileNetV3."""
    slope, offset = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    return node.op == "HardSigmoid" and slope == float(np.float32(1 / 6)) and offset == 0.5


def fuse_activations(graph: OnnxGraph) -> OnnxGraph:
    """ReLU and ReLU6 move into the convolution or the arithmetic before them, if nothing else reads it."""
    producers, uses = graph.producers(), graph.uses()
    fused: dict[str, Node] = {}  # by the output that the fused node takes over
    absorbed: set[str] = set()
    for node in graph.nodes:
        activation = activation_of(node, graph.constants)
        source = producers.get(node.inputs[0]) if activation else None
        if source is not None and activation and source.op in FUSABLE and uses[source.output] == 1:
            fused[node.output] = replace(source, output=node.output, activation=activation)
            absorbed.add(source.output)
    nodes = (fused.get(node.output, node) for node in graph.nodes if node.output not in absorbed)
    return replace(graph, nodes=tuple(nodes))


def activation_of(node: Node, constants: Mapping[str, Constant]) -> FusedActivation | None:
    """What TFLite can fuse: RELU for max(x, 0), RELU6 for min(max(x, 0), 6), else None."""
    if node.op == "Relu":
        return "RELU"
    if node.op != "Clip":
        return None
    match clip_bounds(node, constants):
        case (0.0, 6.0):
            return "RELU6"
        case (0.0, None):
            return "RELU"
        case _:
            return None


def clip_bounds(node: Node, constants: Mapping[str, Constant]) -> tuple[float | None, float | None]:
    """(minimum, maximum) of a Clip node; None for a bound left out."""
    names = (*node.inputs[1:], "", "")[:2]
    low, high = (scalar(constants, name) for name in names)
    return low, high


def drop_dead(graph: OnnxGraph) -> OnnxGraph:
    """Without the nodes whose output nothing reads."""
    alive = {graph.output}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if node.output in alive:
            alive.update(node.inputs)
            kept.append(node)
    return replace(graph, nodes=tuple(reversed(kept)))


def scalar(constants: Mapping[str, Constant], name: str) -> float | None:
    """The value of a constant with one element, None for anything else."""
    value = constants.get(name)
    return float(value.reshape(())) if value is not None and value.size == 1 else None
