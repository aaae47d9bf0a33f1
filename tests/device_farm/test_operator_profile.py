"""Cutting a file after each operator, and what the times of the cuts say about the operators."""

import copy
import os
import subprocess
from pathlib import Path

import ai_edge_litert.interpreter as litert
import numpy as np
import pytest
import scipy.optimize
import tflite
import tflite_runtime.interpreter as tflite_runtime
from ai_edge_litert.schema_py_generated import BufferT
from farm_models import add_model
from hypothesis import given
from hypothesis import strategies as st
from model_files import convert_with_tensorflow, rewritten, unpacked
from network_file import unet

from device_farm.model_files.model_check import RefusedModel, check_model
from device_farm.model_files.operator_profile import (
    OperatorInfo,
    operator_times,
    operators,
    patched,
    prefix_patches,
)

COUNT = len(operators(unet()))
NAMES = {code: name for name, code in vars(tflite.BuiltinOperator).items() if not name.startswith("_")}


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return convert_with_tensorflow(tmp_path_factory.mktemp("converted"))


# What the operators are


def test_operators_are_those_that_the_generated_classes_find():
    model = tflite.Model.GetRootAs(unet())
    graph = model.Subgraphs(0)
    expected = []
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        tensor = graph.Tensors(operator.Outputs(0))
        expected.append(
            OperatorInfo(
                index,
                NAMES[model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()],
                tensor.Name().decode(),
                tuple(tensor.ShapeAsNumpy().tolist()),
            )
        )
    assert operators(unet()) == tuple(expected)
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "RESIZE_BILINEAR", "ADD"} <= {known.name for known in expected}


def test_a_custom_operator_has_the_name_of_its_registration():
    assert operators(add_model(custom_operator="Magic")) == (OperatorInfo(0, "Magic", "y", (1, 8, 8, 4)),)


def test_old_files_hold_the_operators_code_in_one_byte():
    def old(model):
        model.operatorCodes[0].deprecatedBuiltinCode = tflite.BuiltinOperator.MUL
        model.operatorCodes[0].builtinCode = 0

    assert operators(rewritten(add_model(), old))[0].name == "MUL"


def test_an_operator_newer_than_our_table_is_named_by_its_code():
    def new(model):
        model.operatorCodes[0].builtinCode = 4000

    assert operators(rewritten(add_model(), new))[0].name == "BUILTIN_4000"


def prefix(data: bytes, count: int) -> bytes:
    """The file with its first ``count`` operators only."""
    return patched(data, prefix_patches(data)[count - 1])


# What cannot be cut


def two_subgraphs(model):
    model.subgraphs.append(model.subgraphs[0])


@pytest.mark.parametrize("function", [operators, prefix_patches])
def test_a_file_with_several_subgraphs_is_refused(function):
    with pytest.raises(ValueError, match="the file has 2 subgraphs; only one can be cut"):
        function(rewritten(add_model(), two_subgraphs))


@pytest.mark.parametrize("function", [operators, prefix_patches])
def test_a_damaged_file_is_refused(function):
    with pytest.raises(RefusedModel, match="truncated"):
        function(unet()[:-1000])
    with pytest.raises(RefusedModel, match="not a TFLite file"):
        function(b"depth")


# What a cut changes


def test_the_whole_file_is_its_last_prefix():
    assert prefix(unet(), COUNT) == unet()


@pytest.mark.parametrize("count", range(1, COUNT))
def test_a_prefix_holds_the_first_operators_and_all_that_the_others_need(count):
    data = unet()
    cut = prefix(data, count)
    check_model(cut)
    whole, part = unpacked(data), unpacked(cut)
    graph = whole.subgraphs[0]
    written = [tensor for operator in graph.operators[:count] for tensor in operator.outputs]
    needed = {tensor for operator in graph.operators[count:] for tensor in operator.inputs}
    graph.operators = graph.operators[:count]
    graph.outputs = [tensor for tensor in written if tensor in needed]
    assert as_plain(part) == as_plain(whole)


@pytest.mark.parametrize("count", range(1, COUNT))
def test_a_cut_moves_nothing(count):
    data = unet() + b"odd"
    cut = prefix(data, count)
    changed = [i for i, (old, new) in enumerate(zip(data, cut, strict=False)) if old != new]
    places = {
        position for patch in prefix_patches(data)[count - 1] for position in range(patch[0], patch[0] + 4)
    }
    assert set(changed) <= places
    assert len([position for position in places if position < len(data)]) == 8
    assert len(cut) % 4 == 0


def test_what_follows_from_constants_alone_is_no_output():
    """It is computed once, and XNNPACK cannot output it. Where there is nothing else, the input stands in."""

    def constants_first(model):
        graph, operator = model.subgraphs[0], model.subgraphs[0].operators[0]
        model.buffers.append(BufferT(data=[0] * 1024))
        graph.tensors += [copy.copy(graph.tensors[1]) for _ in range(3)]
        graph.tensors[2].buffer = 1
        graph.operators = [copy.copy(operator) for _ in range(3)]
        places = (([2, 2], [3]), ([0, 3], [1]), ([1, 3], [4]))
        for copied, (inputs, outputs) in zip(graph.operators, places, strict=True):
            copied.inputs, copied.outputs = inputs, outputs
        graph.outputs = [4]

    data = rewritten(add_model(), constants_first)
    assert [list(unpacked(prefix(data, count)).subgraphs[0].outputs) for count in (1, 2, 3)] == [
        [0],
        [1],
        [4],
    ]


