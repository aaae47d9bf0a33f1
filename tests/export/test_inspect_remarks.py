"""Each fault that a file can have is found where it is put, with its figure, and nowhere else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import BuiltinOperator, ModelT
from handmade_files import RELU, Sketch, convolution_options

from sweep.export import inspect_model
from sweep.export.graph import Options, Quantization, TensorType
from sweep.export.inspection import examine, find_remarks
from sweep.export.inspection.delegation import Delegation, delegation
from sweep.export.inspection.memory import memory_use
from sweep.export.inspection.remarks import Remark

CODES = Quantization((0.1,), (0,))
Change = Callable[[ModelT], object]


@pytest.fixture
def remarks(tmp_path: Path) -> Callable[..., list[Remark]]:
    """What stands out in a sketch's file."""

    def find(
        sketch: Sketch,
        output: str,
        change: Change | None = None,
        delegated: Delegation | None = None,
    ) -> list[Remark]:
        model = inspect_model(sketch.write(tmp_path / "m.tflite", "x", output, change))
        return list(find_remarks(model, memory_use(model), delegated))

    return find


def image(shape: tuple[int, ...] = (1, 8, 8, 2)) -> Sketch:
    """A sketch with the input ``x``."""
    sketch = Sketch()
    sketch.tensor("x", shape)
    return sketch


def ones(*shape: int) -> np.ndarray:
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def test_nothing_stands_out_in_a_plain_file(remarks) -> None:
    sketch = image()
    sketch.convolution("x", ones(3, 3, 3, 2), "a", RELU)
    sketch.convolution("a", ones(1, 1, 1, 3), "y")
    assert remarks(sketch, "y", None, Delegation("a runtime", 1, ())) == []


def test_transposes_are_counted_with_the_bytes_that_they_move(remarks) -> None:
    sketch = image()
    order = sketch.constant("order", np.array([0, 2, 1, 3], np.int32))
    for source, output in (("x", "a"), ("a", "y")):
        sketch.tensor(output, (1, 8, 8, 2))
        sketch.operator("TRANSPOSE", (source, order), output, Options("TransposeOptions"))
    assert remarks(sketch, "y") == [
        Remark(
            "transposes",
            "cost",
            "2 TRANSPOSE move 1.0 kB: 0 TRANSPOSE (a), 1 TRANSPOSE (y)",
            "keep feature maps in NHWC from input to output, so that nothing is left to transpose",
            (0, 1),
        )
    ]


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("Magic", "they need a kernel of their own; write them with builtin operators"),
        (
            "FlexErf",
            "they need TensorFlow's Flex delegate, which tflite-runtime lacks; write them with builtin operators",
        ),
    ],
)
def test_custom_operators_are_named_with_what_they_need(remarks, name: str, lacking: str) -> None:
    def customise(model: ModelT) -> None:
        code = model.operatorCodes[0]
        code.builtinCode = code.deprecatedBuiltinCode = BuiltinOperator.CUSTOM
        code.customCode = name

    sketch = image()
    sketch.unary("EXP", "x", "y")
    assert remarks(sketch, "y", customise) == [
        Remark("custom_operators", "problem", f"1 custom operator: 0 CUSTOM:{name} (y)", lacking, (0,))
    ]


def test_sizes_that_only_show_at_run_time_are_found(remarks) -> None:
    def make_dynamic(model: ModelT) -> None:
        model.subgraphs[0].tensors[1].shapeSignature = [1, -1, -1, 2]

    sketch = image()
    sketch.unary("EXP", "x", "a")
    sketch.unary("EXP", "a", "y")
    (found,) = remarks(sketch, "y", make_dynamic)
    assert (found.kind, found.found, found.tensors) == (
        "dynamic_shapes",
        "1 tensor with unknown sizes, first 'a', 1x?x?x2",
        (1,),
    )


def codes(sketch: Sketch, source: str, output: str, builtin: str, type_: TensorType) -> str:
    """An operator of any kind to a tensor of that type, quantised if the type is an integer one."""
    sketch.tensor(output, sketch.shape(source), type_, CODES if type_ == "int8" else None)
    return sketch.operator(builtin, (source,), output)


