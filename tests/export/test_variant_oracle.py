"""TensorFlow's own converter agrees: float16 weights, dynamic range, operator versions, oldest runtimes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from export_support import lower_module, run_tflite
from numpy.typing import NDArray
from torch import nn

from sweep.export import inspect_model
from sweep.export.compatibility import oldest_runtime
from sweep.export.model_info import ModelInfo, TensorInfo
from sweep.export.quantization.dynamic import to_dynamic_int8
from sweep.export.quantization.half import to_fp16
from sweep.export.reference import QUIET
from sweep.export.versions import minimum_runtime
from sweep.export.writer import write_tflite

pytestmark = pytest.mark.long

FILES = (
    *("network_fp32", "network_fp16", "network_dynamic_int8", "network_int8"),
    *("operators", "quantised_operators"),
)


@pytest.fixture(scope="module")
def network() -> nn.Sequential:
    """Weights with more and with fewer than 1024 numbers, dense and depthwise."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 40, 3),
        nn.ReLU(),
        nn.Conv2d(40, 40, 7, groups=40),
        nn.Conv2d(40, 32, 1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, groups=32),
        nn.Conv2d(32, 1, 1),
    ).eval()


@pytest.fixture(scope="module")
def converted(network: nn.Sequential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the files of TensorFlow's converter."""
    folder = tmp_path_factory.mktemp("oracle")
    np.savez(folder / "weights.npz", **{name: value.numpy() for name, value in network.state_dict().items()})
    script = Path(__file__).with_name("variant_oracle_child.py")
    command = [sys.executable, str(script), str(folder / "weights.npz"), str(folder)]
    child = subprocess.run(command, env={**os.environ, **QUIET}, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def ours(network: nn.Sequential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ours")
    graph = lower_module(network, torch.zeros(1, 3, 24, 32))
    for name, variant in (("fp16", to_fp16(graph)), ("dynamic_int8", to_dynamic_int8(graph))):
        (folder / f"network_{name}.tflite").write_bytes(write_tflite(variant, name))
    return folder


def frame() -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(1, 24, 32, 3)).astype(np.float32)


@pytest.mark.parametrize("name", FILES)
def test_the_table_gives_the_oldest_runtime_that_the_converter_notes(name: str, converted: Path) -> None:
    model = inspect_model(converted / f"{name}.tflite")
    assert minimum_runtime(model.operator_versions) == model.min_runtime_version
    assert oldest_runtime(model).oldest == model.min_runtime_version


def weights_of(model: ModelInfo) -> list[TensorInfo]:
    """The convolutions' weights as they are stored, in the order of execution."""
    stored = {}
    for operator in model.operators:
        if operator.name == "DEQUANTIZE":
            stored[operator.outputs[0]] = operator.inputs[0]
    convolutions = [operator for operator in model.operators if operator.name.endswith("CONV_2D")]
    return [model.tensors[stored.get(operator.inputs[1], operator.inputs[1])] for operator in convolutions]


def test_dynamic_range_weights_are_the_converters(ours: Path, converted: Path) -> None:
    found, expected = (
        weights_of(inspect_model(folder / "network_dynamic_int8.tflite")) for folder in (ours, converted)
    )
    assert [tensor.type for tensor in found] == ["int8", "int8", "int8", "float32", "float32"]
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine.type, mine.shape) == (theirs.type, theirs.shape)
        np.testing.assert_array_equal(mine.values, theirs.values)
        assert (mine.quantization is None) == (theirs.quantization is None)
        if mine.quantization is not None and theirs.quantization is not None:
            assert mine.quantization.zero_points == theirs.quantization.zero_points
            assert mine.quantization.axis == theirs.quantization.axis
            np.testing.assert_allclose(mine.quantization.scales, theirs.quantization.scales, rtol=1e-6)


def test_float16_weights_are_the_converters(ours: Path, converted: Path) -> None:
    found, expected = (
        weights_of(inspect_model(folder / "network_fp16.tflite")) for folder in (ours, converted)
    )
    # The last convolution's 32 weights stay float32 with us.
    assert [tensor.type for tensor in found] == ["float16"] * 4 + ["float32"]
    for mine, theirs in zip(found, expected, strict=True):
        assert theirs.type == "float16"
        assert mine.values is not None
        np.testing.assert_array_equal(mine.values.astype(np.float16), theirs.values)


@pytest.mark.parametrize(("variant", "tolerance"), [("fp16", 2e-3), ("dynamic_int8", 1e-6)])
def test_the_files_compute_the_same(variant: str, tolerance: float, ours: Path, converted: Path) -> None:
    found, expected = (
        run_tflite(folder / f"network_{variant}.tflite", frame()) for folder in (ours, converted)
    )
    assert expected.std() > 0.01
    # Biases are float32 with us and float16 there.
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("variant", ["fp16", "dynamic_int8"])
def test_operator_versions_are_no_newer_than_the_converters(
    variant: str, ours: Path, converted: Path
) -> None:
    found, expected = (inspect_model(folder / f"network_{variant}.tflite") for folder in (ours, converted))
    newest = dict(expected.operator_versions)
    assert all(version <= newest[operator] for operator, version in found.operator_versions)
    assert found.min_runtime_version == expected.min_runtime_version
