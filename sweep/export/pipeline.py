"""The export: a trained or untrained network becomes an ONNX file and TFLite files that agree with it."""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sweep.export.inspect import FRAME_SHAPE, contract_of, inspect_model
from sweep.export.result import ExportedFiles, VariantFile
from sweep.export.variants import CALIBRATED, VARIANTS, Variant, convert

if TYPE_CHECKING:
    from sweep.export.graph import TFLiteGraph
    from sweep.export.model_info import ModelInfo
    from sweep.export.quantization.calibration import Calibration
    from sweep.models import DepthNetwork

DESCRIPTION = "depth-sweep: RGB 0..255 to depth in millimetres"
Frames = NDArray[np.uint8]


def export_network(
    network: DepthNetwork,
    directory: Path,
    frames: Frames,
    *,
    variants: Sequence[Variant] = ("fp32",),
    calibration: Frames | None = None,
    tolerance: float = 1e-3,
) -> ExportedFiles:
    """Write ``model.onnx`` and a TFLite file for each variant into ``directory``, all checked.

    The float32 file, ``model.tflite``, maps 1x480x640x3 float32 RGB 0..255 (NHWC) to 1x480x640x1 float32
    millimetres; the ONNX file is the same in NCHW. Other variants, ``model_VARIANT.tflite``, have the input and
    output that `Variant` tells. The network is left as it was. The files appear only after all checks, the first
    variant's last.

    Args:
        network: the network, on any device.
        directory: made if it does not exist.
        frames: (N, 480, 640, 3) uint8, N at least 1, what parity is checked on: at every pixel the float32 files
            may differ from the network by ``tolerance`` at most; other variants may differ from the float32 file
            by what `sweep.export.variant_parity.TOLERANCES` allows.
        variants: what to write, each once. The float32 file is made and checked even if it is not among them.
        calibration: (M, 480, 640, 3) uint8, from which the variants in `CALIBRATED` take the ranges of their
            activations: 16 or more frames of the training data; ``frames`` by default.
        tolerance: see ``frames``.

    Raises:
        UnsupportedOperatorError, ParityError: and any other ExportError; trying again changes nothing.
        ValueError: frames of another shape or type; variants that are unknown, double, or none.
    """
    # Torch and ONNX take seconds to import, and those who only run exported files need neither.
    from sweep.export.fusion import optimise
    from sweep.export.lowering import lower
    from sweep.export.onnx_export import exact_nearest, network_to_onnx, read_graph
    from sweep.export.parity import check_parity, tflite_depth_mm

    started = time.perf_counter()
    check_variants(variants)
    check_frames("frames", frames)
    if calibration is not None:
        check_frames("calibration frames", calibration)
    frozen = copy.deepcopy(network).cpu().float().eval()
    model = network_to_onnx(frozen)
    graph = lower(optimise(read_graph(model)))
    model = exact_nearest(model)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".export-") as unchecked:
        onnx_path, float_path = Path(unchecked, "model.onnx"), Path(unchecked, file_name("fp32"))
        onnx_path.write_bytes(model.SerializeToString(deterministic=True))
        float_info = write_checked(graph, float_path)
        parity = check_parity(frozen, model, graph, float_path, frames, tolerance)
        float_seconds = time.perf_counter() - started
        float_file = describe(float_path, float_info, float_seconds)
        source = None
        if set(variants) != {"fp32"}:
            activations = observe(graph, variants, frames if calibration is None else calibration)
            source = FloatSource(graph, activations, frames, tflite_depth_mm(float_path, frames))
        made = {
            variant: (float_file, float_info)
            if source is None or variant == "fp32"
            else source.make(variant, Path(unchecked))
            for variant in variants
        }
        for path in (onnx_path, *(made[variant][0].tflite for variant in reversed(variants))):
            os.replace(path, directory / path.name)
    files = {
        variant: replace(file, tflite=directory / file.tflite.name) for variant, (file, _) in made.items()
    }
    first, info = files[variants[0]], made[variants[0]][1]
    return ExportedFiles(
        tflite=first.tflite,
        onnx=directory / onnx_path.name,
        sha256=first.sha256,
        size_bytes=first.size_bytes,
        parameters=info.parameters,
        multiply_adds=info.multiply_adds,
        operators=first.operators,
        parity=parity,
        seconds=time.perf_counter() - started,
        variants=files,
    )


@dataclass(frozen=True)
class FloatSource:
    """What the other variants are made from and held against: the float32 graph, and the depth of its file."""

    graph: TFLiteGraph
    calibration: Calibration | None
    frames: Frames
    depth_mm: NDArray[np.float32]

    def make(self, variant: Variant, directory: Path) -> tuple[VariantFile, ModelInfo]:
        """Write the variant's file into the directory and check it; the file, and what it holds."""
        from sweep.export.variant_parity import check_variant

        started = time.perf_counter()
        converted = convert(self.graph, variant, self.calibration)
        path = directory / file_name(variant)
        info = write_checked(converted, path)
        difference = check_variant(self.graph, converted, variant, path, self.frames, self.depth_mm)
        file = describe(path, info, time.perf_counter() - started)
        return replace(file, **asdict(difference)), info


def observe(graph: TFLiteGraph, variants: Sequence[Variant], frames: Frames) -> Calibration | None:
    """The activations on these frames, if a variant needs them."""
    from sweep.export.quantization.calibration import calibrate

    return None if CALIBRATED.isdisjoint(variants) else calibrate(graph, frames)


def file_name(variant: Variant) -> str:
    """What the variant's file is called."""
    return "model.tflite" if variant == "fp32" else f"model_{variant}.tflite"


def write_checked(graph: TFLiteGraph, path: Path) -> ModelInfo:
    """Write a file, read it back, and check that it keeps the contract."""
    from sweep.export.writer import write_tflite

    path.write_bytes(write_tflite(graph, DESCRIPTION))
    info = inspect_model(path)
    contract_of(info, str(path))
    return info


def describe(path: Path, info: ModelInfo, seconds: float) -> VariantFile:
    """A file's facts, as one that does not differ from the float32 file."""
    return VariantFile(
        tflite=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        size_bytes=info.size_bytes,
        operators=info.operator_counts,
        max_relative=0.0,
        mean_relative=0.0,
        si_rmse=0.0,
        seconds=seconds,
    )


def check_variants(variants: Sequence[Variant]) -> None:
    """Raise ValueError unless there are variants, all known and different."""
    if not variants or len(set(variants)) < len(variants) or not set(variants) <= set(VARIANTS):
        raise ValueError(f"variants are {tuple(variants)}, allowed are one or more of {VARIANTS}, each once")


def check_frames(what: str, frames: Frames) -> None:
    """Raise ValueError unless the frames are (N, 480, 640, 3) uint8 with N at least 1."""
    if frames.dtype != np.uint8 or frames.shape[1:] != FRAME_SHAPE[1:] or len(frames) == 0:
        raise ValueError(
            f"{what} are {frames.shape} {frames.dtype}, allowed is (N, 480, 640, 3) uint8 with N at least 1"
        )
