"""The journal, shown in Optuna: one trial in a study of a database per trial of the sweep.

For optuna-dashboard and Optuna's own analyses; the search itself never reads it. Each trial is made in one
transaction that also names it, its epochs and attributes follow one by one, and its state comes last, so that
a projection that was cut off anywhere is gone on with: `OptunaProjection.catch_up` compares and adds what lacks.
"""

import logging
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import optuna
from optuna import Study
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from sweep.lifecycle import Record, SweepState, Trial, replay
from sweep.lifecycle.events import SweepStarted
from sweep.search.told import Teller
from sweep.tracking.addresses import kind_of, normalised, redacted, scrubbed, sqlite_path
from sweep.tracking.optuna_mirror import changed, contradictions, mirrored
from sweep.tracking.store import check_answers

SWEEP_ID_ATTRIBUTE: Final = "sweep_id"
TRIAL_ATTRIBUTE: Final = "trial"
"""User attribute that holds our number of a trial, and by which it is found again."""

_log = logging.getLogger(__name__)


class StudyMismatch(Exception):
    """A study of the sweep's name is there, but it is not the sweep's."""


def study_name(started: SweepStarted) -> str:
    """The sweep's name and the first 8 characters of its id: sweeps of one name get studies of their own."""
    return f"{started.name}-{started.sweep_id[:8]}"


def open_storage(url: str) -> RDBStorage:
    """Optuna's storage at ``url``, made if it is not there.

    Raises:
        ValueError: ``url`` names no database, or its driver is not installed.
        ConnectionError: it does not answer; the message holds no password.
    """
    kind = kind_of(url, "Optuna storage", ("sqlite", "postgresql"))
    if kind == "sqlite":
        sqlite_path(url).parent.mkdir(parents=True, exist_ok=True)
    else:
        check_answers(url)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    patience = {"connect_args": {"timeout": 20}} if kind == "sqlite" else {"pool_pre_ping": True}
    return RDBStorage(normalised(url), engine_kwargs=patience)


