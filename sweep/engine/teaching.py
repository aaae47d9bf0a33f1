"""The sweep's teacher: trained by attempts of its own before any trial is, or taken from a file.

All methods decide and record; whoever calls them holds the ledger's lock.
"""

import math
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from sweep.engine.attempt_spec import TEACHER, AttemptResources, AttemptSpec, TeacherSpec, attempt_spec
from sweep.engine.ledger import Ledger
from sweep.engine.losses import given_up
from sweep.engine.settings import Workplace
from sweep.hashing import sha256_of
from sweep.lifecycle import Teacher
from sweep.lifecycle.events import (
    TeacherAttemptEnded,
    TeacherAttemptStarted,
    TeacherEpochTrained,
    TeacherReady,
)
from sweep.space.chosen_teacher import ChosenTeacher


class JudgesTeachers(Protocol):
    """What adopting a trained teacher needs of Ray."""

    def judge_teacher(self, candidate: Mapping[str, Any], checkpoint: Path) -> float:
        """The partial si-RMSE of the teacher whose weights ``checkpoint`` holds."""


class Teaching:
    """The teacher's training in one sweep, for the driver; nothing to do in a sweep without one."""

    def __init__(
        self,
        chosen: ChosenTeacher | None,
        ledger: Ledger,
        workplace: Workplace,
        resources: AttemptResources,
        on_fatal: Callable[[str], None],
    ) -> None:
        """``on_fatal`` ends the sweep, saying why the teacher cannot be trained."""
        self._chosen = chosen
        self._ledger = ledger
        self._workplace = workplace
        self._resources = resources
        self._on_fatal = on_fatal

    @property
    def is_missing(self) -> bool:
        """True while no trial may train, because the teacher is not ready."""
        return self._chosen is not None and self._teacher.ready is None

    @property
    def is_under_way(self) -> bool:
        """True while an attempt trains the teacher."""
        return self._teacher.training

    def next_attempt(self) -> AttemptSpec | None:
        """The teacher's next attempt, recorded as started; None if it needs none, or one is under way."""
        chosen, teacher = self._chosen, self._teacher
        if chosen is None or teacher.training or teacher.ready is not None:
            return None
        if teacher.epochs and teacher.epoch == teacher.epochs:
            self._record_ready(chosen)  # the process before this one died before it could
            return None
        number = teacher.attempts + 1
        self._ledger.record(TeacherAttemptStarted(number, teacher.epoch, chosen.epochs, teacher.checkpoint))
        files = self._workplace.files
        return attempt_spec(
            self._workplace,
            self._resources,
            trial=TEACHER,
            attempt=number,
            candidate=chosen.candidate,
            epochs=(chosen.epochs, chosen.epochs),
            checkpoint=teacher.checkpoint,
            checkpoints=files.teacher,
            seed=self._workplace.seed,
        )

    def is_current(self, spec: AttemptSpec) -> bool:
        """True if ``spec`` is the attempt that is under way."""
        return self._teacher.training and self._teacher.attempts == spec.attempt

    def on_result(self, spec: AttemptSpec, result: Mapping[str, Any]) -> None:
        """Record what an attempt of the teacher reported."""
        if not self.is_current(spec):
            return
        if "failure" in result:
            self._on_failure(spec, str(result["failure"]), str(result["reason"]))
        elif not (math.isfinite(result["si_rmse"]) and math.isfinite(result["train_loss"])):
            figures = f"epoch {result['epoch']}: si-RMSE {result['si_rmse']}, loss {result['train_loss']}"
            self._give_up(spec, figures)
        else:
            self._on_epoch(spec, result)

    def for_student(self, candidate: Mapping[str, Any]) -> TeacherSpec | None:
        """The teacher of a trial's attempts; None if its recipe wants none."""
        ready = self._teacher.ready
        if self._chosen is None or ready is None or not wants_teacher(candidate):
            return None
        return TeacherSpec(self._chosen.candidate, str(self._workplace.files.root / ready.checkpoint))

    @property
    def _teacher(self) -> Teacher:
        return self._ledger.state.teacher or Teacher()

    def _on_epoch(self, spec: AttemptSpec, result: Mapping[str, Any]) -> None:
        epoch = int(result["epoch"])
        files = self._workplace.files
        self._ledger.record(
            TeacherEpochTrained(
                attempt=spec.attempt,
                epoch=epoch,
                train_loss=float(result["train_loss"]),
                si_rmse=float(result["si_rmse"]),
                learning_rate=float(result["learning_rate"]),
                seconds=float(result["seconds"]),
                checkpoint=str(files.teacher.of(epoch).relative_to(files.root)),
            )
        )
        if self._chosen is not None and epoch == self._teacher.epochs:
            self._record_ready(self._chosen)

    def _record_ready(self, chosen: ChosenTeacher) -> None:
        teacher = self._teacher
        path = self._workplace.files.teacher.of(teacher.epoch)
        if teacher.si_rmse is None:
            raise AssertionError("a teacher without an epoch is not ready")
        self._ledger.record(_ready(chosen, path, self._workplace, teacher.si_rmse))

    def _on_failure(self, spec: AttemptSpec, kind: str, reason: str) -> None:
        if kind in ("crashed", "lost"):
            outcome: Literal["crashed", "lost"] = "crashed" if kind == "crashed" else "lost"
            self._ledger.record(TeacherAttemptEnded(spec.attempt, outcome, reason))
            why = given_up(self._teacher.crashes, self._teacher.losses, reason)
            if why is not None:  # a person must look: nothing goes on without the teacher
                self._on_fatal(f"the teacher cannot be trained: {why}")
        elif kind == "stopped":
            self._ledger.record(TeacherAttemptEnded(spec.attempt, "interrupted"))
        else:
            self._give_up(spec, reason)

    def _give_up(self, spec: AttemptSpec, reason: str) -> None:
        self._ledger.record(TeacherAttemptEnded(spec.attempt, "interrupted", reason))
        self._on_fatal(f"the teacher cannot be trained: {reason}")


