"""A whole sweep on the real journal, ledger, planner, proposer, driver, searcher, stages and steps.

Only the work itself is simulated (see `simulated_work`), and Ray: attempts and steps take turns in one thread, so
that a sweep with one slot tells the same story each time, however often it is killed in between.
"""

import errno
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from io import FileIO
from itertools import count
from pathlib import Path
from typing import Any, Literal

from simulated_work import FakeMeasurer, FakeTasks, Mishaps, train
from taught_space import TAUGHT_SPACE, simulated_teacher

from sweep.engine import control
from sweep.engine.attempt_spec import AttemptSpec
from sweep.engine.driver import AttemptResources, Driver
from sweep.engine.files import SweepFiles
from sweep.engine.finals import measure_finalists
from sweep.engine.ledger import Ledger
from sweep.engine.publishing import Housekeeping
from sweep.engine.searcher import AttemptSearcher
from sweep.engine.settings import Workplace
from sweep.engine.stages import Stages
from sweep.engine.steps import Steps
from sweep.engine.teaching import adopt_teacher
from sweep.judging.own_score import score_identity
from sweep.judging.score import FinalScore
from sweep.lifecycle import Event, Journal, Record, SweepState, read_state
from sweep.lifecycle.events import SweepEnded, SweepResumed, SweepStarted
from sweep.lifecycle.journal import JOURNAL_NAME
from sweep.search import AdmissionPolicy, Limits, Planner, Proposes, RungPolicy, Start
from sweep.search.fixed import FixedProposer
from sweep.search.proposer import make_proposer
from sweep.space import ExportChoices, Space, load_space
from sweep.space.samplers import Sampler, TPESampler

MAX_EPOCHS = 6
SEED = 11
SPACE = load_space(Path(__file__).parents[1] / "end_to_end" / "miniature.yaml")
"""64 architectures: some come up twice."""

ASHA = RungPolicy((2, MAX_EPOCHS), 2, min_full=3)
NO_ADMISSION = AdmissionPolicy()
NO_MISHAPS = Mishaps()

Moment = Literal["before the write", "in the write", "after the write", "disk full"]


class Killed(BaseException):
    """The simulated SIGKILL: nothing catches it."""


class FullDiskError(OSError):
    """What the system says of the simulated full disk."""

    def __init__(self) -> None:
        super().__init__(errno.ENOSPC, "No space left on device")


@dataclass(frozen=True)
class Death:
    """What happens at the append after ``appends`` others: the process dies, or the disk is full."""

    appends: int
    moment: Moment


@dataclass(frozen=True)
class Configuration:
    """One sweep: what it searches, and by what rules."""

    sampler: Sampler = field(default_factory=lambda: TPESampler(kind="tpe", startup_trials=3))
    trials: int = 8
    rungs: RungPolicy = ASHA
    admission: AdmissionPolicy = NO_ADMISSION
    slots: int = 1
    lookahead: int = 1
    keep: int = 3
    finalist_rounds: int = 0
    mishaps: Mishaps = NO_MISHAPS
    starts: tuple[Start, ...] = ()
    finalizing: bool = False
    exports: ExportChoices = field(default_factory=ExportChoices)
    teacher: Literal["trained", "adopted"] | None = None
    """Where the teacher comes from; half of the recipes want it."""
    asks: Mapping[int, int] = field(default_factory=dict)
    """How many trials a person adds when there are so many; 0: the person stops the sweep."""

    @property
    def space(self) -> Space:
        return SPACE if self.teacher is None else TAUGHT_SPACE

    @property
    def max_epochs(self) -> int:
        return self.rungs.max_epochs

    def proposer(self, space: Space) -> Proposes:
        if self.finalizing:
            return FixedProposer(space, self.starts)
        return make_proposer(
            space,
            self.sampler,
            SEED,
            max_epochs=self.max_epochs,
            starts=self.starts,
            constraints=self.admission.constraints,
            score=self.admission.score,
        )

    @property
    def identity(self) -> dict[str, Any]:
        """As `sweep.engine.identity` has it; a score that is not the challenge's is told by its class."""
        score = self.admission.score
        path = f"{type(score).__module__}:{type(score).__qualname__}"
        own = {} if isinstance(score, FinalScore) else {"score": score_identity(path, score)}
        return {"max_epochs": self.max_epochs, **own}


