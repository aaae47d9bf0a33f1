"""Both projections on a real PostgreSQL server: the journal stays the truth, whatever happens to the server."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from killing import Killed, killed_at_commit
from mlflow_server import mlflow_server
from postgres import ENCODED_PASSWORD, PASSWORD
from store_dump import dump
from tracking_sweep import T0, proposed, started

from sweep.lifecycle import Record, SweepState, fold, replay
from sweep.lifecycle.events import TrialFailed
from sweep.search.told import FINAL_SCORE, Teller
from sweep.space import load_space
from sweep.space.suggest import RandomSuggest
from sweep.tracking.agreement import agreement
from sweep.tracking.optuna_projection import OptunaProjection
from sweep.tracking.projection import MlflowProjection
from sweep.tracking.readers import read_mlflow, read_optuna
from sweep.tracking.store import prepare_store

pytestmark = pytest.mark.postgres


def states_after(records: Sequence[Record]) -> list[tuple[SweepState, Record]]:
    state, changes = SweepState(), []
    for record in records:
        state = fold(state, record.event, record.time)
        changes.append((state, record))
    return changes


def check_agreement(place, records: Sequence[Record]) -> None:
    state = replay((record.time, record.event) for record in records)
    rows = read_mlflow(place.uri, state.started)
    trials = read_optuna(place.optuna_url, state.started)
    assert agreement(state, rows, trials) == ()
    assert (len(rows), len(trials)) == (1 + len(state.trials), len(state.trials))


def test_postgresql_holds_all_that_sqlite_holds(place, on_postgres, records):
    for at in (place, on_postgres):
        projections = (at.projection(), at.optuna_projection())
        for state, record in states_after(records):
            for projection in projections:
                projection.apply(state, record)
        for projection in projections:
            projection.close()
            assert projection.problem is None
    assert dump(on_postgres.uri) == dump(place.uri)
    check_agreement(on_postgres, records)


@pytest.mark.parametrize("commit", [1, 9, 40, 120])
def test_projections_killed_half_way_are_gone_on_with_and_all_agree(place, on_postgres, records, commit):
    with killed_at_commit(commit), pytest.raises(Killed):
        _live(on_postgres, records)
    _catch_up(on_postgres, records)
    check_agreement(on_postgres, records)
    place.projection().catch_up(records)
    assert dump(on_postgres.uri) == dump(place.uri)


def test_projections_killed_again_and_again_come_to_an_end(on_postgres, records):
    kills = 0
    for commit in count(5, 5):
        try:
            with killed_at_commit(commit):
                _catch_up(on_postgres, records)
            break
        except Killed:
            kills += 1
    assert kills > 3
    check_agreement(on_postgres, records)


def _live(place, records: Sequence[Record]) -> None:
    projections = (place.projection(), place.optuna_projection())
    for state, record in states_after(records):
        for projection in projections:
            projection.apply(state, record)


def _catch_up(place, records: Sequence[Record]) -> None:
    place.projection().catch_up(records)
    place.optuna_projection().catch_up(records)


def test_a_server_that_restarts_stops_nothing_and_gets_everything(on_postgres, records, postgres, caplog):
    projections = (on_postgres.projection(), on_postgres.optuna_projection())
    changes = states_after(records)
    for projection in projections:
        projection.apply_all(changes[:6])
    postgres.stop()
    try:
        for projection in projections:
            projection.apply_all(changes[6:9])
            projection.apply_all(changes[9:11])
        assert all(projection.problem for projection in projections)
    finally:
        postgres.start()
    for projection in projections:
        projection.apply_all(changes[11:])
        assert projection.problem is None
    check_agreement(on_postgres, records)
    ours = [record for record in caplog.records if record.name.startswith("sweep.")]
    assert [record.levelno for record in ours] == [logging.WARNING] * 2
    assert PASSWORD not in caplog.text
    assert ENCODED_PASSWORD not in caplog.text


def test_a_connection_that_breaks_between_two_records_is_not_noticed(on_postgres, records, postgres):
    projections = (on_postgres.projection(), on_postgres.optuna_projection())
    for state, record in states_after(records):
        if record.sequence % 9 == 4:
            for url in (on_postgres.uri, on_postgres.optuna_url):
                postgres.disconnect_all(url.rpartition("/")[2])
        for projection in projections:
            projection.apply(state, record)
            assert projection.problem is None
    check_agreement(on_postgres, records)


def test_text_that_postgresql_cannot_hold_is_shown_without_it(on_postgres, records):
    reason = "stderr said: \0 and \ud800 and went on"
    failed = [*records[:13], Record(13, T0 + 200, proposed(2)), Record(14, T0 + 201, TrialFailed(2, reason))]
    failed = [replace(record, sequence=i) for i, record in enumerate(failed)]
    _catch_up(on_postgres, failed)
    check_agreement(on_postgres, failed)
    assert dump(on_postgres.uri)["trial 2 of demo"].tags["error"] == "stderr said: � and ? and went on"


def test_a_wrong_password_is_told_without_it(postgres, caplog):
    url = postgres.url("postgres", password="wr%40ng-password")
    with pytest.raises(ConnectionError, match="password authentication failed") as refused:
        prepare_store(url)
    projection = OptunaProjection(url, Teller({}, FINAL_SCORE, ()))
    projection.catch_up([Record(0, T0, started())])
    for told in (str(refused.value), str(projection.problem), caplog.text):
        assert "wr%40ng" not in told
        assert "wr@ng" not in told
    assert str(refused.value).startswith(f"postgresql://sweep:***@127.0.0.1:{postgres.port}/postgres: ")
    assert "password authentication failed" in str(projection.problem)


def test_assignments_of_a_conditional_space_come_back_exactly(on_postgres):
    space = load_space("mobilenetv3")
    assignments = [space.sample(RandomSuggest(seed)) for seed in range(12)]
    events = [started(), *(replace(proposed(i), assignment=chosen) for i, chosen in enumerate(assignments))]
    projection = OptunaProjection(on_postgres.optuna_url, Teller.of(space, FINAL_SCORE, ()))
    projection.catch_up([Record(i, T0 + i, event) for i, event in enumerate(events)])
    assert [trial.params for trial in read_optuna(on_postgres.optuna_url, started())] == assignments


@pytest.mark.long
def test_a_tracking_server_on_postgresql_takes_the_runs_and_their_files(
    new_place: Callable[[], object], records, tmp_path: Path
):
    behind = new_place()
    with mlflow_server(behind.uri, str(tmp_path / "files"), tmp_path) as address:
        for part in (records[:20], records):
            projection = MlflowProjection(address, None, behind.sweep)
            projection.catch_up(part)
            assert projection.problem is None
        state = replay((record.time, record.event) for record in records)
        assert agreement(state, read_mlflow(address, started()), None) == ()
    models = sorted(path.read_bytes() for path in (tmp_path / "files").rglob("model.tflite"))
    assert models == [b"model.tflite of trial 0"]  # that of trial 5 was removed again
    assert ENCODED_PASSWORD not in (tmp_path / "server.log").read_text()
