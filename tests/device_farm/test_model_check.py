"""Which bytes pass for a whole TFLite file; flatbuffers' generated classes are the independent reader."""

import inspect
import math
import mmap
import re
import struct
from pathlib import Path

import ai_edge_litert.schema_py_generated as newest_schema
import pytest
import tflite
from farm_models import add_model
from hypothesis import example, given, settings
from hypothesis import strategies as st
from model_files import aborting_model, convert_with_tensorflow, rewritten, unpacked
from network_file import unet

from device_farm.model_files.flatbuffer import SCALARS, Numbers, Reader, Scalar, Span, Table, Tables, Union
from device_farm.model_files.model_check import (
    MAX_PARTS,
    RefusedModel,
    check_model,
    check_model_header,
    check_model_size,
    read_model,
)
from device_farm.model_files.operator_profile import operators
from device_farm.model_files.tflite_schema import OPERATOR_NAMES, SCHEMA, TENSOR_TYPES

MIB = 2**20


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return convert_with_tensorflow(tmp_path_factory.mktemp("converted"))


# What real writers make


@pytest.mark.parametrize("data", [add_model(), add_model(custom_operator="Magic"), unet(), aborting_model()])
def test_whole_files_pass_and_agree_with_flatbuffers_own_reader(data):
    check_model(data)
    _, model = read_model(memoryview(data))
    assert_agree(model, unpacked(data))


@pytest.mark.long
def test_whatever_tensorflows_converter_writes_passes(converted: dict[str, bytes]):
    assert set(converted) == {
        "float",
        "float16",
        "dynamic",
        "int8",
        "buffers_behind",
        "signatures",
        "lstm",
        "strings",
        "hundred",
    }
    for data in converted.values():
        check_model(data)
        assert_agree(read_model(memoryview(data))[1], unpacked(data))


def test_bytes_behind_the_flatbuffer_are_allowed():
    check_model(add_model() + b"license.txt, say")


def test_a_file_is_checked_where_it_lies(tmp_path: Path):
    path = tmp_path / "model.tflite"
    path.write_bytes(unet())
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        check_model(mapped)


def test_a_refused_mapped_file_can_be_closed(tmp_path: Path):
    path = tmp_path / "model.tflite"
    path.write_bytes(unet()[:-1000])
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        with pytest.raises(RefusedModel) as caught:
            check_model(mapped)
        mapped.close()  # raises BufferError while somebody still looks at the bytes
    assert "truncated" in str(caught.value)


