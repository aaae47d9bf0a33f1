"""Larger sweeps for what is shown of them: one with finalists and every rule, and one that finalises it."""

from collections.abc import Iterator
from dataclasses import replace

from report_sweep import admitted, completed, epoch, measurement, proposed, started, trained

from sweep.judging.score import final_score
from sweep.lifecycle import Event
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    FinalistMeasured,
    PretrainedLoaded,
    SweepStarted,
    TeacherAttemptEnded,
    TeacherAttemptStarted,
    TeacherEpochTrained,
    TeacherReady,
    TrialAdmitted,
    TrialCompleted,
    TrialInfeasible,
    TrialPruned,
    TrialsAdded,
)

ROUNDS = {0: (10.0, 10.2, 10.1), 1: (10.1, 10.3, 10.0), 2: (14.0, 14.1, 14.2)}
"""Latencies of the three finalists in three rounds, in ms."""


def searched() -> Iterator[Event]:
    """Finalists 0 and 1 tie and 2 is behind; 3 flagged; 4 to 7 stopped by each rule; 8 breaks a constraint."""
    yield started()
    for trial, latency_ms in ((0, 10.0), (1, 10.2), (2, 14.0)):
        yield from trained(trial, 2, 4)
        yield scored(trial, 0.3, latency_ms)
    yield from trained(3, 2, 4)
    yield replace(scored(3, 0.4, 20.0), flags=["latency_moved"])
    yield from trained(4, 2)
    yield TrialPruned(4, 2, 200.0, "not among the best at rung 2", "rung")
    yield from trained(5, 2)
    yield TrialPruned(5, 2, 200.0, "at 14.5 ms a score of at most 40 is plausible", "extrapolation")
    yield from admitted(6)
    yield TrialPruned(6, 0, None, "at 15.5 ms a score of at most 30 is plausible", "admission")
    yield from trained(7, 2)
    yield TrialPruned(7, 2, 200.0, "out of time", "time")
    yield from admitted(8)
    yield TrialInfeasible(8, "breaks latency_ms <= 15: latency_ms is 17.5")
    yield TrialsAdded(3, "request-1")
    yield proposed(9)
    yield TrialAdmitted(9, 9.5, measurement(9.5), {"size_bytes": 1_250_000}, shared_with=0)
    yield AttemptStarted(9, 1, 0, 2, None)
    yield epoch(9, 1, 1)
    yield AttemptEnded(9, 1, "lost", "node 10.0.0.7 died")
    yield AttemptStarted(9, 2, 1, 2, "checkpoint")
    yield proposed(10)
    yield from admitted(11)
    for round_ in range(3):
        for trial, latencies in ROUNDS.items():
            yield FinalistMeasured(trial, round_ + 1, latencies[round_], measurement(latencies[round_]))


def taught() -> Iterator[Event]:
    """What can follow `searched`: a teacher that was lost once, and the weights that trial 9 began with."""
    yield TeacherAttemptStarted(1, 0, 1, None)
    yield TeacherAttemptEnded(1, "lost", "node 10.0.0.7 died")
    yield TeacherAttemptStarted(2, 0, 1, None)
    yield TeacherEpochTrained(2, 1, 0.5, 0.25, 0.1, 2.0, "teacher/epoch-0001.pt")
    yield TeacherReady("big", "c" * 16, 1, 0.25, "teacher/epoch-0001.pt", "f" * 64)
    yield PretrainedLoaded(9, "timm: tensors 3 loaded")


def scored(trial: int, si_rmse: float, latency_ms: float) -> TrialCompleted:
    return completed(trial, si_rmse, latency_ms, final_score(si_rmse, latency_ms))


def finalising_started() -> SweepStarted:
    """A finalising sweep's first event."""
    event = started(trials=6)
    finalizes = {"sweep": "search-1", "sweep_id": "search-1-aa00", "top": 2, "seeds": 3}
    identity = {**event.identity, "finalizes": finalizes, "test_data": "demo-1-test"}
    return replace(event, name="final-1", identity=identity)


VALIDATION = {0: 0.300, 1: 0.320, 2: 0.290, 3: 0.330, 4: 0.310}
TEST = {0: 0.350, 1: 0.310, 2: 0.340, 4: 0.330}
"""si-RMSE by trial: 0, 2 and 4 are one candidate's seeds, 1, 3 and 5 the other's; 3 and 5 are not tested yet."""


def finalised() -> Iterator[Event]:
    """Two candidates with three seeds each, of which one trial is still training."""
    yield finalising_started()
    for trial in range(6):
        for event in trained(trial, 4) if trial < 5 else admitted(trial):
            candidate = {"candidate_hash": f"{trial % 2:016x}", "origin": "finalist", "seed": trial // 2}
            yield replace(event, **candidate) if event.__class__.__name__ == "TrialProposed" else event
        if trial in VALIDATION:
            yield replace(scored(trial, VALIDATION[trial], 10.0 + trial), test=held_out(trial))
    yield AttemptStarted(5, 1, 0, 4, None)


def held_out(trial: int) -> dict[str, object] | None:
    if trial not in TEST:
        return None
    metrics = {"si_rmse": TEST[trial], "rmse": 9.5, "log10": 0.5, "rel": 0.5}
    return {"metrics": metrics, "final_score": final_score(TEST[trial], 10.0 + trial), "frames": 40}
