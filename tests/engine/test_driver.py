"""The driver, over simulated work: whole sweeps, kills at every durable step, and failures."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from simulated_sweep import MAX_EPOCHS, TRIALS, Killed, run

from sweep.lifecycle import TrialState, read_journal, read_state
from sweep.lifecycle.events import AttemptStarted, EpochTrained, TrialProposed


def story(directory: Path) -> list[Any]:
    """What became of each trial, without what depends on when it happened."""
    return [
        (
            trial.number,
            trial.candidate_hash,
            trial.state,
            trial.epoch,
            trial.final_score,
            [record.score for record in trial.epochs],
        )
        for trial in read_state(directory).trials.values()
    ]


def test_a_sweep_proposes_trains_compares_and_ends(tmp_path: Path) -> None:
    run(tmp_path)
    state = read_state(tmp_path)
    assert state.ended is not None
    assert state.ended.reason == "finished"
    assert len(state.trials) == TRIALS
    assert all(trial.state.is_final for trial in state.trials.values())
    complete = state.in_state(TrialState.COMPLETE)
    assert len(complete) >= 3
    assert all(trial.epoch == MAX_EPOCHS for trial in complete)
    assert all(trial.epoch == 2 for trial in state.in_state(TrialState.PRUNED))
    worst = min(trial.score_at(2) or 0.0 for trial in complete)
    assert all((trial.partial_score or 0.0) <= worst for trial in state.in_state(TrialState.PRUNED))


@pytest.mark.long
@pytest.mark.parametrize("durable", [True, False], ids=["after the write", "before the write"])
def test_a_kill_at_any_durable_step_changes_nothing(tmp_path: Path, durable: bool) -> None:
    run(tmp_path / "whole")
    expected = story(tmp_path / "whole")
    steps = len(read_journal(tmp_path / "whole"))
    for lives in range(steps):
        directory = tmp_path / f"killed-{lives}"
        with pytest.raises(Killed):
            run(directory, lives=lives, durable=durable)
        run(directory)
        assert story(directory) == expected, f"killed at append {lives}"


def test_a_kill_at_every_step_in_turn_neither_loses_nor_repeats_a_trial(tmp_path: Path) -> None:
    run(tmp_path / "whole")
    directory = tmp_path / "killed"
    kills = 0
    while not (directory.exists() and (state := read_state(directory)).started and state.ended):
        try:
            run(directory, lives=4, durable=False)
        except Killed:
            kills += 1
    assert kills > 10
    assert story(directory) == story(tmp_path / "whole")
    events = [record.event for record in read_journal(directory)]
    proposed = Counter(event.trial for event in events if isinstance(event, TrialProposed))
    epochs = Counter((event.trial, event.epoch) for event in events if isinstance(event, EpochTrained))
    assert set(proposed.values()) == {1}
    assert set(epochs.values()) == {1}
    starts = [event for event in events if isinstance(event, AttemptStarted)]
    assert all(event.from_epoch == 0 or event.checkpoint is not None for event in starts)