def adopt_teacher(
    chosen: ChosenTeacher | None, ledger: Ledger, workplace: Workplace, tasks: JudgesTeachers
) -> None:
    """Copy a teacher that was trained before into the sweep's folder, judge it, and record that it is ready.

    May be repeated from its start: the file is replaced whole. Nothing happens if the teacher is trained in the
    sweep, or is ready already.

    Raises:
        OSError: the file cannot be read, or the copy cannot be written.
        TeacherChanged: it is not the file any more with which the sweep started.
    """
    ready = ledger.state.teacher is not None and ledger.state.teacher.ready is not None
    if chosen is None or chosen.checkpoint is None or ready:
        return
    path = workplace.files.teacher.of(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    _copy(Path(chosen.checkpoint), path)
    if sha256_of(path) != chosen.sha256:
        raise TeacherChanged(f"{chosen.checkpoint} is not the file any more with which the sweep started")
    ledger.record(_ready(chosen, path, workplace, tasks.judge_teacher(chosen.candidate, path)))


class TeacherChanged(Exception):
    """The teacher's weights are others than those that belong to the sweep's identity."""


def _copy(source: Path, to: Path) -> None:
    """Durable when it returns; a crash leaves the old file or the new one."""
    draft = to.with_name(f".{to.name}.tmp")
    with source.open("rb") as original, draft.open("wb") as copy:
        shutil.copyfileobj(original, copy)
        copy.flush()
        os.fsync(copy.fileno())
    draft.replace(to)


def wants_teacher(candidate: Mapping[str, Any]) -> bool:
    """Whether a candidate's recipe has a teacher guide it."""
    distillation: Mapping[str, Any] = candidate["recipe"].get("distillation", {})
    return distillation.get("kind") == "teacher"


def _ready(chosen: ChosenTeacher, path: Path, workplace: Workplace, si_rmse: float) -> TeacherReady:
    return TeacherReady(
        name=chosen.name,
        candidate_hash=chosen.candidate_hash,
        epochs=chosen.epochs,
        si_rmse=si_rmse,
        checkpoint=workplace.files.relative(path),
        sha256=sha256_of(path),
        stands_for=chosen.stands_for,
    )
