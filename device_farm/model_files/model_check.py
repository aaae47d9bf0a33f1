"""Whether bytes are a whole TFLite file: checked before any device sees them.

TFLite's interpreters follow the offsets of a file unchecked; a damaged one kills them with a signal, and a
truncated one may load as a graph with nothing in it. So this reads every table, vector and string of the
format within its bounds, and then checks every index: what it lets pass can be walked by any reader. Whether
the operators can run on the given tensors is for the interpreter to say.
"""

from collections.abc import Callable, Iterable, Sequence
from mmap import mmap

from device_farm.model_files.flatbuffer import Damaged, Reader, Table
from device_farm.model_files.graph_check import (
    ABSENT_TENSOR,
    check_order,
    check_quantization,
    check_strings,
    check_window,
    lies_behind,
    stored_bytes,
)
from device_farm.model_files.tflite_schema import (
    SCHEMA,
    SCHEMA_VERSION,
    TENSOR_TYPES,
    builtin_code,
    builtin_name,
)

TFLITE_IDENTIFIER = b"TFL3"
HEADER_BYTES = 8
MAX_MODEL_BYTES = 256 * 1024 * 1024
MAX_TENSOR_BYTES = 8 * 1024**3  # more than any board has memory
MAX_DIMENSIONS = 32  # no runtime takes tensors of more than 8
MAX_PARTS = 200_000  # tables and indexes; a network of 100 operators has about 3,000


class RefusedModel(ValueError):
    """The bytes cannot be a TFLite file that this farm takes."""


def check_model_header(header: bytes) -> None:
    """Checks the first bytes of a file: a flatbuffer's root offset, then the identifier of TFLite.

    Raises:
        RefusedModel: says what was found instead.
    """
    if not header:
        raise RefusedModel("the model is empty (0 bytes)")
    if len(header) < HEADER_BYTES:
        raise RefusedModel(f"not a TFLite file: only {len(header)} bytes long")
    found = bytes(header[4:8])
    if found != TFLITE_IDENTIFIER:
        raise RefusedModel(f"not a TFLite file: bytes 4 to 8 are {found!r}, not {TFLITE_IDENTIFIER!r}")


def check_model_size(size: int, limit: int = MAX_MODEL_BYTES) -> None:
    """Raises RefusedModel when ``size`` bytes are more than the farm takes."""
    if size > limit:
        raise RefusedModel(f"the model is larger than the {limit / 2**20:.0f} MiB that the farm takes")


def check_model(data: bytes | memoryview | mmap) -> None:
    """Checks that the bytes are a whole TFLite file. Bytes behind its last table are allowed.

    Nothing is copied but names of operators; buffers are not read at all. The time is at most proportional
    to the size of the file, whatever it claims, and to ``MAX_PARTS``.

    Raises:
        RefusedModel: says what is wrong and where, such as "damaged TFLite file: subgraph 0, operator 3:
            opcode_index has 7, but there are 2 operator codes".
    """
    check_model_header(bytes(data[:HEADER_BYTES]))
    with memoryview(data) as view:
        read_model(view)


def read_model(data: memoryview) -> tuple[Reader, Table]:
    """The checked file's reader and its table ``Model``. Raises RefusedModel as ``check_model`` does."""
    reader = Reader(data, SCHEMA, max_parts=min(MAX_PARTS, len(data)))
    try:
        model = reader.root("Model")
        _check(model, reader)
    except Damaged as damage:
        kind = "truncated or damaged" if damage.truncated else "damaged"
        raise RefusedModel(f"{kind} TFLite file: {damage}") from None
    return reader, model


def _check(model: Table, reader: Reader) -> None:
    if model["version"] != SCHEMA_VERSION:
        raise Damaged(f"schema version {model['version']}, there is only version {SCHEMA_VERSION}")
    buffers, subgraphs = model["buffers"], model["subgraphs"]
    if not subgraphs:
        raise Damaged("there is no subgraph")
    _check_does_something(subgraphs[0])
    _each("operator code", model["operator_codes"], _check_operator_code)
    _each("buffer", buffers, lambda buffer: _check_buffer(buffer, reader))
    _each("subgraph", subgraphs, lambda subgraph: _check_subgraph(subgraph, model, reader))
    _check_indexes("metadata_buffer", reader.integers(model["metadata_buffer"]), len(buffers), "buffers")
    _each(
        "metadata",
        model["metadata"],
        lambda metadata: _check_index("buffer", metadata["buffer"], len(buffers), "buffers"),
    )
    _each(
        "signature def",
        model["signature_defs"],
        lambda signature: _check_signature(signature, subgraphs),
    )
    _check_inputs_have_elements(subgraphs[0], reader)


def _check_operator_code(code: Table) -> None:
    if builtin_code(code) < 0:
        raise Damaged(f"the code of a builtin operator is {builtin_code(code)}")
    if builtin_name(code) == "CUSTOM" and code["custom_code"].length == 0:
        raise Damaged("a custom operator without a name")


def _check_buffer(buffer: Table, reader: Reader) -> None:
    if lies_behind(buffer["offset"]):
        reader.require(buffer["offset"] + buffer["size"], "the data behind the flatbuffer")


