"""TFLite flatbuffers from plain data: the same graph always gives the same bytes.

The format is the TFLite schema's (file identifier TFL3): buffer 0 is empty and stands for "no data", buffers
are aligned to 16 bytes, as the memory-mapped kernels expect.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray

from sweep.export.graph import Data, Options, Quantization, TFLiteGraph, TFLiteOperator, TFLiteTensor
from sweep.export.versions import minimum_runtime

SCHEMA_VERSION = 3
DEPTH_ENCODING = "depth_encoding"
"""Name of the metadata that say what a uint8 output means."""
BUFFER_ALIGNMENT = 16
# Builtin codes from this one on do not fit the schema's older, one-byte field, which then holds this value.
BUILTIN_PLACEHOLDER = 127


def write_tflite(graph: TFLiteGraph, description: str, outputs: Sequence[str] | None = None) -> bytes:
    """The file's bytes. ``description`` is stored in the model, as is the oldest TensorFlow that runs it.

    ``outputs`` replaces the graph's output by any of its tensors, for looking inside.
    """
    constants = {tensor.name: as_bytes(tensor.data) for tensor in graph.tensors if tensor.data is not None}
    runtime = minimum_runtime((operator.builtin, operator.version) for operator in graph.operators)
    notes = {"min_runtime_version": runtime.encode().ljust(16, b"\0")}
    if graph.depth_encoding is not None:
        notes[DEPTH_ENCODING] = json.dumps(asdict(graph.depth_encoding), sort_keys=True).encode()
    blobs = [None, *constants.values(), *(np.frombuffer(note, np.uint8) for note in notes.values())]
    builder = flatbuffers.Builder(4096 + sum(blob.size for blob in constants.values()))
    buffers = table_vector(builder, [add_buffer(builder, blob) for blob in blobs])
    buffer_of = {name: index for index, name in enumerate(constants, start=1)}
    codes = list(dict.fromkeys((operator.builtin, operator.version) for operator in graph.operators))
    code_vector = table_vector(builder, [add_operator_code(builder, *code) for code in codes])
    shown = (graph.output,) if outputs is None else outputs
    subgraphs = table_vector(builder, [add_subgraph(builder, graph, codes, buffer_of, shown)])
    first = len(blobs) - len(notes)
    entries = [add_metadata(builder, name, index) for index, name in enumerate(notes, start=first)]
    metadata = table_vector(builder, entries)
    text = builder.CreateString(description)
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, SCHEMA_VERSION)
    tflite.ModelAddOperatorCodes(builder, code_vector)
    tflite.ModelAddSubgraphs(builder, subgraphs)
    tflite.ModelAddDescription(builder, text)
    tflite.ModelAddBuffers(builder, buffers)
    tflite.ModelAddMetadata(builder, metadata)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def as_bytes(data: Data) -> NDArray[np.uint8]:
    """The array's little-endian bytes."""
    little = np.ascontiguousarray(data, data.dtype.newbyteorder("<"))
    return np.frombuffer(little.tobytes(), np.uint8)


def add_buffer(builder: flatbuffers.Builder, data: NDArray[np.uint8] | None) -> int:
    """A buffer; None for the empty one."""
    vector = None
    if data is not None:
        builder.StartVector(1, data.size, BUFFER_ALIGNMENT)
        builder.head -= data.size
        builder.Bytes[builder.head : builder.head + data.size] = data.tobytes()
        vector = builder.EndVector()
    tflite.BufferStart(builder)
    if vector is not None:
        tflite.BufferAddData(builder, vector)
    return int(tflite.BufferEnd(builder))


def add_operator_code(builder: flatbuffers.Builder, builtin: str, version: int) -> int:
    """An operator and its version, in both the old and the new field of the schema."""
    code = getattr(tflite.BuiltinOperator, builtin)
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(code, BUILTIN_PLACEHOLDER))
    tflite.OperatorCodeAddVersion(builder, version)
    tflite.OperatorCodeAddBuiltinCode(builder, code)
    return int(tflite.OperatorCodeEnd(builder))


