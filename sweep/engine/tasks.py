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
from typing import Any, Literal

from sweep.engine.quiet import QuietHost

PARITY_FRAMES = 2
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
) -> dict[str, Any]:
    """Export the network, trained (``checkpoint``) or as initialised; return the export's facts.

    Raises:
        ExportError: the candidate cannot be exported faithfully.
    """
    with _busy(quiet_directory):
        import torch

        from sweep.data import load_dataset
        from sweep.export import export_network
        from sweep.models import build_network
        from sweep.models.untrained import settle_batch_norm
        from sweep.space.candidate import Candidate
        from sweep.training.checkpoint import read_checkpoint

        torch.manual_seed(seed)
        network = build_network(Candidate.model_validate(candidate).architecture)
        frames = load_dataset(Path(dataset_path)).validation.rgb[:PARITY_FRAMES]
        if checkpoint is None:
            settle_batch_norm(network, frames)
        else:
            network.load_state_dict(read_checkpoint(Path(checkpoint), torch.device("cpu"))["network"])
        exported = export_network(network, Path(directory), frames)
    facts = asdict(exported)
    return {key: str(value) if isinstance(value, Path) else value for key, value in facts.items()}


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


def check_reference(tflite: str, dataset_path: str, quiet_directory: str | None) -> float:
    """Largest relative difference between tflite-runtime and TensorFlow's reference kernels on one frame."""
    with _busy(quiet_directory):
        from sweep.data import load_dataset
        from sweep.export.reference import reference_parity

        return reference_parity(
            Path(tflite), load_dataset(Path(dataset_path)).validation.rgb[:1], REFERENCE_TIMEOUT_S
        )


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


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` for people and tools to read."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
