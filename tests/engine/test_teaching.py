"""The teacher's way through the driver: it comes first, survives what attempts survive, and stops what it must."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from simulated_sweep import SEED
from simulated_work import write_whole
from taught_space import TAUGHT_SPACE, TEACHER_EPOCHS, simulated_teacher

from sweep.engine.attempt_spec import TEACHER, AttemptResources, AttemptSpec, TeacherSpec
from sweep.engine.driver import Driver, Idle
from sweep.engine.files import SweepFiles
from sweep.engine.ledger import Ledger
from sweep.engine.losses import MAX_CRASHES, MAX_LOSSES
from sweep.engine.settings import Workplace
from sweep.engine.teaching import TeacherChanged, adopt_teacher, wants_teacher
from sweep.hashing import sha256_of
from sweep.lifecycle import Journal, Teacher, Trial, TrialState
from sweep.lifecycle.events import SweepResumed, SweepStarted, TeacherReady, TrialAdmitted
from sweep.search import Limits, Planner, RungPolicy
from sweep.search.proposer import make_proposer
from sweep.space.chosen_teacher import ChosenTeacher
from sweep.space.samplers import RandomSampler

MAX_EPOCHS = 2
SI_RMSE = {1: 0.5, 2: 0.4, 3: 0.3}


class Stages:
    """Admits at once, and finishes nothing."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def admit(self, trial: Trial) -> None:
        self._ledger.record(TrialAdmitted(trial.number, 5.0, {}, {}))

    def finish(self, trial: Trial) -> None:
        """Somebody else's work."""

    def mute(self) -> None:
        """Nothing is under way."""


class Bench:
    """A driver of a taught sweep, moved on by hand."""

    def __init__(self, directory: Path, time_s: float | None = None) -> None:
        self.clock = 0.0
        self.files = SweepFiles(directory)
        self.workplace = Workplace(self.files, directory, None, MAX_EPOCHS, SEED)
        self.time_s = time_s
        self.open()
        self.ledger.record(SweepStarted("s", "id", {"max_epochs": MAX_EPOCHS}, {}, {}, {}))

    def open(self) -> None:
        self.journal = Journal(self.files.root)
        self.ledger = Ledger(self.journal, ())
        self.driver = Driver(
            self.ledger,
            Planner(RungPolicy((MAX_EPOCHS,), 2, min_full=1), Limits(6, 2, lookahead=2)),
            make_proposer(TAUGHT_SPACE, RandomSampler(kind="random"), SEED, max_epochs=MAX_EPOCHS),
            self.workplace,
            AttemptResources(threads=1, use_gpu=False),
            deadline=self.time_s,
            now=lambda: self.clock,
            teacher=simulated_teacher("trained", self.files.root),
        )
        self.driver.attach(Stages(self.ledger))

    def resume(self) -> None:
        self.journal.close()
        self.open()
        self.ledger.record(SweepResumed({}, {}))

    @property
    def teacher(self) -> Teacher:
        return self.ledger.state.teacher or Teacher()

    def ask(self) -> AttemptSpec | Idle:
        self.clock += 2.0
        return self.driver.next_attempt()

    def start(self) -> AttemptSpec:
        spec = self.ask()
        assert isinstance(spec, AttemptSpec)
        return spec

    def train(self, spec: AttemptSpec, *epochs: int, **figures: float) -> None:
        for epoch in epochs:
            write_whole(self.files.teacher.of(epoch), {"epoch": epoch})
            result = {"si_rmse": SI_RMSE[epoch], "train_loss": 0.1, "learning_rate": 0.1, "seconds": 1.0}
            self.driver.on_result(spec, {"epoch": epoch, **result, **figures})

    def fail(self, spec: AttemptSpec, kind: str, reason: str = "why") -> None:
        self.driver.on_result(spec, {"failure": kind, "reason": reason})


