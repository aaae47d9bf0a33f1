"""Exporting one network to every file that a sweep asks for; runs in a worker process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sweep.engine.exports import ExportedFile, one_line
from sweep.export import ExportError, export_network
from sweep.export.compatibility import check_export, required_operators
from sweep.export.errors import IncompatibleRuntime

if TYPE_CHECKING:
    from sweep.export.result import ExportedFiles
    from sweep.models import DepthNetwork
    from sweep.space.candidate import Upsampling
    from sweep.space.exports import ExportChoices, Variant


def export_files(
    network_of: Callable[[Upsampling | None], DepthNetwork],
    directory: Path,
    frames: NDArray[np.uint8],
    calibration: NDArray[np.uint8] | None,
    choices: ExportChoices,
    runtime: str = "",
) -> list[ExportedFile]:
    """Export every variant with every last resize asked for; what fails is told and hinders nothing else.

    Args:
        network_of: the network with that last resize (None: its own), all with the same weights.
        directory: where the files go: ``model.tflite`` or ``model_VARIANT.tflite`` and ``model.onnx``; where last
            resizes are asked for, ``model_VARIANT_UPSAMPLING.tflite`` and ``model_UPSAMPLING.onnx``.
        frames: (N, 480, 640, 3) uint8, what parity is checked on.
        calibration: (M, 480, 640, 3) uint8, what the variants in `CALIBRATED` take their ranges from.
        choices: what is asked for.
        runtime: what must be able to run the files, such as tflite-2.5.0; empty: they are not held against any.
    """
    exported = _export_all(network_of, directory, frames, calibration, choices)
    return [_held_against(file, runtime) for file in exported] if runtime else exported


def calibration_frames(train_rgb: NDArray[np.uint8], count: int, seed: int) -> NDArray[np.uint8]:
    """``count`` training images (or all, if there are fewer), drawn with ``seed``, as frames of 480x640.

    Training images are stored at 240x320, each pixel the mean of 2x2. Repeating it restores a frame whose 2x2
    means are the stored image exactly, with the same range of values; interpolation would narrow the range.

    Args:
        train_rgb: (N, H, W, 3) uint8; 480 and 640 are multiples of H and W.
        count: at least 1.
        seed: the sweep's.

    Returns:
        (M, 480, 640, 3) uint8.
    """
    count = min(count, len(train_rgb))
    drawn = np.sort(np.random.default_rng(seed).choice(len(train_rgb), count, replace=False))
    images = train_rgb[drawn]
    return images.repeat(480 // images.shape[1], axis=1).repeat(640 // images.shape[2], axis=2)


def _export_all(
    network_of: Callable[[Upsampling | None], DepthNetwork],
    directory: Path,
    frames: NDArray[np.uint8],
    calibration: NDArray[np.uint8] | None,
    choices: ExportChoices,
) -> list[ExportedFile]:
    if not choices.output_upsampling:
        return _export_variants(network_of(None), directory, frames, calibration, choices.variants)
    directory.mkdir(parents=True, exist_ok=True)
    exported: list[ExportedFile] = []
    for upsampling in choices.output_upsampling:
        with tempfile.TemporaryDirectory(dir=directory, prefix=".export-") as draft:
            network = network_of(upsampling)
            files = _export_variants(network, Path(draft), frames, calibration, choices.variants)
            exported += [_moved(file, directory) for file in files]
    return exported


def _export_variants(
    network: DepthNetwork,
    directory: Path,
    frames: NDArray[np.uint8],
    calibration: NDArray[np.uint8] | None,
    variants: Sequence[Variant],
) -> list[ExportedFile]:
    """All in one go, which shares most of the work; if that fails, one by one, to see which of them does."""
    upsampling = network.architecture.output.upsampling

    def export(wanted: Sequence[Variant]) -> Iterator[ExportedFile]:
        exported = export_network(network, directory, frames, variants=wanted, calibration=calibration)
        return (ExportedFile(name, upsampling, _facts(exported, name)) for name in wanted)

    try:
        return list(export(variants))
    except ExportError as error:
        if len(variants) == 1:
            return [ExportedFile(variants[0], upsampling, {}, one_line(error))]
    return [
        file
        for variant in variants
        for file in _export_variants(network, directory, frames, calibration, (variant,))
    ]


def _facts(exported: ExportedFiles, variant: Variant) -> dict[str, Any]:
    """What the export says of one variant's file; paths as text."""
    facts = asdict(exported)
    of_variants = facts.pop("variants")
    if len(of_variants) > 1 or variant != "fp32":
        facts |= of_variants[variant]
    return {key: str(value) if isinstance(value, Path) else value for key, value in facts.items()}


def _moved(file: ExportedFile, directory: Path) -> ExportedFile:
    """The file under the name that tells its last resize too."""
    if not file.facts:
        return file
    names = {"tflite": f"model_{file.name}.tflite", "onnx": f"model_{file.output_upsampling}.onnx"}
    for kind, name in names.items():
        source = Path(file.facts[kind])
        if source.exists():  # several variants share one ONNX file
            os.replace(source, directory / name)
    paths = {kind: str(directory / name) for kind, name in names.items()}
    return replace(file, facts={**file.facts, **paths})


def _held_against(file: ExportedFile, runtime: str) -> ExportedFile:
    """The file, out of the question if the runtime lacks one of its operators."""
    if file.reason:
        return file
    try:
        check_export(required_operators(Path(file.facts["tflite"])), runtime)
    except IncompatibleRuntime as error:
        return replace(file, reason=one_line(error))
    except ValueError:  # a runtime of another family: its device will say what it cannot run
        return file
    return file
