"""Dynamic-range quantisation: int8 weights per channel, within the error that rounding allows, on each runtime."""

import os
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from export_support import lower_module, lower_network, nhwc, run_tflite, trained_looking
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import Tensor, nn

from sweep.export import inspect_model
from sweep.export.graph import TFLiteGraph, TFLiteTensor
from sweep.export.quantization.dynamic import as_int8, to_dynamic_int8
from sweep.export.reference import run_under_tensorflow
from sweep.export.writer import write_tflite
from sweep.space.candidate import Architecture

NAMES = ("add", "concat", "separable")


@dataclass(frozen=True)
class Case:
    """A convolution with at least 1024 weights, and its NCHW input."""

    conv: nn.Conv2d
    x: Tensor

    @property
    def graph(self) -> TFLiteGraph:
        return to_dynamic_int8(lower_module(self.conv, self.x))


def cases() -> dict[str, Case]:
    """Dense and depthwise, with each stride, dilation and padding; gates of one pixel; inputs of one sign."""
    torch.manual_seed(0)
    found = {}
    kinds = {
        "dense": {"in_channels": 16, "out_channels": 24, "kernel_size": 3},
        "pointwise": {"in_channels": 40, "out_channels": 32, "kernel_size": 1},
        "depthwise": {"in_channels": 48, "out_channels": 48, "kernel_size": 5, "groups": 48},
        "multiplied": {"in_channels": 32, "out_channels": 64, "kernel_size": 5, "groups": 32},
    }
    for (kind, options), stride, dilation, padded in product(kinds.items(), (1, 2), (1, 2), (False, True)):
        if (kind == "pointwise" and (padded or dilation > 1)) or (kind == "dense" and dilation > 1):
            continue
        padding = options["kernel_size"] // 2 * dilation if padded else 0
        conv = nn.Conv2d(**options, stride=stride, dilation=dilation, padding=padding)
        x = torch.randn(1, options["in_channels"], 20, 24) + 0.5
        found[f"{kind}-s{stride}-d{dilation}-{'same' if padded else 'valid'}"] = Case(conv, x)
    found["gate"] = Case(nn.Conv2d(120, 32, 1), torch.rand(1, 120, 1, 1))
    found["negative"] = Case(nn.Conv2d(40, 32, 1), -torch.rand(1, 40, 6, 6))
    return found


CASES = cases()


@dataclass(frozen=True)
class Expected:
    """The exact output in NHWC, and how far int8 weights and inputs may move each number of it."""

    output: NDArray[np.float64]
    bound: NDArray[np.float64]


def expected_of(case: Case) -> Expected:
    """|x' w' - x w| <= |w'| |x' - x| + |x| |w' - w|, summed as the convolution sums.

    A weight moves by half its channel's scale at most. An input is quantised by its own range, with zero in it:
    its scale is at most its largest magnitude over 127, and it moves by that at most, as the zero point is
    rounded, too.
    """
    conv, x = case.conv, case.x.double()
    weights = conv.weight.detach().double()
    assert conv.bias is not None
    scales = weights.abs().amax((1, 2, 3), keepdim=True) / 127
    moved = (scales / 2).expand_as(weights)
    step = x.abs().max() / 127

    def convolved(x: Tensor, weights: Tensor) -> Tensor:
        return F.conv2d(x, weights, None, conv.stride, conv.padding, conv.dilation, conv.groups)

    bound = convolved(torch.full_like(x, float(step)), weights.abs() + moved) + convolved(x.abs(), moved)
    return Expected(
        nhwc(convolved(x, weights) + conv.bias.detach().double()[:, None, None]), nhwc(bound) + 1e-5
    )


def assert_within(found: NDArray[np.float32], expected: Expected) -> None:
    error = np.abs(found - expected.output)
    assert (error <= expected.bound).all()
    assert error.max() > 1e-5  # integers were multiplied
    assert np.sqrt((error**2).mean()) < 0.02 * expected.output.std()


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("cases")
    found = {name: folder / f"{name}.tflite" for name in CASES}
    for name, path in found.items():
        path.write_bytes(write_tflite(CASES[name].graph, name))
    return found


@pytest.mark.parametrize("name", CASES)
def test_each_convolution_is_as_near_as_rounding_allows(name: str, paths: dict[str, Path]) -> None:
    (version,) = {
        version for operator, version in inspect_model(paths[name]).operator_versions if "CONV" in operator
    }
    assert version == (6 if CASES[name].conv.groups > 1 else 5)
    assert_within(run_tflite(paths[name], nhwc(CASES[name].x)), expected_of(CASES[name]))


def run_all(paths: dict[str, Path], **options: str) -> dict[str, NDArray[np.float32]]:
    jobs = [(paths[name], nhwc(case.x)) for name, case in CASES.items()]
    return dict(zip(CASES, run_under_tensorflow(jobs, timeout_seconds=200, **options), strict=True))


@pytest.mark.long
def test_tensorflows_reference_kernels_are_as_near(paths: dict[str, Path]) -> None:
    for name, found in run_all(paths).items():
        assert_within(found, expected_of(CASES[name]))


@pytest.mark.tflite25
def test_tflite_2_5_is_as_near(paths: dict[str, Path]) -> None:
    python = os.environ["DEPTH_SWEEP_TFLITE25_PYTHON"]
    for name, found in run_all(paths, kernels="default", python=python).items():
        assert_within(found, expected_of(CASES[name]))


