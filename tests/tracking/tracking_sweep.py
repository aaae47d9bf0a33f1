"""Builds the events of a small, complete sweep and the files that they name."""

import json
from collections.abc import Iterator
from pathlib import Path

from sweep.lifecycle import Event, Record
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    FilesRemoved,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TrialAdmitted,
    TrialCompleted,
    TrialFailed,
    TrialInfeasible,
    TrialProposed,
    TrialPruned,
)

T0 = 1_700_000_000.25
DEVICE = "x86_64 Test CPU"
FILES = ("model.tflite", "model.onnx", "picture.png", "measurement.json", "judgement.json")


def write_sweep(directory: Path) -> tuple[Record, ...]:
    """The sweep's records, eleven seconds apart; files of trials 0 and 5 lie below ``directory``."""
    for trial in (0, 5):
        final = directory / "trials" / f"{trial:04d}" / "final"
        final.mkdir(parents=True)
        for name in FILES:
            (final / name).write_bytes(f"{name} of trial {trial}".encode())
    return tuple(Record(i, T0 + 11 * i, event) for i, event in enumerate(sweep_events()))


def sweep_events() -> Iterator[Event]:
    """0 completes, 1 is pruned, 2 infeasible, 3 fails, 4 stays paused over a stop, 5 completes and is removed."""
    yield started()
    yield from _trained(0, 2)
    yield _completed(0, si_rmse=0.3125, latency_ms=12.5, final_score=671.8)
    yield from _trained(1, 1)
    yield TrialPruned(1, 1, 90.0, "not among the best at rung 1")
    yield proposed(2)
    yield TrialInfeasible(2, "the runtime refused the file: op 152 is unknown")
    yield proposed(3)
    yield TrialAdmitted(3, 8.5, measurement(8.5), {"size_bytes": 1_200_000})
    yield AttemptStarted(3, 1, 0, 1, None)
    yield AttemptEnded(3, 1, "crashed", "loss is NaN at step 40")
    yield TrialFailed(3, "training diverged: loss is NaN at step 40")
    yield from _trained(4, 1)
    yield SweepEnded("stopped", "Ctrl-C")
    yield SweepResumed(settings={"trials": 6}, versions={"torch": "2.13.0"})
    yield from _trained(5, 2)
    yield _completed(5, si_rmse=0.375, latency_ms=10.0, final_score=353.6)
    yield FilesRemoved(5)


def started() -> SweepStarted:
    return SweepStarted(
        name="demo",
        sweep_id="demo-7f3a",
        identity={
            "space": "mobilenetv3",
            "data": "demo data",
            "max_epochs": 2,
            "target": {
                "labels": {},
                "runtime": "tflite-2.14.0",
                "threads": 1,
                "delegate": "xnnpack",
                "device_class": DEVICE,
                "emulated": False,
            },
        },
        space={"file": "spaces/mobilenetv3.yaml", "text": "# as written\nencoder:\n  width: [0.5, 1.0]\n"},
        settings={"trials": 6, "time_s": 600.0, "farm": None, "seed": 0},
        versions={"torch": "2.13.0"},
    )


def candidate(trial: int) -> dict[str, object]:
    return {
        "architecture": {"encoder": {"kind": "mobilenetv3", "width": 0.5 + trial / 8}},
        "recipe": {"learning_rate": 0.001, "augmentation": {"flip": True}, "batch_size": 16},
    }


def proposed(trial: int) -> TrialProposed:
    return TrialProposed(
        trial, {"width": trial}, candidate(trial), f"{trial:016x}", f"{trial + 256:016x}", "sampler"
    )


def measurement(latency_ms: float) -> dict[str, object]:
    return {
        "latency_ms": latency_ms,
        "interval_ms": [latency_ms - 0.5, latency_ms + 0.25],
        "samples_ms": [latency_ms] * 3,
        "device_class": DEVICE,
        "runtime": "tflite-2.14.0",
        "evidence": {"temperature_c": None},
    }


def _trained(trial: int, epochs: int) -> Iterator[Event]:
    yield proposed(trial)
    yield TrialAdmitted(trial, 9.5 + trial, measurement(9.5 + trial), {"size_bytes": 1_200_000})
    yield AttemptStarted(trial, 1, 0, epochs, None)
    for epoch in range(1, epochs + 1):
        yield EpochTrained(
            trial,
            1,
            epoch,
            1.5 / epoch,
            0.5 / epoch,
            100.0 * epoch,
            0.001,
            10.5,
            f"trials/{trial}/{epoch}.pt",
        )
    yield AttemptEnded(trial, 1, "reached")


def _completed(trial: int, si_rmse: float, latency_ms: float, final_score: float) -> TrialCompleted:
    folder = f"trials/{trial:04d}/final"
    return TrialCompleted(
        trial=trial,
        metrics={"si_rmse": si_rmse, "rmse": 3.5, "log10": 0.125, "rel": 0.25},
        latency_ms=latency_ms,
        final_score=final_score,
        measurement=measurement(latency_ms),
        export={"size_bytes": 1_200_000},
        judgement={"frames": 200, "interpreter": "tflite-2.14.0"},
        files={
            "tflite": f"{folder}/model.tflite",
            "onnx": f"{folder}/model.onnx",
            "picture": f"{folder}/picture.png",
            "measurement": f"{folder}/measurement.json",
            "judgement": f"{folder}/judgement.json",
        },
    )


def plain(value: object) -> object:
    """``value`` as it comes back from JSON."""
    return json.loads(json.dumps(value))