@pytest.mark.parametrize("view", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes_is_taken(view):
    check_model(view(add_model()))


# Damages


def change(path, value):
    """A change of one attribute, such as ``subgraphs[0].name``."""
    *owners, name = re.findall(r"\w+", path)

    def apply(model):
        owner = model
        for step in owners:
            owner = owner[int(step)] if step.isdigit() else getattr(owner, step)
        setattr(owner, name, value)

    return apply


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("version", 7, "schema version 7, there is only version 3"),
        ("subgraphs", [], "there is no subgraph"),
        ("subgraphs[0].inputs", [], "subgraph 0: there are no inputs"),
        ("subgraphs[0].inputs", [7], "subgraph 0: inputs has 7, but there are 2 tensors"),
        ("subgraphs[0].inputs", [-1], "subgraph 0: inputs has -1, but there are 2 tensors"),
        ("subgraphs[0].outputs", [], "subgraph 0: there are no outputs"),
        ("subgraphs[0].outputs", [2], "subgraph 0: outputs has 2, but there are 2 tensors"),
        ("subgraphs[0].operators", [], "subgraph 0: there are no operators"),
        (
            "subgraphs[0].operators[0].opcodeIndex",
            7,
            "subgraph 0, operator 0: opcode_index has 7, but there are 1 operator codes",
        ),
        (
            "subgraphs[0].operators[0].inputs",
            [0, -2],
            "subgraph 0, operator 0: inputs has -2, but there are 2 tensors",
        ),
        (
            "subgraphs[0].operators[0].outputs",
            [-1],
            "subgraph 0, operator 0: outputs has -1, but there are 2 tensors",
        ),
        (
            "subgraphs[0].operators[0].intermediates",
            [99],
            "subgraph 0, operator 0: intermediates has 99, but there are 2 tensors",
        ),
        (
            "subgraphs[0].operators[0].inputs",
            [0, 1],
            "subgraph 0, operator 0: reads tensor 1, which nothing has filled",
        ),
        (
            "subgraphs[0].operators[0].largeCustomOptionsOffset",
            2**40,
            f"subgraph 0, operator 0: the data of large_custom_options ends at byte {2**40:,} of SIZE",
        ),
        (
            "subgraphs[0].tensors[1].buffer",
            1,
            "subgraph 0, tensor 1: buffer has 1, but there are 1 buffers",
        ),
        (
            "subgraphs[0].tensors[1].shape",
            [1, -8, 8, 4],
            "subgraph 0, tensor 1: shape [1, -8, 8, 4] has a negative size",
        ),
        (
            "subgraphs[0].tensors[1].shape",
            [2**31 - 1, 4, 4],
            f"subgraph 0, tensor 1: shape [{2**31 - 1}, 4, 4] has more than {2**33:,} elements",
        ),
        (
            "subgraphs[0].tensors[1].shape",
            [2**31 - 1, 2],
            f"subgraph 0, tensor 1: shape [{2**31 - 1}, 2] of float32 takes {2**34 - 8:,} bytes",
        ),
        ("subgraphs[0].tensors[1].shape", [1] * 33, "subgraph 0, tensor 1: a shape of 33 dimensions"),
        (
            "subgraphs[0].tensors[0].shape",
            [0, 8],
            "subgraph 0: input tensor 0 has no elements",
        ),
        (
            "buffers[0].data",
            [1, 2, 3],
            "subgraph 0, tensor 0: shape [1, 8, 8, 4] of float32 takes 1,024 bytes, but buffer 0 holds 3",
        ),
        ("buffers[0].offset", 5000, "buffer 0: the data behind the flatbuffer ends at byte 5,000 of SIZE"),
        ("metadataBuffer", [0, 1], "metadata_buffer has 1, but there are 1 buffers"),
    ],
)
def test_a_damage_is_named_with_its_place(path, value, message):
    damaged = rewritten(add_model(), change(path, value))
    assert refusal(damaged).replace(f"{len(damaged):,}", "SIZE").endswith(f"damaged TFLite file: {message}")


def test_a_negative_code_of_an_operator_is_refused():
    def negative(model):
        model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = -3

    message = "damaged TFLite file: operator code 0: the code of a builtin operator is -3"
    assert refusal(rewritten(add_model(), negative)) == message


def test_an_optional_input_may_be_absent():
    check_model(rewritten(add_model(), change("subgraphs[0].operators[0].inputs", [0, -1])))


def test_the_shape_input_of_a_reshape_may_have_no_content():
    def to_reshape(model):
        model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 22
        model.subgraphs[0].operators[0].inputs = [0, 1]

    check_model(rewritten(add_model(), to_reshape))


CONVOLUTION = [operator.name for operator in operators(unet())].index("CONV_2D")


def convolution(**options):
    """Changes options of the U-Net's first convolution."""

    def apply(model):
        for name, value in options.items():
            setattr(model.subgraphs[0].operators[CONVOLUTION].builtinOptions, name, value)

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (convolution(strideW=0), "stride_w of CONV_2D is 0, but must be at least 1"),
        (convolution(strideH=-2), "stride_h of CONV_2D is -2, but must be at least 1"),
        (convolution(dilationWFactor=0), "dilation_w_factor of CONV_2D is 0, but must be at least 1"),
        (convolution(padding=17), "padding of CONV_2D is 17, but must be 0 (same) or 1 (valid)"),
        (
            change(f"subgraphs[0].operators[{CONVOLUTION}].builtinOptions", None),
            "CONV_2D has no options, but needs Conv2DOptions",
        ),
    ],
)
def test_an_operator_that_cannot_be_computed_is_refused(damage, message):
    place = f"subgraph 0, operator {CONVOLUTION}"
    assert refusal(rewritten(unet(), damage)) == f"damaged TFLite file: {place}: {message}"


def test_options_of_another_operator_are_refused():
    def swap(model):
        operator = model.subgraphs[0].operators[CONVOLUTION]
        operator.builtinOptionsType, operator.builtinOptions = 5, newest_schema.Pool2DOptionsT()

    message = "CONV_2D has Pool2DOptions, but needs Conv2DOptions"
    assert refusal(rewritten(unet(), swap)).endswith(f"subgraph 0, operator {CONVOLUTION}: {message}")


def quantization(scale, zero_point):
    def apply(model):
        model.subgraphs[0].tensors[0].quantization = newest_schema.QuantizationParametersT(
            scale=scale, zeroPoint=zero_point
        )

    return apply