@pytest.fixture
def bench_of(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(time_s: float | None = None) -> Bench:
        benches.append(Bench(tmp_path, time_s))
        return benches[-1]

    yield make
    for bench in benches:
        bench.journal.close()


def test_the_teacher_is_trained_before_any_trial_which_are_measured_meanwhile(
    bench_of: Callable[..., Bench],
) -> None:
    bench = bench_of()
    spec = bench.start()
    assert (spec.trial, spec.attempt, spec.to_epoch, spec.max_epochs) == (TEACHER, 1, 3, TEACHER_EPOCHS)
    assert (spec.checkpoint, spec.seed, spec.teacher) == (None, SEED, None)
    assert Path(spec.checkpoint_directory) == bench.files.teacher.root
    assert bench.ask() is Idle.NOW
    assert len(bench.ledger.state.in_state(TrialState.ADMITTED)) == 2
    bench.train(spec, 1, 2)
    assert bench.driver.goes_on(spec)
    assert bench.ask() is Idle.NOW
    bench.train(spec, 3)
    assert not bench.driver.goes_on(spec)
    path = bench.files.teacher.of(3)
    assert bench.teacher.ready == TeacherReady(
        name="big",
        candidate_hash=simulated_teacher("trained", path).candidate_hash,
        epochs=3,
        si_rmse=0.3,
        checkpoint="teacher/epoch-0003.pt",
        sha256=sha256_of(path),
        stands_for="Swin",
    )
    assert bench.start().trial == 0


def test_students_get_their_teacher_and_nobody_else_does(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of()
    spec = bench.start()
    bench.train(spec, 1, 2, 3)
    taught = TeacherSpec(spec.candidate, str(bench.files.teacher.of(3)))
    wants = set()
    for _ in range(6):
        student = bench.start()
        wants.add(wants_teacher(student.candidate))
        assert student.teacher == (taught if wants_teacher(student.candidate) else None)
        assert AttemptSpec.from_config(student.to_config()) == student
        bench.fail(student, "diverged")
    assert wants == {True, False}


def test_an_attempt_goes_on_from_the_teachers_last_epoch(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of()
    first = bench.start()
    bench.train(first, 1)
    bench.fail(first, "lost")
    second = bench.start()
    assert (second.attempt, second.checkpoint) == (2, str(bench.files.teacher.of(1)))
    bench.train(first, 2)  # somebody who was taken for dead
    assert bench.teacher.epoch == 1
    bench.train(second, 2)
    bench.resume()
    third = bench.start()
    assert (third.attempt, third.checkpoint) == (3, str(bench.files.teacher.of(2)))


def test_a_process_that_dies_between_the_last_epoch_and_the_record_leaves_a_teacher(
    bench_of: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_of()
    spec = bench.start()
    with monkeypatch.context() as dying:
        dying.setattr("sweep.engine.teaching.sha256_of", _die)
        with pytest.raises(KeyboardInterrupt):
            bench.train(spec, 1, 2, 3)
    assert bench.teacher.ready is None
    bench.resume()
    assert bench.start().trial == 0
    assert bench.teacher.ready is not None
    assert bench.teacher.attempts == 1


def _die(_: Path) -> str:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("kind", "most"), [("crashed", MAX_CRASHES), ("lost", MAX_LOSSES)])
def test_a_teacher_that_fails_time_and_again_ends_the_sweep_and_a_resume_tries_again(
    bench_of: Callable[..., Bench], kind: str, most: int
) -> None:
    bench = bench_of()
    for _ in range(most + 1):
        assert not bench.driver.stopping
        bench.fail(bench.start(), kind, "the reason")
    assert bench.ask() is Idle.FOREVER
    ended = bench.driver.conclude()
    assert ended.reason == "error"
    assert ended.detail.startswith("the teacher cannot be trained: ")
    assert ended.detail.endswith("the reason")
    bench.driver.end(ended)
    bench.resume()
    assert bench.start().trial == TEACHER


@pytest.mark.parametrize("kind", ["diverged", "infeasible", "disk_full", "unusable"])
def test_what_only_a_person_can_mend_ends_the_sweep_at_once(
    bench_of: Callable[..., Bench], kind: str
) -> None:
    bench = bench_of()
    bench.fail(bench.start(), kind, "the reason")
    assert bench.driver.stopping
    assert bench.driver.conclude().detail == "the teacher cannot be trained: the reason"
    assert not bench.teacher.training


def test_figures_that_are_no_numbers_are_no_epoch(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of()
    bench.train(bench.start(), 1, si_rmse=float("nan"))
    assert bench.teacher.epoch == 0
    assert "si-RMSE nan" in bench.driver.conclude().detail


def test_the_time_limit_counts_the_teacher(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of(time_s=10.0)
    spec = bench.start()
    bench.clock = 11.0
    assert bench.ask() is Idle.NOW
    assert Path(spec.stop_flag).exists()
    bench.fail(spec, "stopped", "")
    assert bench.ask() is Idle.FOREVER
    assert bench.driver.conclude().reason == "time"
    assert (bench.teacher.training, bench.teacher.epoch) == (False, 0)


def test_pretrained_weights_that_cannot_be_had_make_a_trial_infeasible(
    bench_of: Callable[..., Bench],
) -> None:
    bench = bench_of()
    bench.train(bench.start(), 1, 2, 3)
    student = bench.start()
    bench.fail(student, "infeasible", "no such weights")
    trial = bench.ledger.state.trials[student.trial]
    assert (trial.state, trial.reason) == (TrialState.INFEASIBLE, "no such weights")


def test_what_became_of_pretrained_weights_is_kept(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of()
    bench.train(bench.start(), 1, 2, 3)
    student = bench.start()
    figures = {"si_rmse": 0.3, "train_loss": 0.1, "learning_rate": 0.1, "seconds": 1.0}
    bench.driver.on_result(student, {"epoch": 1, **figures, "pretrained": "timm: 3 tensors loaded"})
    assert bench.ledger.state.trials[student.trial].pretrained == "timm: 3 tensors loaded"


class Judge:
    """Says what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, Path]] = []

    def judge_teacher(self, candidate: Any, checkpoint: Path) -> float:
        self.seen.append((candidate, checkpoint))
        return 0.25


@pytest.fixture
def adopting(tmp_path: Path) -> Iterator[tuple[ChosenTeacher, Ledger, Workplace]]:
    chosen = simulated_teacher("adopted", tmp_path)
    with closing(Journal(tmp_path / "sweep")) as journal:
        ledger = Ledger(journal, ())
        ledger.record(SweepStarted("s", "id", {"max_epochs": MAX_EPOCHS}, {}, {}, {}))
        files = SweepFiles(tmp_path / "sweep")
        yield chosen, ledger, Workplace(files, tmp_path, None, MAX_EPOCHS, SEED)


def test_a_teacher_trained_before_is_copied_judged_and_ready_once(
    adopting: tuple[ChosenTeacher, Ledger, Workplace],
) -> None:
    chosen, ledger, workplace = adopting
    judge = Judge()
    adopt_teacher(chosen, ledger, workplace, judge)
    copy = workplace.files.teacher.of(0)
    assert judge.seen == [(chosen.candidate, copy)]
    teacher = ledger.state.teacher
    assert teacher is not None
    assert teacher.ready is not None
    assert (teacher.ready.si_rmse, teacher.ready.epochs) == (0.25, 0)
    assert teacher.ready.sha256 == chosen.sha256 == sha256_of(copy)
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]
    Path(str(chosen.checkpoint)).unlink()
    adopt_teacher(chosen, ledger, workplace, judge)
    assert len(judge.seen) == 1


def test_weights_that_changed_since_the_sweep_started_teach_nobody(
    adopting: tuple[ChosenTeacher, Ledger, Workplace],
) -> None:
    chosen, ledger, workplace = adopting
    Path(str(chosen.checkpoint)).write_bytes(b"other weights")
    with pytest.raises(TeacherChanged, match=r"teacher\.pt is not the file any more"):
        adopt_teacher(chosen, ledger, workplace, Judge())
    assert ledger.state.teacher is None