def test_the_skip_connection_stays_an_output_until_it_is_read():
    whole = unpacked(unet()).subgraphs[0]
    infos = operators(unet())
    addition = next(info.index for info in infos if info.name == "ADD")
    skip = min(whole.operators[addition].inputs, key=lambda tensor: written_by(whole, tensor))
    assert written_by(whole, skip) < addition - 1
    for count in range(1, COUNT):
        outputs = list(unpacked(prefix(unet(), count)).subgraphs[0].outputs)
        assert (skip in outputs) == (written_by(whole, skip) < count <= addition)


def written_by(graph, tensor):
    return next(index for index, operator in enumerate(graph.operators) if tensor in operator.outputs)


# What interpreters make of it

INTERPRETERS = {"tflite-runtime": tflite_runtime, "ai-edge-litert": litert}


def run(library, data, delegate, **options):
    """A run interpreter; all inputs come from one seed."""
    kinds = library.OpResolverType
    resolver = kinds.BUILTIN if delegate == "xnnpack" else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = library.Interpreter(
        model_content=data, num_threads=1, experimental_op_resolver_type=resolver, **options
    )
    interpreter.allocate_tensors()
    random = np.random.default_rng(0)
    for details in interpreter.get_input_details():
        values = random.uniform(-100, 100, details["shape"])
        interpreter.set_tensor(details["index"], values.astype(details["dtype"]))
    interpreter.invoke()
    return interpreter


def assert_prefixes_compute_what_the_whole_does(library, data, delegate, tolerance):
    # tflite-runtime 2.14 lets additions overwrite their inputs even where all tensors are to be preserved.
    whole = run(litert, data, "none", experimental_preserve_all_tensors=True)
    for count in range(1, len(operators(data)) + 1):
        part = run(library, prefix(data, count), delegate)
        outputs = [details["index"] for details in part.get_output_details()]
        assert outputs
        for tensor in outputs:
            expected = whole.get_tensor(tensor).astype(np.float64)
            scale = max(1.0, float(np.abs(expected).max()))
            np.testing.assert_allclose(part.get_tensor(tensor), expected, atol=tolerance * scale)


@pytest.mark.parametrize(("delegate", "tolerance"), [("none", 1e-6), ("xnnpack", 1e-5)])
@pytest.mark.parametrize("library", INTERPRETERS.values(), ids=INTERPRETERS)
def test_a_prefix_computes_the_tensors_inside_the_whole_network(library, delegate, tolerance):
    assert_prefixes_compute_what_the_whole_does(library, unet(), delegate, tolerance)


@pytest.mark.long
@pytest.mark.parametrize("delegate", ["none", "xnnpack"])
@pytest.mark.parametrize("library", INTERPRETERS.values(), ids=INTERPRETERS)
def test_prefixes_of_tensorflows_files_compute_the_tensors_inside(library, delegate, converted):
    for name in ("float", "float16", "int8"):
        tolerance = 1 / 16 if name == "int8" else 1e-4  # kernels may round by a step or two
        assert_prefixes_compute_what_the_whole_does(library, converted[name], delegate, tolerance)


CHILD_25 = """
import sys
import tensorflow.lite as lite
for path in sys.argv[1:]:
    interpreter = lite.Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.invoke()
    print(*sorted(details["name"] for details in interpreter.get_output_details()))
"""


@pytest.mark.tflite25
def test_tflite_2_5_0_runs_the_prefixes(tmp_path: Path):
    paths = [tmp_path / f"{count}.tflite" for count in range(1, COUNT + 1)]
    expected = []
    for count, path in enumerate(paths, start=1):
        path.write_bytes(prefix(unet(), count))
        details = run(tflite_runtime, path.read_bytes(), "none").get_output_details()
        expected.append(" ".join(sorted(known["name"] for known in details)))
    command = [os.environ["DEPTH_SWEEP_TFLITE25_PYTHON"], "-c", CHILD_25, *map(str, paths)]
    child = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"CUDA_VISIBLE_DEVICES": ""}
    )
    assert child.stdout.splitlines() == expected


# Times


def test_rising_medians_give_their_differences():
    assert operator_times([1.0, 1.5, 4.0]) == (1.0, 0.5, 2.5)


def test_a_prefix_that_seems_slower_than_a_longer_one_shares_its_time():
    assert operator_times([1.0, 3.0, 2.0, 6.0]) == (1.0, 1.5, 0.0, 3.5)


def test_no_prefix_counts_as_slower_than_the_whole_model():
    assert operator_times([1.0, 9.0, 4.0]) == (1.0, 3.0, 0.0)


def test_one_operator_takes_all_the_time():
    assert operator_times([2.5]) == (2.5,)


@pytest.mark.parametrize("medians", [[0.0], [1.0, -1.0], [float("nan")], [1.0, float("inf")]])
def test_impossible_medians_are_refused(medians):
    with pytest.raises(ValueError, match="but times are positive and finite"):
        operator_times(medians)


def test_no_medians_are_refused():
    with pytest.raises(ValueError, match="no prefix was timed"):
        operator_times([])


@given(st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=60))
def test_times_are_the_steps_of_the_closest_rising_sequence_that_ends_at_the_whole(medians):
    """SciPy's isotonic regression, with a weight that pins the last median."""
    times = operator_times(medians)
    assert all(time >= 0 for time in times)
    weights = np.ones(len(medians))
    weights[-1] = 1e12
    closest = scipy.optimize.isotonic_regression(medians, weights=weights).x
    np.testing.assert_allclose(np.cumsum(times), closest, rtol=1e-6, atol=1e-6)
    assert sum(times) == pytest.approx(medians[-1])


# Helpers


def as_plain(value):
    """Generated objects as nested dictionaries and lists, to be compared as a whole."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list):
        return [as_plain(item) for item in value]
    if hasattr(value, "__dict__"):
        return {name: as_plain(item) for name, item in vars(value).items()}
    return value