@pytest.mark.parametrize(
    ("scale", "zero_point", "message"),
    [
        ([-0.5], [0], "a scale is -0.5"),
        ([math.inf], [0], "a scale is inf"),
        ([1.0, math.nan], [0, 0], "a scale is nan"),
        ([2.0**-140], [0], f"a scale is {2.0**-140}"),
        ([1.0], [0, 0], "1 scales, but 2 zero points"),
    ],
)
def test_a_scale_that_is_none_is_refused(scale, zero_point, message):
    damaged = rewritten(add_model(), quantization(scale, zero_point))
    assert refusal(damaged) == f"damaged TFLite file: subgraph 0, tensor 0, quantization: {message}"


def strings(content, shape):
    """Makes the input a constant of strings with this content."""

    def apply(model):
        model.buffers.append(newest_schema.BufferT(data=list(content)))
        tensor = model.subgraphs[0].tensors[0]
        tensor.type, tensor.buffer, tensor.shape = newest_schema.TensorType.STRING, 1, shape

    return apply


TWO_STRINGS = struct.pack("<iiii", 2, 16, 19, 20) + b"abcd"


def test_constant_strings_pass():
    check_model(rewritten(add_model(), strings(TWO_STRINGS, [2])))


@pytest.mark.parametrize(
    ("content", "shape", "message"),
    [
        (TWO_STRINGS, [3], "20 bytes that claim to be 2 strings, for 3 elements"),
        (struct.pack("<i", -1), [2], "4 bytes that claim to be -1 strings, for 2 elements"),
        (b"ab", [2], "2 bytes that claim to be 0 strings, for 2 elements"),
        (
            struct.pack("<iiii", 2, 16, 12, 20) + b"abcd",
            [2],
            "2 strings that do not follow each other within 20 bytes",
        ),
        (
            struct.pack("<iiii", 2, 16, 19, 21) + b"abcd",
            [2],
            "2 strings that do not follow each other within 20 bytes",
        ),
        (
            struct.pack("<iiii", 2, 0, 19, 20) + b"abcd",
            [2],
            "2 strings that do not follow each other within 20 bytes",
        ),
    ],
)
def test_damaged_constant_strings_are_refused(content, shape, message):
    damaged = rewritten(add_model(), strings(content, shape))
    assert refusal(damaged) == f"damaged TFLite file: subgraph 0, tensor 0: {message}"


def test_a_custom_operator_needs_a_name():
    damaged = rewritten(add_model(custom_operator="Magic"), change("operatorCodes[0].customCode", None))
    assert refusal(damaged) == "damaged TFLite file: operator code 0: a custom operator without a name"


def signature(subgraph, tensor):
    def apply(model):
        entry = newest_schema.TensorMapT(name="x", tensorIndex=tensor)
        model.signatureDefs = [newest_schema.SignatureDefT(inputs=[entry], subgraphIndex=subgraph)]

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (signature(1, 0), "subgraph_index has 1, but there are 1 subgraphs"),
        (signature(0, 2), "inputs has 2, but there are 2 tensors"),
    ],
)
def test_signatures_name_what_is_there(damage, message):
    check_model(rewritten(add_model(), signature(0, 1)))
    assert refusal(rewritten(add_model(), damage)) == f"damaged TFLite file: signature def 0: {message}"


def test_options_name_subgraphs_that_are_there():
    def branch(model):
        operator = model.subgraphs[0].operators[0]
        operator.builtinOptionsType = newest_schema.BuiltinOptions.IfOptions
        operator.builtinOptions = newest_schema.IfOptionsT(thenSubgraphIndex=0, elseSubgraphIndex=4)

    message = "subgraph 0, operator 0: else_subgraph_index has 4, but there are 1 subgraphs"
    assert refusal(rewritten(add_model(), branch)) == f"damaged TFLite file: {message}"


# Offsets, found with the generated classes and overwritten


def field_position(table, slot):
    return table._tab.Pos + table._tab.Offset(4 + 2 * slot)


def vector_position(table, slot):
    """Where the vector's length lies."""
    reference = field_position(table, slot)
    return reference + struct.unpack_from("<I", table._tab.Bytes, reference)[0]


def overwritten(data, position, number, layout="<I"):
    damaged = bytearray(data)
    struct.pack_into(layout, damaged, position, number)
    return bytes(damaged)


