"""Steps that run as one-CPU Ray tasks on the sweep's host: exporting, judging, picturing.

They take and return plain data, import the heavy libraries inside the worker process, and stand back, imports
included, while a measurement is taken on this machine.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sweep.engine.exports import ExportedFile
from sweep.engine.quiet import QuietHost
from sweep.space import ExportChoices

if TYPE_CHECKING:
    from sweep.models import DepthNetwork
    from sweep.space.candidate import Architecture, Upsampling

PARITY_FRAMES = 2
CALIBRATION_FRAMES = 32
UNTRAINED_CALIBRATION_FRAMES = 4
"""Latency does not depend on the ranges."""
REFERENCE_TIMEOUT_S = 300.0


@contextmanager
def _busy(quiet_directory: str | None) -> Iterator[None]:
    if quiet_directory is None:
        yield
    else:
        with QuietHost(Path(quiet_directory)).busy():
            yield


def export_candidate(
    candidate: Mapping[str, Any],
    dataset_path: str,
    directory: str,
    checkpoint: str | None,
    seed: int,
    quiet_directory: str | None,
    choices: ExportChoices,
    runtime: str,
) -> list[ExportedFile]:
    """Export the network, trained (``checkpoint``) or as initialised, to every file of ``choices``.

    Each file comes with the export's facts, or with why it cannot be had or cannot run on ``runtime`` (empty: not
    held against any). Variants that need images are calibrated with training images, drawn with ``seed``.
    """
    with _busy(quiet_directory):
        from sweep.data import load_dataset
        from sweep.engine.exporting import calibration_frames, export_files
        from sweep.export.variants import CALIBRATED

        dataset = load_dataset(Path(dataset_path))
        frames = np.array(dataset.validation.rgb[:PARITY_FRAMES])  # a copy that torch may hold
        calibration = None
        if not CALIBRATED.isdisjoint(choices.variants):
            count = CALIBRATION_FRAMES if checkpoint else UNTRAINED_CALIBRATION_FRAMES
            calibration = calibration_frames(dataset.train.rgb, count, seed)

        def network_of(upsampling: "Upsampling | None") -> "DepthNetwork":
            return _network(_architecture(candidate, upsampling), frames, checkpoint, seed)

        return export_files(network_of, Path(directory), frames, calibration, choices, runtime)


def _architecture(candidate: Mapping[str, Any], upsampling: "Upsampling | None") -> "Architecture":
    """The candidate's, with another last resize if one is given; no weight belongs to it."""
    from sweep.space.candidate import Candidate

    architecture = Candidate.model_validate(candidate).architecture
    if upsampling is None:
        return architecture
    output = architecture.output.model_copy(update={"upsampling": upsampling})
    return architecture.model_copy(update={"output": output})


def _network(
    architecture: "Architecture", frames: NDArray[np.uint8], checkpoint: str | None, seed: int
) -> "DepthNetwork":
    """The trained network, or as initialised with ``seed`` and settled on ``frames``."""
    import torch

    from sweep.models import build_network
    from sweep.models.untrained import settle_batch_norm
    from sweep.training.checkpoint import read_checkpoint

    torch.manual_seed(seed)
    network = build_network(architecture)
    if checkpoint is None:
        settle_batch_norm(network, frames)
    else:
        network.load_state_dict(read_checkpoint(Path(checkpoint), torch.device("cpu"))["network"])
    return network


def judge_frames(
    tflite: str,
    data_path: str,
    start: int,
    stop: int,
    split: Literal["validation", "test"],
    quiet_directory: str | None,
) -> Any:
    """Judge the file on the frames ``start`` to ``stop`` of the split; a chunk for `sweep.judging.combine`."""
    with _busy(quiet_directory):
        from sweep.judging.judge import judge_chunk

        return judge_chunk(Path(tflite), Path(data_path), start, stop, split)


def check_reference(tflite: str, dataset_path: str, quiet_directory: str | None) -> dict[str, float]:
    """tflite-runtime against TensorFlow's reference kernels on one frame; see `ReferenceDifference`.

    The largest relative difference tells of float files; a quantised one may be a whole step off at some pixel, so
    that only the si-RMSE between the two tells of it.
    """
    with _busy(quiet_directory):
        from sweep.data import load_dataset
        from sweep.export.reference import reference_difference

        frames = load_dataset(Path(dataset_path)).validation.rgb[:1]
        found = reference_difference(Path(tflite), frames, REFERENCE_TIMEOUT_S)
    return {"reference_max_relative": found.max_relative, "reference_si_rmse": found.si_rmse}


def draw_picture(tflite: str, dataset_path: str, path: str, quiet_directory: str | None) -> None:
    """Write image, truth and prediction of one validation frame side by side as a PNG."""
    with _busy(quiet_directory):
        import cv2

        from sweep.data import load_dataset
        from sweep.export.interpreter import TFLiteRunner
        from sweep.judging.picture import qualitative_picture

        validation = load_dataset(Path(dataset_path)).validation
        rgb, truth = validation.rgb[0], validation.depth_mm[0]
        picture = qualitative_picture(rgb, truth, TFLiteRunner(Path(tflite)).predict(rgb))
        cv2.imwrite(path, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def find_baselines(dataset_path: str, quiet_directory: str | None) -> Any:
    """What predictors that never look at the image reach on this data; computed once per data set."""
    from sweep.data import load_dataset
    from sweep.judging.baselines import Baselines, baseline_metrics
    from sweep.judging.metrics import DepthMetrics

    cache = Path(dataset_path) / "baselines.json"
    if cache.exists():
        found = json.loads(cache.read_text())
        return Baselines(
            DepthMetrics(**found["constant"]), DepthMetrics(**found["mean_map"]), found["constant_mm"]
        )
    with _busy(quiet_directory):
        baselines = baseline_metrics(load_dataset(Path(dataset_path)))
    temporary = cache.with_suffix(f".{os.getpid()}.tmp")
    write_json(temporary, asdict(baselines))
    temporary.replace(cache)
    return baselines


def judge_teacher(
    candidate: Mapping[str, Any], checkpoint: str, dataset_path: str, quiet_directory: str | None
) -> float:
    """The partial si-RMSE, on the validation split, of the teacher whose weights ``checkpoint`` holds."""
    with _busy(quiet_directory):
        import torch

        from sweep.data import load_dataset
        from sweep.space.candidate import Candidate
        from sweep.training.teacher import load_teacher, teacher_si_rmse

        device = torch.device("cpu")
        architecture = Candidate.model_validate(candidate).architecture
        teacher = load_teacher(architecture, Path(checkpoint), device)
        return teacher_si_rmse(teacher, load_dataset(Path(dataset_path)).validation, device)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` for people and tools to read."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