def test_dilated_dense_convolutions_stay_float32() -> None:
    graph = lower_module(nn.Conv2d(16, 24, 3, dilation=2), torch.zeros(1, 16, 20, 24))
    assert to_dynamic_int8(graph) == graph


@given(arrays(np.float32, (6, 2, 2, 3), elements=st.floats(-1e6, 1e6, width=32)), st.sampled_from([0, 3]))
def test_a_weight_moves_by_half_its_channels_scale_at_most(weights: NDArray[np.float32], axis: int) -> None:
    tensor = as_int8(TFLiteTensor("w", weights.shape, weights), axis)
    assert tensor.data is not None
    assert tensor.quantization is not None
    assert (tensor.type, tensor.quantization.axis) == ("int8", axis)
    assert set(tensor.quantization.zero_points) == {0}
    assert tensor.data.min() >= -127
    scales = np.moveaxis(np.ones(weights.shape) * 1.0, axis, -1) * tensor.quantization.scales
    moved = np.abs(np.moveaxis(tensor.data * 1.0 - 0, axis, -1) * scales - np.moveaxis(weights, axis, -1))
    assert (moved <= scales * (0.5 + 1e-4)).all()
    largest = np.abs(weights).max(axis=tuple(i for i in range(4) if i != axis))
    expected = np.maximum(largest / 127.0, 2.0**-63)
    np.testing.assert_allclose(tensor.quantization.scales, expected, rtol=1e-6)


def test_a_channel_of_zeros_stays_one() -> None:
    tensor = as_int8(TFLiteTensor("w", (2, 1, 1, 4), np.zeros((2, 1, 1, 4), np.float32)), 0)
    assert tensor.data is not None
    assert tensor.quantization is not None
    assert not tensor.data.any()
    assert all(scale > 0 for scale in tensor.quantization.scales)


@pytest.fixture(scope="module")
def graphs(architectures: dict[str, Architecture]) -> dict[str, TFLiteGraph]:
    return {name: lower_network(trained_looking(architectures[name])) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_only_the_weights_of_large_convolutions_change(name: str, graphs: dict[str, TFLiteGraph]) -> None:
    graph, dynamic = graphs[name], to_dynamic_int8(graphs[name])
    large = {
        operator.inputs[1]
        for operator in graph.operators
        if operator.builtin.endswith("CONV_2D") and np.prod(graph.tensor(operator.inputs[1]).shape) >= 1024
    }
    assert large
    for before, after in zip(graph.tensors, dynamic.tensors, strict=True):
        if before.name in large:
            assert (after.type, after.shape) == ("int8", before.shape)
        else:
            assert after is before
    hybrid = {"CONV_2D": 5, "DEPTHWISE_CONV_2D": 6}
    for before, after in zip(graph.operators, dynamic.operators, strict=True):
        quantised = before.builtin in hybrid and before.inputs[1] in large
        assert after.version == (hybrid[before.builtin] if quantised else before.version)
        assert (after.builtin, after.inputs, after.output) == (before.builtin, before.inputs, before.output)


@pytest.mark.parametrize("name", NAMES)
def test_int8_weights_take_a_quarter_of_the_bytes(
    name: str, graphs: dict[str, TFLiteGraph], tmp_path: Path
) -> None:
    plain, small = tmp_path / "plain.tflite", tmp_path / "small.tflite"
    plain.write_bytes(write_tflite(graphs[name], ""))
    small.write_bytes(write_tflite(to_dynamic_int8(graphs[name]), ""))
    before, after = inspect_model(plain), inspect_model(small)
    large = sum(t.nbytes for t in after.tensors if t.type == "int8")
    assert before.constant_bytes - after.constant_bytes == 3 * large
    assert after.parameters == before.parameters
    assert after.size_bytes < before.size_bytes


@pytest.mark.parametrize("name", NAMES)
def test_whole_networks_give_nearly_the_same_depth(
    name: str, graphs: dict[str, TFLiteGraph], photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    paths = [tmp_path / "plain.tflite", tmp_path / "small.tflite"]
    for path, graph in zip(paths, (graphs[name], to_dynamic_int8(graphs[name])), strict=True):
        path.write_bytes(write_tflite(graph, ""))
    plain, small = (np.log(run_tflite(path, photos[:1].astype(np.float32))) for path in paths)
    assert 0 < np.abs(small - plain).mean() < 0.1 * plain.std()


@pytest.mark.tflite25
def test_whole_networks_run_on_tflite_2_5(
    graphs: dict[str, TFLiteGraph], photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    paths = {name: tmp_path / f"{name}.tflite" for name in NAMES}
    for name, path in paths.items():
        path.write_bytes(write_tflite(to_dynamic_int8(graphs[name]), ""))
    frames = np.concatenate([photos[:1]] * 3)
    python = os.environ["DEPTH_SWEEP_TFLITE25_PYTHON"]
    jobs = [(path, frames) for path in paths.values()]
    found = run_under_tensorflow(jobs, timeout_seconds=200, kernels="default", python=python)
    for path, (first, *others) in zip(paths.values(), found, strict=True):
        for other in others:
            np.testing.assert_array_equal(first, other)
        expected = np.log(run_tflite(path, photos[:1].astype(np.float32)))[0]
        assert np.abs(np.log(first) - expected).mean() < 0.02 * expected.std()
