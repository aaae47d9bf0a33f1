"""The exporter's two graph forms: ONNX as plain data (NCHW), and TFLite as plain data (NHWC)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Constant = NDArray[np.float32] | NDArray[np.int64] | NDArray[np.int32]
FusedActivation = Literal["NONE", "RELU", "RELU6"]
Attribute = int | float | str | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True)
class Node:
    """One ONNX node with one output. ``activation`` is applied to that output; fusion fills it in."""

    op: str
    name: str
    inputs: tuple[str, ...]  # "" stands for an optional input left out
    output: str
    attributes: Mapping[str, Attribute]
    activation: FusedActivation = "NONE"


@dataclass(frozen=True)
class OnnxGraph:
    """A folded ONNX graph with static shapes: one input, one output, nodes in topological order."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, Constant]
    shapes: Mapping[str, Shape]
    input: str
    output: str

    def producers(self) -> dict[str, Node]:
        """From a tensor's name to the node that makes it."""
        return {node.output: node for node in self.nodes}

    def uses(self) -> Counter[str]:
        """How often each tensor is read; being the graph's output counts as one."""
        return Counter([name for node in self.nodes for name in node.inputs] + [self.output])


@dataclass(frozen=True)
class Options:
    """A table of TFLite's ``BuiltinOptions`` union, such as ``Conv2DOptions``, and the fields to set."""

    table: str
    fields: Mapping[str, int | bool | float] = field(default_factory=dict)


@dataclass(frozen=True)
class TFLiteTensor:
    """A tensor; ``data`` (float32 or int32) makes it a constant."""

    name: str
    shape: Shape
    data: NDArray[np.float32] | NDArray[np.int32] | None = None


@dataclass(frozen=True)
class TFLiteOperator:
    """An operator by its name in TFLite's ``BuiltinOperator``; tensors by name."""

    builtin: str
    version: int
    inputs: tuple[str, ...]
    output: str
    options: Options | None


@dataclass(frozen=True)
class TFLiteGraph:
    """A TFLite subgraph with one float32 input and one float32 output, operators in execution order."""

    tensors: tuple[TFLiteTensor, ...]
    operators: tuple[TFLiteOperator, ...]
    input: str
    output: str
