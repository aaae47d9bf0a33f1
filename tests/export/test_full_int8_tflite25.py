"""Every variant runs on the challenge's runtime, TensorFlow Lite 2.5.0, and gives nearly the same depth there."""

import os
from pathlib import Path

import numpy as np
import pytest
from export_support import trained_looking
from numpy.typing import NDArray

from sweep.export import check_contract, export_network
from sweep.export.interpreter import TFLiteRunner, output_depth_mm
from sweep.export.reference import run_under_tensorflow
from sweep.export.variants import VARIANTS
from sweep.space.candidate import Architecture

pytestmark = pytest.mark.tflite25


def test_all_variants_run_on_tflite_2_5_0_and_give_nearly_the_same_depth(
    architectures: dict[str, Architecture], photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    files = [
        file.tflite
        for name, architecture in architectures.items()
        for file in export_network(
            trained_looking(architecture), tmp_path / name, photos, variants=VARIANTS, calibration=photos
        ).variants.values()
    ]
    python = os.environ["DEPTH_SWEEP_TFLITE25_PYTHON"]
    outputs = run_under_tensorflow(
        [(path, photos) for path in files], timeout_seconds=240, kernels="default", python=python
    )
    for path, output in zip(files, outputs, strict=True):
        runner = TFLiteRunner(path)
        expected = np.stack([runner.predict(photo) for photo in photos]).astype(np.float64)
        found = output_depth_mm(output[..., 0], check_contract(path))
        # Kernels of different releases round sums differently, which adds up through the layers.
        limit = 1e-4 if path.stem in ("model", "model_fp16") else 0.06
        assert np.mean(np.abs(found - expected) / expected) < limit, path
