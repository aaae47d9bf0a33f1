"""The driver: connects what happened (ledger), what to do next (planner) and who does it (stages, attempts).

All methods may be called from any thread. Decisions are taken while holding the ledger's lock, so each is
based on the state that it changes.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import Enum
from typing import Any, Literal, Protocol

from sweep.engine import control
from sweep.engine.attempt_spec import TEACHER, AttemptResources, AttemptSpec, attempt_spec
from sweep.engine.ledger import Ledger
from sweep.engine.losses import given_up
from sweep.engine.settings import Workplace
from sweep.engine.teaching import Teaching
from sweep.lifecycle import SweepState, Trial, TrialState
from sweep.lifecycle.events import (
    AttemptEnded,
    AttemptStarted,
    EpochTrained,
    PretrainedLoaded,
    SweepEnded,
    TrialFailed,
    TrialInfeasible,
    TrialProposed,
    TrialPruned,
    TrialsAdded,
)
from sweep.search import OUT_OF_TIME, Attempt, Planner, Proposes, Verdict
from sweep.space.chosen_teacher import ChosenTeacher

NEEDS_A_PERSON = ("disk_full", "unusable")
"""Failures that only a person can mend: no room on the disk, a GPU that torch does not see."""

REPLAN_S = 1.0
"""Seconds after which the plan is asked again although nothing has happened: the clock matters to it."""


class Idle(Enum):
    """Why there is no attempt to start: nothing right now, or never again."""

    NOW = "now"
    FOREVER = "forever"


class StagesPort(Protocol):
    """The steps before and after training; see `sweep.engine.stages.Stages`."""

    def admit(self, trial: Trial) -> None:
        """Export the untrained network and measure it, unless that is under way."""

    def finish(self, trial: Trial) -> None:
        """Export, judge and measure the trained network, unless that is under way."""

    def mute(self) -> None:
        """Start and record nothing more."""


class Driver:
    """Runs one sweep to its end; its `next_attempt` gets things going; `conclude` and `end` it."""

    def __init__(
        self,
        ledger: Ledger,
        planner: Planner,
        proposer: Proposes,
        workplace: Workplace,
        resources: AttemptResources,
        *,
        deadline: float | None,
        now: Callable[[], float] = time.monotonic,
        slots: Callable[[], int] | None = None,
        teacher: ChosenTeacher | None = None,
    ) -> None:
        """``slots`` says how many attempts fit now, where that may change; None: the planner's limit holds.

        ``teacher`` is ready before any trial trains.
        """
        self._ledger = ledger
        self._planner = planner
        self._proposer = proposer
        self._workplace = workplace
        self._resources = resources
        self._deadline = deadline
        self._now = now
        self._slots = slots
        self._teaching = Teaching(
            teacher, ledger, workplace, resources, on_fatal=lambda reason: self.stop("error", reason)
        )
        self._stages: StagesPort | None = None
        self._asked_at = -math.inf
        self._idle_since: tuple[SweepState | None, float] = (None, 0.0)
        self._depth = 0
        self._deciding_s = 0.0
        self._ending: tuple[Literal["stopped", "error"], str] | None = None
        workplace.files.stop_flag.unlink(missing_ok=True)

    def attach(self, stages: StagesPort) -> None:
        """Wire the stages, which report back to this driver."""
        self._stages = stages

    @property
    def optuna_seconds(self) -> float:
        """Time spent inside Optuna so far."""
        return self._proposer.optuna_seconds

    @property
    def deciding_seconds(self) -> float:
        """The driver's own time so far: deciding and recording, without what Optuna took."""
        return self._deciding_s - self._proposer.optuna_seconds

    @property
    def stopping(self) -> bool:
        """True once a stop was asked for or an error made going on pointless."""
        return self._ending is not None

    @property
    def has_time(self) -> bool:
        """False once the run's time limit has passed."""
        remaining = self._remaining_s()
        return remaining is None or remaining > 0

    def stop(self, kind: Literal["stopped", "error"], detail: str) -> None:
        """End the sweep as soon as possible; what is done is kept, and it can be resumed. Signal-safe."""
        if self._ending is None:
            self._ending = (kind, detail)
            with suppress(OSError):  # a full disk is one of the reasons to stop
                self._workplace.files.stop_flag.touch()
            if self._stages is not None:
                self._stages.mute()

    def pump(self) -> None:
        """Send new proposals and trained trials on their way, as far as the plan wants."""
        stages = self._stages
        if stages is None:
            return
        with self._deciding():
            self._stop_trials()
            while not self.stopping and self._planner.wants_proposal(self._ledger.state, self._remaining_s()):
                self._propose()
            for trial in self._ledger.state.in_state(TrialState.PROPOSED):
                stages.admit(trial)
            for trial in self._ledger.state.in_state(TrialState.TRAINED):
                stages.finish(trial)

    def next_attempt(self) -> AttemptSpec | Idle:
        """The attempt that a free trainer should start, recorded as started."""
        with self._deciding():
            self._answer_requests()
            if self.stopping:
                return Idle.FOREVER
            if self._nothing_new():
                return Idle.NOW
            self._follow_cluster()
            self._stop_trials()
            spec = self._next_spec()
            if spec is None:
                self.pump()
                spec = self._next_spec()
            if spec is not None:
                self.pump()  # the next candidate is measured while this one trains
                return spec
            if self._is_over():
                return Idle.FOREVER
            self._keep_deadline()
            self._idle_since = (self._ledger.state, self._now())
            return Idle.NOW

    def _next_spec(self) -> AttemptSpec | None:
        """The next attempt, recorded as started: the teacher's before any trial's."""
        if self._teaching.is_missing:
            spec = self._teaching.next_attempt() if self.has_time else None
            if spec is not None or self._teaching.is_missing:
                return spec
        attempt = self._planner.next_attempt(self._ledger.state, self._remaining_s())
        return None if attempt is None else self._start(attempt)

    def _is_over(self) -> bool:
        if self._teaching.is_under_way or (self._teaching.is_missing and self.has_time):
            return False
        return self._planner.is_over(self._ledger.state, self._remaining_s())

    def _answer_requests(self) -> None:
        """Carry out what people asked of this sweep since the last look, a second ago at least."""
        if self._now() - self._asked_at < REPLAN_S:
            return
        self._asked_at = self._now()
        root = self._workplace.files.root
        for request in control.pending(root):
            if isinstance(request, control.StopRequest):
                self.stop("stopped", "sweep stop")
            elif request.id not in self._ledger.state.requests:
                self._ledger.record(TrialsAdded(request.trials, request.id))
            control.answered(root, request)

    def _nothing_new(self) -> bool:
        """True if the plan was asked a moment ago, about this very state, and there was nothing to do."""
        state, since = self._idle_since
        return state is self._ledger.state and self._now() - since < REPLAN_S

    def wait_for_change(self, timeout_s: float) -> None:
        """Return when something happened, or after ``timeout_s``."""
        with self._ledger.changed:
            self._ledger.changed.wait(timeout_s)

    def on_result(self, spec: AttemptSpec, result: Mapping[str, Any]) -> None:
        """Record what an attempt reported: an epoch, or a failure and its kind."""
        with self._deciding():
            if spec.trial == TEACHER:
                self._teaching.on_result(spec, result)
            elif self._is_under_way(spec):
                self._on_trial_result(self._ledger.state.trials[spec.trial], result)
        self.pump()

    def _on_trial_result(self, trial: Trial, result: Mapping[str, Any]) -> None:
        if "failure" in result:
            self._on_failure(trial, str(result["failure"]), str(result["reason"]))
        elif not (math.isfinite(result["si_rmse"]) and math.isfinite(result["train_loss"])):
            reason = f"epoch {result['epoch']}: si-RMSE {result['si_rmse']}, loss {result['train_loss']}"
            self._ledger.record(TrialFailed(trial.number, reason))
        else:
            self._on_epoch(trial, result)

    def on_lost(self, spec: AttemptSpec, reason: str) -> None:
        """Record that the attempt's process or node went away without a word."""
        self.on_result(spec, {"failure": "lost", "reason": reason})

    def goes_on(self, spec: AttemptSpec) -> bool:
        """False if the attempt's trainer should stop: the attempt is over, or the sweep is stopping.

        The flag says so earlier, but a full disk may have no room for it, nor for the epoch that was reported.
        """
        return self._is_under_way(spec) and not self.stopping

    def conclude(self) -> SweepEnded:
        """Prune what lost, unless the sweep was stopped, and say how it ends."""
        with self._deciding():
            if self._ending is not None:
                return SweepEnded(*self._ending)
            leftovers = self._planner.leftovers(self._ledger.state, self._remaining_s())
            for trial, reason in leftovers:
                rule: Literal["time", "rung"] = "time" if reason == OUT_OF_TIME else "rung"
                self._ledger.record(TrialPruned(trial.number, trial.epoch, trial.partial_score, reason, rule))
            late = any(reason == OUT_OF_TIME for _, reason in leftovers)
            cut = late or not self._planner.proposed_all(self._ledger.state)
            return SweepEnded("time" if cut and self._deadline is not None else "finished")

    def end(self, ended: SweepEnded) -> None:
        """Record the end; nothing can happen to the sweep after that until it is resumed."""
        with self._deciding():
            self._ledger.record(ended)
            self._ledger.close()
            self._workplace.files.stop_flag.unlink(missing_ok=True)

    @contextmanager
    def _deciding(self) -> Iterator[None]:
        """Hold the ledger's lock, and count the time that it is held."""
        with self._ledger.changed:
            started = time.perf_counter()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._deciding_s += time.perf_counter() - started

    def _is_under_way(self, spec: AttemptSpec) -> bool:
        if spec.trial == TEACHER:
            return self._teaching.is_current(spec)
        trial = self._ledger.state.trials[spec.trial]
        return trial.state is TrialState.TRAINING and trial.attempts == spec.attempt

    def _remaining_s(self) -> float | None:
        return None if self._deadline is None else self._deadline - self._now()

    def _keep_deadline(self) -> None:
        """An attempt that was expected to end in time and did not is cut at its last checkpoint."""
        remaining = self._remaining_s()
        if remaining is not None and remaining <= 0:
            self._workplace.files.stop_flag.touch()

    def _propose(self) -> None:
        state = self._ledger.state
        proposal = self._proposer.propose(state)
        if proposal is None:  # the space is exhausted: all that there is has been proposed
            self._limit(trials=state.tried - state.trials_added)
            return
        self._ledger.record(
            TrialProposed(
                trial=len(state.trials),
                assignment=dict(proposal.assignment),
                candidate=proposal.candidate.model_dump(mode="json"),
                candidate_hash=proposal.candidate.hash,
                architecture_hash=proposal.candidate.architecture_hash,
                origin=proposal.origin,
                seed=proposal.seed,
            )
        )

    def _limit(self, **changes: int) -> None:
        self._planner = replace(self._planner, limits=replace(self._planner.limits, **changes))

    def _follow_cluster(self) -> None:
        """Attempts at once follow the cluster, which may grow and shrink under a sweep."""
        if self._slots is not None:
            self._limit(slots=self._slots())

    def _stop_trials(self) -> None:
        """Stop what fails time and again, cannot become the best, or breaks a constraint."""
        for trial in self._ledger.state.in_state(TrialState.PAUSED):
            reason = given_up(trial.crashes, trial.losses, trial.reason)
            if reason is not None:
                self._ledger.record(TrialFailed(trial.number, reason))
        for trial, verdict in self._planner.stopped(self._ledger.state):
            self._stop_trial(trial, verdict)

    def _stop_trial(self, trial: Trial, verdict: Verdict) -> None:
        if verdict.kind == "constraint":
            self._ledger.record(TrialInfeasible(trial.number, verdict.reason))
            return
        rule: Literal["extrapolation", "admission"] = "extrapolation" if trial.epochs else "admission"
        self._ledger.record(TrialPruned(trial.number, trial.epoch, trial.partial_score, verdict.reason, rule))

    def _start(self, attempt: Attempt) -> AttemptSpec:
        files = self._workplace.files
        self._ledger.record(
            AttemptStarted(
                trial=attempt.trial,
                attempt=attempt.number,
                from_epoch=attempt.from_epoch,
                to_epoch=attempt.to_epoch,
                checkpoint=attempt.checkpoint,
            )
        )
        trial = self._ledger.state.trials[attempt.trial]
        return attempt_spec(
            self._workplace,
            self._resources,
            trial=attempt.trial,
            attempt=attempt.number,
            candidate=trial.candidate,
            epochs=(attempt.to_epoch, self._workplace.max_epochs),
            checkpoint=attempt.checkpoint,
            checkpoints=files.trial(attempt.trial).checkpoints,
            seed=self._workplace.seed + trial.number if trial.seed is None else trial.seed,
            teacher=self._teaching.for_student(trial.candidate),
        )

    def _on_epoch(self, trial: Trial, result: Mapping[str, Any]) -> None:
        if trial.admission_latency_ms is None:
            raise AssertionError(f"trial {trial.number} trains without having been admitted")
        if "pretrained" in result:
            self._ledger.record(PretrainedLoaded(trial.number, str(result["pretrained"])))
        files = self._workplace.files
        epoch = int(result["epoch"])
        self._ledger.record(
            EpochTrained(
                trial=trial.number,
                attempt=trial.attempts,
                epoch=epoch,
                train_loss=float(result["train_loss"]),
                si_rmse=float(result["si_rmse"]),
                partial_score=self._planner.admission.score(
                    float(result["si_rmse"]), trial.admission_latency_ms
                ),
                learning_rate=float(result["learning_rate"]),
                seconds=float(result["seconds"]),
                checkpoint=str(files.trial(trial.number).checkpoints.of(epoch).relative_to(files.root)),
            )
        )
        if epoch == trial.target_epoch:
            self._ledger.record(AttemptEnded(trial.number, trial.attempts, "reached"))
            return
        state = self._ledger.state
        verdict = self._planner.admission.in_training(state, state.trials[trial.number])
        if verdict is not None:
            self._ledger.record(AttemptEnded(trial.number, trial.attempts, "interrupted", verdict.reason))
            self._stop_trial(self._ledger.state.trials[trial.number], verdict)

    def _on_failure(self, trial: Trial, kind: str, reason: str) -> None:
        if kind == "infeasible":
            self._ledger.record(TrialInfeasible(trial.number, reason))
        elif kind == "diverged":
            self._ledger.record(TrialFailed(trial.number, reason))
        elif kind in ("stopped", *NEEDS_A_PERSON):
            self._ledger.record(AttemptEnded(trial.number, trial.attempts, "interrupted"))
            if kind in NEEDS_A_PERSON:
                self.stop("error", reason)
        else:
            outcome: Literal["lost", "crashed"] = "lost" if kind == "lost" else "crashed"
            self._ledger.record(AttemptEnded(trial.number, trial.attempts, outcome, reason))