def test_conversions_that_undo_each_other_are_found_as_pairs(remarks) -> None:
    sketch = image()
    codes(sketch, "x", "a", "QUANTIZE", "int8")
    codes(sketch, "a", "b", "DEQUANTIZE", "float32")
    codes(sketch, "b", "c", "QUANTIZE", "int8")
    codes(sketch, "c", "d", "RELU", "int8")
    codes(sketch, "d", "y", "DEQUANTIZE", "float32")
    assert [(found.kind, found.found, found.advice, found.operators) for found in remarks(sketch, "y")] == [
        (
            "quantize_pairs",
            "1 pair DEQUANTIZE -> QUANTIZE with nothing between: 1 DEQUANTIZE (b), 2 QUANTIZE (c)",
            "give both sides the same scale, or rescale with one QUANTIZE",
            (1, 2),
        ),
        (
            "quantize_pairs",
            "1 pair QUANTIZE -> DEQUANTIZE with nothing between: 0 QUANTIZE (a), 1 DEQUANTIZE (b)",
            "remove both, unless the rounding is meant",
            (0, 1),
        ),
    ]


def test_float_operators_amid_integer_ones_are_an_island_and_a_float_head_or_tail_is_none(remarks) -> None:
    sketch = image()
    sketch.unary("EXP", "x", "head")
    codes(sketch, "head", "a", "QUANTIZE", "int8")
    codes(sketch, "a", "b", "RELU", "int8")
    codes(sketch, "b", "c", "DEQUANTIZE", "float32")
    sketch.unary("EXP", "c", "island")
    codes(sketch, "island", "d", "QUANTIZE", "int8")
    codes(sketch, "d", "e", "RELU6", "int8")
    codes(sketch, "e", "f", "DEQUANTIZE", "float32")
    sketch.unary("EXP", "f", "y")
    assert remarks(sketch, "y") == [
        Remark(
            "float_islands",
            "cost",
            "1 float operator amid integer ones: 4 EXP (island)",
            "quantise them too, or move them behind the last quantised operator",
            (4,),
        )
    ]


def test_an_activation_is_unfused_only_where_the_operator_before_could_take_it(remarks) -> None:
    sketch = image()
    sketch.convolution("x", ones(2, 1, 1, 2), "bare")
    sketch.unary("RELU", "bare", "fusable")
    sketch.convolution("fusable", ones(2, 3, 3, 2), "active", RELU)
    sketch.unary("RELU6", "active", "second")  # its operator has an activation already
    sketch.unary("EXP", "second", "curve")
    sketch.unary("RELU", "curve", "after_exp")  # EXP fuses nothing
    sketch.add("after_exp", "x", "shared")
    sketch.unary("RELU6", "shared", "branch")  # the sum is read elsewhere too
    sketch.add("branch", "shared", "y")
    (found,) = remarks(sketch, "y")
    assert (found.kind, found.found, found.operators) == (
        "unfused_activations",
        "1 activation that could be fused, 512 B written again: 1 RELU (fusable)",
        (1,),
    )


def test_what_is_computed_twice_is_found_through_equal_constants_and_equal_results(remarks) -> None:
    sketch = image()
    weights = ones(4, 1, 1, 2)
    sketch.convolution("x", weights, "first")
    sketch.convolution("x", weights, "again")
    sketch.convolution("x", weights, "active", RELU)  # differs by its option
    sketch.unary("EXP", "first", "b")
    sketch.unary("EXP", "again", "c")
    sketch.add("b", "c", "d")
    sketch.add("d", "active", "y")
    (found,) = remarks(sketch, "y")
    assert (found.kind, found.found, found.operators) == (
        "duplicated_operators",
        "2 operators compute what an earlier one does, 0.00 M multiply-adds: 1 CONV_2D (again), 4 EXP (c)",
        (1, 4),
    )


