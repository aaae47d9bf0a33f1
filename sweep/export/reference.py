"""An independent look at a TFLite file: TensorFlow's reference kernels, in a child process.

TensorFlow takes seconds and hundreds of megabytes to import, so it never enters the processes that train and
judge. A child costs about 5 s; give it many jobs at once.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sweep.export.errors import RunnerError
from sweep.export.interpreter import TFLiteRunner

Kernels = Literal["reference", "default"]
Array = NDArray[np.float32] | NDArray[np.uint8]

QUIET: Mapping[str, str] = {
    "CUDA_VISIBLE_DEVICES": "",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


def reference_outputs(model: Path, frames: NDArray[np.uint8], timeout_seconds: float) -> NDArray[np.float32]:
    """The file's depth in millimetres for frames (N, 480, 640, 3): (N, 480, 640).

    Raises RunnerError if the child fails or takes longer than ``timeout_seconds``.
    """
    (outputs,) = run_under_tensorflow([(model, frames)], timeout_seconds)
    return outputs.reshape(frames.shape[:3])


def reference_parity(model: Path, frames: NDArray[np.uint8], timeout_seconds: float) -> float:
    """The largest relative difference of any pixel between tflite-runtime and the reference kernels."""
    reference_mm = reference_outputs(model, frames, timeout_seconds).astype(np.float64)
    runner = TFLiteRunner(model)
    depth_mm = np.stack([runner.predict(frame) for frame in frames])
    return float(np.max(np.abs(depth_mm - reference_mm) / np.abs(reference_mm)))


def run_under_tensorflow(
    jobs: Sequence[tuple[Path, Array]],
    timeout_seconds: float,
    *,
    kernels: Kernels = "reference",
    python: str = sys.executable,
) -> list[NDArray[np.float32]]:
    """For each (file, inputs (N, ...)) the N outputs, stacked; all jobs share one child process.

    ``python`` is an interpreter that has TensorFlow and NumPy, of any version from 3.7 on. Raises RunnerError
    with the child's last words if it fails or takes longer than ``timeout_seconds``.
    """
    with tempfile.TemporaryDirectory(prefix="depth-sweep-reference-") as directory:
        listed: list[tuple[str, str, str]] = []
        for index, (model, inputs) in enumerate(jobs):
            inputs_path, outputs_path = (Path(directory, f"{index}-{end}.npy") for end in ("in", "out"))
            np.save(inputs_path, inputs)
            listed.append((str(model.resolve()), str(inputs_path), str(outputs_path)))
        jobs_path = Path(directory, "jobs.json")
        jobs_path.write_text(json.dumps(listed), encoding="utf-8")
        script = Path(__file__).with_name("reference_child.py")
        # Isolated (-I): the script's folder must not stand before the standard library's modules.
        run_child([python, "-I", str(script), kernels, str(jobs_path)], timeout_seconds)
        return [np.load(outputs_path) for _, _, outputs_path in listed]


def run_child(command: Sequence[str], timeout_seconds: float) -> None:
    """Run to the end, or kill it at the timeout; RunnerError in either bad case."""
    environment = {**os.environ, **QUIET}
    try:
        child = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RunnerError(f"TensorFlow's interpreter took longer than {timeout_seconds} s") from error
    if child.returncode != 0:
        last_words = "\n".join(child.stderr.strip().splitlines()[-5:])
        raise RunnerError(f"TensorFlow's interpreter failed with exit code {child.returncode}:\n{last_words}")
