"""Builds small sweeps, event by event, for what is shown of them."""

from collections.abc import Iterable, Iterator

from sweep.lifecycle import Event, Record, SweepState, fold
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    FilesRemoved,
    SweepStarted,
    TrialAdmitted,
    TrialCompleted,
    TrialFailed,
    TrialInfeasible,
    TrialProposed,
    TrialPruned,
)

START = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
STEP_S = 10.0


def started(farm: str | None = None, trials: int | None = 8, time_s: float | None = 600.0) -> SweepStarted:
    return SweepStarted(
        name="demo",
        sweep_id="demo-7f3a",
        identity={
            "space": "mobilenetv3",
            "data": "demo-1",
            "max_epochs": 4,
            "target": {
                "labels": {},
                "runtime": "tflite-2.14.0",
                "threads": 1,
                "delegate": "xnnpack",
                "device_class": "raspberrypi-4b" if farm else "x86_64 Test CPU",
                "emulated": False,
            },
        },
        space={},
        settings={"trials": trials, "time_s": time_s, "farm": farm},
        versions={},
    )


def every_ending() -> Iterator[Event]:
    """One trial in each state: 0 and 1 complete, 2 pruned, 3 infeasible, 4 failed, 5 training, 6 proposed."""
    yield started()
    yield from trained(0, 2, 4)
    yield completed(0, si_rmse=0.375, latency_ms=10.0, final_score=353.6)
    yield from trained(1, 2, 4)
    yield completed(1, si_rmse=0.3125, latency_ms=12.5, final_score=671.8)
    yield FilesRemoved(0)
    yield from trained(2, 2)
    yield TrialPruned(2, 2, 200.0, "not among the best at rung 2")
    yield proposed(3)
    yield TrialInfeasible(3, "the runtime refused the file:\n  op 152 is unknown")
    yield from admitted(4)
    yield AttemptStarted(4, 1, 0, 2, None)
    yield AttemptEnded(4, 1, "crashed", "loss is NaN")
    yield TrialFailed(4, "training diverged: loss is NaN")
    yield from admitted(5)
    yield AttemptStarted(5, 1, 0, 2, None)
    yield epoch(5, 1, 1)
    yield proposed(6)


def proposed(trial: int) -> TrialProposed:
    return TrialProposed(trial, {}, {}, f"{trial:016x}", f"{trial + 256:016x}", "sampler")


def admitted(trial: int) -> Iterator[Event]:
    yield proposed(trial)
    latency_ms = 9.5 + trial
    yield TrialAdmitted(trial, latency_ms, measurement(latency_ms), {"size_bytes": 1_250_000})


def trained(trial: int, *rungs: int) -> Iterator[Event]:
    """From proposal to the last of ``rungs``, one attempt to each."""
    yield from admitted(trial)
    done = 0
    for attempt, rung in enumerate(rungs, start=1):
        yield AttemptStarted(trial, attempt, done, rung, None)
        for number in range(done + 1, rung + 1):
            yield epoch(trial, attempt, number)
        yield AttemptEnded(trial, attempt, "reached")
        done = rung


def epoch(trial: int, attempt: int, number: int) -> EpochTrained:
    return EpochTrained(trial, attempt, number, 1.0, 0.5 / number, 100.0 * number, 0.001, 9.25, "checkpoint")


def completed(trial: int, si_rmse: float, latency_ms: float, final_score: float) -> TrialCompleted:
    return TrialCompleted(
        trial=trial,
        metrics={"si_rmse": si_rmse, "rmse": 3.5, "log10": 0.125, "rel": 0.25},
        latency_ms=latency_ms,
        final_score=final_score,
        measurement=measurement(latency_ms),
        export={"size_bytes": 1_500_000},
        judgement={},
        files={"tflite": f"trials/{trial:04d}/final/model.tflite"},
    )


def measurement(latency_ms: float) -> dict[str, object]:
    return {"interval_ms": [latency_ms - 0.5, latency_ms + 0.25]}


def as_records(events: Iterable[Event]) -> list[Record]:
    return [Record(i, START + STEP_S * i, event) for i, event in enumerate(events)]


def states(records: Iterable[Record]) -> Iterator[tuple[SweepState, Record]]:
    state = SweepState()
    for record in records:
        state = fold(state, record.event, record.time)
        yield state, record


def final_state(events: Iterable[Event]) -> SweepState:
    state = SweepState()
    for state, _ in states(as_records(events)):  # noqa: B007  the last one counts
        pass
    return state
