"""The history's storage answers as Optuna's own in-memory storage with the same trials would."""

from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from tests_search_builder import SweepBuilder

from sweep.lifecycle import Trial
from sweep.search.history import STUDY_NAME, History, HistoryStorage, ReadOnlyHistory

UNIT = FloatDistribution(0.0, 1.0)
MAXIMIZE = [StudyDirection.MAXIMIZE]


def trial_in(state: TrialState, x: float) -> FrozenTrial:
    value = x if state is TrialState.COMPLETE else None
    return create_trial(state=state, params={"x": x}, distributions={"x": UNIT}, value=value)


def in_memory(trials: list[FrozenTrial]) -> tuple[InMemoryStorage, int]:
    storage = InMemoryStorage()
    study = storage.create_new_study(MAXIMIZE, STUDY_NAME)
    for trial in trials:
        storage.create_new_trial(study, trial)
    return storage, study


def history(trials: list[FrozenTrial]) -> HistoryStorage:
    """A history with the numbers that Optuna itself would give."""
    storage, study = in_memory(trials)
    return HistoryStorage(storage.get_all_trials(study), MAXIMIZE)


STATES = st.sampled_from(list(TrialState))
TRIALS = st.lists(st.builds(trial_in, STATES, st.floats(0.0, 1.0)), max_size=8)


@settings(deadline=None)
@given(TRIALS, st.lists(st.sets(STATES), max_size=4), st.integers(0, 2))
def test_every_question_about_trials_has_the_same_answer(
    trials: list[FrozenTrial], questions: list[set[TrialState]], asked: int
) -> None:
    ours, (theirs, study) = history(trials), in_memory(trials)
    for _ in range(asked):
        for storage in (ours, theirs):
            number = storage.create_new_trial(study)
            storage.set_trial_param(number, "x", 0.25, UNIT)
            storage.set_trial_system_attr(number, "note", [1])
    assert summary(ours.get_all_trials(study)) == summary(theirs.get_all_trials(study))
    for states in questions:
        expected = summary(theirs.get_all_trials(study, states=tuple(states)))
        assert summary(ours.get_all_trials(study, deepcopy=False, states=states)) == expected
        assert ours.get_n_trials(study, tuple(states)) == len(expected)
    for number in range(len(trials) + asked):
        assert summary([ours.get_trial(number)]) == summary([theirs.get_trial(number)])
        assert ours.get_trial_number_from_id(number) == number


def summary(trials: list[FrozenTrial]) -> list[Any]:
    """Everything but the clock."""
    return [
        (t.number, t._trial_id, t.state, t.values, t.params, t.distributions, t.system_attrs) for t in trials
    ]


def test_an_asked_trial_can_be_told_and_what_was_handed_out_stays_as_it_was() -> None:
    storage = history([trial_in(TrialState.COMPLETE, 0.5)])
    number = storage.create_new_trial(0)
    before = storage.get_trial(number)
    storage.set_trial_param(number, "x", 0.75, UNIT)
    assert storage.set_trial_state_values(number, TrialState.COMPLETE, [2.0])
    assert (before.params, before.state) == ({}, TrialState.RUNNING)
    after = storage.get_trial(number)
    assert (after.params, after.values, after.state) == ({"x": 0.75}, [2.0], TrialState.COMPLETE)
    assert storage.get_best_trial(0) == after


def test_what_was_handed_out_can_be_changed_without_harm() -> None:
    storage = history([trial_in(TrialState.COMPLETE, 0.5)])
    storage.get_all_trials(0, deepcopy=False, states=(TrialState.COMPLETE,)).clear()
    storage.get_all_trials(0, deepcopy=False).clear()
    storage.get_all_trials(0)[0].params["x"] = 1.0
    assert [t.params for t in storage.get_all_trials(0, states=(TrialState.COMPLETE,))] == [{"x": 0.5}]


@pytest.mark.parametrize(
    "change",
    [
        lambda storage: storage.set_trial_param(0, "x", 0.1, UNIT),
        lambda storage: storage.set_trial_state_values(0, TrialState.COMPLETE, [1.0]),
        lambda storage: storage.set_trial_system_attr(0, "key", 1),
        lambda storage: storage.set_trial_user_attr(0, "key", 1),
        lambda storage: storage.set_trial_intermediate_value(0, 1, 1.0),
        lambda storage: storage.create_new_trial(0, trial_in(TrialState.COMPLETE, 0.1)),
        lambda storage: storage.create_new_study(MAXIMIZE),
        lambda storage: storage.delete_study(0),
        lambda storage: storage.set_study_user_attr(0, "key", 1),
    ],
)
def test_what_has_happened_cannot_be_changed(change: Any) -> None:
    storage = history([trial_in(TrialState.RUNNING, 0.5)])
    before = summary(storage.get_all_trials(0))
    with pytest.raises(ReadOnlyHistory):
        change(storage)
    assert summary(storage.get_all_trials(0)) == before


def test_unknown_trials_and_studies_are_key_errors() -> None:
    storage = history([trial_in(TrialState.COMPLETE, 0.5)])
    with pytest.raises(KeyError, match="no trial 1 in a history of 1"):
        storage.get_trial(1)
    with pytest.raises(KeyError, match="no study other"):
        storage.get_study_id_from_name("other")


def test_optuna_loads_a_study_of_a_history() -> None:
    storage = history([trial_in(TrialState.COMPLETE, 0.5), trial_in(TrialState.PRUNED, 0.75)])
    study = optuna.load_study(study_name=STUDY_NAME, storage=storage)
    assert study.best_params == {"x": 0.5}
    assert study.direction is StudyDirection.MAXIMIZE
    assert len(study.get_trials(states=(TrialState.PRUNED,))) == 1


def tell_epochs(trial: Trial) -> FrozenTrial:
    return create_trial(params={"n": trial.epoch}, distributions={"n": IntDistribution(0, 6)}, value=0.0)


def test_only_trials_that_changed_are_told_again(sweep: SweepBuilder) -> None:
    told: list[int] = []

    def tell(trial: Trial) -> FrozenTrial:
        told.append(trial.number)
        return tell_epochs(trial)

    projection = History(tell)
    for _ in range(3):
        sweep.admit()
    projection.update(sweep.state.trials)
    projection.update(sweep.state.trials)
    assert told == [0, 1, 2]
    sweep.train(1, 2, [1.0, 1.0])
    sweep.admit()
    assert [trial.params["n"] for trial in projection.update(sweep.state.trials)] == [0, 2, 0, 0]
    assert told == [0, 1, 2, 1, 3]


def test_a_shorter_history_forgets_the_rest(sweep: SweepBuilder) -> None:
    sweep.admit()
    before = sweep.state.trials
    sweep.train(sweep.admit(), 2, [1.0, 1.0])
    projection = History(tell_epochs)
    assert len(projection.update(sweep.state.trials)) == 2
    assert [trial.params for trial in projection.update({0: before[0]})] == [{"n": 0}]


def test_a_gap_in_the_numbers_is_an_error(sweep: SweepBuilder) -> None:
    sweep.admit()
    sweep.admit()
    with pytest.raises(ValueError, match="trial 1 stands where trial 0 is expected"):
        History(tell_epochs).update({1: sweep.state.trials[1]})
