"""What training that is aware of quantisation is worth: si-RMSE of float32 and int8 files, with and without it.

    python benchmarks/quantization_aware.py SWEEP_FOLDER TRIAL [TRIAL ...] [--epochs 6] [--starts 0.5] [--seeds 1]

Each trial's candidate is trained anew, plainly and with fake quantisation from each of the given shares of all
epochs on, with the same seeds; then both files are exported and judged on the validation split.
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sweep.data import Dataset, default_cache, prepare_dataset
from sweep.engine.exporting import calibration_frames
from sweep.export import export_network
from sweep.judging.judge import combine, judge_chunk
from sweep.lifecycle.state import read_state
from sweep.space.candidate import Candidate
from sweep.training.trainer import Trainer

CALIBRATION_FRAMES = 64


@dataclass(frozen=True)
class Outcome:
    """One training: si-RMSE that it reported itself and of its two files; median seconds of its last epochs."""

    reported: float
    float32: float
    int8: float
    epoch_seconds: float


def main() -> None:
    """Print a row for each training, and the means over seeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", type=Path)
    parser.add_argument("trials", type=int, nargs="+")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--starts", type=float, nargs="+", default=[0.5])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    dataset = prepare_dataset(None, default_cache(), lambda *_: None)
    state = read_state(arguments.sweep)
    choices: list[dict[str, Any]] = [{"kind": "none"}]
    choices += [{"kind": "aware", "start": start} for start in arguments.starts]
    columns = ("seeds", "reported", "float32", "int8", "lost", "epoch s")
    print(f"{'trial':>5} {'training':<12}" + "".join(f"{column:>9}" for column in columns))
    for number in arguments.trials:
        for choice in choices:
            candidate = with_quantization(state.trials[number].candidate, choice)
            outcomes = [
                trained(candidate, dataset, arguments.epochs, seed, arguments.threads)
                for seed in range(arguments.seeds)
            ]
            print(f"{number:>5} {' '.join(map(str, choice.values())):<12}{row(outcomes)}", flush=True)


def with_quantization(candidate: Any, choice: dict[str, Any]) -> Candidate:
    """The candidate with that training."""
    return Candidate.model_validate({**candidate, "recipe": {**candidate["recipe"], "quantization": choice}})


def trained(candidate: Candidate, dataset: Dataset, epochs: int, seed: int, threads: int) -> Outcome:
    """Train, export, judge."""
    trainer = Trainer(
        candidate, dataset, max_epochs=epochs, seed=seed, device=torch.device("cpu"), threads=threads
    )
    reports = [trainer.train_epoch() for _ in range(epochs)]
    calibration = calibration_frames(dataset.train.rgb, CALIBRATION_FRAMES, 0)
    with tempfile.TemporaryDirectory(prefix="depth-sweep-benchmark-") as folder:
        exported = export_network(
            trainer.network,
            Path(folder),
            dataset.validation.rgb[:2],
            variants=("fp32", "int8"),
            calibration=calibration,
        )
        float32, int8 = (
            combine(
                [judge_chunk(file.tflite, dataset.path, 0, len(dataset.validation.names))]
            ).metrics.si_rmse
            for file in exported.variants.values()
        )
    seconds = statistics.median(report.seconds for report in reports[-max(1, epochs // 3) :])
    return Outcome(reports[-1].si_rmse, float32, int8, seconds)


def row(outcomes: Sequence[Outcome]) -> str:
    """Means over seeds; of the epochs' seconds the median."""
    means = [
        statistics.mean(values)
        for values in zip(*((each.reported, each.float32, each.int8) for each in outcomes), strict=True)
    ]
    seconds = statistics.median(outcome.epoch_seconds for outcome in outcomes)
    figures = "".join(f"{mean:>9.4f}" for mean in means)
    return f"{len(outcomes):>9}{figures}{means[2] - means[1]:>+9.4f}{seconds:>9.1f}"


if __name__ == "__main__":
    main()