def test_operators_and_constants_that_nobody_reads_are_dead(remarks) -> None:
    sketch = image()
    sketch.unary("EXP", "x", "dead")
    sketch.unary("RELU", "dead", "dead_too")
    sketch.constant("left", np.zeros(5, np.float32))
    sketch.unary("LOGISTIC", "x", "y")
    operators, constants = remarks(sketch, "y")
    assert (operators.kind, operators.operators) == ("dead_operators", (0, 1))
    assert operators.found == (
        "2 operators whose results nobody reads, 0.00 M multiply-adds: 0 EXP (dead), 1 RELU (dead_too)"
    )
    assert (constants.kind, constants.found, constants.tensors) == (
        "unread_constants",
        "1 constant of 20 B that no operator reads: 'left'",
        (3,),
    )


def test_constants_stored_twice_are_found_and_shared_or_small_ones_are_not(remarks) -> None:
    def share(model: ModelT) -> None:
        tensors = {tensor.name: tensor for tensor in model.subgraphs[0].tensors}
        tensors[b"c"].buffer = tensors[b"a"].buffer

    sketch = image((1, 8, 8, 1))
    for name in ("a", "b", "c"):
        sketch.constant(name, ones(1, 8, 8, 1))
    for name in ("small", "tiny"):
        sketch.constant(name, ones(1))
    source = "x"
    for name in ("a", "b", "c", "small", "tiny"):
        source = sketch.add(source, name, f"with_{name}")
    (found,) = remarks(sketch, source, share)
    assert (found.kind, found.found, found.tensors) == (
        "constants_stored_twice",
        "256 B stored more than once: 'a', 'b'",
        (1, 2),
    )


def test_channels_whose_weights_are_all_zero_are_counted_with_their_share(remarks) -> None:
    weights = ones(4, 3, 3, 2)
    weights[1] = 0
    weights[3] = 0
    sketch = image()
    sketch.convolution("x", weights, "y")
    assert remarks(sketch, "y") == [
        Remark(
            "zero_channels",
            "cost",
            "2 output channels (2 of 4) with no weight but 0, 0.00 M multiply-adds: 0 CONV_2D (y)",
            "remove the channels and add their bias to what reads them",
            (0,),
        )
    ]


def test_a_zero_channel_is_found_behind_its_codes_and_behind_float16(remarks) -> None:
    def convolve(
        sketch: Sketch, source: str, weights: str, output: str, channels: int, **spec: object
    ) -> None:
        bias = sketch.constant(f"{output}/bias", np.arange(1, channels + 1, dtype=np.float32))
        sketch.tensor(output, (1, 8, 8, channels))
        sketch.operator("CONV_2D", (source, weights, bias), output, convolution_options(), **spec)

    sketch = image((1, 8, 8, 1))
    coded = np.array([5, 7, 7], np.int8).reshape(3, 1, 1, 1)
    sketch.constant("coded", coded, Quantization((0.1, 0.1, 0.2), (5, 0, 7), axis=0))
    convolve(sketch, "x", "coded", "a", 3)
    half = np.zeros((2, 1, 1, 3), np.float16)
    half[0] = 1
    sketch.constant("half", half)
    sketch.tensor("unpacked", half.shape)
    sketch.operator("DEQUANTIZE", ("half",), "unpacked")
    convolve(sketch, "a", "unpacked", "y", 2)
    (found,) = remarks(sketch, "y")
    assert (found.kind, found.operators) == ("zero_channels", (0, 2))
    assert found.found.startswith("3 output channels (2 of 3, 1 of 2) with no weight but 0")


def test_denormal_and_not_finite_weights_are_counted(remarks) -> None:
    weights = ones(2, 1, 1, 4)
    weights.flat[:3] = [1e-40, -1e-39, 1.2e-38]
    broken = ones(2, 1, 1, 2)
    broken.flat[:2] = [np.nan, -np.inf]
    sketch = image((1, 8, 8, 4))
    sketch.convolution("x", weights, "a")
    sketch.convolution("a", broken, "y")
    not_finite, denormal = remarks(sketch, "y")
    assert (not_finite.kind, not_finite.level) == ("not_finite_weights", "problem")
    assert not_finite.found == "2 weights NaN or infinite, in 'y/weights'"
    assert (denormal.kind, denormal.found) == (
        "denormal_weights",
        "2 weights below 1.2e-38 but not 0, in 'a/weights'",
    )