class World:
    """Where a sweep runs; it outlives the sweep's processes, and so do its person and its disk."""

    def __init__(self, directory: Path, configuration: Configuration) -> None:
        self.directory = directory
        self.configuration = configuration
        self.tasks = FakeTasks(configuration.exports.variants)
        self._wishes = dict(configuration.asks)

    @property
    def state(self) -> SweepState:
        return read_state(self.directory)

    def run(self, death: Death | None = None) -> SweepEnded:
        """Run or resume the sweep until it ends, or until ``death``.

        Raises:
            Killed: the process died.
            FullDiskError: the disk was full to the end.
        """
        started_at = time.time()
        with MortalJournal(self.directory, death) as journal:
            control.forget_stops(self.directory, started_at)
            full = death is not None and death.moment == "disk full"
            return _Run(self, journal, hears_stops=not full).to_its_end()

    def run_to_the_end(self) -> None:
        """Run, and resume whenever somebody stopped the sweep."""
        while self.run().reason == "stopped":
            pass

    def notice(self, state: SweepState, _: Record) -> None:
        """The person looks at the sweep, and wishes something once in a lifetime."""
        wish = self._wishes.pop(len(state.trials), None)
        if wish is not None:
            id_ = control.new_id()
            request = control.AddTrials(id_, wish) if wish else control.StopRequest(id_)
            control.ask(self.directory, request)


class _Run:
    """One process's life. A full disk may have no room for the flag that tells trainers to stop."""

    def __init__(self, world: World, journal: Journal, *, hears_stops: bool) -> None:
        self._hears_stops = hears_stops
        c = world.configuration
        ledger = Ledger(journal, (world.notice,))
        self._ledger, self._configuration = ledger, c
        self._files = files = SweepFiles(world.directory.resolve())
        test = world.directory / "test" if c.finalizing else None
        workplace = Workplace(files, world.directory, None, c.max_epochs, SEED, test, c.exports)
        self._workplace, self._tasks = workplace, world.tasks
        self._teacher = simulated_teacher(c.teacher, world.directory.parent) if c.teacher else None
        self._trials = _trials_to_try(journal.records, ledger.state, c.trials)
        self._driver = SimulatedDriver(
            ledger,
            Planner(c.rungs, Limits(self._trials, c.slots, c.lookahead), c.admission),
            c.proposer(c.space),
            workplace,
            AttemptResources(threads=1, use_gpu=False),
            deadline=None,
            now=(2.0 * tick for tick in count()).__next__,  # people's wishes are looked at each time
            teacher=self._teacher,
        )
        self._measurer = FakeMeasurer(lambda: ledger.state, c.mishaps)
        steps = Steps(workplace, world.tasks, self._measurer, c.admission, lambda: ledger.state)
        self._stages = QueuedStages(ledger, steps, self._driver)
        self._housekeeping = Housekeeping(ledger, files, c.keep)
        self._driver.work = self._work
        self._driver.attach(self._stages)

    def to_its_end(self) -> SweepEnded:
        settings = {"trials": self._trials}
        if self._ledger.state.started is None:
            identity = self._configuration.identity
            self._ledger.record(SweepStarted("s", "id", identity, {}, settings, {}))
        else:
            self._ledger.record(SweepResumed(settings, {}))
        self._driver.pump()
        self._work()
        adopt_teacher(self._teacher, self._ledger, self._workplace, self._tasks)
        run_attempts(AttemptSearcher(self._driver), self._train, self._work)
        self._stages.close()
        self._measure_finalists()
        ended = self._driver.conclude()
        self._housekeeping(self._ledger.state)
        self._driver.end(ended)
        return ended

    def _work(self) -> None:
        """Let the steps before and after training go on, and tidy up behind them."""
        self._stages.work()
        if not self._driver.stopping:
            self._housekeeping(self._ledger.state)

    def _train(self, spec: AttemptSpec) -> Iterator[dict[str, Any] | None]:
        mishaps, hears = self._configuration.mishaps, self._hears_stops
        return train(spec, lambda: self._ledger.state, mishaps, hears_stops=hears)

    def _measure_finalists(self) -> None:
        measure_finalists(
            self._ledger,
            self._files,
            self._measurer,
            top=3,
            rounds=self._configuration.finalist_rounds,
            may_go_on=lambda: not self._driver.stopping,
            score=self._configuration.admission.score,
        )


