"""The Optuna study that comes of a journal, however and however often it got there."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count

import optuna
import pytest
from killing import Killed, killed_at_commit
from optuna.trial import FrozenTrial
from tracking_sweep import T0, measurement, proposed, started, write_sweep

from sweep.lifecycle import Record, SweepState, fold
from sweep.lifecycle.events import FinalistMeasured, TrialCompleted
from sweep.search.told import PARETO_FRONT, Teller
from sweep.space import load_space
from sweep.space.constraint import parse_constraint
from sweep.space.suggest import RandomSuggest
from sweep.tracking.optuna_projection import OptunaProjection, study_name
from sweep.tracking.readers import read_optuna

NAME = study_name(started())


def states_after(records: Sequence[Record]) -> list[tuple[SweepState, Record]]:
    state, changes = SweepState(), []
    for record in records:
        state = fold(state, record.event, record.time)
        changes.append((state, record))
    return changes


def shown(url: str) -> dict[int, tuple[str, list[float] | None, dict[int, float], dict[str, object]]]:
    """Everything but times: state, values, intermediate values and attributes, by our number."""
    trials = read_optuna(url, started())
    assert len({trial.user_attrs["trial"] for trial in trials}) == len(trials), "a trial is there twice"
    return {
        trial.user_attrs["trial"]: (
            trial.state.name,
            trial.values,
            trial.intermediate_values,
            trial.user_attrs,
        )
        for trial in trials
    }


def test_every_trial_is_shown_once_as_what_it_is(place, records):
    projection = place.optuna_projection()
    for state, record in states_after(records):
        projection.apply(state, record)
    projection.close()
    trials = shown(place.optuna_url)
    assert {number: trial[:3] for number, trial in trials.items()} == {
        0: ("COMPLETE", [671.8], {1: 100.0, 2: 200.0}),
        1: ("PRUNED", [100.0], {1: 100.0}),
        2: ("FAIL", None, {}),
        3: ("FAIL", None, {}),
        4: ("RUNNING", None, {1: 100.0}),
        5: ("COMPLETE", [353.6], {1: 100.0, 2: 200.0}),
    }
    assert {number: trial[3].get("reason") for number, trial in trials.items()} == {
        0: None,
        1: "pruned: not among the best at rung 1",
        2: "infeasible: the runtime refused the file: op 152 is unknown",
        3: "failed: training diverged: loss is NaN at step 40",
        4: None,
        5: None,
    }
    assert trials[0][3] == {
        "trial": 0,
        "outcome": "complete",
        "origin": "sampler",
        "candidate_hash": f"{0:016x}",
        "architecture_hash": f"{256:016x}",
        "latency_ms": 12.5,
        "size_mb": 1.2,
        "si_rmse": 0.3125,
    }


def test_the_study_says_whose_it_is_and_what_it_maximises(place, records):
    place.optuna_projection().catch_up(records)
    study = optuna.load_study(study_name="demo-demo-7f3", storage=place.optuna_url)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE"]
    assert study.metric_names == ["final_score"]
    assert study.user_attrs == {
        "sweep": "demo",
        "identity": started().identity,
        "sweep_id": "demo-7f3a",
    }
    assert (study.best_trial.number, study.best_trial.params) == (0, {"width": 0})


def test_a_trial_that_ended_before_it_was_shown_has_the_journals_times(place, records):
    place.optuna_projection().catch_up(records)
    trial = read_optuna(place.optuna_url, started())[0]
    assert trial.datetime_start == datetime.fromtimestamp(T0 + 11)
    assert trial.datetime_complete == datetime.fromtimestamp(T0 + 77)


def test_catching_up_from_nothing_gives_the_same_study_as_applying_one_by_one(place, records, other):
    projection = place.optuna_projection()
    for state, record in states_after(records):
        projection.apply(state, record)
    other.optuna_projection().catch_up(records)
    assert shown(place.optuna_url) == shown(other.optuna_url)


def test_a_projection_killed_again_and_again_is_gone_on_with(place, records, other):
    """The same study loses its projection at its first commit, then at its second, until none is left."""
    kills = 0
    for commit in count(1):
        try:
            with killed_at_commit(commit):
                place.optuna_projection().catch_up(records)
            break
        except Killed:
            kills += 1
    assert kills > 8
    other.optuna_projection().catch_up(records)
    assert shown(place.optuna_url) == shown(other.optuna_url)


@pytest.mark.parametrize("commit", range(1, 60, 4))
def test_a_live_projection_killed_at_a_commit_loses_and_doubles_nothing(place, records, other, commit):
    def live() -> None:
        projection = place.optuna_projection()
        for state, record in states_after(records):
            projection.apply(state, record)

    with killed_at_commit(commit), pytest.raises(Killed):
        live()
    place.optuna_projection().catch_up(records)
    other.optuna_projection().catch_up(records)
    assert shown(place.optuna_url) == shown(other.optuna_url)


def test_catching_up_twice_writes_nothing(place, records):
    place.optuna_projection().catch_up(records)
    with killed_at_commit(10_000) as commits:
        projection = place.optuna_projection()
        opened = len(commits)
        projection.catch_up(records)
    reading = len(commits)
    with killed_at_commit(10_000) as again:
        read_optuna(place.optuna_url, started())
    assert opened == 0
    assert reading <= len(again) + 8  # looking for the study and what it says of itself, but no trial


def test_rounds_of_finalists_change_nothing_in_the_study(place, records):
    projection = place.optuna_projection()
    measured = [
        FinalistMeasured(0, 1, 25.0, measurement(25.0)),
        FinalistMeasured(0, 2, 25.0, measurement(25.0)),
    ]
    more = [Record(len(records) + i, T0 + 900 + i, event) for i, event in enumerate(measured)]
    for state, record in states_after([*records, *more]):
        projection.apply(state, record)
    projection.close()
    trials = shown(place.optuna_url)
    assert trials[0][1] == [671.8]
    assert trials[0][3]["latency_ms"] == 12.5
    assert sorted(trials) == [0, 1, 2, 3, 4, 5]
    assert projection.problem is None


@pytest.mark.parametrize("wrong", ["twice", "other score", "not ours"])
def test_what_optuna_does_not_let_go_of_is_made_anew(place, records, wrong, caplog):
    place.optuna_projection().catch_up(records)
    before = shown(place.optuna_url)
    study = optuna.load_study(study_name=NAME, storage=place.optuna_url)
    spoiled: dict[str, FrozenTrial] = {}
    (spoiled["twice"], *_) = (trial for trial in study.trials if trial.user_attrs["trial"] == 1)
    spoiled["not ours"] = optuna.trial.create_trial(value=1.0, user_attrs={"trial": 77})
    if wrong == "other score":
        optuna.delete_study(study_name=NAME, storage=place.optuna_url)
        completed = records[7].event
        assert isinstance(completed, TrialCompleted)
        lie = replace(records[7], event=replace(completed, final_score=1.0))
        place.optuna_projection().catch_up([*records[:7], lie])
    else:
        study.add_trial(spoiled[wrong])
    place.optuna_projection().catch_up(records)
    assert shown(place.optuna_url) == before
    assert [record.levelname for record in caplog.records if "made anew" in record.message] == ["WARNING"]


def test_trials_that_somebody_added_for_themselves_are_left_alone(place, records):
    place.optuna_projection().catch_up(records[:8])
    study = optuna.load_study(study_name=NAME, storage=place.optuna_url)
    study.add_trial(optuna.trial.create_trial(value=5.0))
    place.optuna_projection().catch_up(records)
    assert [trial.user_attrs.get("trial") for trial in study.trials] == [0, None, 1, 2, 3, 4, 5]


def test_a_study_of_another_sweep_is_refused_and_left_as_it_is(place, records):
    place.optuna_projection().catch_up(records)
    before = shown(place.optuna_url)
    namesake = replace(started(), sweep_id="demo-7f3b")  # the same first 8 characters
    projection = place.optuna_projection()
    projection.catch_up([replace(records[0], event=namesake), *records[1:]])
    assert projection.problem == (
        f"study {NAME} in {place.optuna_url} belongs to the sweep demo-7f3a, not to demo-7f3b"
    )
    assert shown(place.optuna_url) == before


def test_a_study_with_other_objectives_is_refused(place, records):
    place.optuna_projection().catch_up(records)
    teller = Teller(place.optuna_projection()._teller.distributions, PARETO_FRONT, ())
    projection = place.optuna_projection(teller)
    projection.catch_up(records)
    assert "optimises ['final_score'], not ['si_rmse', 'latency_ms', 'size_mb']" in str(projection.problem)


def test_several_objectives_are_mirrored_with_their_directions_and_constraints(place, records):
    distributions = place.optuna_projection()._teller.distributions
    teller = Teller(distributions, PARETO_FRONT, (parse_constraint("latency_ms <= 11"),))
    place.optuna_projection(teller).catch_up(records)
    study = optuna.load_study(study_name=NAME, storage=place.optuna_url)
    assert [direction.name for direction in study.directions] == ["MINIMIZE"] * 3
    assert {trial.number: trial.values for trial in study.trials if trial.values} == {
        0: [0.3125, 12.5, 1.2],
        5: [0.375, 10.0, 1.2],
    }
    assert study.trials[0].constraints == {"latency_ms <= 11": 1.5}
    assert study.trials[5].constraints == {"latency_ms <= 11": -1.0}
    assert [trial.number for trial in study.best_trials] == [5]  # trial 0 breaks the constraint


def test_assignments_of_a_conditional_space_come_back_exactly(place):
    space = load_space("mobilenetv3")
    events = [started()]
    assignments = [space.sample(RandomSuggest(seed)) for seed in range(12)]
    events += [replace(proposed(i), assignment=assignment) for i, assignment in enumerate(assignments)]
    projection = OptunaProjection(place.optuna_url, Teller.of(space, PARETO_FRONT, ()))
    projection.catch_up([Record(i, T0 + i, event) for i, event in enumerate(events)])
    assert projection.problem is None
    assert [trial.params for trial in read_optuna(place.optuna_url, started())] == assignments


def test_a_database_that_fails_stops_nothing_and_gets_everything_later(place, records, other, caplog):
    blocked = place.sweep.parent / "optuna.db"
    blocked.mkdir()
    projection = place.optuna_projection()
    changes = states_after(records)
    projection.apply_all(changes[:10])
    assert "unable to open database file" in str(projection.problem)
    projection.apply_all(changes[10:12])
    blocked.rmdir()
    projection.apply_all(changes[12:20])
    assert projection.problem is None
    projection.apply_all(changes[20:])
    other.optuna_projection().catch_up(records)
    assert shown(place.optuna_url) == shown(other.optuna_url)
    ours = [record for record in caplog.records if record.name == "sweep.tracking.optuna_projection"]
    assert [record.levelno for record in ours] == [logging.WARNING]


def test_only_databases_can_hold_a_study(place):
    with pytest.raises(
        ValueError, match=r"Optuna storage 'http://\*\*\*@host': must be sqlite:/// and an abs"
    ):
        OptunaProjection("http://user:secret@host", place.optuna_projection()._teller)


def test_a_sweeps_files_are_not_needed(tmp_path, place):
    records = write_sweep(tmp_path / "elsewhere")
    place.optuna_projection().catch_up(records)
    assert len(shown(place.optuna_url)) == 6