def test_an_operator_with_a_large_share_of_the_arithmetic_is_named(remarks) -> None:
    sketch = image()
    source = "x"
    for index, channels in enumerate((2, 2, 64, 2, 2)):
        weights = ones(channels, 3, 3, sketch.shape(source)[3])
        source = sketch.convolution(source, weights, f"c{index}")
    share = [r for r in remarks(sketch, source) if r.kind == "large_share_of_multiply_adds"]
    # 64 pixels x 9 x (4 + 4 + 128 + 128 + 4) multiply-adds
    assert [(found.found, found.operators) for found in share] == [
        ("2 CONV_2D (c2) takes 48% of the multiply-adds, 0.1 of 0.2 M", (2,)),
        ("3 CONV_2D (c3) takes 48% of the multiply-adds, 0.1 of 0.2 M", (3,)),
    ]


def test_many_channels_at_full_size_are_found_as_a_resize_and_as_memory(remarks) -> None:
    sketch = image((1, 32, 32, 3))
    sketch.resize("x", (8, 8), "small")  # three channels, and smaller
    sketch.convolution("small", ones(16, 1, 1, 3), "wide")
    sketch.resize("wide", (32, 32), "full")
    sketch.convolution("full", ones(1, 1, 1, 16), "y")
    resize, memory = remarks(sketch, "y")
    assert (resize.kind, resize.found, resize.operators) == (
        "full_frame_resize",
        "2 RESIZE_BILINEAR (full) brings 16 channels to the full 32x32, 65.5 kB",
        (2,),
    )
    assert (memory.kind, memory.operators, memory.level) == ("large_share_of_memory", (2,), "cost")
    # The peak: x 12,288, wide 4,096 and full 65,536 bytes.
    assert memory.found == (
        "'full', 1x32x32x16 float32, takes 65.5 kB of the peak of 81.9 kB, at operator 2 RESIZE_BILINEAR (full)"
    )


def test_an_input_scale_that_nobody_heeds_is_noted(remarks) -> None:
    sketch = Sketch()
    sketch.tensor("x", (1, 8), "uint8", Quantization((1 / 255,), (0,)))
    codes(sketch, "x", "y", "DEQUANTIZE", "float32")
    (found,) = remarks(sketch, "y")
    assert (found.kind, found.level, found.found) == (
        "input_quantization_ignored",
        "note",
        "input 'x' declares scale 0.00392157 and zero point 0",
    )


def test_several_subgraphs_are_said_and_the_first_is_described(remarks) -> None:
    sketch = image()
    sketch.unary("EXP", "x", "y")
    (found,) = remarks(sketch, "y", lambda model: model.subgraphs.append(model.subgraphs[0]))
    assert (found.kind, found.found) == (
        "several_subgraphs",
        "2 subgraphs; all that is said here is about the first",
    )


# What the runtime says


def listed(*operators: tuple[str, list[int], list[int]]) -> list[dict[str, object]]:
    return [{"name": name, "inputs": inputs, "outputs": outputs} for name, inputs, outputs in operators]


def test_a_part_that_was_taken_over_is_what_leads_from_its_inputs_to_its_outputs() -> None:
    operators = listed(
        ("CONV_2D", [0, 1], [2]),
        ("RELU", [2], [3]),
        ("EXP", [3], [4]),
        ("ADD", [4, 2], [5]),
        ("DELEGATE", [0, 1], [2, 3]),
        ("DELEGATE", [4, 2], [5]),
    )
    assert delegation("a runtime", operators) == Delegation("a runtime", 2, (2,))
    assert delegation("a runtime", operators[:4]) == Delegation("a runtime", 0, (0, 1, 2, 3))