class OptunaProjection:
    """One sweep's study in a database; used from one thread.

    Attributes:
        name: whose view of the sweep this is.
        seconds: time spent inside calls of Optuna so far.
        problem: why something could not be sent and is waiting; None if the study is up to date.
    """

    name: Final = "Optuna"

    def __init__(self, url: str, teller: Teller) -> None:
        """Nothing is connected to before the first record.

        Args:
            url: ``sqlite:////abs/path`` or ``postgresql://USER@HOST/DATABASE``; not the database of MLflow.
            teller: the space's distributions, and the objectives and constraints of the study.

        Raises:
            ValueError: ``url`` names no database.
        """
        kind_of(url, "Optuna storage", ("sqlite", "postgresql"))
        self.seconds = 0.0
        self.problem: str | None = None
        self._url = url
        self._teller = teller
        self._storage: RDBStorage | None = None
        self._study: Study | None = None
        self._held: dict[int, FrozenTrial] = {}
        self._waiting: set[int] = set()
        self._state = SweepState()
        self._contradiction = ""

    def apply(self, state: SweepState, record: Record) -> None:
        """Show one more record; ``state`` is the sweep's state after it."""
        self.apply_all([(state, record)])

    def apply_all(self, changes: Sequence[tuple[SweepState, Record]]) -> None:
        """Show further records, each with the sweep's state after it; only the last state is sent.

        With none, what could not be sent is tried once more.
        """
        for state, record in changes:
            number = getattr(record.event, "trial", None)
            self._waiting |= state.unfinished.keys() if number is None else {number}
            self._state = state
        self._send_all()

    def catch_up(self, records: Sequence[Record]) -> None:
        """Bring the study to the state after ``records``, the whole journal from its first record on.

        Whatever of it does not agree is put right; where Optuna does not allow that, the study is made anew.
        """
        self._state = replay((record.time, record.event) for record in records)
        self._waiting |= self._state.trials.keys()
        self._send_all()
        self._settle()

    def close(self) -> None:
        """Put right what changed after Optuna had it as finished; give up what still waits, with a warning."""
        self._settle()
        if self._waiting:
            _log.warning("Optuna lacks the latest of %d trials: %s", len(self._waiting), self.problem)
        if self._storage is not None:
            self._storage.remove_session()
            self._storage.engine.dispose()

    def _settle(self) -> None:
        """Make the study anew if it holds something wrong that Optuna does not allow to change."""
        if not self._contradiction:
            return
        assert self._state.started is not None
        name = study_name(self._state.started)
        _log.warning("Optuna's study %s is made anew from the journal: %s", name, self._contradiction)
        with self._problems_noted():
            optuna.delete_study(study_name=name, storage=self._open_storage())
            self._study = None
        self._send_all()
        if self._contradiction:  # the store failed meanwhile, or somebody else writes to the study
            self.problem = self.problem or self._contradiction

    def _send_all(self) -> None:
        if self._state.started is None or (self._study is not None and not self._waiting):
            return
        with self._problems_noted():
            study = self._study = self._study or self._open()
            for number in sorted(self._waiting):
                self._send(study, self._state.trials[number])
                self._waiting.discard(number)

    @contextmanager
    def _problems_noted(self) -> Iterator[None]:
        """Time the calls inside; after a failing one the study is read anew before anything else is sent."""
        start = time.perf_counter()
        try:
            yield
        except Exception as error:  # databases raise what they like, and none may stop a sweep
            problem = scrubbed(_in_words(error), self._url)
            if self.problem is None:
                _log.warning("Optuna is behind; the sweep goes on, its journal has everything: %s", problem)
            self.problem = problem
            self._study = None
        else:
            self.problem = None
        finally:
            self.seconds += time.perf_counter() - start

    def _open_storage(self) -> RDBStorage:
        if self._storage is None:
            self._storage = open_storage(self._url)
        return self._storage

    def _open(self) -> Study:
        """Open or make the study and learn what it holds; every trial is then compared with it."""
        started = self._state.started
        assert started is not None
        study = optuna.create_study(
            storage=self._open_storage(),
            study_name=study_name(started),
            directions=self._teller.objectives.directions,
            load_if_exists=True,
        )
        self._claim(study, started)
        shown = shown_trials(study.get_trials(deepcopy=False))
        self._held = {number: copies[0] for number, copies in shown.items()}
        self._contradiction = next(_superfluous(shown, self._state), "")
        self._waiting |= self._state.trials.keys()
        return study

    def _claim(self, study: Study, started: SweepStarted) -> None:
        where = f"study {study.study_name} in {redacted(self._url)}"
        owner = study.user_attrs.get(SWEEP_ID_ATTRIBUTE)
        if owner is None and study.get_trials(deepcopy=False):
            raise StudyMismatch(f"{where} was not made by a sweep; rename or delete it")
        if owner not in (None, started.sweep_id):
            raise StudyMismatch(f"{where} belongs to the sweep {owner}, not to {started.sweep_id}")
        objectives = self._teller.objectives
        names = list(objectives.shown or objectives.names)
        found = (study.metric_names or names, tuple(study.directions))
        if found != (names, self._teller.objectives.directions):
            raise StudyMismatch(f"{where} optimises {found[0]}, not {names}; delete it, and it is made anew")
        _set_metric_names(study, names)
        if owner is None:
            study.set_user_attr("sweep", started.name)
            study.set_user_attr("identity", dict(started.identity))
            study.set_user_attr(SWEEP_ID_ATTRIBUTE, started.sweep_id)

    def _send(self, study: Study, trial: Trial) -> None:
        wanted = mirrored(self._teller, trial)
        held = self._held.get(trial.number)
        if held is None:
            wanted._trial_id = self._open_storage().create_new_trial(study._study_id, wanted)
        elif wrong := ", ".join(contradictions(held, wanted)):
            self._contradiction = f"trial {trial.number}: {wrong}"
            return
        else:
            wanted._trial_id = held._trial_id
            self._update(held, wanted)
        self._held[trial.number] = wanted

    def _update(self, held: FrozenTrial, wanted: FrozenTrial) -> None:
        """Add what ``held`` lacks, its state last; a finished trial lacks nothing, or would be contradictory."""
        storage, trial_id = self._open_storage(), held._trial_id
        for epoch, score in changed(held.intermediate_values, wanted.intermediate_values).items():
            storage.set_trial_intermediate_value(trial_id, epoch, score)
        for key, value in changed(held.user_attrs, wanted.user_attrs).items():
            storage.set_trial_user_attr(trial_id, key, value)
        for key, value in changed(held.system_attrs, wanted.system_attrs).items():
            storage.set_trial_system_attr(trial_id, key, value)
        if wanted.state.is_finished() and not held.state.is_finished():
            storage.set_trial_state_values(trial_id, wanted.state, wanted.values)


def shown_trials(trials: Sequence[FrozenTrial]) -> Mapping[int, list[FrozenTrial]]:
    """A study's trials by our numbers, each with its copies; trials of others are left out."""
    shown: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        if TRIAL_ATTRIBUTE in trial.user_attrs:
            shown.setdefault(int(trial.user_attrs[TRIAL_ATTRIBUTE]), []).append(trial)
    return shown


def _superfluous(shown: Mapping[int, list[FrozenTrial]], state: SweepState) -> Iterator[str]:
    for number, copies in shown.items():
        if number not in state.trials:
            yield f"trial {number} is not in the journal"
        elif len(copies) > 1:
            yield f"trial {number} is there {len(copies)} times"


def _set_metric_names(study: Study, names: list[str]) -> None:
    if study.metric_names != names:
        with warnings.catch_warnings():  # marked as experimental
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(names)


def _in_words(error: BaseException) -> str:
    """The database's own words where there are any; Optuna puts a guess before them."""
    cause = getattr(error.__cause__, "orig", None) or error.__cause__
    return str(cause or error)
