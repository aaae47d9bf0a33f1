"""Convolutions side by side, of one input and into one concatenation, as a single convolution."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from sweep.export.graph import Constant, Node, OnnxGraph, Shape

Form = tuple[object, ...]


@dataclass(frozen=True)
class Joining:
    """The graph that grows while another one's nodes are read in order."""

    constants: dict[str, Constant]
    shapes: dict[str, Shape]
    nodes: list[Node]


def join_parallel_convolutions(graph: OnnxGraph) -> OnnxGraph:
    """Neighbours in a concatenation of channels become one convolution, if they differ only in their weights.

    The 1x1 branches of an atrous spatial pyramid are such. It is the same arithmetic in fewer, larger operators,
    which write to where the concatenation would have copied. Replaced nodes are left for `drop_dead`.
    """
    producers, uses = graph.producers(), graph.uses()
    joining = Joining(dict(graph.constants), dict(graph.shapes), [])
    for node in graph.nodes:
        if node.op != "Concat" or node.attributes["axis"] not in (1, -3):
            joining.nodes.append(node)
            continue
        # A convolution that something else reads too is still needed, so joining it would compute it twice.
        alone = {name: producers[name] for name in node.inputs if name in producers and uses[name] == 1}
        runs = tuple(alike_neighbours(node.inputs, alone, graph.constants))
        if len(runs) == 1 and len(runs[0]) > 1:
            join(joining, [alone[name] for name in runs[0]], node.output)
            continue
        inputs = [
            run[0] if len(run) == 1 else join(joining, [alone[name] for name in run], f"{run[0]}/joined")
            for run in runs
        ]
        joining.nodes.append(replace(node, inputs=tuple(inputs)))
    return replace(graph, nodes=tuple(joining.nodes), constants=joining.constants, shapes=joining.shapes)


def alike_neighbours(
    names: Sequence[str], producers: Mapping[str, Node], constants: Mapping[str, Constant]
) -> Iterator[tuple[str, ...]]:
    """The names in order, those in one tuple that convolutions of one form make."""

    def key(indexed: tuple[int, str]) -> Form | int:
        index, name = indexed
        form = form_of(producers[name], constants) if name in producers else None
        return index if form is None else form

    for _, run in groupby(enumerate(names), key):
        yield tuple(name for _, name in run)


def form_of(node: Node, constants: Mapping[str, Constant]) -> Form | None:
    """What convolutions must have in common to be joined; None for anything that never is."""
    if node.op != "Conv" or node.inputs[1] not in constants or node.attributes.get("group", 1) != 1:
        return None
    attributes = tuple(sorted(node.attributes.items()))
    return (node.inputs[0], constants[node.inputs[1]].shape[1:], attributes, node.activation)


def join(joining: Joining, convolutions: Sequence[Node], output: str) -> str:
    """Append the convolution that computes all of these, one's channels after the other's; its output's name."""
    first = convolutions[0]
    weights, biases = f"{output}/joined_weights", f"{output}/joined_bias"
    joining.constants[weights] = np.concatenate([joining.constants[node.inputs[1]] for node in convolutions])
    joining.constants[biases] = np.concatenate([bias_of(node, joining.constants) for node in convolutions])
    batch, _, height, width = joining.shapes[first.output]
    joining.shapes[output] = (batch, len(joining.constants[biases]), height, width)
    joining.nodes.append(replace(first, inputs=(first.inputs[0], weights, biases), output=output))
    return output


def bias_of(node: Node, constants: Mapping[str, Constant]) -> NDArray[np.float32]:
    """A Conv node's bias, zeros if it has none."""
    if len(node.inputs) > 2:
        return np.asarray(constants[node.inputs[2]], np.float32)
    return np.zeros(len(constants[node.inputs[1]]), np.float32)
