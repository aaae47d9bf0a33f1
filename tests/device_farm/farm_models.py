"""Tiny TFLite files, written with the flatbuffer schema: no framework needed, and wrong ones can be made."""

from collections.abc import Sequence

import flatbuffers
import tflite


def add_model(shape: Sequence[int] = (1, 8, 8, 4), custom_operator: str | None = None) -> bytes:
    """y = x + x over float32 of ``shape``; or a model of one operator that no interpreter knows."""
    builder = flatbuffers.Builder(1024)
    code = _operator_code(builder, custom_operator)
    tflite.BufferStart(builder)
    buffer = tflite.BufferEnd(builder)
    tensors = [_tensor(builder, name, shape) for name in ("x", "y")]
    graph = _graph(builder, tensors, _operator(builder, custom_operator is None))
    graphs = _offsets(builder, tflite.ModelStartSubgraphsVector, [graph])
    codes = _offsets(builder, tflite.ModelStartOperatorCodesVector, [code])
    buffers = _offsets(builder, tflite.ModelStartBuffersVector, [buffer])
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, codes)
    tflite.ModelAddSubgraphs(builder, graphs)
    tflite.ModelAddBuffers(builder, buffers)
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def _operator_code(builder, custom_operator):
    kind = tflite.BuiltinOperator.ADD if custom_operator is None else tflite.BuiltinOperator.CUSTOM
    name = None if custom_operator is None else builder.CreateString(custom_operator)
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, kind)
    tflite.OperatorCodeAddBuiltinCode(builder, kind)
    if name is not None:
        tflite.OperatorCodeAddCustomCode(builder, name)
    tflite.OperatorCodeAddVersion(builder, 1)
    return tflite.OperatorCodeEnd(builder)


def _tensor(builder, name, shape):
    dimensions = _integers(builder, tflite.TensorStartShapeVector, shape)
    text = builder.CreateString(name)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, dimensions)
    tflite.TensorAddType(builder, tflite.TensorType.FLOAT32)
    tflite.TensorAddBuffer(builder, 0)
    tflite.TensorAddName(builder, text)
    return tflite.TensorEnd(builder)


def _operator(builder, is_add):
    tflite.AddOptionsStart(builder)
    options = tflite.AddOptionsEnd(builder)
    inputs = _integers(builder, tflite.OperatorStartInputsVector, [0, 0] if is_add else [0])
    outputs = _integers(builder, tflite.OperatorStartOutputsVector, [1])
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, 0)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    if is_add:
        tflite.OperatorAddBuiltinOptionsType(builder, tflite.BuiltinOptions.AddOptions)
        tflite.OperatorAddBuiltinOptions(builder, options)
    return tflite.OperatorEnd(builder)


def _graph(builder, tensors, operator):
    listed = _offsets(builder, tflite.SubGraphStartTensorsVector, tensors)
    operators = _offsets(builder, tflite.SubGraphStartOperatorsVector, [operator])
    inputs = _integers(builder, tflite.SubGraphStartInputsVector, [0])
    outputs = _integers(builder, tflite.SubGraphStartOutputsVector, [1])
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, listed)
    tflite.SubGraphAddInputs(builder, inputs)
    tflite.SubGraphAddOutputs(builder, outputs)
    tflite.SubGraphAddOperators(builder, operators)
    return tflite.SubGraphEnd(builder)


def _offsets(builder, start, items):
    start(builder, len(items))
    for item in reversed(items):
        builder.PrependUOffsetTRelative(item)
    return builder.EndVector()


def _integers(builder, start, items):
    start(builder, len(items))
    for item in reversed(items):
        builder.PrependInt32(item)
    return builder.EndVector()
