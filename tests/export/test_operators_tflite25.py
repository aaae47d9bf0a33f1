"""Every operator, in every form that the exporter writes, under TensorFlow Lite 2.5.0: floats and integers."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from export_support import lower_module, nhwc, run_tflite
from test_operator_parity import CASES, randomise_norms

from sweep.export.inspect import inspect_model
from sweep.export.quantization.calibration import calibrate
from sweep.export.quantization.full_int8 import quantize_all
from sweep.export.reference import run_under_tensorflow
from sweep.export.writer import write_tflite

pytestmark = pytest.mark.tflite25


def largest_step(path: Path) -> float:
    """The coarsest scale of the file's activations, 0 in a float file."""
    tensors = inspect_model(path).tensors
    return max((t.quantization.scales[0] for t in tensors if t.quantization and not t.constant), default=0.0)


@pytest.mark.parametrize("form", ["float", "int8"])
def test_every_operator_computes_the_same_as_under_tflite_2_14(form: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    jobs = []
    for name, case in CASES.items():
        randomise_norms(case.module)
        example = torch.from_numpy(random.normal(size=case.shape).astype(np.float32))
        graph, inputs = lower_module(case.module, example), nhwc(example)
        if form == "int8":
            graph = quantize_all(graph, calibrate(graph, inputs))
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(write_tflite(graph, name))
        jobs.append((path, inputs))
    python = os.environ["DEPTH_SWEEP_TFLITE25_PYTHON"]
    outputs = run_under_tensorflow(jobs, timeout_seconds=240, kernels="default", python=python)
    for (path, inputs), found in zip(jobs, outputs, strict=True):
        expected = run_tflite(path, inputs)
        # Integer kernels may round the other way, more than once in a row; what they do is no other function.
        np.testing.assert_allclose(
            found, expected, rtol=1e-4, atol=1e-4 + 3 * largest_step(path), err_msg=path.stem
        )