def test_the_real_runtime_leaves_an_exponential_to_its_own_kernel(tmp_path: Path) -> None:
    sketch = image()
    sketch.convolution("x", ones(2, 3, 3, 2), "a")
    sketch.unary("EXP", "a", "b")
    sketch.convolution("b", ones(2, 3, 3, 2), "y")
    found = examine(sketch.write(tmp_path / "m.tflite", "x", "y"))
    assert found.delegation is not None
    assert found.delegation.runtime.startswith("tflite-runtime 2.")
    assert (found.delegation.partitions, found.delegation.left) == (2, (1,))
    remark = next(remark for remark in found.remarks if remark.kind == "not_delegated")
    assert remark.operators == (1,)
    assert remark.found == (
        "XNNPACK leaves 1 of 3 operators to slower kernels, and the rest falls into 2 parts; "
        "they write 512 B: EXP 1"
    )


def test_quantised_operators_that_the_runtime_never_delegates_are_a_note(remarks) -> None:
    sketch = image()
    codes(sketch, "x", "a", "QUANTIZE", "int8")
    codes(sketch, "a", "b", "RELU", "int8")
    codes(sketch, "b", "c", "DEQUANTIZE", "float32")
    sketch.unary("EXP", "c", "y")
    note, cost = remarks(sketch, "y", None, Delegation("runtime 1", 0, (0, 1, 2, 3)))
    assert (note.kind, note.level, note.operators) == ("integers_not_delegated", "note", (0, 1, 2))
    assert note.found == "XNNPACK takes none of the 3 quantised operators, as runtime 1 is built"
    assert (cost.kind, cost.operators) == ("not_delegated", (3,))
    (some,) = remarks(sketch, "y", None, Delegation("runtime 1", 1, (2, 3)))
    assert (some.kind, some.operators) == ("not_delegated", (2, 3))


def test_a_file_that_the_runtime_refuses_is_described_all_the_same(tmp_path: Path) -> None:
    sketch = image()
    sketch.unary("EXP", "x", "y")
    path = sketch.write(
        tmp_path / "m.tflite", "x", "y", lambda model: setattr(model.operatorCodes[0], "version", 77)
    )
    found = examine(path)
    assert (found.delegation, found.contract, found.oldest_runtime) == (None, None, None)
    contract, runtime = found.remarks
    assert (contract.kind, contract.level) == ("breaks_contract", "problem")
    assert contract.found == (
        "it breaks the contract of depth networks: input 'x' is 1x8x8x2 float32, "
        "allowed is 1x480x640x3 float32 or uint8"
    )
    assert (runtime.kind, runtime.level) == ("refused_by_runtime", "problem")
    assert "EXP" in runtime.found
    assert "version '77'" in runtime.found


def test_a_file_that_kills_the_runtime_kills_only_a_child(tmp_path: Path) -> None:
    def quantise(model: ModelT) -> None:
        for tensor, scale in zip(model.subgraphs[0].tensors, (1.0, 1e-31), strict=True):
            tensor.quantization.scale = [scale]

    sketch = Sketch()
    for name in ("x", "y"):
        sketch.tensor(name, (1, 8), "int8", CODES)
    sketch.operator("ADD", ("x", "x"), "y", Options("AddOptions"))
    found = examine(sketch.write(tmp_path / "m.tflite", "x", "y", quantise))
    runtime = next(remark for remark in found.remarks if remark.kind == "refused_by_runtime")
    assert runtime.found.startswith("tflite-runtime cannot load it: it kills tflite-runtime (signal 6)")


def test_problems_come_before_costs_and_costs_before_notes(tmp_path: Path) -> None:
    sketch = image()
    sketch.unary("EXP", "x", "y")
    sketch.constant("left", np.zeros(5, np.float32))
    path = sketch.write(
        tmp_path / "m.tflite", "x", "y", lambda model: model.subgraphs.append(model.subgraphs[0])
    )
    assert [(remark.level, remark.kind) for remark in examine(path).remarks] == [
        ("problem", "breaks_contract"),
        ("cost", "unread_constants"),
        ("cost", "not_delegated"),
        ("note", "several_subgraphs"),
    ]
