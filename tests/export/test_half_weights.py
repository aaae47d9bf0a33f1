"""Float16 weights: a file of half the size whose every number is the nearest float16, computed in float32."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from export_support import lower_module, lower_network, nhwc, run_tflite, trained_looking, with_constant
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import nn

from sweep.export import inspect_model
from sweep.export.graph import Options, TFLiteGraph, TFLiteOperator, TFLiteTensor
from sweep.export.quantization.half import to_fp16
from sweep.export.reference import run_under_tensorflow
from sweep.export.writer import write_tflite
from sweep.space.candidate import Architecture

NAMES = ("add", "concat", "separable")


def product(constant: NDArray[np.float32] | NDArray[np.int32], builtin: str = "MUL") -> TFLiteGraph:
    """y = x * constant, or another operator of the two."""
    kind = "int32" if constant.dtype == np.int32 else "float32"
    x, y = (TFLiteTensor(name, constant.shape) for name in ("x", "y"))
    factor = TFLiteTensor("factor", constant.shape, constant, kind)
    options = Options(f"{builtin.capitalize()}Options")
    operator = TFLiteOperator(builtin, 1, ("x", "factor"), "y", options)
    return TFLiteGraph((x, factor, y), (operator,), input="x", output="y")


def numbers(count: int = 128, size: float = 1.0) -> NDArray[np.float32]:
    values = np.random.default_rng(0).uniform(-1, 1, count).astype(np.float32)
    values[0] = 1
    return values * np.float32(size)


def written(graph: TFLiteGraph, path: Path) -> Path:
    path.write_bytes(write_tflite(graph, ""))
    return path


def with_rounded_constants(graph: TFLiteGraph) -> TFLiteGraph:
    """The float32 graph whose large constants have the nearest float16's values, by NumPy's rounding."""
    for tensor in graph.tensors:
        if tensor.type == "float32" and tensor.data is not None and tensor.data.size >= 128:
            graph = with_constant(graph, tensor.name, tensor.data.astype(np.float16).astype(np.float32))
    return graph


@pytest.fixture(scope="module")
def graphs(architectures: dict[str, Architecture]) -> dict[str, TFLiteGraph]:
    return {name: lower_network(trained_looking(architectures[name])) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_file_computes_what_rounded_weights_compute(
    name: str, graphs: dict[str, TFLiteGraph], photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    frame = photos[:1].astype(np.float32)
    found = run_tflite(written(to_fp16(graphs[name]), tmp_path / "half.tflite"), frame)
    rounded = run_tflite(written(with_rounded_constants(graphs[name]), tmp_path / "rounded.tflite"), frame)
    plain = run_tflite(written(graphs[name], tmp_path / "plain.tflite"), frame)
    np.testing.assert_array_equal(found, rounded)
    assert 0 < np.abs(found / plain - 1).max() < 0.01


@pytest.mark.parametrize("name", NAMES)
def test_constants_take_half_the_bytes(name: str, graphs: dict[str, TFLiteGraph], tmp_path: Path) -> None:
    plain = inspect_model(written(graphs[name], tmp_path / "plain.tflite"))
    half = inspect_model(written(to_fp16(graphs[name]), tmp_path / "half.tflite"))
    large = sum(4 * t.elements for t in plain.tensors if t.constant and t.elements >= 128)
    assert plain.constant_bytes - half.constant_bytes == large // 2
    assert half.parameters == plain.parameters
    # What each DEQUANTIZE costs is made up for by its constant at the least.
    assert half.size_bytes < plain.size_bytes
    assert half.size_bytes <= 0.6 * plain.size_bytes


def test_a_convolution_errs_by_no_more_than_its_weights_were_rounded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(16, 24, 3)
    x = torch.randn(1, 16, 12, 14)
    graph = lower_module(conv, x)
    found = run_tflite(written(to_fp16(graph), tmp_path / "half.tflite"), nhwc(x))
    weights, bias = conv.weight.detach().double(), conv.bias
    assert bias is not None
    exact = nhwc(F.conv2d(x.double(), weights, bias.detach().double()))
    magnitude = nhwc(F.conv2d(x.double().abs(), weights.abs()))
    error = np.abs(found - exact)
    assert (error <= 2.0**-11 * magnitude + 1e-5).all()
    assert error.max() > 1e-5


def test_every_use_of_a_constant_shares_one_conversion() -> None:
    graph = product(numbers())
    again = TFLiteOperator("ADD", 1, ("y", "factor"), "z", Options("AddOptions"))
    tensors = (*graph.tensors, TFLiteTensor("z", (128,)))
    twice = replace(graph, tensors=tensors, operators=(*graph.operators, again), output="z")
    half = to_fp16(twice)
    conversion = TFLiteOperator("DEQUANTIZE", 3, ("factor/float16",), "factor", Options("DequantizeOptions"))
    assert half.operators == (conversion, *twice.operators)
    assert half.tensor("factor") == TFLiteTensor("factor", (128,))
    assert half.tensor("factor/float16").type == "float16"
    assert (half.input, half.output) == (twice.input, twice.output)


@pytest.mark.parametrize(
    "graph",
    [
        product(numbers(size=65520)),  # rounds to infinity
        product(numbers(size=65505)),
        product(numbers(size=2.0**-15)),  # float16 keeps fewer than 11 bits
        product(np.full(128, np.nan, np.float32)),
        product(np.zeros(128, np.float32)),
        product(numbers(count=127)),
        product(np.arange(128, dtype=np.int32)),
        product(numbers(), "DIV"),
    ],
    ids=["overflow", "overflow-by-one", "tiny", "nan", "zeros", "few", "integers", "divisor"],
)
def test_constants_that_float16_does_not_serve_stay_as_they_are(graph: TFLiteGraph) -> None:
    assert to_fp16(graph) == graph


@pytest.mark.parametrize("largest", [65504.0, 1.0, 2.0**-14])
def test_constants_within_float16_are_converted(largest: float) -> None:
    assert to_fp16(product(numbers(size=largest))).tensor("factor/float16").type == "float16"


@given(
    arrays(np.float32, 128, elements=st.floats(-65504, 65504, width=32), fill=st.floats(2**-14, 1, width=32))
)
def test_a_number_changes_by_2_to_the_minus_11_of_itself_or_by_2_to_the_minus_25(
    constant: NDArray[np.float32],
) -> None:
    half = to_fp16(product(constant))
    stored = half.by_name.get("factor/float16")
    if stored is None:
        assert np.abs(constant).max() < 2**-14
        return
    assert stored.data is not None
    error = np.abs(stored.data.astype(np.float64) - constant)
    assert (error <= np.maximum(2.0**-11 * np.abs(constant.astype(np.float64)), 2.0**-25)).all()


@pytest.mark.long
def test_tensorflows_reference_kernels_agree(
    graphs: dict[str, TFLiteGraph], photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    paths = [written(to_fp16(graphs[name]), tmp_path / f"{name}.tflite") for name in NAMES]
    found = run_under_tensorflow([(path, photos[:1]) for path in paths], timeout_seconds=200)
    for path, depth_mm in zip(paths, found, strict=True):
        expected = run_tflite(path, photos[:1].astype(np.float32))
        np.testing.assert_allclose(depth_mm, expected, rtol=1e-3, err_msg=path.stem)


@pytest.mark.tflite25
def test_tflite_2_5_computes_the_same(
    graphs: dict[str, TFLiteGraph], photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    python = os.environ["DEPTH_SWEEP_TFLITE25_PYTHON"]
    paths = [written(to_fp16(graphs[name]), tmp_path / f"{name}.tflite") for name in NAMES]
    jobs = [(path, np.concatenate([photos[:1]] * 3)) for path in paths]
    found = run_under_tensorflow(jobs, timeout_seconds=200, kernels="default", python=python)
    for path, depth_mm in zip(paths, found, strict=True):
        expected = run_tflite(path, photos[:1].astype(np.float32))
        np.testing.assert_allclose(depth_mm, np.concatenate([expected] * 3), rtol=1e-3, err_msg=path.stem)
