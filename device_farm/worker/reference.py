"""The reference model: a small network that ships with the package and tells how fast a device is today.

A convolution, then residual blocks of a depthwise and a full 3x3 convolution: what the measured networks
consist of. One tensor (166 KB) leaves a Raspberry Pi's first cache, all together stay in its second. There are
operators of version 1 only, so that every TFLite since 1.13 runs it.

``python -m device_farm.worker.reference`` writes the file again, the same to the byte; that alone needs the
packages ``tflite`` and ``flatbuffers``.
"""

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

Shape = tuple[int, ...]

INPUT_SHAPE = (1, 72, 72, 3)  # NHWC; pixels, 0 to 255
CHANNELS, BLOCKS = 32, 2
SEED = 1
BUFFER_ALIGNMENT = 16


def reference_path() -> Path:
    """The shipped TFLite file; input 1x72x72x3 and output 1x36x36x32, both float32 and NHWC."""
    return Path(__file__).with_name("reference.tflite")


@dataclass(frozen=True)
class Constant:
    """A float32 tensor with its values in row-major order."""

    shape: Shape
    values: tuple[float, ...]


@dataclass(frozen=True)
class Convolution:
    """A layer with SAME padding and a bias. ``weights`` are laid out as TFLite wants them: OHWI, or 1HWC."""

    source: int  # index of the tensor that it reads; the network's input is 0
    weights: Constant
    bias: Constant
    kind: Literal["full", "depthwise"] = "full"
    stride: int = 1
    relu6: bool = True


@dataclass(frozen=True)
class Addition:
    """The sum of two tensors of the same shape."""

    left: int
    right: int


Layer = Convolution | Addition


def layers() -> tuple[Layer, ...]:
    """The network's layers in order; layer i makes tensor i + 1."""
    random = Random(SEED)  # random() keeps its sequence in every version of Python
    found: list[Layer] = [_full(random, source=0, inputs=3, stride=2, relu6=True, gain=1 / 128)]
    for _ in range(BLOCKS):
        start = len(found)
        found += [_depthwise(random, start), _full(random, start + 1), Addition(start, start + 2)]
    return tuple(found)


def _full(
    random: Random,
    source: int,
    inputs: int = CHANNELS,
    stride: int = 1,
    relu6: bool = False,
    gain: float = 1.0,
) -> Convolution:
    weights = _uniform(random, (CHANNELS, 3, 3, inputs), gain * math.sqrt(6 / (9 * inputs)))
    return Convolution(source, weights, _uniform(random, (CHANNELS,), 0.1), stride=stride, relu6=relu6)


def _depthwise(random: Random, source: int) -> Convolution:
    weights = _uniform(random, (1, 3, 3, CHANNELS), math.sqrt(6 / 9))
    return Convolution(source, weights, _uniform(random, (CHANNELS,), 0.1), kind="depthwise")


def _uniform(random: Random, shape: Shape, bound: float) -> Constant:
    return Constant(shape, tuple((2 * random.random() - 1) * bound for _ in range(math.prod(shape))))


def reference_bytes() -> bytes:
    """The TFLite file of ``layers()``. Needs the packages tflite and flatbuffers."""
    return _Writer().file(layers())


