"""A TFLite file's first subgraph as plain data, and the figures that follow from it."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device_farm.model_files.tflite_schema import TENSOR_TYPES
from sweep.export.graph import Quantization, Shape

ARITHMETIC_TYPES = frozenset(
    {"float64", "float32", "float16", "bfloat16", "uint8", "int16", "int8", "int4", "uint4", "int2"}
)
DTYPES: Mapping[str, str] = {
    "float64": "<f8",
    "float32": "<f4",
    "float16": "<f2",
    "int64": "<i8",
    "int32": "<i4",
    "int16": "<i2",
    "int8": "i1",
    "uint8": "u1",
    "bool": "?",
}
BITS: Mapping[str, int] = {kind.name: kind.bits for kind in TENSOR_TYPES.values()}


@dataclass(frozen=True)
class TensorInfo:
    """A tensor.

    Attributes:
        name: as the file has it; names need not be unique.
        type: in lower case, such as float32.
        shape: -1 for a size that is known only when the file runs.
        data: a constant's bytes as they are stored, a view of the file; None for what operators compute.
        buffer: the number of the buffer that ``data`` lies in.
        quantization: what its numbers stand for; None if they stand for themselves.
        variable: whether it keeps its value from one invocation to the next.
    """

    name: str
    type: str
    shape: Shape
    data: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)
    buffer: int = 0
    quantization: Quantization | None = None
    variable: bool = False

    @property
    def constant(self) -> bool:
        """Whether the file holds its value."""
        return self.data is not None

    @property
    def quantized(self) -> bool:
        """Whether its numbers stand for others."""
        return self.quantization is not None

    @property
    def elements(self) -> int:
        """How many numbers it holds; each size that is not known counts as 1."""
        return math.prod(1 if size < 0 else size for size in self.shape)

    @property
    def nbytes(self) -> int:
        """Its bytes in memory; 0 for types whose elements have no fixed size, such as strings."""
        return (self.elements * BITS.get(self.type, 0) + 7) // 8

    @property
    def values(self) -> NDArray[Any] | None:
        """A constant's numbers in its shape; None for other tensors, types NumPy lacks, and sparse storage."""
        if self.data is None or self.type not in DTYPES or self.data.size != self.nbytes:
            return None
        return self.data.view(DTYPES[self.type]).reshape(self.shape)


@dataclass(frozen=True)
class OperatorInfo:
    """One operator of the graph; custom ones are named ``CUSTOM:<name>``.

    Attributes:
        name: of the builtin, such as CONV_2D.
        version: the operator's version, from 1 on.
        inputs, outputs: tensors by index; -1 for an optional input that is not given.
        options: the fields of its options, with the schema's names and numbers.
    """

    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MetadataEntry:
    """A named entry beside the graph, as bytes."""

    name: str
    data: bytes


