"""What a sweep does at this moment, computed from its journal alone; `status_view` shows it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from sweep.lifecycle import SweepState, Trial, TrialState
from sweep.lifecycle.events import Json
from sweep.report.endings import Ending, count_endings
from sweep.report.facts import facts_of
from sweep.report.history import SweepHistory, condition
from sweep.report.score_label import CHALLENGE, ScoreLabel, label_in
from sweep.report.teacher_words import teacher_state
from sweep.report.text import one_line

_FAILURES: Final = 3


@dataclass(frozen=True)
class InTraining:
    """A trial whose attempt is under way: ``epoch`` epochs are done, the attempt ends at ``to_epoch``."""

    trial: int
    epoch: int
    to_epoch: int
    max_epochs: int


@dataclass(frozen=True)
class Breakage:
    """A trial that failed or is infeasible, and why, on one line."""

    trial: int
    state: str
    reason: str


@dataclass(frozen=True)
class BestTrial:
    """The complete trial with the highest score."""

    trial: int
    final_score: float
    si_rmse: float
    latency_ms: float


@dataclass(frozen=True)
class Pace:
    """How the latest run gets on; None where that cannot be said.

    Attributes:
        elapsed_s: wall-clock seconds of the run so far, or all of them if it is over.
        limit_s: its time limit.
        needed_s: seconds until all trials are done if the run goes on as fast as until now.
        spare_s: what is then left of the time limit; negative: trials will be missing.
        reached: trials done when the time is up, if some will be missing.
    """

    elapsed_s: float | None
    limit_s: float | None
    needed_s: float | None
    spare_s: float | None
    reached: int | None


@dataclass(frozen=True)
class SweepStatus:
    """The pipeline with its bounds, what was spent and what came of it; None: unknown, or no limit.

    Attributes:
        condition: see `sweep.report.history.condition`; ``detail`` is the error's, if it ended with one.
        done: trials that ended, out of ``wanted``; those that admission stopped do not count.
        counts: trials by state, every state named.
        slots: attempts that may train at once.
        lookahead: trials that may be proposed or admitted, ahead of training.
        training: the attempts under way; while nobody runs the sweep, where they were cut short.
        judged: trained trials whose files are exported, judged and measured now.
        pruned_by: pruned trials by the rule that stopped them.
        breaking_constraint: infeasible trials that broke a constraint, before any training.
        breakages: the latest trials that failed or are infeasible, newest first.
        training_s: seconds of all epochs together, each on the GPU (or the CPUs) of one attempt.
        admissions_measured: trials with a measurement of their own before training.
        admissions_shared: trials that took over the measurement of their architecture.
        lost: attempts whose process or node went away without a word; ``crashed``: that raised an error.
        finalists: complete trials that were measured afresh, in turn; ``rounds``: of all of them together.
        silent_s: seconds since the last record.
        teacher: what the teacher does, such as ``training epoch 3 of 6``; None if the sweep has none.
        score: how what is maximised is called.
    """

    name: str
    about: str
    target: str
    condition: str
    detail: str
    done: int
    wanted: int | None
    counts: Mapping[str, int]
    slots: int | None
    lookahead: int | None
    training: tuple[InTraining, ...]
    judged: tuple[int, ...]
    pruned_by: Mapping[str, int]
    breaking_constraint: int
    breakages: tuple[Breakage, ...]
    best: BestTrial | None
    epochs: int
    training_s: float
    admissions_measured: int
    admissions_shared: int
    attempts: int
    lost: int
    crashed: int
    finalists: int
    rounds: int
    pace: Pace
    silent_s: float | None
    score: ScoreLabel = CHALLENGE

    teacher: str | None = None

    @property
    def runs(self) -> bool:
        """True if a process runs the sweep."""
        return self.condition in ("running", "starting")


def status_of(name: str, history: SweepHistory, *, running: bool, now: float) -> SweepStatus:
    """The status at ``now``, in seconds since the epoch; ``running``: somebody holds the sweep's lock."""
    state = history.state
    facts = facts_of(state.started, history.settings) if state.started else None
    trials = tuple(state.trials.values())
    cluster = history.settings.get("cluster") or {}
    admitted = [trial for trial in trials if trial.admission_latency_ms is not None]
    shared = sum(trial.admission_shared_with is not None for trial in admitted)
    return SweepStatus(
        name=name,
        about=f"{facts.space} on {facts.data}" if facts else "",
        target=facts.target if facts else "",
        condition=condition(history, running),
        detail=one_line(state.ended.detail) if state.ended else "",
        done=history.done,
        wanted=history.wanted,
        counts=_counts(trials),
        slots=cluster.get("slots"),
        lookahead=cluster.get("lookahead"),
        training=tuple(_in_training(trial) for trial in state.in_state(TrialState.TRAINING)),
        judged=tuple(trial.number for trial in state.in_state(TrialState.TRAINED)),
        pruned_by=dict(Counter(trial.pruned_by for trial in trials if trial.pruned_by is not None)),
        breaking_constraint=count_endings(trials).get(Ending.BREAKS_CONSTRAINT, 0),
        breakages=_breakages(trials),
        best=_best(state),
        epochs=history.epochs,
        training_s=history.training_s,
        admissions_measured=len(admitted) - shared,
        admissions_shared=shared,
        attempts=history.attempts,
        lost=history.lost,
        crashed=history.crashed,
        finalists=sum(bool(trial.finals) for trial in trials),
        rounds=sum(len(trial.finals) for trial in trials),
        pace=_pace(history, running, now),
        silent_s=None if history.last_at is None else max(0.0, now - history.last_at),
        teacher=teacher_state(state, history.settings, running),
        score=label_in(state),
    )


