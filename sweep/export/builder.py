"""The TFLite graph under construction, and what all lowering rules share."""

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sweep.export.errors import UnsupportedOperatorError
from sweep.export.graph import Node, OnnxGraph, Options, Shape, TensorType, TFLiteOperator, TFLiteTensor


class Lowering:
    """Collects the tensors and operators of the TFLite graph while the ONNX nodes are lowered in order."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.tensors: dict[str, TFLiteTensor] = {}
        self.operators: list[TFLiteOperator] = []
        self.feature_map(graph.input)

    def shape(self, name: str) -> Shape:
        """NCHW shape of a feature map."""
        return self.graph.shapes[name]

    def feature_map(self, name: str) -> None:
        """Declare a four-dimensional tensor of the ONNX graph under its own name, in NHWC."""
        shape = self.graph.shapes.get(name, ())
        if len(shape) != 4 or not all(shape):
            raise UnsupportedOperatorError(
                f"tensor {name!r} has shape {shape}; supported are fixed shapes of four dimensions"
            )
        batch, channels, height, width = shape
        self.tensors[name] = TFLiteTensor(name, (batch, height, width, channels))

    def constant(self, name: str, data: NDArray[np.float32] | NDArray[np.int32]) -> str:
        """Declare a constant as it is; returns its name."""
        type_: TensorType = "int32" if data.dtype == np.int32 else "float32"
        self.tensors[name] = TFLiteTensor(name, data.shape, data, type_)
        return name

    def operand(self, node: Node, name: str) -> str:
        """An input of an element-wise operator: a feature map, or a constant brought to NHWC."""
        value = self.graph.constants.get(name)
        if value is None:
            return name
        data = value.astype(np.float32)
        aligned = data.reshape(()) if data.size == 1 else to_nhwc(data)
        return self.constant(f"{node.output}/{name}", aligned)

    def intermediate(
        self,
        builtin: str,
        inputs: tuple[str, ...],
        output: str,
        shape: Shape,
        options: Options,
        version: int = 1,
    ) -> str:
        """Append an operator that makes a tensor of its own, of that NHWC shape; returns the tensor's name."""
        self.tensors[output] = TFLiteTensor(output, shape)
        self.operators.append(TFLiteOperator(builtin, version, inputs, output, options))
        return output

    def emit(
        self, builtin: str, node: Node, inputs: tuple[str, ...], options: Options | None, version: int = 1
    ) -> None:
        """Append the operator that makes the node's output."""
        self.feature_map(node.output)
        self.operators.append(TFLiteOperator(builtin, version, inputs, node.output, options))


def refuse(node: Node, found: str, allowed: str) -> UnsupportedOperatorError:
    """The error for a form of a known operator that has no rule."""
    return UnsupportedOperatorError(
        f"ONNX operator {node.op} (node {node.name!r}) has {found}; supported: {allowed}"
    )


def number(value: float) -> NDArray[np.float32]:
    """A constant that broadcasts against anything."""
    return np.array(value, np.float32)


def to_nhwc(data: NDArray[np.float32]) -> NDArray[np.float32]:
    """A constant that broadcasts against NCHW, as one that broadcasts against NHWC."""
    return data.reshape((1,) * (4 - data.ndim) + data.shape).transpose(0, 2, 3, 1)


def integers(node: Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """A list attribute of integers."""
    return cast(tuple[int, ...], node.attributes.get(name, default))


Rule = Callable[[Lowering, Node], None]