@dataclass(frozen=True)
class ModelInfo:
    """The first subgraph of a TFLite file.

    Attributes:
        size_bytes: of the file.
        subgraphs: how many there are; those after the first are not described.
        tensors, operators: in the file's order, which for operators is the order of execution.
        input_indexes, output_indexes: the subgraph's ends, by index.
    """

    size_bytes: int
    description: str
    metadata: tuple[MetadataEntry, ...]
    subgraphs: int
    tensors: tuple[TensorInfo, ...]
    operators: tuple[OperatorInfo, ...]
    input_indexes: tuple[int, ...]
    output_indexes: tuple[int, ...]

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """The tensors that the caller fills."""
        return tuple(self.tensors[index] for index in self.input_indexes)

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """The tensors that the caller reads."""
        return tuple(self.tensors[index] for index in self.output_indexes)

    @property
    def min_runtime_version(self) -> str | None:
        """The oldest TensorFlow Lite that the file's writer noted, if it did."""
        notes = (entry.data for entry in self.metadata if entry.name == "min_runtime_version")
        note = next(notes, b"").rstrip(b"\0")
        return note.decode(errors="replace") or None

    @property
    def operator_counts(self) -> dict[str, int]:
        """How often each operator occurs, most frequent first."""
        return dict(Counter(operator.name for operator in self.operators).most_common())

    @property
    def operator_versions(self) -> frozenset[tuple[str, int]]:
        """The (operator, version) pairs that a runtime must know."""
        return frozenset((operator.name, operator.version) for operator in self.operators)

    @property
    def parameters(self) -> int:
        """Numbers in weights, biases and other arithmetic constants; shapes and axes do not count."""
        return sum(self.parameters_by_type.values())

    @property
    def parameters_by_type(self) -> dict[str, int]:
        """The parameters of each type, most frequent first; integers of 32 bits are those of quantised biases."""
        found: Counter[str] = Counter()
        for tensor in self.tensors:
            if is_parameter(tensor):
                found[tensor.type] += tensor.elements
        return dict(found.most_common())

    @property
    def constant_bytes(self) -> int:
        """What all constants take in the file; tensors that share a buffer count once."""
        stored = {tensor.buffer: tensor.data.size for tensor in self.tensors if tensor.data is not None}
        return sum(stored.values())

    @property
    def multiply_adds(self) -> int:
        """Multiply-accumulate operations of the convolutions and fully connected layers."""
        return sum(self.operator_multiply_adds)

    @cached_property
    def operator_multiply_adds(self) -> tuple[int, ...]:
        """The same for each operator; 0 for all other kinds."""
        return tuple(self._multiply_adds(operator) for operator in self.operators)

    @cached_property
    def operator_parameters(self) -> tuple[int, ...]:
        """The parameters that each operator is the first to read, so that their sum counts none twice."""
        seen: set[int] = set()
        found = []
        for operator in self.operators:
            new = {index for index in operator.inputs if index >= 0} - seen
            found.append(sum(self.tensors[i].elements for i in new if is_parameter(self.tensors[i])))
            seen |= new
        return tuple(found)

    @cached_property
    def readers(self) -> Mapping[int, tuple[int, ...]]:
        """For each tensor that operators read, those operators by index."""
        found: dict[int, list[int]] = {}
        for position, operator in enumerate(self.operators):
            for index in dict.fromkeys(operator.inputs):
                found.setdefault(index, []).append(position)
        return {index: tuple(positions) for index, positions in found.items() if index >= 0}

    @cached_property
    def writers(self) -> Mapping[int, int]:
        """For each tensor that an operator computes, that operator by index."""
        return {
            index: position
            for position, operator in enumerate(self.operators)
            for index in operator.outputs
            if index >= 0
        }

    def operands(self, operator: OperatorInfo) -> tuple[TensorInfo, ...]:
        """The tensors that the operator reads, without the optional ones that are not given."""
        return tuple(self.tensors[index] for index in operator.inputs if index >= 0)

    def _multiply_adds(self, operator: OperatorInfo) -> int:
        operands, output = self.operands(operator), operator.outputs[:1]
        if len(operands) < 2 or not output:
            return 0
        weights, outputs = operands[1].shape, self.tensors[output[0]].elements
        match operator.name:
            case "CONV_2D":  # weights OHWI, output NHWO
                return outputs * math.prod(weights[1:])
            case "DEPTHWISE_CONV_2D":  # weights 1HWO
                return outputs * math.prod(weights[1:3])
            case "TRANSPOSE_CONV" if len(operands) > 2:  # operands: output shape, weights OHWI, input NHWI
                return operands[2].elements * math.prod(weights[:3])
            case "FULLY_CONNECTED":  # weights (outputs, inputs)
                return outputs * math.prod(weights[1:])
            case _:
                return 0


def is_parameter(tensor: TensorInfo) -> bool:
    """Whether it is a constant that takes part in arithmetic; of int32 ones, a scale tells a bias from a shape."""
    return tensor.constant and (tensor.type in ARITHMETIC_TYPES or tensor.quantized)
