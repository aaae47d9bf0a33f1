"""A finished sweep's best trials in every variant: si-RMSE, size and latency of each file."""

from collections.abc import Sequence
from pathlib import Path

import torch
from export_converters import COMPARED, WarmChild
from export_figures import Latency, latencies

from sweep.data import Dataset
from sweep.engine.exporting import calibration_frames
from sweep.export import export_network
from sweep.export.result import ExportedFiles
from sweep.judging.judge import combine, judge_chunk
from sweep.lifecycle.state import read_state
from sweep.lifecycle.trial import Trial
from sweep.models import build_network
from sweep.space.candidate import Candidate
from sweep.training.checkpoint import read_checkpoint

CALIBRATION_FRAMES = 64
LATENCY_ROUNDS = 11
RUNS = Path("runs")


def print_trained(
    sweep: str, trials: int, dataset: Dataset, folder: Path, stopwatches: Sequence[WarmChild]
) -> None:
    """A table for each of the best trials whose checkpoints are still there."""
    directory = Path(sweep) if Path(sweep, "journal.jsonl").exists() else RUNS / sweep
    state = read_state(directory)
    kept = [trial for trial in state.trials.values() if trial.final_score is not None and trial.has_files]
    for trial in sorted(kept, key=lambda trial: -(trial.final_score or 0))[:trials]:
        exported = export_trial(directory, trial, dataset, folder / f"{trial.number:04}")
        print(f"Trial {trial.number}, candidate {trial.candidate_hash}, {exported.parameters:,} parameters")
        print_files(exported, dataset, stopwatches)


def export_trial(directory: Path, trial: Trial, dataset: Dataset, folder: Path) -> ExportedFiles:
    """Every compared variant of the trial's network as its last epoch left it."""
    checkpoint = directory / str(trial.checkpoint)
    network = build_network(Candidate.model_validate(trial.candidate).architecture)
    network.load_state_dict(read_checkpoint(checkpoint, torch.device("cpu"))["network"])
    calibration = calibration_frames(dataset.train.rgb, CALIBRATION_FRAMES, 0)
    frames = dataset.validation.rgb[:2]
    return export_network(network, folder, frames, variants=COMPARED, calibration=calibration)


def print_files(exported: ExportedFiles, dataset: Dataset, stopwatches: Sequence[WarmChild]) -> None:
    """One trial's table: milliseconds, and their ratio to the float32 file's, under each runtime."""
    files = [exported.variants[variant].tflite for variant in COMPARED]
    base = dict.fromkeys(files, files[0])
    runtimes = {child.runtime: latencies(child, files, base, LATENCY_ROUNDS) for child in stopwatches}
    heading = "".join(f" {f'ms, {runtime}':>17} {'ratio':>6}" for runtime in runtimes)
    print(f"{'variant':<13} {'si-RMSE':>8} {'KB':>7}{heading}")
    for variant, file in zip(COMPARED, files, strict=True):
        chunk = judge_chunk(file, dataset.path, 0, len(dataset.validation.names))
        figures = f"{combine([chunk]).metrics.si_rmse:>8.4f} {file.stat().st_size / 1024:>7.0f}"
        times = "".join(told(found[file]) for found in runtimes.values())
        print(f"{variant:<13} {figures}{times}")
    print()


def told(latency: Latency | str) -> str:
    """Two columns."""
    if isinstance(latency, str):
        return f" {latency[:24]:>24}"
    return f" {latency.ms:>17.2f} {latency.ratio:>6.2f}"