ADD = add_model()
MODEL = tflite.Model.GetRootAs(ADD)
GRAPH = MODEL.Subgraphs(0)
TENSOR = GRAPH.Tensors(0)
VTABLE = TENSOR._tab.Pos - struct.unpack_from("<i", ADD, TENSOR._tab.Pos)[0]
NAME = vector_position(TENSOR, 3)


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (overwritten(ADD, 0, 2**31), "the root table cannot start 2,147,483,648 bytes behind byte 0"),
        (overwritten(ADD, 0, 0), "the root table cannot start 0 bytes behind byte 0"),
        (overwritten(ADD, 0, 8000), "a table ends at byte 8,004 of 300"),
        (
            overwritten(ADD, field_position(MODEL, 2), 2),
            f"the vector of subgraphs cannot start 2 bytes behind byte {field_position(MODEL, 2)}",
        ),
        (
            overwritten(ADD, vector_position(GRAPH, 0), 2**29),
            f"subgraph 0: the vector of tensors ends at byte {vector_position(GRAPH, 0) + 4 + 2**31:,} of 300",
        ),
        (
            overwritten(ADD, vector_position(TENSOR, 0), 1000),
            "subgraph 0, tensor 0: the vector of shape ends at byte "
            f"{vector_position(TENSOR, 0) + 4004:,} of 300",
        ),
        (
            overwritten(ADD, TENSOR._tab.Pos, TENSOR._tab.Pos + 2, "<i"),
            "subgraph 0, tensor 0: a vtable cannot start at byte -2",
        ),
        (
            overwritten(ADD, TENSOR._tab.Pos, TENSOR._tab.Pos - 298, "<i"),
            "subgraph 0, tensor 0: a vtable ends at byte 302 of 300",
        ),
        (
            overwritten(ADD, VTABLE, 600, "<H"),
            f"subgraph 0, tensor 0: a vtable ends at byte {VTABLE + 600} of 300",
        ),
        (
            overwritten(ADD, VTABLE, 3, "<H"),
            f"subgraph 0, tensor 0: the vtable at byte {VTABLE} has sizes 3 and 12",
        ),
        (
            overwritten(ADD, VTABLE + 2, 3000, "<H"),
            f"subgraph 0, tensor 0: a table ends at byte {TENSOR._tab.Pos + 3000:,} of 300",
        ),
        (
            overwritten(ADD, VTABLE + 4, 10, "<H"),
            "subgraph 0, tensor 0: field shape lies at byte 10 of a table of 12 bytes",
        ),
        (
            overwritten(ADD, VTABLE + 4, 2, "<H"),
            "subgraph 0, tensor 0: field shape lies at byte 2 of a table of 12 bytes",
        ),
        (
            overwritten(ADD, NAME + 5, 1, "<B"),
            f"subgraph 0, tensor 0: the string of name has no zero byte at its end, byte {NAME + 5}",
        ),
    ],
)
def test_a_wrong_offset_is_named_with_its_place(damaged, message):
    assert refusal(damaged).partition("TFLite file: ")[2] == message


@pytest.mark.parametrize(
    ("data", "kind"),
    [(ADD[:150], "truncated or damaged"), (overwritten(ADD, VTABLE + 4, 2, "<H"), "damaged")],
)
def test_what_reaches_beyond_the_end_may_be_truncated(data, kind):
    assert refusal(data).startswith(f"{kind} TFLite file: ")


def test_no_truncation_passes():
    for length in range(len(ADD)):
        assert refusal(ADD[:length])


def test_no_truncation_of_a_network_passes_before_its_last_byte_of_content():
    data = unet()
    for length in range(0, len(data) - 16, 13):
        assert refusal(data[:length])


# Work


def test_a_table_shared_90_000_times_is_refused_before_it_is_read_as_often():
    """Every part within bounds, but tables of tables: a file of n bytes would take n**2 steps."""
    data = nested_sharing(width=300)
    message = refusal(data)
    assert re.search(r": more than [\d,]+ tables and indexes in [\d,]+ bytes$", message)
    reader = Reader(memoryview(data), SCHEMA, max_parts=10**9)
    assert sum(len(graph["tensors"]) for graph in reader.root("Model")["subgraphs"]) == 300**2


def test_small_files_get_less_work_than_large_ones():
    assert refusal(nested_sharing(width=100)).endswith("more than 864 tables and indexes in 864 bytes")
    assert f"more than {MAX_PARTS:,} tables" in refusal(nested_sharing(width=500) + bytes(10**6))


