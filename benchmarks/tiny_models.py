"""TFLite files for benchmarks: valid, of any size, and as many different ones as asked for."""

from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import tflite

MARKER = b"model-00000000"


class TinyModels:
    """y = x + c with ``constant_bytes`` of constants; files of different numbers differ in a tensor's name."""

    def __init__(self, constant_bytes: int) -> None:
        self._template = _build(constant_bytes // 4)

    def numbered(self, number: int) -> bytes:
        """The file with this number, 0 to 99,999,999."""
        return self._template.replace(MARKER, b"model-%08d" % number)


def _build(count: int) -> bytes:
    """A model of one ADD over ``count`` float32 values."""
    builder = flatbuffers.Builder(count * 4 + 1024)
    constants = builder.CreateByteVector(bytes(count * 4))
    buffers = [_buffer(builder, None), _buffer(builder, constants)]
    tensors = [
        _tensor(builder, name, count, buffer) for name, buffer in (("x", 0), ("c", 1), (MARKER.decode(), 0))
    ]
    graph = _graph(builder, tensors, _add(builder))
    graphs = _vector(builder, tflite.ModelStartSubgraphsVector, [graph])
    codes = _vector(builder, tflite.ModelStartOperatorCodesVector, [_code(builder)])
    listed = _vector(builder, tflite.ModelStartBuffersVector, buffers)
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, codes)
    tflite.ModelAddSubgraphs(builder, graphs)
    tflite.ModelAddBuffers(builder, listed)
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def _code(builder: Any) -> int:
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, tflite.BuiltinOperator.ADD)
    tflite.OperatorCodeAddBuiltinCode(builder, tflite.BuiltinOperator.ADD)
    tflite.OperatorCodeAddVersion(builder, 1)
    return int(tflite.OperatorCodeEnd(builder))


def _buffer(builder: Any, data: int | None) -> int:
    tflite.BufferStart(builder)
    if data is not None:
        tflite.BufferAddData(builder, data)
    return int(tflite.BufferEnd(builder))


def _tensor(builder: Any, name: str, count: int, buffer: int) -> int:
    shape = _vector(builder, tflite.TensorStartShapeVector, [1, count], offsets=False)
    text = builder.CreateString(name)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, tflite.TensorType.FLOAT32)
    tflite.TensorAddBuffer(builder, buffer)
    tflite.TensorAddName(builder, text)
    return int(tflite.TensorEnd(builder))


def _add(builder: Any) -> int:
    tflite.AddOptionsStart(builder)
    options = tflite.AddOptionsEnd(builder)
    inputs = _vector(builder, tflite.OperatorStartInputsVector, [0, 1], offsets=False)
    outputs = _vector(builder, tflite.OperatorStartOutputsVector, [2], offsets=False)
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, 0)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    tflite.OperatorAddBuiltinOptionsType(builder, tflite.BuiltinOptions.AddOptions)
    tflite.OperatorAddBuiltinOptions(builder, options)
    return int(tflite.OperatorEnd(builder))


def _graph(builder: Any, tensors: Sequence[int], operator: int) -> int:
    listed = _vector(builder, tflite.SubGraphStartTensorsVector, tensors)
    operators = _vector(builder, tflite.SubGraphStartOperatorsVector, [operator])
    inputs = _vector(builder, tflite.SubGraphStartInputsVector, [0], offsets=False)
    outputs = _vector(builder, tflite.SubGraphStartOutputsVector, [2], offsets=False)
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, listed)
    tflite.SubGraphAddInputs(builder, inputs)
    tflite.SubGraphAddOutputs(builder, outputs)
    tflite.SubGraphAddOperators(builder, operators)
    return int(tflite.SubGraphEnd(builder))


def _vector(
    builder: Any, start: Callable[[Any, int], None], items: Sequence[int], *, offsets: bool = True
) -> int:
    start(builder, len(items))
    for item in reversed(items):
        if offsets:
            builder.PrependUOffsetTRelative(item)
        else:
            builder.PrependInt32(item)
    return int(builder.EndVector())