def _check_subgraph(subgraph: Table, model: Table, reader: Reader) -> None:
    tensors = len(subgraph["tensors"])
    _each("tensor", subgraph["tensors"], lambda tensor: _check_tensor(tensor, model["buffers"], reader))
    for name in ("inputs", "outputs"):
        _check_indexes(name, reader.integers(subgraph[name]), tensors, "tensors")
    _each(
        "operator", subgraph["operators"], lambda operator: _check_operator(operator, tensors, model, reader)
    )
    check_order(subgraph, model["buffers"], model["operator_codes"], reader)


def _check_tensor(tensor: Table, buffers: Sequence[Table], reader: Reader) -> None:
    _check_index("buffer", tensor["buffer"], len(buffers), "buffers")
    if tensor["quantization"] is not None:
        try:
            check_quantization(tensor["quantization"], reader)
        except Damaged as damage:
            raise damage.within("quantization") from None
    if tensor["shape"].length > MAX_DIMENSIONS:
        raise Damaged(f"a shape of {tensor['shape'].length:,} dimensions")
    shape = reader.integers(tensor["shape"])
    elements = _elements(shape)
    kind = TENSOR_TYPES.get(tensor["type"])
    buffer = buffers[tensor["buffer"]]
    stored = stored_bytes(buffer)
    if kind is None:
        return
    if kind.name == "string" and buffer["data"].length:
        check_strings(buffer["data"], elements, reader)
    needed = (elements * kind.bits + 7) // 8
    if needed > MAX_TENSOR_BYTES:
        raise Damaged(f"shape {list(shape)} of {kind.name} takes {needed:,} bytes")
    # Smaller elements than bytes are packed in some files and not in others.
    if stored and stored != needed and kind.bits >= 8 and tensor["sparsity"] is None:
        raise Damaged(
            f"shape {list(shape)} of {kind.name} takes {needed:,} bytes, "
            f"but buffer {tensor['buffer']} holds {stored:,}"
        )


def _elements(shape: Sequence[int]) -> int:
    """The number of elements of a tensor of this shape."""
    if any(size < 0 for size in shape):
        raise Damaged(f"shape {list(shape)} has a negative size")
    if 0 in shape:
        return 0
    elements = 1
    for size in shape:
        elements *= size
        if elements > MAX_TENSOR_BYTES:
            raise Damaged(f"shape {list(shape)} has more than {MAX_TENSOR_BYTES:,} elements")
    return elements


def _check_operator(operator: Table, tensors: int, model: Table, reader: Reader) -> None:
    _check_index("opcode_index", operator["opcode_index"], len(model["operator_codes"]), "operator codes")
    for name, lowest in (("inputs", ABSENT_TENSOR), ("outputs", 0), ("intermediates", ABSENT_TENSOR)):
        _check_indexes(name, reader.integers(operator[name]), tensors, "tensors", lowest)
    if lies_behind(operator["large_custom_options_offset"]):
        end = operator["large_custom_options_offset"] + operator["large_custom_options_size"]
        reader.require(end, "the data of large_custom_options")
    check_window(operator, model["operator_codes"][operator["opcode_index"]])
    for options in (operator["builtin_options"], operator["builtin_options2"]):
        if options is not None:
            _check_subgraph_indexes(options, len(model["subgraphs"]))


def _check_subgraph_indexes(options: Table, subgraphs: int) -> None:
    for name, value in options.values.items():
        if name == "subgraph" or name.endswith("subgraph_index"):
            _check_index(name, value, subgraphs, "subgraphs")


def _check_signature(signature: Table, subgraphs: Sequence[Table]) -> None:
    _check_index("subgraph_index", signature["subgraph_index"], len(subgraphs), "subgraphs")
    tensors = len(subgraphs[signature["subgraph_index"]]["tensors"])
    for name in ("inputs", "outputs"):
        _check_indexes(name, [entry["tensor_index"] for entry in signature[name]], tensors, "tensors")


def _check_does_something(subgraph: Table) -> None:
    """The subgraph that is run by default has all its parts."""
    parts = {name: subgraph[name].length for name in ("inputs", "outputs")}
    parts["operators"] = len(subgraph["operators"])
    missing = [name for name, count in parts.items() if count == 0]
    if missing:
        raise Damaged(f"there are no {' and no '.join(missing)}").within("subgraph 0")


def _check_inputs_have_elements(subgraph: Table, reader: Reader) -> None:
    for index in reader.integers(subgraph["inputs"]):
        if 0 in reader.integers(subgraph["tensors"][index]["shape"]):
            raise Damaged(f"input tensor {index} has no elements").within("subgraph 0")


def _each(name: str, tables: Iterable[Table], check: Callable[[Table], None]) -> None:
    """Checks each table; an error says which one it is about."""
    for index, table in enumerate(tables):
        try:
            check(table)
        except Damaged as damage:
            raise damage.within(f"{name} {index}") from None


def _check_indexes(name: str, indexes: Iterable[int], count: int, things: str, lowest: int = 0) -> None:
    for index in indexes:
        _check_index(name, index, count, things, lowest)


def _check_index(name: str, index: int, count: int, things: str, lowest: int = 0) -> None:
    if not lowest <= index < count:
        raise Damaged(f"{name} has {index}, but there are {count} {things}")
