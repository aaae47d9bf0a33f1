"""The sweep's history as Optuna's storage: a projection of the journal, made anew for each proposal.

A study in one of Optuna's own storages would have to be filled from the first trial on for each proposal, or
kept in step with the journal; and a trial that was told as pruned could never become complete. Here each trial
is turned into Optuna's form once for each thing that happens to it, and a storage over the list costs nothing.
"""

# ruff: noqa: ARG002 - methods have the arguments that Optuna's `BaseStorage` gives them

import copy
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweep.lifecycle import Trial

STUDY_NAME = "history"
_STUDY_ID = 0


class History:
    """What Optuna is told of the trials, remade for those that changed since the last look."""

    def __init__(self, tell: Callable[[Trial], FrozenTrial]) -> None:
        self._tell = tell
        self._known: list[Trial] = []
        self._told: list[FrozenTrial] = []

    def update(self, trials: Mapping[int, Trial]) -> Sequence[FrozenTrial]:
        """All of ``trials``, numbered from 0 without gaps, as they stand now."""
        del self._known[len(trials) :], self._told[len(trials) :]
        for index, (number, trial) in enumerate(trials.items()):
            if number != index:
                raise ValueError(f"trial {number} stands where trial {index} is expected")
            if index == len(self._known):
                self._known.append(trial)
                self._told.append(self._tell(trial))
            elif self._known[index] is not trial:
                self._known[index], self._told[index] = trial, self._tell(trial)
        return list(self._told)


class ReadOnlyHistory(Exception):
    """Somebody wanted of a history what only a study that is written to can do."""


class HistoryStorage(BaseStorage):
    """One study over told trials, which cannot be changed; only what is asked of it now can be written.

    For one thread: unlike Optuna's own storages it has no lock.

    Args:
        told: trials in Optuna's form; number and id are the place in the sequence.
        directions: the study's, one for each objective.
    """

    def __init__(self, told: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> None:
        self._told = told
        self._directions = list(directions)
        self._asked: list[FrozenTrial] = []
        self._study_attrs: dict[str, Any] = {}
        self._told_by_states: dict[tuple[bool, ...], list[FrozenTrial]] = {}

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> NoReturn:
        raise ReadOnlyHistory("a history is one study")

    def delete_study(self, study_id: int) -> NoReturn:
        raise ReadOnlyHistory("a history is one study")

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> NoReturn:
        raise ReadOnlyHistory(f"user attribute {key} of a history")

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._study_attrs = {**self._study_attrs, key: value}

    def get_study_id_from_name(self, study_name: str) -> int:
        if study_name != STUDY_NAME:
            raise KeyError(f"no study {study_name}; a history is {STUDY_NAME}")
        return _STUDY_ID

    def get_study_name_from_id(self, study_id: int) -> str:
        return STUDY_NAME

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return {}

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._study_attrs

    def get_all_studies(self) -> NoReturn:
        raise ReadOnlyHistory("a history is one study")

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        if template_trial is not None:
            raise ReadOnlyHistory("a trial cannot be added to a history")
        number = len(self._told) + len(self._asked)
        self._asked.append(_running(number))
        return number

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        trial = self._copy_asked(trial_id)
        trial.params = {**trial.params, param_name: distribution.to_external_repr(param_value_internal)}
        trial.distributions = {**trial.distributions, param_name: distribution}

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        trial = self._copy_asked(trial_id)
        trial.state = state
        if values is not None:
            trial.values = list(values)
        if state.is_finished():
            trial.datetime_complete = datetime.now()
        return True

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> NoReturn:
        raise ReadOnlyHistory(f"a value of trial {trial_id}")

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> NoReturn:
        raise ReadOnlyHistory(f"user attribute {key} of trial {trial_id}")

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        trial = self._copy_asked(trial_id)
        trial.system_attrs = {**trial.system_attrs, key: value}

    def get_trial(self, trial_id: int) -> FrozenTrial:
        told = len(self._told)
        if not 0 <= trial_id < told + len(self._asked):
            raise KeyError(f"no trial {trial_id} in a history of {told}")
        return self._told[trial_id] if trial_id < told else self._asked[trial_id - told]

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if states is None:
            trials = [*self._told, *self._asked]
        else:
            asked = [trial for trial in self._asked if trial.state in states]
            trials = self._told_in(states) + asked
        return copy.deepcopy(trials) if deepcopy else trials

    def _told_in(self, states: Container[TrialState]) -> list[FrozenTrial]:
        """Told trials in ``states``; samplers ask for the same few sets once for each parameter."""
        key = tuple(state in states for state in TrialState)
        if key not in self._told_by_states:
            self._told_by_states[key] = [trial for trial in self._told if trial.state in states]
        return self._told_by_states[key]

    def _copy_asked(self, trial_id: int) -> FrozenTrial:
        """A copy of an asked trial in its place, to be changed: what was handed out must stay as it was."""
        index = trial_id - len(self._told)
        if not 0 <= index < len(self._asked):
            raise ReadOnlyHistory(f"trial {trial_id} has happened, or is not known")
        self._asked[index] = copy.copy(self._asked[index])
        return self._asked[index]


def _running(number: int) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(),
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )
