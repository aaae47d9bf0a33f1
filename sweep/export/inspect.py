"""Reads TFLite files, of whatever origin, and checks whether they keep the challenge's contract."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from device_farm.model_files.flatbuffer import OPAQUE, Numbers, Span, Table
from device_farm.model_files.graph_check import lies_behind
from device_farm.model_files.model_check import HEADER_BYTES, RefusedModel, check_model_header, read_model
from device_farm.model_files.tflite_schema import SCHEMA, TENSOR_TYPES, builtin_name
from sweep.export.depth_encoding import parse_depth_encoding
from sweep.export.errors import ContractError
from sweep.export.graph import DepthEncoding, Quantization, Shape
from sweep.export.model_info import MetadataEntry, ModelInfo, OperatorInfo, TensorInfo
from sweep.export.writer import DEPTH_ENCODING

__all__ = [
    "DEPTH_SHAPES",
    "FRAME_SHAPE",
    "Contract",
    "ModelInfo",
    "OperatorInfo",
    "TensorInfo",
    "check_contract",
    "contract_of",
    "inspect_model",
]

FRAME_SHAPE: Shape = (1, 480, 640, 3)
DEPTH_SHAPES: tuple[Shape, ...] = ((1, 480, 640, 1), (1, 480, 640))
NO_TFLITE = "not a TFLite file: "


@dataclass(frozen=True)
class Contract:
    """How a file that keeps the contract wants its frame, and what it returns.

    Attributes:
        input_type: the frame holds RGB 0..255 as such numbers.
        input_shape: the frame's shape, NHWC.
        output_shape: which of the two depth shapes it returns.
        depth_encoding: what the codes of a uint8 output mean; None: the output is float32 millimetres.
    """

    input_type: Literal["float32", "uint8"]
    input_shape: Shape
    output_shape: Shape
    depth_encoding: DepthEncoding | None = None


def inspect_model(path: Path) -> ModelInfo:
    """Read a TFLite file. Raises ContractError if it is none or damaged, OSError if it cannot be read."""
    data = path.read_bytes()
    try:
        check_model_header(data[:HEADER_BYTES])
    except RefusedModel as error:
        found = str(error).removeprefix(NO_TFLITE)
        raise ContractError(f"{path}: {NO_TFLITE}{found}") from error
    try:
        return _model(data)
    except RefusedModel as error:
        reason = str(error).partition("TFLite file: ")[2] or error
        raise ContractError(f"{path}: the TFLite file is damaged ({reason})") from error


def check_contract(path: Path) -> Contract:
    """Check one input 1x480x640x3 (float32 or uint8) and one output 1x480x640x1 or 1x480x640.

    The output is float32 millimetres, or uint8 with the metadata entry ``depth_encoding``
    (`sweep.export.depth_encoding`), which belongs to nothing else. Both kinds of input are fed RGB 0..255:
    whatever quantisation a uint8 input declares, such as the scale 1/255 that TensorFlow's converter derives from
    normalised images, its bytes are the image's.

    Raises ContractError naming the file, the place, what was found and what is allowed.
    """
    return contract_of(inspect_model(path), str(path))


def contract_of(model: ModelInfo, source: str) -> Contract:
    """The same for a file that is read already; ``source`` names it in errors."""
    for place, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
        if len(tensors) != 1:
            raise ContractError(f"{source}: found {len(tensors)} {place}, allowed is 1")
    frame, depth = model.inputs[0], model.outputs[0]
    if frame.shape != FRAME_SHAPE or frame.type not in ("float32", "uint8"):
        raise _mismatch(source, "input", frame, "1x480x640x3 float32 or uint8")
    encoding = _depth_encoding(model, source)
    if depth.shape not in DEPTH_SHAPES or depth.type not in ("float32", "uint8"):
        raise _mismatch(
            source,
            "output",
            depth,
            f"1x480x640x1 or 1x480x640 float32, or uint8 with {DEPTH_ENCODING} metadata",
        )
    if depth.type == "uint8" and encoding is None:
        raise ContractError(
            f"{source}: output {depth.name!r} is uint8 and the metadata have no entry {DEPTH_ENCODING!r}, which "
            "must say what its codes mean"
        )
    if depth.type != "uint8" and encoding is not None:
        raise ContractError(
            f"{source}: metadata entry {DEPTH_ENCODING!r} is there, but output {depth.name!r} is {depth.type}; "
            "allowed is the entry with a uint8 output only"
        )
    return Contract("uint8" if frame.type == "uint8" else "float32", frame.shape, depth.shape, encoding)


def _depth_encoding(model: ModelInfo, source: str) -> DepthEncoding | None:
    found = [entry for entry in model.metadata if entry.name == DEPTH_ENCODING]
    if len(found) > 1:
        raise ContractError(f"{source}: found {len(found)} metadata entries {DEPTH_ENCODING!r}, allowed is 1")
    return parse_depth_encoding(found[0].data, source) if found else None


def _mismatch(source: str, place: str, found: TensorInfo, allowed: str) -> ContractError:
    """The error for an input or output of another type or shape."""
    shape = "x".join(str(size) for size in found.shape) or "scalar"
    return ContractError(f"{source}: {place} {found.name!r} is {shape} {found.type}, allowed is {allowed}")


def _model(data: bytes) -> ModelInfo:
    """The parts of the file that ModelInfo keeps. Raises RefusedModel where the file is not whole."""
    _, model = read_model(memoryview(data))
    graph = model["subgraphs"][0]
    buffers = [_content(data, buffer) for buffer in model["buffers"]]
    return ModelInfo(
        size_bytes=len(data),
        description=_text(data, model["description"]),
        metadata=tuple(
            MetadataEntry(_text(data, entry["name"]), buffers[entry["buffer"]].tobytes())
            for entry in model["metadata"]
        ),
        subgraphs=len(model["subgraphs"]),
        tensors=tuple(_tensor(data, tensor, buffers) for tensor in graph["tensors"]),
        operators=tuple(_operator(data, one, model["operator_codes"]) for one in graph["operators"]),
        input_indexes=_integers(data, graph["inputs"]),
        output_indexes=_integers(data, graph["outputs"]),
    )


def _content(data: bytes, buffer: Table) -> NDArray[np.uint8]:
    """A buffer's bytes, in the flatbuffer or, in files that keep them apart, behind it."""
    if lies_behind(buffer["offset"]):
        return np.frombuffer(data, np.uint8, buffer["size"], buffer["offset"])
    return _numbers(data, buffer["data"], "u1")


def _tensor(data: bytes, tensor: Table, buffers: list[NDArray[np.uint8]]) -> TensorInfo:
    """A tensor's description. Sizes that are known only at run time are taken from the shape signature."""
    kind = TENSOR_TYPES.get(tensor["type"])
    content = buffers[tensor["buffer"]]
    return TensorInfo(
        name=_text(data, tensor["name"]),
        type=f"type {tensor['type']}" if kind is None else kind.name,
        shape=_integers(data, tensor["shape_signature"]) or _integers(data, tensor["shape"]),
        data=content if content.size else None,
        buffer=tensor["buffer"],
        quantization=_quantization(data, tensor["quantization"]),
        variable=bool(tensor["is_variable"]),
    )


def _quantization(data: bytes, quantization: Table | None) -> Quantization | None:
    if quantization is None or quantization["scale"].length == 0:
        return None
    scales = tuple(_numbers(data, quantization["scale"], "<f4").tolist())
    # A file may leave out zero points that are all 0.
    zero_points = tuple(_numbers(data, quantization["zero_point"], "<i8").tolist())
    return Quantization(scales, zero_points or (0,) * len(scales), quantization["quantized_dimension"])


def _operator(data: bytes, operator: Table, codes: tuple[Table, ...]) -> OperatorInfo:
    code = codes[operator["opcode_index"]]
    name = builtin_name(code)
    return OperatorInfo(
        name=f"CUSTOM:{_text(data, code['custom_code'])}" if name == "CUSTOM" else name,
        version=code["version"],
        inputs=_integers(data, operator["inputs"]),
        outputs=_integers(data, operator["outputs"]),
        options=_options(data, operator["builtin_options"] or operator["builtin_options2"])
        | {"custom_options": _bytes(data, operator["custom_options"])},
    )


def _options(data: bytes, options: Table | None) -> dict[str, Any]:
    """The fields' values; a vector's as bytes, which is all that comparing it needs."""
    if options is None:
        return {}
    if options.kind == OPAQUE:
        return {"unknown_options_at_byte": options.position}  # equal to no other operator's
    item_bytes = {
        field.name: field.item_bytes
        for field in SCHEMA.tables.get(options.kind, ())
        if isinstance(field, Numbers)
    }
    return {
        name: _bytes(data, value, item_bytes.get(name, 1)) if isinstance(value, Span) else value
        for name, value in options.values.items()
    }


def _integers(data: bytes, span: Span) -> tuple[int, ...]:
    return tuple(_numbers(data, span, "<i4").tolist())


def _numbers(data: bytes, span: Span, dtype: str) -> NDArray[Any]:
    """The numbers of a vector whose bounds are known to be sound, where they lie."""
    return np.frombuffer(data, dtype, span.length, span.position)


def _text(data: bytes, span: Span) -> str:
    return _bytes(data, span).decode(errors="replace")


def _bytes(data: bytes, span: Span, item_bytes: int = 1) -> bytes:
    return data[span.position : span.position + span.length * item_bytes]
