"""The export: a trained or untrained network becomes an ONNX file and a TFLite file that agree with it."""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sweep.export.inspect import FRAME_SHAPE, check_contract, inspect_model
from sweep.export.result import ExportedFiles

if TYPE_CHECKING:
    from sweep.models import DepthNetwork

DESCRIPTION = "depth-sweep: RGB 0..255 to depth in millimetres"


def export_network(
    network: DepthNetwork, directory: Path, frames: NDArray[np.uint8], *, tolerance: float = 1e-3
) -> ExportedFiles:
    """Write ``model.onnx`` and ``model.tflite`` into ``directory`` and check both against the network.

    The TFLite file maps 1x480x640x3 float32 RGB 0..255 (NHWC) to 1x480x640x1 float32 millimetres; the ONNX
    file is the same in NCHW. ``frames`` (N, 480, 640, 3) uint8, N at least 1, are what parity is checked on:
    at every pixel the relative difference may be at most ``tolerance``. The network is left as it was. The
    files appear only after all checks, the TFLite file last.

    Raises UnsupportedOperatorError or ParityError (both are ExportError), ValueError for frames of another
    shape or type.
    """
    # Torch and ONNX take seconds to import, and those who only run exported files need neither.
    from sweep.export.fusion import optimise
    from sweep.export.lowering import lower
    from sweep.export.onnx_export import exact_nearest, network_to_onnx, read_graph
    from sweep.export.parity import check_parity
    from sweep.export.writer import write_tflite

    started = time.perf_counter()
    check_frames(frames)
    frozen = copy.deepcopy(network).cpu().float().eval()
    model = network_to_onnx(frozen)
    graph = lower(optimise(read_graph(model)))
    tflite_bytes = write_tflite(graph, DESCRIPTION)
    model = exact_nearest(model)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".export-") as unchecked:
        onnx_path, tflite_path = Path(unchecked, "model.onnx"), Path(unchecked, "model.tflite")
        onnx_path.write_bytes(model.SerializeToString(deterministic=True))
        tflite_path.write_bytes(tflite_bytes)
        check_contract(tflite_path)
        parity = check_parity(frozen, model, graph, tflite_path, frames, tolerance)
        for path in (onnx_path, tflite_path):
            os.replace(path, directory / path.name)
    info = inspect_model(directory / "model.tflite")
    return ExportedFiles(
        tflite=directory / "model.tflite",
        onnx=directory / "model.onnx",
        sha256=hashlib.sha256(tflite_bytes).hexdigest(),
        size_bytes=info.size_bytes,
        parameters=info.parameters,
        multiply_adds=info.multiply_adds,
        operators=info.operator_counts,
        parity=parity,
        seconds=time.perf_counter() - started,
    )


def check_frames(frames: NDArray[np.uint8]) -> None:
    """Raise ValueError unless the frames are (N, 480, 640, 3) uint8 with N at least 1."""
    if frames.dtype != np.uint8 or frames.shape[1:] != FRAME_SHAPE[1:] or len(frames) == 0:
        raise ValueError(
            f"frames are {frames.shape} {frames.dtype}, allowed is (N, 480, 640, 3) uint8 with N at least 1"
        )