def status_json(status: SweepStatus) -> dict[str, Json]:
    """The status as plain data, keyed as the fields of `SweepStatus` (the docstring there says what they mean).

    ``counts`` has a key per state of a trial; ``training`` lists objects with ``trial``, ``epoch``, ``to_epoch``
    and ``max_epochs``; ``breakages`` lists ``trial``, ``state`` and ``reason``; ``best`` (or null) has ``trial``,
    ``final_score``, ``si_rmse`` and ``latency_ms``; ``pace`` has ``elapsed_s``, ``limit_s``, ``needed_s``,
    ``spare_s`` and ``reached``. Times are in seconds. ``score`` is the name of what is maximised, and only there
    where that is not the challenge's.
    """
    plain = {**asdict(status), "score": status.score.name}
    return plain if status.score.is_own else {key: value for key, value in plain.items() if key != "score"}


def _counts(trials: tuple[Trial, ...]) -> dict[str, int]:
    counted = Counter(trial.state for trial in trials)
    return {state.value: counted[state] for state in TrialState}


def _in_training(trial: Trial) -> InTraining:
    return InTraining(trial.number, trial.epoch, trial.target_epoch, trial.max_epochs)


def _breakages(trials: tuple[Trial, ...]) -> tuple[Breakage, ...]:
    broken = [trial for trial in trials if trial.state in (TrialState.FAILED, TrialState.INFEASIBLE)]
    latest = sorted(broken, key=lambda trial: (-trial.changed_at, -trial.number))[:_FAILURES]
    return tuple(Breakage(trial.number, trial.state.value, one_line(trial.reason)) for trial in latest)


def _best(state: SweepState) -> BestTrial | None:
    best = state.best
    if best is None or best.completion is None or best.final_score is None or best.latency_ms is None:
        return None
    return BestTrial(best.number, best.final_score, best.completion.metrics["si_rmse"], best.latency_ms)


def _pace(history: SweepHistory, running: bool, now: float) -> Pace:
    limit_s = history.settings.get("time_s")
    if history.run_at is None or history.last_at is None:
        return Pace(None, limit_s, None, None, None)
    elapsed_s = max(0.0, (now if running else history.last_at) - history.run_at)
    here = history.done - history.done_before
    if not running or here <= 0 or history.wanted is None:
        return Pace(elapsed_s, limit_s, None, None, None)
    missing = max(0, history.wanted - history.done)
    needed_s = missing * elapsed_s / here
    if limit_s is None:
        return Pace(elapsed_s, None, needed_s, None, None)
    left_s = max(0.0, limit_s - elapsed_s)
    late = needed_s > left_s
    reached = history.done + int(left_s * here / elapsed_s) if late else None
    return Pace(elapsed_s, limit_s, needed_s, left_s - needed_s, reached)