def add_subgraph(
    builder: flatbuffers.Builder,
    graph: TFLiteGraph,
    codes: Sequence[tuple[str, int]],
    buffer_of: dict[str, int],
    shown: Sequence[str],
) -> int:
    """The one subgraph: tensors, inputs, outputs, operators."""
    index = {tensor.name: position for position, tensor in enumerate(graph.tensors)}
    tensors = table_vector(
        builder, [add_tensor(builder, tensor, buffer_of.get(tensor.name, 0)) for tensor in graph.tensors]
    )
    operators = table_vector(
        builder,
        [
            add_operator(builder, operator, codes.index((operator.builtin, operator.version)), index)
            for operator in graph.operators
        ],
    )
    inputs = int_vector(builder, [index[graph.input]])
    outputs = int_vector(builder, [index[name] for name in shown])
    name = builder.CreateString("main")
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tensors)
    tflite.SubGraphAddInputs(builder, inputs)
    tflite.SubGraphAddOutputs(builder, outputs)
    tflite.SubGraphAddOperators(builder, operators)
    tflite.SubGraphAddName(builder, name)
    return int(tflite.SubGraphEnd(builder))


def add_tensor(builder: flatbuffers.Builder, tensor: TFLiteTensor, buffer: int) -> int:
    """A tensor, with its quantization if it has one."""
    name, shape = builder.CreateString(tensor.name), int_vector(builder, tensor.shape)
    quantization = None if tensor.quantization is None else add_quantization(builder, tensor.quantization)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, getattr(tflite.TensorType, tensor.type.upper()))
    tflite.TensorAddBuffer(builder, buffer)
    tflite.TensorAddName(builder, name)
    if quantization is not None:
        tflite.TensorAddQuantization(builder, quantization)
    return int(tflite.TensorEnd(builder))


def add_quantization(builder: flatbuffers.Builder, quantization: Quantization) -> int:
    """Scales, zero points and the axis that they belong to."""
    scales = builder.CreateNumpyVector(np.array(quantization.scales, np.float32))
    zero_points = builder.CreateNumpyVector(np.array(quantization.zero_points, np.int64))
    tflite.QuantizationParametersStart(builder)
    tflite.QuantizationParametersAddScale(builder, scales)
    tflite.QuantizationParametersAddZeroPoint(builder, zero_points)
    tflite.QuantizationParametersAddQuantizedDimension(builder, quantization.axis)
    return int(tflite.QuantizationParametersEnd(builder))


def add_operator(
    builder: flatbuffers.Builder, operator: TFLiteOperator, code: int, index: dict[str, int]
) -> int:
    """An operator with its options."""
    inputs = int_vector(builder, [index[name] for name in operator.inputs])
    outputs = int_vector(builder, [index[operator.output]])
    options = None if operator.options is None else add_options(builder, operator.options)
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, code)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    if operator.options is not None:
        table = getattr(tflite.BuiltinOptions, operator.options.table)
        tflite.OperatorAddBuiltinOptionsType(builder, table)
        tflite.OperatorAddBuiltinOptions(builder, options)
    return int(tflite.OperatorEnd(builder))


def add_options(builder: flatbuffers.Builder, options: Options) -> int:
    """An options table, through the functions that the schema's compiler generated for it."""
    getattr(tflite, f"{options.table}Start")(builder)
    for field, value in options.fields.items():
        getattr(tflite, f"{options.table}Add{field}")(builder, value)
    return int(getattr(tflite, f"{options.table}End")(builder))


def add_metadata(builder: flatbuffers.Builder, name: str, buffer: int) -> int:
    """A named entry that points at a buffer."""
    text = builder.CreateString(name)
    tflite.MetadataStart(builder)
    tflite.MetadataAddName(builder, text)
    tflite.MetadataAddBuffer(builder, buffer)
    return int(tflite.MetadataEnd(builder))


def table_vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    """A vector of tables that are written already."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def int_vector(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    """A vector of 32-bit integers."""
    return int(builder.CreateNumpyVector(np.array(values, np.int32)))