def _trials_to_try(records: tuple[Record, ...], state: SweepState, asked: int) -> int:
    """The number of trials, as ``sweep resume`` takes it from the journal."""
    trials = asked
    for record in records:
        if isinstance(record.event, SweepStarted | SweepResumed):
            trials = record.event.settings["trials"]
    return trials + state.trials_added


class SimulatedDriver(Driver):
    """The real driver; who waits for a change lets the others work."""

    work: Callable[[], None]

    def wait_for_change(self, timeout_s: float) -> None:  # noqa: ARG002  # the driver's signature
        before = self._ledger.state
        self.work()
        assert self._ledger.state is not before, "nothing goes on, and the sweep is not over"


class QueuedStages(Stages):
    """The real stages; each step is taken when the only thread there is comes to it."""

    def __init__(self, ledger: Ledger, steps: Steps, driver: Driver) -> None:
        super().__init__(
            ledger,
            steps,
            workers=1,
            on_change=driver.pump,
            on_fatal=lambda reason: driver.stop("error", reason),
        )
        self._queue = self._executor = _Queue()

    def work(self) -> None:
        """Take all steps that wait, and those that follow from them."""
        self._queue.work()


class _Queue(Executor):
    def __init__(self) -> None:
        self._waiting: list[Callable[[], Any]] = []

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
        self._waiting.append(lambda: function(*arguments))
        return Future()

    def shutdown(self, *_: Any, **__: Any) -> None:
        self._waiting.clear()

    def work(self) -> None:
        while self._waiting:
            self._waiting.pop(0)()


def run_attempts(
    searcher: AttemptSearcher,
    train: Callable[[AttemptSpec], Iterator[dict[str, Any] | None]],
    work: Callable[[], None],
) -> None:
    """Ray Tune: starts whatever the searcher suggests, and passes on an epoch of each attempt in turn."""
    live: dict[str, Iterator[dict[str, Any] | None]] = {}
    finished = False
    for number in count():
        while not finished:
            config = searcher.suggest(f"attempt-{number}-{len(live)}")
            if config == searcher.FINISHED:
                finished = True
            elif config is None:
                break
            else:
                live[f"attempt-{number}-{len(live)}"] = train(AttemptSpec.from_config(config))
            work()
        if not live:
            return
        for name in tuple(live):
            if not _pass_on(searcher, name, next(live[name])):
                del live[name]
            work()


def _pass_on(searcher: AttemptSearcher, name: str, result: Mapping[str, Any] | None) -> bool:
    """Tell the searcher; False if that was the attempt's last result."""
    if result is None:
        searcher.on_error(name, "The actor died unexpectedly: its worker process has died.")
        searcher.on_trial_complete(name, error=True)
        return False
    if result["done"]:
        searcher.on_trial_complete(name, dict(result))
        return False
    return searcher.on_epoch(name, result) if "failure" not in result else False


class MortalJournal(Journal):
    """The real journal of a process that dies at one of its appends."""

    def __init__(self, directory: Path, death: Death | None) -> None:
        super().__init__(directory)
        self._death = death
        self._appends = 0
        self._dead = False

    def append(self, event: Event) -> Record:
        if self._dead:
            raise Killed  # blocks that tidy up do not run in a process that is gone
        self._appends += 1
        if self._death is None or self._appends <= self._death.appends:
            return super().append(event)
        if self._death.moment == "disk full":
            self._file = _FullDisk(self._file)
            return super().append(event)
        self._dead = True
        self._die(event, self._death.moment)
        raise Killed

    def _die(self, event: Event, moment: Moment) -> None:
        if moment == "before the write":
            return
        size = (self._path.parent / JOURNAL_NAME).stat().st_size
        super().append(event)
        if moment == "in the write":
            whole = self._path.stat().st_size
            self._file.truncate(size + (whole - size) // 2)


class _FullDisk:
    """A file on a disk that takes a few more bytes, and no more from then on."""

    def __init__(self, file: FileIO) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        self._file.write(data[: len(data) // 2])
        raise FullDiskError

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
