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
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from sweep.export.differences import relative_difference, si_rmse_between
from sweep.export.errors import RunnerError
from sweep.export.inspect import Contract, check_contract
from sweep.export.interpreter import TFLiteRunner, output_depth_mm

Kernels = Literal["reference", "default"]
Array = NDArray[np.float32] | NDArray[np.uint8]

QUIET: Mapping[str, str] = {
    "CUDA_VISIBLE_DEVICES": "",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


@dataclass(frozen=True)
class ReferenceDifference:
    """How far two ways to run one file are apart, over all pixels of some frames.

    Attributes:
        max_relative: the largest |a - b| / b of any pixel, for depths a and the reference's b.
        mean_relative: the mean of the same.
        si_rmse: see `si_rmse_between`; the measure for quantised files, in which another rounding moves a pixel by
            a whole step.
        max_codes: the largest difference in codes of a uint8 output; None for an output in millimetres.
    """

    max_relative: float
    mean_relative: float
    si_rmse: float
    max_codes: int | None = None


def reference_outputs(model: Path, frames: NDArray[np.uint8], timeout_seconds: float) -> NDArray[np.float32]:
    """The file's depth in millimetres for frames (N, 480, 640, 3), decoded if it is encoded: (N, 480, 640).

    Raises RunnerError if the child fails or takes longer than ``timeout_seconds``.
    """
    return output_depth_mm(_raw_outputs(model, frames, timeout_seconds), check_contract(model))


def reference_difference(
    model: Path, frames: NDArray[np.uint8], timeout_seconds: float
) -> ReferenceDifference:
    """tflite-runtime, as it comes, against the reference kernels, on frames (N, 480, 640, 3), N at least 1.

    Raises ContractError if the file breaks the contract; RunnerError if a runtime fails on it, or the child takes
    longer than ``timeout_seconds``.
    """
    runner = TFLiteRunner(model)
    found = cast(Array, np.stack([runner.predict_raw(frame) for frame in frames]))
    return difference(found, _raw_outputs(model, frames, timeout_seconds), runner.contract)


def difference(found: Array, expected: Array, contract: Contract) -> ReferenceDifference:
    """How far two outputs of one file are apart, both (N, 480, 640) and as the file gives them."""
    found_mm, expected_mm = (
        output_depth_mm(output, contract).astype(np.float64) for output in (found, expected)
    )
    relative = relative_difference(found_mm, expected_mm)
    codes = np.abs(found.astype(np.int16) - expected) if contract.depth_encoding is not None else None
    return ReferenceDifference(
        max_relative=float(relative.max()),
        mean_relative=float(relative.mean()),
        si_rmse=si_rmse_between(found_mm, expected_mm),
        max_codes=None if codes is None else int(codes.max()),
    )


def _raw_outputs(model: Path, frames: NDArray[np.uint8], timeout_seconds: float) -> Array:
    """What the file puts out under the reference kernels: (N, 480, 640)."""
    (outputs,) = run_under_tensorflow([(model, frames)], timeout_seconds)
    return outputs.reshape(frames.shape[:3])


def run_under_tensorflow(
    jobs: Sequence[tuple[Path, Array]],
    timeout_seconds: float,
    *,
    kernels: Kernels = "reference",
    python: str = sys.executable,
) -> list[Array]:
    """For each (file, inputs (N, ...)) the N outputs as the file gives them, stacked; all share one child process.

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
