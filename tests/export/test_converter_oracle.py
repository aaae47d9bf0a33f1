"""TensorFlow's own graph and converter, given the same weights, agree with our exporter."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from export_support import lower_module, run_tflite
from torch import Tensor, nn

from sweep.export import inspect_model
from sweep.export.reference import QUIET
from sweep.export.versions import release
from sweep.export.writer import write_tflite
from sweep.models.layers import InvertedResidual

pytestmark = pytest.mark.long


class Tail(nn.Module):
    """The end of a depth network: clamp, exponential, millimetres, resize."""

    def forward(self, log_depth: Tensor) -> Tensor:
        depth_mm = 1000 * log_depth.clamp(math.log(0.1), math.log(100.0)).exp()
        return F.interpolate(depth_mm, size=(480, 640), mode="bilinear", align_corners=False)


@pytest.fixture(scope="module")
def block() -> InvertedResidual:
    torch.manual_seed(0)
    block = InvertedResidual(
        8,
        16,
        hidden=24,
        kernel=5,
        stride=2,
        squeeze_excite=True,
        activation="hard_swish",
        residual_gain=1,
    ).eval()
    for norm in block.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    return block


@pytest.fixture(scope="module")
def converted(block: InvertedResidual, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the files of TensorFlow's converter."""
    folder = tmp_path_factory.mktemp("oracle")
    weights = {name: value.numpy() for name, value in block.state_dict().items()}
    np.savez(folder / "weights.npz", **weights)
    script = Path(__file__).with_name("keras_oracle_child.py")
    command = [sys.executable, str(script), str(folder / "weights.npz"), str(folder)]
    child = subprocess.run(command, env={**os.environ, **QUIET}, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-2000:]
    return folder


def test_an_inverted_residual_equals_the_converted_graph(
    block: InvertedResidual, converted: Path, tmp_path: Path
) -> None:
    path = tmp_path / "block.tflite"
    path.write_bytes(write_tflite(lower_module(block, torch.zeros(1, 8, 16, 20)), "block"))
    features = np.random.default_rng(0).normal(size=(1, 16, 20, 8)).astype(np.float32)
    oracle = run_tflite(converted / "block.tflite", features)
    assert oracle.std() > 0.1
    np.testing.assert_allclose(run_tflite(path, features), oracle, rtol=1e-4, atol=1e-5)


def test_the_end_of_the_network_equals_the_converted_graph(converted: Path, tmp_path: Path) -> None:
    path = tmp_path / "tail.tflite"
    path.write_bytes(write_tflite(lower_module(Tail(), torch.zeros(1, 1, 12, 16)), "tail"))
    log_depth = np.random.default_rng(0).normal(1.4, 2, (1, 12, 16, 1)).astype(np.float32)
    oracle = run_tflite(converted / "tail.tflite", log_depth)
    np.testing.assert_allclose(run_tflite(path, log_depth), oracle, rtol=1e-5)


@pytest.mark.parametrize("name", ["block", "tail"])
def test_our_operator_versions_and_runtime_are_no_newer_than_the_converters(
    name: str, block: InvertedResidual, converted: Path, tmp_path: Path
) -> None:
    module, shape = (block, (1, 8, 16, 20)) if name == "block" else (Tail(), (1, 1, 12, 16))
    path = tmp_path / f"{name}.tflite"
    path.write_bytes(write_tflite(lower_module(module, torch.zeros(shape)), name))
    ours, theirs = inspect_model(path), inspect_model(converted / f"{name}.tflite")
    newest = dict(theirs.operator_versions)
    assert all(version <= newest.get(operator, version) for operator, version in ours.operator_versions)
    assert ours.min_runtime_version is not None
    assert theirs.min_runtime_version is not None
    assert release(ours.min_runtime_version) <= release(theirs.min_runtime_version)
