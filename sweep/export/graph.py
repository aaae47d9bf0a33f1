"""The exporter's two graph forms: ONNX as plain data (NCHW), and TFLite as plain data (NHWC)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Constant = NDArray[np.float32] | NDArray[np.int64] | NDArray[np.int32]
FusedActivation = Literal["NONE", "RELU", "RELU6"]
TensorType = Literal["float32", "float16", "int32", "int8", "uint8"]
Data = NDArray[np.float32] | NDArray[np.float16] | NDArray[np.int32] | NDArray[np.int8] | NDArray[np.uint8]
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
class Quantization:
    """value = scale * (code - zero point); with several scales, one for each index along ``axis``."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0


@dataclass(frozen=True)
class TFLiteTensor:
    """A tensor; ``data`` makes it a constant, whose type is that of the data."""

    name: str
    shape: Shape
    data: Data | None = None
    type: TensorType = "float32"
    quantization: Quantization | None = None

    def __post_init__(self) -> None:
        if self.data is not None and self.data.dtype.name != self.type:
            raise ValueError(f"tensor {self.name!r} holds {self.data.dtype.name}, declared is {self.type}")


@dataclass(frozen=True)
class TFLiteOperator:
    """An operator by its name in TFLite's ``BuiltinOperator``; tensors by name."""

    builtin: str
    version: int
    inputs: tuple[str, ...]
    output: str
    options: Options | None


@dataclass(frozen=True)
class DepthEncoding:
    """What the codes 0 to 255 of a uint8 output mean: depths from ``min_mm`` to ``max_mm``, evenly spaced.

    ``log``: in the logarithm of the depth; ``linear``: in the depth itself.
    """

    kind: Literal["log", "linear"]
    min_mm: float
    max_mm: float


@dataclass(frozen=True)
class TFLiteGraph:
    """A TFLite subgraph with one input and one output, operators in execution order.

    ``depth_encoding`` belongs to a uint8 output; a float32 one is in millimetres.
    """

    tensors: tuple[TFLiteTensor, ...]
    operators: tuple[TFLiteOperator, ...]
    input: str
    output: str
    depth_encoding: DepthEncoding | None = None

    def tensor(self, name: str) -> TFLiteTensor:
        """The tensor of that name."""
        return self.by_name[name]

    @cached_property
    def by_name(self) -> Mapping[str, TFLiteTensor]:
        """The tensors by name."""
        return {tensor.name: tensor for tensor in self.tensors}