def nested_sharing(width):
    """A model whose ``width`` subgraphs are one, with ``width`` tensors that are one."""
    model_vtable = struct.pack("<HHHHH", 10, 12, 4, 0, 8) + bytes(2)
    header = struct.pack("<I4s", 8 + len(model_vtable), b"TFL3")
    start = len(header) + len(model_vtable)
    graph = start + 12 + 4 + 4 * width
    subgraphs = b"".join(struct.pack("<I", graph + 8 - (start + 16 + 4 * i)) for i in range(width))
    model = struct.pack("<iII", len(model_vtable), 3, 4) + struct.pack("<I", width) + subgraphs
    graph_part = struct.pack("<HHHH", 6, 8, 4, 0) + struct.pack("<iI", 8, 4)
    vector = graph + 16
    tensor = vector + 4 + 4 * width + 4
    tensors = b"".join(struct.pack("<I", tensor - (vector + 4 + 4 * i)) for i in range(width))
    table = struct.pack("<HH", 4, 4) + struct.pack("<i", 4)
    return header + model_vtable + model + graph_part + struct.pack("<I", width) + tensors + table


def test_a_claim_of_two_gigabytes_in_a_few_bytes_is_refused_at_once():
    buffers = vector_position(MODEL, 4)
    message = refusal(overwritten(ADD, buffers, 2**31 - 1))
    assert message.endswith(f"the vector of buffers ends at byte {buffers + 4 + 4 * (2**31 - 1):,} of 300")


# Fuzz


def mutations(data):
    """Overwrites, and copies from one place to another."""
    positions = st.integers(0, len(data) - 1)
    writes = st.tuples(positions, st.binary(min_size=1, max_size=8))
    copies = st.tuples(positions, positions, st.integers(1, 32)).map(
        lambda copy: (copy[0], data[copy[1] : copy[1] + copy[2]])
    )
    return st.lists(st.one_of(writes, copies), min_size=1, max_size=4)


def mutated(data, changes):
    damaged = bytearray(data)
    for position, content in changes:
        damaged[position : position + len(content)] = content[: len(data) - position]
    return bytes(damaged)


@settings(max_examples=400, deadline=None)
@given(mutations(add_model()))
def test_whatever_passes_can_be_walked_by_the_generated_classes(changes):
    check_or_agree(mutated(ADD, changes))


@settings(max_examples=60, deadline=None)
@given(mutations(unet()))
def test_whatever_passes_of_a_network_can_be_walked_by_the_generated_classes(changes):
    check_or_agree(mutated(unet(), changes))


@settings(deadline=None)
@given(st.binary(max_size=200))
@example(b"")
def test_random_bytes_behind_a_right_identifier_are_refused(noise):
    assert refusal(struct.pack("<I", 8) + b"TFL3" + noise)


def check_or_agree(data):
    try:
        check_model(data)
    except RefusedModel:
        return
    assert_agree(read_model(memoryview(data))[1], unpacked(data))


# Header and size


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "the model is empty (0 bytes)"),
        (b"TFL3", "not a TFLite file: only 4 bytes long"),
        (b"\x1c\0\0\0TFL2", "not a TFLite file: bytes 4 to 8 are b'TFL2', not b'TFL3'"),
    ],
)
def test_a_file_without_the_identifier_is_refused(header, message):
    for check in (check_model, check_model_header):
        with pytest.raises(RefusedModel, match=re.escape(message)):
            check(header)


def test_a_file_that_is_too_large_is_refused():
    check_model_size(256 * MIB)
    with pytest.raises(RefusedModel, match="larger than the 256 MiB that the farm takes"):
        check_model_size(256 * MIB + 1)


# The facts of the format


class Recorder:
    """Stands in for a flatbuffers.Builder and keeps what a generated function asks of it."""

    def __getattr__(self, name):
        def keep(*arguments):
            self.asked = (name, arguments)

        return keep


def generated_fields(schema, table):
    """Slot, name, method and default of each field that a generated module can write."""
    prefix = f"{table}Add"
    found = {}
    for function, code in inspect.getmembers(schema, inspect.isfunction):
        if function.startswith(prefix) and hasattr(schema, table):
            recorder = Recorder()
            code(recorder, 0)
            method, (slot, _, default) = recorder.asked
            found[slot] = (function.removeprefix(prefix), method, default)
    return found


def item_bytes(schema, table, field):
    """The size of a vector's items; None if the field is no vector."""
    start = getattr(schema, f"{table}Start{field}Vector", None)
    if start is None:
        return None
    recorder = Recorder()
    start(recorder, 1)
    return recorder.asked[1][0]