class _Writer:
    """Writes one flatbuffer, children before parents as the format wants it."""

    def __init__(self) -> None:
        import flatbuffers
        import tflite

        self._tflite: Any = tflite
        self._builder: Any = flatbuffers.Builder(1024)
        self._buffers = [self._buffer(())]  # by convention, the first buffer is empty
        self._tensors: list[int] = []
        self._activations: list[tuple[int, Shape]] = []  # index and shape of the tensors that layers name
        self._operators: list[int] = []
        self._kinds: list[int] = []

    def file(self, network: Sequence[Layer]) -> bytes:
        self._activation("input", INPUT_SHAPE)
        for number, layer in enumerate(network):
            if isinstance(layer, Addition):
                self._add(number, layer)
            else:
                self._convolve(number, layer)
        return self._model()

    def _convolve(self, number: int, layer: Convolution) -> None:
        tflite = self._tflite
        source, (_, height, width, _) = self._activations[layer.source]
        (channels,) = layer.bias.shape
        weights = self._constant(f"weights_{number}", layer.weights)
        bias = self._constant(f"bias_{number}", layer.bias)
        shape = (1, -(-height // layer.stride), -(-width // layer.stride), channels)
        output = self._activation(f"layer_{number}", shape)
        activations = tflite.ActivationFunctionType
        options = {
            "Padding": tflite.Padding.SAME,
            "StrideH": layer.stride,
            "StrideW": layer.stride,
            "FusedActivationFunction": activations.RELU6 if layer.relu6 else activations.NONE,
            "DilationHFactor": 1,
            "DilationWFactor": 1,
        }
        inputs = (source, weights, bias)
        if layer.kind == "full":
            self._operator("CONV_2D", "Conv2DOptions", options, inputs, output)
        else:
            options["DepthMultiplier"] = 1
            self._operator("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", options, inputs, output)

    def _add(self, number: int, layer: Addition) -> None:
        left, shape = self._activations[layer.left]
        right, _ = self._activations[layer.right]
        self._operator("ADD", "AddOptions", {}, (left, right), self._activation(f"layer_{number}", shape))

    def _operator(self, kind: str, table: str, options: dict[str, int], inputs: Shape, output: int) -> None:
        tflite = self._tflite
        code = getattr(tflite.BuiltinOperator, kind)
        if code not in self._kinds:
            self._kinds.append(code)
        fields = {
            "OpcodeIndex": self._kinds.index(code),
            "Inputs": self._integers(inputs),
            "Outputs": self._integers((output,)),
            "BuiltinOptionsType": getattr(tflite.BuiltinOptions, table),
            "BuiltinOptions": self._table(table, options),
        }
        self._operators.append(self._table("Operator", fields))

    def _activation(self, name: str, shape: Shape) -> int:
        index = self._tensor(name, shape, buffer=0)
        self._activations.append((index, shape))
        return index

    def _constant(self, name: str, constant: Constant) -> int:
        self._buffers.append(self._buffer(constant.values))
        return self._tensor(name, constant.shape, buffer=len(self._buffers) - 1)

    def _tensor(self, name: str, shape: Shape, buffer: int) -> int:
        fields = {
            "Shape": self._integers(shape),
            "Type": self._tflite.TensorType.FLOAT32,
            "Buffer": buffer,
            "Name": self._builder.CreateString(name),
        }
        self._tensors.append(self._table("Tensor", fields))
        return len(self._tensors) - 1

    def _buffer(self, values: Sequence[float]) -> int:
        """A buffer; kernels read the data in place, which wants it aligned."""
        if not values:
            return self._table("Buffer", {})
        data = struct.pack(f"<{len(values)}f", *values)
        self._builder.Prep(BUFFER_ALIGNMENT, len(data))
        return self._table("Buffer", {"Data": self._builder.CreateByteVector(data)})

    def _model(self) -> bytes:
        graph = self._table(
            "SubGraph",
            {
                "Tensors": self._offsets(self._tensors),
                "Inputs": self._integers((self._activations[0][0],)),
                "Outputs": self._integers((self._activations[-1][0],)),
                "Operators": self._offsets(self._operators),
            },
        )
        codes = [
            self._table("OperatorCode", {"DeprecatedBuiltinCode": kind, "BuiltinCode": kind, "Version": 1})
            for kind in self._kinds
        ]
        fields = {
            "Version": 3,
            "OperatorCodes": self._offsets(codes),
            "Subgraphs": self._offsets([graph]),
            "Buffers": self._offsets(self._buffers),
            "Description": self._builder.CreateString("device farm reference model"),
        }
        self._builder.Finish(self._table("Model", fields), b"TFL3")
        return bytes(self._builder.Output())

    def _table(self, name: str, fields: dict[str, int]) -> int:
        """Writes a table whose ``fields`` are numbers or offsets of what is already written."""
        getattr(self._tflite, f"{name}Start")(self._builder)
        for field, value in fields.items():
            getattr(self._tflite, f"{name}Add{field}")(self._builder, value)
        return int(getattr(self._tflite, f"{name}End")(self._builder))

    def _integers(self, items: Sequence[int]) -> int:
        return self._vector(items, self._builder.PrependInt32)

    def _offsets(self, items: Sequence[int]) -> int:
        return self._vector(items, self._builder.PrependUOffsetTRelative)

    def _vector(self, items: Sequence[int], prepend: Callable[[int], None]) -> int:
        self._builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            prepend(item)
        return int(self._builder.EndVector())


if __name__ == "__main__":
    reference_path().write_bytes(reference_bytes())
