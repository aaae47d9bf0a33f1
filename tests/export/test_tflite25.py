"""Exported files run on the challenge's runtime, TensorFlow Lite 2.5.0, and give the same depth there."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from export_support import trained_looking
from numpy.typing import NDArray

from sweep.export import export_network
from sweep.export.interpreter import TFLiteRunner
from sweep.export.reference import run_under_tensorflow
from sweep.space.candidate import Architecture

pytestmark = pytest.mark.tflite25


@pytest.fixture(scope="module")
def python() -> str:
    return os.environ["DEPTH_SWEEP_TFLITE25_PYTHON"]


def test_that_python_has_tensorflow_2_5_0(python: str) -> None:
    command = [python, "-c", "import tensorflow; print(tensorflow.__version__)"]
    child = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"CUDA_VISIBLE_DEVICES": ""}
    )
    assert child.stdout.strip() == "2.5.0"


def test_exported_files_give_the_same_depth_under_tflite_2_5_0(
    python: str, architectures: dict[str, Architecture], photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    paths = [
        export_network(trained_looking(architecture), tmp_path / name, photos).tflite
        for name, architecture in architectures.items()
    ]
    jobs = [(path, photos) for path in paths]
    old = run_under_tensorflow(jobs, timeout_seconds=120, kernels="default", python=python)
    for path, depth_mm in zip(paths, old, strict=True):
        runner = TFLiteRunner(path)
        expected = np.stack([runner.predict(photo) for photo in photos])
        np.testing.assert_allclose(depth_mm[..., 0], expected, rtol=1e-4, err_msg=path.parent.name)
