"""What a TFLite file holds, read with the schema alone, and whether it keeps the challenge's contract."""

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tflite

from sweep.export.errors import ContractError
from sweep.export.graph import Shape

FRAME_SHAPE: Shape = (1, 480, 640, 3)
DEPTH_SHAPES: tuple[Shape, ...] = ((1, 480, 640, 1), (1, 480, 640))

BUILTIN_NAMES: Mapping[int, str] = {
    code: name for name, code in vars(tflite.BuiltinOperator).items() if not name.startswith("_")
}
TYPE_NAMES: Mapping[int, str] = {
    code: name.lower() for name, code in vars(tflite.TensorType).items() if not name.startswith("_")
}
ARITHMETIC_TYPES = frozenset({"float64", "float32", "float16", "bfloat16", "uint8", "int16", "int8", "int4"})


@dataclass(frozen=True)
class TensorInfo:
    """A tensor: its name, type in lower case, shape (-1 for a dynamic size) and whether it is a constant."""

    name: str
    type: str
    shape: Shape
    constant: bool
    quantized: bool


@dataclass(frozen=True)
class OperatorInfo:
    """One operator of the graph; custom ones are named ``CUSTOM:<name>``. Tensors by index, -1 for none."""

    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class ModelInfo:
    """The first subgraph of a TFLite file."""

    size_bytes: int
    description: str
    min_runtime_version: str | None
    tensors: tuple[TensorInfo, ...]
    operators: tuple[OperatorInfo, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]

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
        return sum(
            int(np.prod(tensor.shape))
            for tensor in self.tensors
            if tensor.constant and (tensor.type in ARITHMETIC_TYPES or tensor.quantized)
        )

    @property
    def multiply_adds(self) -> int:
        """Multiply-accumulate operations of the convolutions and fully connected layers."""
        return sum(self._multiply_adds(operator) for operator in self.operators)

    def _multiply_adds(self, operator: OperatorInfo) -> int:
        operands = [self.tensors[index].shape if index >= 0 else () for index in operator.inputs]
        output = self.tensors[operator.outputs[0]].shape if operator.outputs else ()
        match operator.name:
            case "CONV_2D":  # weights OHWI, output NHWO
                return int(np.prod(output) * np.prod(operands[1][1:]))
            case "DEPTHWISE_CONV_2D":  # weights 1HWO
                return int(np.prod(output) * np.prod(operands[1][1:3]))
            case "TRANSPOSE_CONV":  # operands: output shape, weights OHWI, input NHWI
                return int(np.prod(operands[2]) * np.prod(operands[1][:3]))
            case "FULLY_CONNECTED":  # weights (outputs, inputs)
                return int(np.prod(output) * operands[1][1])
            case _:
                return 0


@dataclass(frozen=True)
class Contract:
    """How a file that keeps the contract wants its frame, and which of the two depth shapes it returns."""

    input_type: Literal["float32", "uint8"]
    input_shape: Shape
    output_shape: Shape


def inspect_model(path: Path) -> ModelInfo:
    """Read a TFLite file. Raises ContractError if it is none, OSError if it cannot be read."""
    data = path.read_bytes()
    if not tflite.Model.ModelBufferHasIdentifier(data, 0):
        raise ContractError(f"{path}: not a TFLite file (bytes 4 to 7 are {data[4:8]!r}, allowed b'TFL3')")
    try:
        return read_model(tflite.Model.GetRootAs(data, 0), len(data))
    except (struct.error, IndexError, ValueError, TypeError, AttributeError) as error:
        raise ContractError(f"{path}: the TFLite file is damaged ({error})") from error


def check_contract(path: Path) -> Contract:
    """Check input 1x480x640x3 (float32 or uint8) and output 1x480x640x1 or 1x480x640 (float32).

    Raises ContractError naming the file, the place, what was found and what is allowed.
    """
    model = inspect_model(path)
    for place, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
        if len(tensors) != 1:
            raise ContractError(f"{path}: found {len(tensors)} {place}, allowed is 1")
    frame, depth = model.inputs[0], model.outputs[0]
    if frame.shape != FRAME_SHAPE or frame.type not in ("float32", "uint8"):
        raise mismatch(path, "input", frame, "1x480x640x3 float32 or uint8")
    if depth.shape not in DEPTH_SHAPES or depth.type != "float32":
        raise mismatch(path, "output", depth, "1x480x640x1 or 1x480x640 float32")
    return Contract("uint8" if frame.type == "uint8" else "float32", frame.shape, depth.shape)


def mismatch(path: Path, place: str, found: TensorInfo, allowed: str) -> ContractError:
    """The error for an input or output of another type or shape."""
    shape = "x".join(str(size) for size in found.shape) or "scalar"
    return ContractError(f"{path}: {place} {found.name!r} is {shape} {found.type}, allowed is {allowed}")


def read_model(model: tflite.Model, size_bytes: int) -> ModelInfo:
    """The parts of the flatbuffer that ModelInfo keeps."""
    for index in range(model.BuffersLength()):
        model.Buffers(index).DataAsNumpy()  # ValueError where the data reach beyond the file's end
    graph = model.Subgraphs(0)
    tensors = tuple(read_tensor(model, graph.Tensors(i)) for i in range(graph.TensorsLength()))
    operators = (graph.Operators(i) for i in range(graph.OperatorsLength()))
    return ModelInfo(
        size_bytes=size_bytes,
        description=(model.Description() or b"").decode(),
        min_runtime_version=read_runtime_version(model),
        tensors=tensors,
        operators=tuple(read_operator(model, operator) for operator in operators),
        inputs=tuple(tensors[graph.Inputs(i)] for i in range(graph.InputsLength())),
        outputs=tuple(tensors[graph.Outputs(i)] for i in range(graph.OutputsLength())),
    )


def read_tensor(model: tflite.Model, tensor: tflite.Tensor) -> TensorInfo:
    """A tensor's description. Dynamic sizes are taken from the shape signature."""
    signature = [tensor.ShapeSignature(i) for i in range(tensor.ShapeSignatureLength())]
    shape = signature or [tensor.Shape(i) for i in range(tensor.ShapeLength())]
    quantization = tensor.Quantization()
    return TensorInfo(
        name=(tensor.Name() or b"").decode(),
        type=TYPE_NAMES.get(tensor.Type(), f"type {tensor.Type()}"),
        shape=tuple(int(size) for size in shape),
        constant=model.Buffers(tensor.Buffer()).DataLength() > 0,
        quantized=quantization is not None and quantization.ScaleLength() > 0,
    )


def read_operator(model: tflite.Model, operator: tflite.Operator) -> OperatorInfo:
    """An operator's description."""
    code = model.OperatorCodes(operator.OpcodeIndex())
    # Old files fill only the one-byte field, new ones the other too; the larger of the two is the code.
    builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = BUILTIN_NAMES.get(builtin, f"BUILTIN_{builtin}")
    return OperatorInfo(
        name=f"CUSTOM:{(code.CustomCode() or b'').decode()}" if name == "CUSTOM" else name,
        version=code.Version(),
        inputs=tuple(operator.Inputs(i) for i in range(operator.InputsLength())),
        outputs=tuple(operator.Outputs(i) for i in range(operator.OutputsLength())),
    )


def read_runtime_version(model: tflite.Model) -> str | None:
    """The min_runtime_version that the file's converter noted, if any."""
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == b"min_runtime_version":
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy()).rstrip(b"\0").decode()
    return None