METHODS = {
    "PrependBoolSlot": "bool",
    "PrependInt8Slot": "int8",
    "PrependUint8Slot": "uint8",
    "PrependInt32Slot": "int32",
    "PrependUint32Slot": "uint32",
    "PrependInt64Slot": "int64",
    "PrependUint64Slot": "uint64",
    "PrependFloat32Slot": "float32",
}


@pytest.mark.parametrize("schema", [tflite, newest_schema], ids=["tflite", "ai_edge_litert"])
def test_the_schema_agrees_with_the_generated_classes(schema):
    tables = [
        name
        for name, kind in inspect.getmembers(schema, inspect.isclass)
        if hasattr(kind, f"GetRootAs{name}")
    ]
    assert len(tables) > 150
    for table in tables:
        ours = SCHEMA.tables.get(table, ())
        for slot, (name, method, default) in generated_fields(schema, table).items():
            field = ours[slot]
            assert (table, field.name.replace("_", "")) == (table, name.lower())
            if method == "PrependUOffsetTRelativeSlot":
                size = {Numbers: getattr(field, "item_bytes", None), Tables: 4}.get(type(field))
                assert (table, name, item_bytes(schema, table, name)) == (table, name, size)
            else:
                assert isinstance(field, Scalar)
                assert (table, name, field.format, field.default) == (
                    table,
                    name,
                    SCALARS[METHODS[method]],
                    default,
                )


def test_the_newest_schema_has_no_field_that_we_lack():
    for table, fields in SCHEMA.tables.items():
        known = {slot for slot, field in enumerate(fields) if field is not None}
        assert (table, known) == (table, set(generated_fields(newest_schema, table)))


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ("Operator", "builtin_options"),
        ("Operator", "builtin_options2"),
        ("QuantizationParameters", "details"),
        ("DimensionMetadata", "array_segments"),
        ("DimensionMetadata", "array_indices"),
    ],
)
def test_the_unions_agree_with_the_generated_ones(table, field):
    enumeration = {
        "builtin_options": newest_schema.BuiltinOptions,
        "builtin_options2": newest_schema.BuiltinOptions2,
        "details": newest_schema.QuantizationDetails,
    }.get(field, newest_schema.SparseIndexVector)
    union = next(known for known in SCHEMA.tables[table] if known is not None and known.name == field)
    assert isinstance(union, Union)
    names = ["NONE" if index == 0 else kind for index, kind in enumerate(union.kinds)]
    assert names == members(enumeration)


@pytest.mark.parametrize("schema", [tflite, newest_schema], ids=["tflite", "ai_edge_litert"])
def test_the_names_of_operators_and_types_agree_with_the_generated_ones(schema):
    operators, types = members(schema.BuiltinOperator), members(schema.TensorType)
    assert list(OPERATOR_NAMES[: len(operators)]) == operators
    assert [TENSOR_TYPES[code].name for code in range(len(types))] == [name.lower() for name in types]
    if schema is newest_schema:
        assert (len(OPERATOR_NAMES), len(TENSOR_TYPES)) == (len(operators), len(types))


def members(enumeration):
    """The names of an enumeration that counts from 0 on, in order."""
    codes = {code: name for name, code in vars(enumeration).items() if not name.startswith("_")}
    return [codes[index] for index in range(len(codes))]


# Helpers


def refusal(data):
    with pytest.raises(RefusedModel) as caught:
        check_model(data)
    return str(caught.value)


def assert_agree(table, generated):
    """Our reader and flatbuffers' own found the same: numbers, lengths, tables below."""
    theirs = {name.lower(): value for name, value in vars(generated).items()}
    for field in SCHEMA.tables.get(table.kind, ()):
        if field is not None:
            assert_same(table[field.name], theirs[field.name.replace("_", "")], field)


def assert_same(ours, theirs, field):
    match ours:
        case Table(kind=""):
            assert theirs is None, field  # a union's kind that neither knows
        case Table():
            assert_agree(ours, theirs)
        case Span(length=length):
            assert length == (0 if theirs is None else len(theirs)), field
        case tuple():
            assert len(ours) == (0 if theirs is None else len(theirs)), field
            for our_table, their_table in zip(ours, theirs or (), strict=True):
                assert_agree(our_table, their_table)
        case None:
            assert theirs is None, field
        case _:
            assert repr(ours) == repr(theirs), field  # equal, also if not a number
