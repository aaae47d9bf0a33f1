"""Any architecture that a candidate can have is exported, and its files compute what the network computes."""

import os
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from architecture_strategy import ENCODERS, architectures, diverse_architectures
from export_support import trained_looking
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sweep.export import check_contract, export_network, inspect_model
from sweep.export.compatibility import check_target
from sweep.export.interpreter import TFLiteRunner, output_depth_mm
from sweep.export.reference import run_under_tensorflow
from sweep.export.variants import VARIANTS, Variant
from sweep.space.candidate import Architecture

Photos = NDArray[np.uint8]

drawn = {"data": st.data(), "seed": st.integers(0, 2**31)}
each_encoder = pytest.mark.parametrize("encoder", ENCODERS)


def check_float_file(architecture: Architecture, seed: int, photos: Photos, folder: Path) -> None:
    """Export it, which checks parity to a thousandth; and no operator is there that could be saved."""
    files = export_network(trained_looking(architecture, seed), folder, photos[:1])
    assert files.parity.max_relative <= 1e-3
    assert files.operators.keys().isdisjoint({"TRANSPOSE", "PAD", "RELU", "RELU6", "SUB", "DIV"})
    assert check_target(inspect_model(files.tflite).operator_versions, "tflite-2.5.0") == ()


@each_encoder
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(**drawn)
def test_architectures_drawn_from_the_model_agree_with_torch(
    encoder: str, data: st.DataObject, seed: int, photos: Photos, tmp_path_factory: pytest.TempPathFactory
) -> None:
    architecture = data.draw(architectures(encoder))
    check_float_file(architecture, seed, photos, tmp_path_factory.mktemp("any"))


@pytest.mark.long
@each_encoder
@settings(max_examples=19, deadline=None, suppress_health_check=list(HealthCheck))
@given(**drawn)
def test_many_architectures_drawn_from_the_model_agree_with_torch(
    encoder: str, data: st.DataObject, seed: int, photos: Photos, tmp_path_factory: pytest.TempPathFactory
) -> None:
    architecture = data.draw(architectures(encoder))
    check_float_file(architecture, seed, photos, tmp_path_factory.mktemp("any"))


@pytest.mark.long
@each_encoder
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(**drawn)
def test_all_variants_of_drawn_architectures_are_near_enough_and_run_on_tflite_2_5(
    encoder: str, data: st.DataObject, seed: int, photos: Photos, tmp_path_factory: pytest.TempPathFactory
) -> None:
    network = trained_looking(data.draw(architectures(encoder)), seed)
    files = export_network(network, tmp_path_factory.mktemp("variants"), photos, variants=VARIANTS)
    for variant, file in files.variants.items():
        assert check_target(inspect_model(file.tflite).operator_versions, "tflite-2.5.0") == (), variant


@dataclass(frozen=True)
class Exported:
    """A file to run under another runtime."""

    name: str
    path: Path
    variant: Variant


@pytest.mark.tflite25
def test_each_encoder_runs_under_tflite_2_5_0_in_one_variant_or_another(
    photos: Photos, tmp_path: Path
) -> None:
    exported = []
    variants = cycle(VARIANTS)
    for name, architecture in diverse_architectures().items():
        variant = next(variants)
        wanted = tuple(dict.fromkeys(("fp32", variant)))
        files = export_network(trained_looking(architecture), tmp_path / name, photos, variants=wanted)
        exported += [Exported(name, file.tflite, kind) for kind, file in files.variants.items()]
    old = run_under_tensorflow(
        [(file.path, photos) for file in exported],
        timeout_seconds=240,
        kernels="default",
        python=os.environ["DEPTH_SWEEP_TFLITE25_PYTHON"],
    )
    for file, outputs in zip(exported, old, strict=True):
        runner = TFLiteRunner(file.path)
        expected = np.stack([runner.predict(photo) for photo in photos]).astype(np.float64)
        found = output_depth_mm(outputs[..., 0], check_contract(file.path))
        # Kernels of different releases round sums differently, which adds up through the layers.
        limit = 1e-4 if file.variant in ("fp32", "fp16") else 0.06
        assert np.mean(np.abs(found - expected) / expected) < limit, (file.name, file.variant)
