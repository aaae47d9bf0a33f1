"""The memory of activations, against a simulation that allocates and frees step by step."""

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import ModelT
from handmade_files import Sketch
from hypothesis import given
from hypothesis import strategies as st

from sweep.export import inspect_model
from sweep.export.graph import Quantization
from sweep.export.inspection.memory import MemoryUse, memory_use
from sweep.export.model_info import ModelInfo, OperatorInfo, TensorInfo


def simulated_sums(model: ModelInfo) -> list[int]:
    """What is allocated while each operator runs, by doing it: allocate what is written, free what is done."""
    unread = [sum(op.inputs.count(i) for op in model.operators) for i in range(len(model.tensors))]
    constant = {index for index, tensor in enumerate(model.tensors) if tensor.constant}
    kept = set(model.input_indexes) | set(model.output_indexes)
    fixed = set(constant)
    for operator in model.operators:
        if all(index in fixed for index in operator.inputs):
            fixed.update(operator.outputs)
    kept |= fixed
    allocated = (set(model.input_indexes) | fixed) - constant
    sums = []
    for operator in model.operators:
        allocated.update(operator.outputs)
        sums.append(sum(model.tensors[index].nbytes for index in allocated))
        for index in operator.inputs:
            unread[index] -= 1
        done = {i for i in (*operator.inputs, *operator.outputs) if unread[i] == 0 and i not in kept}
        allocated -= done
    return sums


@st.composite
def graphs(draw: st.DrawFn) -> ModelInfo:
    """Operators that read any tensors before them; sizes, types and ends at random."""
    types = st.sampled_from(["float32", "float16", "int8", "int64", "bool", "string", "int4"])
    shapes = st.lists(st.integers(1, 9) | st.just(-1), max_size=3).map(tuple)
    tensors = [TensorInfo("input", draw(types), draw(shapes))]
    data = np.zeros(4, np.uint8)
    tensors += [TensorInfo("constant", "uint8", (4,), data) for _ in range(draw(st.integers(0, 2)))]
    operators = []
    for _ in range(draw(st.integers(1, 8))):
        inputs = tuple(draw(st.lists(st.integers(0, len(tensors) - 1), min_size=1, max_size=3)))
        outputs = tuple(range(len(tensors), len(tensors) + draw(st.integers(1, 2))))
        tensors += [TensorInfo("", draw(types), draw(shapes)) for _ in outputs]
        operators.append(OperatorInfo("ANY", 1, inputs, outputs))
    ends = tuple(draw(st.lists(st.sampled_from(operators[-1].outputs), min_size=1, unique=True)))
    return ModelInfo(0, "", (), 1, tuple(tensors), tuple(operators), (0,), ends)


@given(graphs())
def test_sums_and_peak_are_those_of_a_simulation(model: ModelInfo) -> None:
    sums = simulated_sums(model)
    found = memory_use(model)
    assert found.operator_bytes == tuple(sums)
    assert (found.peak_bytes, found.peak_operator) == (max(sums), sums.index(max(sums)))
    assert sum(model.tensors[index].nbytes for index in found.peak_tensors) == found.peak_bytes
    sizes = [model.tensors[index].nbytes for index in found.peak_tensors]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("type_", "shape", "nbytes"),
    [
        ("float32", (2, 3), 24),
        ("float16", (3,), 6),
        ("int8", (5,), 5),
        ("int4", (3,), 2),
        ("float32", (-1, 4), 16),
        ("int64", (), 8),
        ("string", (7,), 0),
        ("type 99", (7,), 0),
        ("float32", (0, 4), 0),
    ],
)
def test_a_tensors_bytes_follow_from_its_type_and_shape(
    type_: str, shape: tuple[int, ...], nbytes: int
) -> None:
    assert TensorInfo("", type_, shape).nbytes == nbytes


def test_a_skip_connection_lives_until_it_is_read(tmp_path: Path) -> None:
    sketch = Sketch()
    sketch.tensor("x", (1, 10))
    sketch.unary("EXP", "x", "skip")
    sketch.unary("EXP", "skip", "a")
    sketch.unary("EXP", "a", "b")
    sketch.add("b", "skip", "y")
    model = inspect_model(sketch.write(tmp_path / "m.tflite", "x", "y"))
    # At each step: x, skip | x, skip, a | x, skip, a, b | x, skip, b, y; of 40 bytes each.
    assert memory_use(model) == MemoryUse(160, 2, (0, 1, 2, 3), (80, 120, 160, 160), 0)


def test_weights_that_are_unpacked_stay_for_good(tmp_path: Path) -> None:
    sketch = Sketch()
    sketch.tensor("x", (1, 10))
    sketch.constant("half", np.ones((1, 10), np.float16))
    sketch.tensor("weights", (1, 10))
    sketch.operator("DEQUANTIZE", ("half",), "weights")
    sketch.unary("EXP", "x", "a")
    sketch.add("a", "weights", "b")
    sketch.unary("EXP", "b", "y")
    model = inspect_model(sketch.write(tmp_path / "m.tflite", "x", "y"))
    use = memory_use(model)
    assert (use.unpacked_bytes, use.operator_bytes) == (40, (80, 120, 160, 160))
    assert (model.parameters_by_type, model.constant_bytes) == ({"float16": 10}, 20)


def test_a_variable_lives_from_start_to_end(tmp_path: Path) -> None:
    def make_variable(model: ModelT) -> None:
        model.subgraphs[0].tensors[1].isVariable = True

    sketch = Sketch()
    sketch.tensor("x", (1, 10))
    sketch.tensor("state", (1, 100))
    sketch.unary("EXP", "x", "a")
    sketch.add("a", "state", "y")
    model = inspect_model(sketch.write(tmp_path / "m.tflite", "x", "y", make_variable))
    assert memory_use(model).operator_bytes == (480, 520)


def test_parameters_are_counted_by_type_and_at_their_first_reader(tmp_path: Path) -> None:
    sketch = Sketch()
    sketch.tensor("x", (1, 4, 4, 2))
    sketch.convolution("x", np.ones((2, 1, 1, 2), np.float32), "a")
    sketch.add("a", "a/bias", "b")
    sketch.constant("codes", np.ones(3, np.int32), Quantization((1.0,), (0,)))
    model = inspect_model(sketch.write(tmp_path / "m.tflite", "x", "b"))
    assert model.operator_parameters == (6, 0)
    assert model.parameters_by_type == {"float32": 6, "int32": 3}
    assert (model.parameters, model.constant_bytes) == (9, 36)
